"""LiteRT (TFLite) models for phones and small devices."""
