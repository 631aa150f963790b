"""Ways to say where a class is seen, by name."""

METHODS = ("hirescam", "gradcam")
