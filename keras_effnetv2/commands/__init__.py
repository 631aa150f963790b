"""Commands of `python -m keras_effnetv2`, a module each."""
