"""Devices: strategies by name, and corrections of Keras under them."""
