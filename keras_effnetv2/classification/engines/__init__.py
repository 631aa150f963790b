"""Engines that compute scores: a Keras model, or an export in its own engine."""
