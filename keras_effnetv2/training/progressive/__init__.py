"""Progressive learning: stages, their data, and `fit` over all of them."""
