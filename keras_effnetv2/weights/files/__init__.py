"""Readers of every public format of weights."""
