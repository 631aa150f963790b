"""Weights: releases, downloads, readers of every public format, class names."""
