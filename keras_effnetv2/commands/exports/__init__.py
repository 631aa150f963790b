"""Formats of `export`, a module each: `add_arguments` and `write`."""
