"""Rows of results in files that appear when they are complete, and can be resumed.

Until then the rows are in `.NAME.part` next to the file, as JSON: one line of settings,
then one line per row. Lines are appended as results arrive, so that a killed process
loses at most the last of them.
"""

import base64
import csv
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO

import numpy as np

from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.export.publishing import check_writable
from keras_effnetv2.files import replacing

Row = dict[str, Any]

# Rows of a Parquet file that are compressed together.
_GROUP = 4096
_SETTINGS = "settings"


class UnfinishedRows:
    """The rows so far of a file that is not finished.

    Args:
        path: the file that they are to become.
        settings: settings that the rows depend on, as JSON values.

    Raises:
        ValueError: nothing can be written there, or the existing rows have other
            settings.
    """

    def __init__(self, path: pathlib.Path, settings: Mapping[str, Any]) -> None:
        check_writable(path.parent)
        self.path = path.with_name(f".{path.name}.part")
        self._settings = dict(settings)
        self.done: set[str] = set()
        self.num_failed = 0
        if self.path.exists():
            self._take_up(path)
        else:
            self._append([json.dumps({_SETTINGS: self._settings})])

    def append(self, rows: Iterable[Row]) -> None:
        """Adds rows, each with its `file` and its `error` or None."""
        rows = list(rows)
        self._append([json.dumps(row) for row in rows])
        for row in rows:
            self._note(row)

    def rows(self) -> Iterator[Row]:
        """All rows, in the order in which they were added."""
        with self.path.open(encoding="utf-8") as file:
            next(file)
            yield from map(json.loads, file)

    def _append(self, lines: list[str]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def _note(self, row: Row) -> None:
        self.done.add(row["file"])
        self.num_failed += row["error"] is not None

    def _take_up(self, path: pathlib.Path) -> None:
        """Reads the existing rows, and cuts off an unfinished line."""
        with self.path.open("rb+") as file:
            first = file.readline()
            self._check(first, path)
            if not first.endswith(b"\n"):
                file.write(b"\n")
            end = file.tell()
            while (line := file.readline()).endswith(b"\n"):
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                self._note(row)
                end = file.tell()
            file.truncate(end)

    def _check(self, line: bytes, path: pathlib.Path) -> None:
        remedy = f"Choose another --output, or remove {printable(self.path)}."
        try:
            found = json.loads(line)[_SETTINGS]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{printable(self.path)} is not an unfinished file of results. {remedy}"
            ) from error
        now = json.loads(json.dumps(self._settings))
        differences = [
            f"{name} is {found.get(name)!r} there and {now.get(name)!r} now"
            for name in dict.fromkeys((*found, *now))
            if found.get(name) != now.get(name)
        ]
        if differences:
            raise InputError(
                f"{printable(path)} was started with other settings: "
                f"{'; '.join(differences)}. {remedy}"
            )


@dataclasses.dataclass(frozen=True)
class Layout:
    """How rows become lines and columns.

    Attributes:
        columns: name -> `"text"`, `"whole"`, `"real"` or `"vector"`.
        flat: turns a row into the values of the columns, in order.
        lines: turns a row into lines of text for people, if there is such a form.
    """

    columns: Mapping[str, str]
    flat: Callable[[Row], list[Any]]
    lines: Callable[[Row], list[str]] = lambda row: [row["file"]]


def write_text(layout: Layout, kind: str, rows: Iterable[Row], file: TextIO) -> None:
    """Writes rows as `table`, `csv` or `jsonl`, each as soon as it arrives."""
    table = csv.writer(file, lineterminator="\n")
    if kind == "csv":
        table.writerow(layout.columns)
    for row in rows:
        if kind == "csv":
            table.writerow(layout.flat(row))
        elif kind == "jsonl":
            print(json.dumps(row, ensure_ascii=False), file=file)
        else:
            print("\n".join(layout.lines(row)), file=file)
        file.flush()


def write_parquet(layout: Layout, rows: Iterable[Row], path: pathlib.Path) -> None:
    """Writes rows as an Apache Parquet file."""
    import pyarrow
    from pyarrow import parquet

    kinds = {
        "text": pyarrow.string(),
        "whole": pyarrow.int32(),
        "real": pyarrow.float32(),
        "vector": pyarrow.list_(pyarrow.float32()),
    }
    schema = pyarrow.schema([(x, kinds[kind]) for x, kind in layout.columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        rows = iter(rows)
        while group := [layout.flat(x) for x in itertools.islice(rows, _GROUP)]:
            columns = [[*column] for column in zip(*group, strict=True)]
            writer.write_table(
                pyarrow.Table.from_pydict(
                    dict(zip(layout.columns, columns, strict=True)), schema
                )
            )


def check_format(kind: str, output: str | None) -> None:
    """Refuses formats that could not be written at the end.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: a format for files, without a file.
    """
    if kind == "parquet":
        require_modules("Parquet files need", "parquet", "pyarrow")
    if output is None and kind in ("parquet", "npz"):
        raise InputError(f"--format {kind} needs a file. Name it: --output FILE.{kind}")


def finish(
    unfinished: UnfinishedRows,
    path: pathlib.Path,
    kind: str,
    write: Callable[[str, Iterator[Row], pathlib.Path], None],
) -> None:
    """Writes the file atomically, and removes the unfinished one."""
    with replacing(path) as temporary:
        write(kind, unfinished.rows(), temporary)
    unfinished.path.unlink()


def write_file(
    layout: Layout, kind: str, rows: Iterable[Row], path: pathlib.Path
) -> None:
    """Writes a file of any format but `npz`."""
    if kind == "parquet":
        write_parquet(layout, rows, path)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        write_text(layout, kind, rows, file)


def encoded(vector: np.ndarray) -> str:
    """float32 numbers as text, a quarter as long as in JSON's notation."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def decoded(text: str) -> np.ndarray:
    """The numbers that `encoded` turned into text."""
    return np.frombuffer(base64.b64decode(text), "<f4")
