"""Everything that a run shows and writes down."""
