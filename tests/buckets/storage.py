"""What a server of buckets holds and counts, and how it is told to behave."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping

PIECE = 1 << 18  # Bytes between looks at the clock.


@dataclasses.dataclass
class Settings:
    """How the server behaves; `BucketServer.change` sets any of these.

    Attributes:
        latency: seconds before the answer to each request.
        bandwidth: bytes a second of each stream, in both directions.
        refused: buckets that nobody has rights on.
        read_only: buckets that nobody may write to.
        fail_share: of the requests, which are answered with 503.
        stall_uploads_after: bytes after which an upload goes no further. 0: never.
        stall_suffix: of the names of objects whose uploads do that.
    """

    latency: float = 0.05
    bandwidth: float = 100e6
    refused: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    fail_share: float = 0.0
    stall_uploads_after: int = 0
    stall_suffix: str = ""


@dataclasses.dataclass(frozen=True)
class Counts:
    """What has been asked for since the start, or since `reset_counts`.

    Attributes:
        requests: by kind: bucket, list, stat, read, write, copy, delete, failed.
        opens: reads that were begun, by `BUCKET/OBJECT`; each is a stream of its own.
        bytes_read: that were sent, by `BUCKET/OBJECT`.
        bytes_written: that came, by `BUCKET/OBJECT`.
        most_streams: reads that were open at one moment.
    """

    requests: dict[str, int]
    opens: dict[str, int]
    bytes_read: dict[str, int]
    bytes_written: dict[str, int]
    most_streams: int


@dataclasses.dataclass(frozen=True)
class Object:
    """Contents that never change: bytes, or the path of a file."""

    contents: bytes | str
    generation: int
    updated: float

    @property
    def size(self) -> int:
        if isinstance(self.contents, str):
            return os.path.getsize(self.contents)
        return len(self.contents)

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        places = range(start, stop, PIECE)
        if isinstance(self.contents, bytes):
            for place in places:
                yield self.contents[place : min(place + PIECE, stop)]
            return
        with open(self.contents, "rb") as file:
            file.seek(start)
            for place in places:
                yield file.read(min(PIECE, stop - place))

    def metadata(self, name: str) -> dict[str, str]:
        updated = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(self.updated))
        generation = str(self.generation)
        size = str(self.size)
        return {
            "name": name,
            "size": size,
            "generation": generation,
            "updated": updated,
        }


class Storage:
    """Buckets and what is counted of them, for all threads."""

    def __init__(self, buckets: Mapping[str, str | None], settings: Settings) -> None:
        self.lock = threading.Lock()
        self.settings = settings
        self.uploads: dict[str, tuple[str, str, bytearray]] = {}
        self.numbers = itertools.count(1)
        self.random = random.Random(0)
        self.num_streams = 0
        self.buckets: dict[str, dict[str, Object]] = {}
        for bucket, folder in buckets.items():
            files = sorted(pathlib.Path(folder).rglob("*")) if folder else []
            self.buckets[bucket] = {
                x.relative_to(str(folder)).as_posix(): self.new(str(x))
                for x in files
                if x.is_file()
            }
        self.reset()

    def reset(self) -> None:
        self.requests: Counter[str] = Counter()
        self.opens: Counter[str] = Counter()
        self.bytes_read: Counter[str] = Counter()
        self.bytes_written: Counter[str] = Counter()
        self.most_streams = self.num_streams

    def new(self, contents: bytes | str) -> Object:
        return Object(contents, next(self.numbers), time.time())

    def count(self, kind: str) -> None:
        with self.lock:
            self.requests[kind] += 1

    def fails_now(self) -> bool:
        with self.lock:
            return self.random.random() < self.settings.fail_share

    @contextlib.contextmanager
    def stream(self, key: str) -> Iterator[None]:
        with self.lock:
            self.opens[key] += 1
            self.num_streams += 1
            self.most_streams = max(self.most_streams, self.num_streams)
        try:
            yield
        finally:
            with self.lock:
                self.num_streams -= 1
