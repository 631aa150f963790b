"""Learners: a network with its loss and the optimizer of a recipe."""
