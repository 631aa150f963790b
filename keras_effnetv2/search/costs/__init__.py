"""Costs of networks: step times measured, predicted, and used for screening."""
