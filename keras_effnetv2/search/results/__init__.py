"""What a search has found: tables, fronts and figures."""
