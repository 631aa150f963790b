"""Class names beside an export: `labels.txt`, a class a line."""

import pathlib
from collections.abc import Sequence

LABELS = "labels.txt"


def label_text(labels: Sequence[str]) -> str:
    """What the file holds."""
    return "\n".join(labels) + "\n"


def write_labels(labels: Sequence[str] | None, folder: pathlib.Path) -> None:
    """Writes the file into `folder`, where the names are known."""
    if labels:
        (folder / LABELS).write_text(label_text(labels), encoding="utf-8")
