"""Training-aware architecture search: the space, rewards, engines, scaling."""
