"""Surveys every photograph before training: what there is, and what is wrong."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import statistics
from typing import Any

import numpy as np

from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.labelled_files import LabelledFile
from keras_effnetv2.data.printable import printable, shown
from keras_effnetv2.errors import UserError
from keras_effnetv2.finetuning.draft import UNEVEN
from keras_effnetv2.finetuning.photographs import duplicates
from keras_effnetv2.finetuning.photographs.photograph_folder import Photographs
from keras_effnetv2.progress import Progress
from keras_effnetv2.tables import align

_MAX_THREADS = 16
_NUM_CLASSES_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Look:
    """What is known of one file.

    Attributes:
        error: why it cannot be read; None if it can, with all other attributes.
        kind: Pillow's name of the format.
        size: width and height, pixels.
        num_bytes: size of the file.
        digest: SHA-256 of its bytes.
        code: its difference hash.
        copy: a thumbnail, uint8 `(16, 16, 3)`.
    """

    error: str | None = None
    kind: str = ""
    size: tuple[int, int] = (0, 0)
    num_bytes: int = 0
    digest: str = ""
    code: int = 0
    copy: Any = None


@dataclasses.dataclass(frozen=True)
class Survey:
    """The findings about photographs.

    Attributes:
        photographs: all of them.
        looks: one for each of their rows.
        exact: groups of files with the same bytes, as indices of rows.
        groups: all readable files, grouped if they are or look the same.
    """

    photographs: Photographs
    looks: tuple[Look, ...]
    exact: list[list[int]]
    groups: list[list[int]]

    @property
    def readable(self) -> list[int]:
        """Indices of the files that can be read."""
        return [place for group in self.groups for place in group]

    @property
    def unreadable(self) -> list[tuple[LabelledFile, str]]:
        """Files that cannot be read, and why."""
        pairs = zip(self.photographs.rows, self.looks, strict=True)
        return [(row, look.error) for row, look in pairs if look.error is not None]

    @property
    def duplicates(self) -> list[list[LabelledFile]]:
        """Files that are or look the same, in groups of two or more."""
        rows = self.photographs.rows
        return [[rows[x] for x in group] for group in self.groups if len(group) > 1]

    @property
    def contradictions(self) -> list[list[LabelledFile]]:
        """Duplicates with different labels."""
        return [x for x in self.duplicates if len({row.labels for row in x}) > 1]

    @property
    def counts(self) -> dict[str, int]:
        """Readable images of each class."""
        found = collections.Counter(
            label for place in self.readable for label in self._row(place).labels
        )
        return {name: found[name] for name in self.photographs.class_names}

    @property
    def num_bytes(self) -> int:
        """Total size of all readable files."""
        return sum(self.looks[place].num_bytes for place in self.readable)

    @property
    def imbalance(self) -> float:
        """Images of the largest class over those of the smallest that is not empty."""
        counts = [count for count in self.counts.values() if count]
        return max(counts) / min(counts) if counts else 1.0

    def warnings(self) -> list[str]:
        """A sentence about each problem."""
        found = []
        if self.unreadable:
            names = shown(row.file for row, _ in self.unreadable)
            found.append(f"{len(self.unreadable):,} files cannot be read: {names}.")
        if self.contradictions:
            groups = "; ".join(_group(x) for x in self.contradictions[:5])
            found.append(
                f"{len(self.contradictions):,} images are in several classes: {groups}."
            )
        if self.imbalance > UNEVEN:
            found.append(
                f"The largest class has {self.imbalance:.1f} times the images of the "
                "smallest."
            )
        empty = [name for name, count in self.counts.items() if not count]
        if empty:
            found.append(f"Classes without a readable image: {shown(empty)}.")
        return found

    def to_json(self) -> bytes:
        """Everything that was found, for programs; files by name."""
        sizes = [self.looks[place].size for place in self.readable]
        rows = self.photographs.rows
        report = {
            "num_files": len(rows),
            "classes": self.counts,
            "formats": self._formats(),
            "sizes": {
                name: [int(pick(side)) for side in zip(*sizes, strict=True)]
                for name, pick in _PICKS.items()
                if sizes
            },
            "imbalance": round(self.imbalance, 3),
            "unreadable": {
                printable(row.file): reason for row, reason in self.unreadable
            },
            "exact_duplicates": [
                [printable(rows[x].file) for x in group] for group in self.exact
            ],
            "duplicates": [[printable(x.file) for x in g] for g in self.duplicates],
            "duplicates_in_several_classes": [
                [printable(x.file) for x in g] for g in self.contradictions
            ],
            "warnings": self.warnings(),
        }
        return (json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode()

    def lines(self) -> list[str]:
        """A short table for people, and the warnings."""
        counts, rows = self.counts, [("class", "images")]
        names = sorted(counts, key=counts.__getitem__, reverse=True)
        rows += [(name, f"{counts[name]:,}") for name in names[:_NUM_CLASSES_SHOWN]]
        if len(names) > _NUM_CLASSES_SHOWN:
            rest = names[_NUM_CLASSES_SHOWN:]
            total = sum(counts[name] for name in rest)
            rows.append((f"{len(rest):,} more classes", f"{total:,}"))
        num_copies = sum(len(group) - 1 for group in self.duplicates)
        num_exact = sum(len(group) - 1 for group in self.exact)
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self._formats().items())
        width, height = zip(*(self.looks[x].size for x in self.readable), strict=True)
        facts = [
            f"{len(self.readable):,} images in {len(counts):,} classes: {kinds}",
            f"sizes from {min(width)}x{min(height)} to {max(width)}x{max(height)} "
            f"pixels, mostly about {int(statistics.median(width))}x"
            f"{int(statistics.median(height))}",
            f"copies of other images: {num_copies:,}, of which {num_exact:,} have the "
            "same bytes; each is kept on the same side of the split as its original",
        ]
        warnings = [f"warning: {text}" for text in self.warnings()]
        return [*align(rows, num_left=1), "", *facts, *warnings]

    def _formats(self) -> dict[str, int]:
        kinds = collections.Counter(self.looks[place].kind for place in self.readable)
        return dict(kinds.most_common())

    def _row(self, place: int) -> LabelledFile:
        return self.photographs.rows[place]


_PICKS = {"smallest": min, "median": statistics.median, "largest": max}


def survey_photographs(photographs: Photographs) -> Survey:
    """Reads and decodes every file, in threads, and compares them.

    Args:
        photographs: from `find_photographs`.
    """
    paths = [photographs.path(row) for row in photographs.rows]
    progress = Progress("photographs surveyed", len(paths))
    looks = []
    num_threads = min(os.cpu_count() or 1, _MAX_THREADS)
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        for look in pool.map(look_at, paths):
            looks.append(look)
            progress.advance(1)
    progress.finish()
    return compare(photographs, looks)


def look_at(path: pathlib.Path) -> Look:
    """Examines one file."""
    try:
        contents = images.contents(path)
        pixels = images.decode_any(contents)
    except (UserError, OSError, MemoryError) as error:
        return Look(error=str(error) or type(error).__name__)
    height, width = pixels.shape[:2]
    return Look(
        kind=images.kind_of(contents),
        size=(width, height),
        num_bytes=len(contents),
        digest=hashlib.sha256(contents).hexdigest(),
        code=duplicates.difference_hash(pixels),
        copy=duplicates.small_copy(pixels),
    )


def compare(photographs: Photographs, looks: list[Look]) -> Survey:
    """The survey of photographs that were examined."""
    readable = [place for place, look in enumerate(looks) if look.error is None]
    by_digest = collections.defaultdict(list)
    for number, place in enumerate(readable):
        by_digest[looks[place].digest].append(number)
    exact = [group for group in by_digest.values() if len(group) > 1]
    pairs = [(group[0], other) for group in exact for other in group[1:]]
    firsts = [group[0] for group in by_digest.values()]
    if firsts:
        chosen = [looks[readable[number]] for number in firsts]
        copies = np.stack([look.copy for look in chosen])
        codes = [look.code for look in chosen]
        for one, other in duplicates.near_pairs(codes, copies):
            pairs.append((firsts[one], firsts[other]))
    found = duplicates.groups(len(readable), pairs)
    return Survey(
        photographs,
        tuple(looks),
        [[readable[x] for x in group] for group in exact],
        [[readable[x] for x in group] for group in found],
    )


def _group(rows: list[LabelledFile]) -> str:
    return " and ".join(printable(row.file) for row in rows[:3])
