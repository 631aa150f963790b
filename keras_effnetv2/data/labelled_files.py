"""Tables of image files: one line each, with its label or labels, and its part.

file,label,part
cats/1.jpg,cat,train
both.jpg,cat;dog,validation

Spaces around a value are no part of it, as people add them. Programs quote all values,
those of the header too: then names are exact.
"""

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Iterable

from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError

COLUMNS = ("file", "label", "part")
BETWEEN_LABELS = ";"
_EXACT = '"file","label","part"'  # The header of tables with exact names.


@dataclasses.dataclass(frozen=True)
class LabelledFile:
    """One line of a table.

    Attributes:
        file: its path, relative to a folder that the table does not name.
        labels: names of its classes: one, or any number in a multi-label dataset.
        part: the split it belongs to; empty if the table has no such column.
    """

    file: str
    labels: tuple[str, ...]
    part: str = ""


def read_table(path: str | os.PathLike, multi_label: bool) -> list[LabelledFile]:
    """The lines of a CSV file with the columns `file` and `label`, in order.

    Args:
        path: the table, UTF-8, with a header; other columns are ignored.
        multi_label: labels are separated by `;`, and there may be none.

    Raises:
        ValueError: no such file, another header, or a line without a file or label.
    """
    name = printable(path)
    try:
        text = pathlib.Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}.") from error
    # File names need not be UTF-8.
    lines = text.decode("utf-8-sig", "surrogateescape")
    how = multi_label, str if lines.startswith(_EXACT) else str.strip
    reader = csv.DictReader(io.StringIO(lines, newline=""), restval="")
    header = reader.fieldnames or []
    if not {*COLUMNS[:2]} <= {*header}:
        found = printable(",".join(header)[:80])
        raise InputError(
            f"{name} must be a table (CSV) whose first line names the columns file and "
            f"label. Received: {found!r}."
        )
    try:
        rows = [_row(x, f"Line {reader.line_num} of {name}", *how) for x in reader]
    except csv.Error as error:
        raise InputError(f"{name} is not a table (CSV): {error}.") from error
    if not rows:
        raise InputError(f"{name} names no files: it has only a header.")
    return rows


def table_text(rows: Iterable[LabelledFile]) -> bytes:
    """A table in the form that `read_table` takes."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((x.file, BETWEEN_LABELS.join(x.labels), x.part) for x in rows)
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _row(
    row: dict[str, str], where: str, multi_label: bool, clean: Callable[[str], str]
) -> LabelledFile:
    """A line of a table.

    Args:
        row: its values.
        where: its place, for messages.
        multi_label: as for `read_table`.
        clean: what is done with each name.
    """
    file, label = clean(row["file"]), clean(row["label"])
    labels = label.split(BETWEEN_LABELS) if multi_label else [label]
    found = tuple(dict.fromkeys(name for x in labels if (name := clean(x))))
    if not file or not (found or multi_label):
        missing = "label" if file else "file"
        raise InputError(f"{where} has no {missing}.")
    return LabelledFile(file, found, clean(row.get("part") or ""))
