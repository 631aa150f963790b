"""TF Hub modules: writing, packing, and loading them as layers."""
