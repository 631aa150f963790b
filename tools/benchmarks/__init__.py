"""Suites of tools/benchmark.py, a module each."""
