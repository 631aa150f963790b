"""Everything that a run shows and records."""
