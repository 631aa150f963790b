"""Records in files: where they are, an index of that, and how they are read."""
