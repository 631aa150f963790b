"""What networks take: checks of images, and the layer that normalises them."""
