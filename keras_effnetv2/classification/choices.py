"""Choices for a classifier that are fast to import."""

# Images per batch: more are no faster on a CPU.
BATCH_SIZE = 16
