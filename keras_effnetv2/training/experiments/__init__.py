"""Experiments: their settings, the recipes, and all by name."""
