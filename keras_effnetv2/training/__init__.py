"""Training: experiments, progressive stages, learning rates."""
