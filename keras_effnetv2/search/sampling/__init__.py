"""The space of networks, and samplers of it."""
