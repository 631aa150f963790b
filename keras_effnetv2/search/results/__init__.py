"""Results of a search: tables, fronts and figures."""
