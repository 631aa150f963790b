"""Devices: strategies by name, and what Keras gets wrong under them."""
