"""Photographs before training: listed, surveyed, and split."""
