"""What learns: the network, its loss, and the optimizer of a recipe."""
