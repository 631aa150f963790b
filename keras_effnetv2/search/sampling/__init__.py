"""The space of networks, and what chooses from it."""
