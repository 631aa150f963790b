"""Where in an image a classifier sees a class."""
