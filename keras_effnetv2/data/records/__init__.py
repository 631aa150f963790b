"""Records in files: where they are, an index of their positions, and reading them."""
