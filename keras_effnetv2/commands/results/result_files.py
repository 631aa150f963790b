"""Rows of results in files: whole at the end, and taken up again if that never came.

Until then they are in `.NAME.part` beside the file: JSON, a row a line after one line
of the settings. Lines are appended as results come, so that a process that is killed
loses the last of them at most.
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

# Rows of Parquet that are compressed together.
_GROUP = 4096
_SETTINGS = "settings"


class UnfinishedRows:
    """The rows that are there of a file that is not finished.

    Args:
        path: of the file that they are to become.
        settings: what they depend on, of values that JSON has.

    Raises:
        ValueError: nothing can be written there, or what is there is of other settings.
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
        """All rows, in the order in which they came."""
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
        """Reads what is there, and cuts off a line that was not finished."""
        with self.path.open("rb+") as file:
            self._check(file.readline(), path)
            end = file.tell()
            for line in file:
                try:
                    row = json.loads(line)
                except ValueError:
                    break
                self._note(row)
                end = file.tell() if line.endswith(b"\n") else end
            file.truncate(end)

    def _check(self, line: bytes, path: pathlib.Path) -> None:
        remedy = f"Choose another --output, or remove {printable(self.path)}."
        try:
            found = json.loads(line)[_SETTINGS]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{printable(self.path)} is no beginning of a file of results. {remedy}"
            ) from error
        now = json.loads(json.dumps(self._settings))
        differences = [
            f"{name} is {found.get(name)!r} there and {now.get(name)!r} now"
            for name in dict.fromkeys((*found, *now))
            if found.get(name) != now.get(name)
        ]
        if differences:
            raise InputError(
                f"{printable(path)} was begun with other settings: "
                f"{'; '.join(differences)}. {remedy}"
            )


@dataclasses.dataclass(frozen=True)
class Layout:
    """How rows become lines and columns.

    Attributes:
        columns: name -> `"text"`, `"whole"`, `"real"` or `"vector"`.
        flat: the columns' values of a row, in their order.
        lines: lines for people, of a row, where there are any.
    """

    columns: Mapping[str, str]
    flat: Callable[[Row], list[Any]]
    lines: Callable[[Row], list[str]] = lambda row: [row["file"]]


def write_text(layout: Layout, kind: str, rows: Iterable[Row], file: TextIO) -> None:
    """Writes rows as `table`, `csv` or `jsonl`, each as soon as it comes."""
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
    """Refuses what could not be written at the end.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: a format of files, without one.
    """
    if kind == "parquet":
        require_modules("Parquet files need", "parquet", "pyarrow")
    if output is None and kind in ("parquet", "npz"):
        raise InputError(f"--format {kind} is a file's. Name it: --output FILE.{kind}")


def finish(
    unfinished: UnfinishedRows,
    path: pathlib.Path,
    kind: str,
    write: Callable[[str, Iterator[Row], pathlib.Path], None],
) -> None:
    """Gives the file its contents at once, and removes what was unfinished."""
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
    """float32 numbers as text, which JSON's numbers would make four times as long."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def decoded(text: str) -> np.ndarray:
    """The numbers that `encoded` has made text of."""
    return np.frombuffer(base64.b64decode(text), "<f4")
