"""Exports, run by their engines in another process."""
