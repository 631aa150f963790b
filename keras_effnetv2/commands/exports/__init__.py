"""Formats of `export`, one module each, with `add_arguments` and `write`."""

from typing import Any


def print_differences(manifest: Any) -> None:
    """Prints the results of the round trip, one line per output."""
    print(
        "differences from the model, relative to the largest number, in another "
        "process:"
    )
    for name, difference in manifest.contents["differences"].items():
        print(f"  {name:32}{difference:9.1e}")
