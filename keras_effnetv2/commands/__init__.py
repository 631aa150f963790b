"""Commands of `python -m keras_effnetv2`, one module per command."""
