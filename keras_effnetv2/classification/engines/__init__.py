"""What computes scores: a Keras model, or an export in the engine it is made for."""
