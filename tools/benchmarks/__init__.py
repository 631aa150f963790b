"""Parts of tools/benchmark.py and the other benchmarks: sides, turns, tables."""
