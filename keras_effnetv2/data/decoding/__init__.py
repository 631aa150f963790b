"""Decodes images to pixels, in the same way everywhere."""
