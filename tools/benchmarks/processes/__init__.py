"""Programs that the benchmarks start: each answers for one side of a comparison."""
