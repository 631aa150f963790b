"""Explanation methods, by name."""

METHODS = ("hirescam", "gradcam")
