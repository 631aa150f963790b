"""Exports as a page that classifies in the browser of whoever opens it."""
