"""Augmentation of training images: random crops, policies and mixing."""
