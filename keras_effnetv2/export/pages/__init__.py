"""Exports as a page that classifies in the visitor's browser."""
