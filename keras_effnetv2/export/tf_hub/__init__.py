"""Modules of TF Hub: written, packed, and loaded as layers."""
