"""Checks of images, of their layout and range, and the layer that normalises them."""
