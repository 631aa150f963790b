"""`pack.json`: what a folder of shards was asked for, and what is in each."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.packing.shards import NOTES, Shard, WrittenShard, write_file
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError

MANIFEST = "pack.json"
DAMAGED = "damaged.jsonl"

_REQUEST, _SHARDS = "request", "shards"
# What messages call the entries of a request that say nothing by themselves.
_TITLES = {"contents": "the names or sizes of the images"}


class Manifest:
    """The manifest of a folder, which is begun with it or found there.

    Args:
        folder: of the shards.
        request: what they depend on, of values that JSON has.

    Raises:
        ValueError: the folder holds something else, or shards of another request.
    """

    def __init__(self, folder: str, request: Mapping[str, Any]) -> None:
        self._folder = folder
        self._request = json.loads(json.dumps(request))
        self._path = os.path.join(folder, MANIFEST)
        if tf.io.gfile.exists(self._path):
            self._written = {x.name: x for x in self._take_up()}
        else:
            self._refuse_others()
            self._written: dict[str, WrittenShard] = {}
            self._write()
        tf.io.gfile.makedirs(os.path.join(folder, NOTES))

    @property
    def written(self) -> list[WrittenShard]:
        """Shards that are there, by name."""
        return [self._written[name] for name in sorted(self._written)]

    def missing(self, shards: Iterable[Shard]) -> list[Shard]:
        """Those that are not there, or are not as long as they should be."""
        self._read_notes()
        self._written = {
            name: shard
            for name, shard in self._written.items()
            if self._size(name) == shard.num_bytes
        }
        return [shard for shard in shards if shard.name not in self._written]

    def finish(self) -> None:
        """Writes down all shards, and the images that are in none."""
        self._read_notes()
        damaged = [
            json.dumps({"file": name, "reason": reason}, ensure_ascii=False)
            for shard in self.written
            for name, reason in shard.damaged
        ]
        path = os.path.join(self._folder, DAMAGED)
        if damaged:
            write_file(path, "".join(f"{line}\n" for line in damaged).encode())
        elif tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)
        self._write()
        tf.io.gfile.rmtree(os.path.join(self._folder, NOTES))

    def _write(self) -> None:
        shards = [dataclasses.asdict(shard) for shard in self.written]
        values = {_REQUEST: self._request, _SHARDS: shards}
        text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
        write_file(self._path, text.encode())

    def _take_up(self) -> Iterator[WrittenShard]:
        remedy = "Choose another folder, or remove this one."
        title = printable(self._folder)
        try:
            with tf.io.gfile.GFile(self._path, "rb") as file:
                values = json.loads(file.read())
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
        names = [x for x in tf.io.gfile.listdir(self._folder) if x[0] != "."]
        if names:
            raise InputError(
                f"{printable(self._folder)} is not empty, and holds no pack: "
                f"{printable(sorted(names)[0])}. Choose a new folder."
            )

    def _read_notes(self) -> None:
        """Takes up the shards that were written since; others are written again."""
        folder = os.path.join(self._folder, NOTES)
        for name in tf.io.gfile.listdir(folder):
            if name.startswith("."):
                continue
            with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
                shard = WrittenShard.from_json(json.loads(file.read()))
            self._written[shard.name] = shard

    def _size(self, name: str) -> int:
        path = os.path.join(self._folder, name)
        return tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else -1


def _difference(name: str, there: Any, now: Any) -> str:
    if name in _TITLES:
        return f"{_TITLES[name]} are others"
    return f"{name} is {there!r} there and {now!r} now"
