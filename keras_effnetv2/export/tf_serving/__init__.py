"""Exports for TF Serving: versions, their configuration and warm-up."""
