"""Files of results, which `write_tables.py` and later runs of a tool read."""

import json
import pathlib
from typing import Any

from keras_effnetv2.files import replace_file


def write_results(path: pathlib.Path, results: Any) -> None:
    """Writes results as JSON, at once: the old file stays until the new is complete."""
    replace_file(path, f"{json.dumps(results, indent=1)}\n".encode())
