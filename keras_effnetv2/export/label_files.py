"""Class names next to an export: `labels.txt`, one class per line."""

import pathlib
from collections.abc import Sequence

LABELS = "labels.txt"


def label_text(labels: Sequence[str]) -> str:
    """The contents of the file."""
    return "\n".join(labels) + "\n"


def write_labels(labels: Sequence[str] | None, folder: pathlib.Path) -> None:
    """Writes the file to `folder`, if the names are known."""
    if labels:
        (folder / LABELS).write_text(label_text(labels), encoding="utf-8")
