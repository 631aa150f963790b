"""Formats of `export`, a module each: `add_arguments` and `write`."""

from typing import Any


def print_differences(manifest: Any) -> None:
    """The round trip's results, a line an output."""
    print("differences from the model, of the largest number, by another process:")
    for name, difference in manifest.contents["differences"].items():
        print(f"  {name:32}{difference:9.1e}")
