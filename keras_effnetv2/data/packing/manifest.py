"""`pack.json`: the request for a folder of shards, and the contents of each."""

import concurrent.futures
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from keras_effnetv2.data.packing.shards import NOTES, Shard, WrittenShard
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replace_file
from keras_effnetv2.paths import AnyPath, as_path

MANIFEST = "pack.json"
DAMAGED = "damaged.jsonl"

# Files whose status is requested from a bucket at the same time.
_NUM_THREADS = 16

_REQUEST, _SHARDS = "request", "shards"
# Names in messages for entries of a request whose values mean nothing to users.
_TITLES = {"contents": "the names or sizes of the images"}


class Manifest:
    """The manifest of a folder: a new one, or the existing one.

    Args:
        folder: the folder of the shards.
        request: values that the shards depend on, for JSON.

    Raises:
        ValueError: the folder holds something else, or shards of another request.
    """

    def __init__(self, folder: str, request: Mapping[str, Any]) -> None:
        self._folder = as_path(folder)
        self._request = json.loads(json.dumps(request))
        self._path = self._folder / MANIFEST
        if self._path.exists():
            self._written = {x.name: x for x in self._take_up()}
        else:
            self._refuse_others()
            self._written: dict[str, WrittenShard] = {}
            self._write()
        (self._folder / NOTES).mkdir(parents=True, exist_ok=True)

    @property
    def written(self) -> list[WrittenShard]:
        """Existing shards, by name."""
        return [self._written[name] for name in sorted(self._written)]

    def missing(self, shards: Iterable[Shard]) -> list[Shard]:
        """Shards that are missing, or have the wrong size."""
        self._read_notes()
        sizes = self._sizes()
        self._written = {
            name: shard
            for name, shard in self._written.items()
            if sizes.get(name) == shard.num_bytes
        }
        return [shard for shard in shards if shard.name not in self._written]

    def finish(self) -> None:
        """Records all shards, and the images that are in none."""
        self._read_notes()
        damaged = [
            json.dumps({"file": name, "reason": reason}, ensure_ascii=False)
            for shard in self.written
            for name, reason in shard.damaged
        ]
        path = self._folder / DAMAGED
        if damaged:
            replace_file(path, "".join(f"{line}\n" for line in damaged).encode())
        else:
            path.unlink(missing_ok=True)
        self._write()
        if isinstance(self._folder, pathlib.Path):
            shutil.rmtree(self._folder / NOTES)
        for note in self._noted():
            note.unlink(missing_ok=True)

    def _write(self) -> None:
        shards = [dataclasses.asdict(shard) for shard in self.written]
        values = {_REQUEST: self._request, _SHARDS: shards}
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        replace_file(self._path, text.encode())

    def _take_up(self) -> Iterator[WrittenShard]:
        remedy = "Choose another folder, or remove this one."
        title = printable(str(self._folder))
        try:
            values = json.loads(self._path.read_bytes())
            found = dict(values[_REQUEST])
            shards = [WrittenShard.from_json(x) for x in values[_SHARDS]]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{title} has a damaged {MANIFEST}. {remedy}") from error
        differences = [
            _difference(name, found.get(name), self._request.get(name))
            for name in dict.fromkeys((*found, *self._request))
            if found.get(name) != self._request.get(name)
        ]
        if differences:
            raise InputError(
                f"{title} holds another pack: {'; '.join(differences)}. {remedy}"
            )
        yield from shards

    def _refuse_others(self) -> None:
        names = [x.name for x in self._folder.glob("*") if x.name[0] != "."]
        if names:
            raise InputError(
                f"{printable(str(self._folder))} is not empty, and holds no pack: "
                f"{printable(min(names))}. Choose a new folder."
            )

    def _read_notes(self) -> None:
        """Reads notes of shards that were written since; others are written again."""
        for note in self._noted():
            shard = WrittenShard.from_json(json.loads(note.read_bytes()))
            self._written[shard.name] = shard

    def _noted(self) -> list[AnyPath]:
        """Notes on shards, each of which is complete."""
        found = (self._folder / NOTES).glob("*.json")
        return [note for note in found if not note.name.startswith(".")]

    def _sizes(self) -> dict[str, int]:
        """Sizes of the existing shards, bytes, by name."""
        # By listing, since bucket clients cache for a while that a file exists.
        found = [x for x in self._folder.glob("*") if x.name in self._written]
        with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as pool:
            sizes = pool.map(lambda path: path.stat().st_size, found)
            return dict(zip((x.name for x in found), sizes, strict=True))


def _difference(name: str, there: Any, now: Any) -> str:
    if name in _TITLES:
        return f"{_TITLES[name]} have changed"
    return f"{name} is {there!r} there and {now!r} now"
