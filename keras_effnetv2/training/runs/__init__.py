"""Runs: their loop, work folder, checkpoints and evaluation."""
