"""The answers to requests: of TensorFlow's client, and of the tests themselves."""

import dataclasses
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from tests.buckets.connections import HOSTS, Connection, Pacer, Refusal, parts_of
from tests.buckets.storage import Counts, Object


class Handler(Connection):
    """Answers the requests of a connection."""

    def _answer(self) -> None:
        storage = self.server.storage
        url = urllib.parse.urlsplit(self.path)
        try:
            if not self.is_storage:
                self._administer(url.path)
                return
            time.sleep(storage.settings.latency)
            if storage.fails_now():
                storage.count("failed")
                raise Refusal(503, "fails now")
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            if self.headers["Host"].startswith("storage."):
                self._read_object(url.path)
            elif url.path.startswith("/upload/"):
                self._upload(parts_of(url.path)[4], query)
            else:
                self._manage(parts_of(url.path)[2:], query)
        except Refusal as refusal:
            self.body()
            self.send(refusal.status, str(refusal).encode())

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _bucket(self, name: str, *, writes: bool = False) -> dict[str, Object]:
        storage = self.server.storage
        if name in storage.settings.refused:
            raise Refusal(403, "the caller does not have access")
        if writes and name in storage.settings.read_only:
            raise Refusal(403, "the caller may not create or delete objects")
        if name not in storage.buckets:
            raise Refusal(404, "The specified bucket does not exist.")
        return storage.buckets[name]

    def _read_object(self, path: str) -> None:
        """Sends a range of an object, at the bandwidth of a stream."""
        storage = self.server.storage
        storage.count("read")
        bucket, name = parts_of(path, 1)
        found = self._bucket(bucket).get(name)
        if found is None:
            raise Refusal(404)
        first, _, last = (self.headers["Range"] or "bytes=0-")[6:].partition("-")
        start = int(first)
        stop = min(int(last) + 1 if last else found.size, found.size)
        if start >= found.size:
            raise Refusal(416)
        self.send_response_only(206)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{found.size}")
        self.end_headers()
        pacer = Pacer(storage.settings.bandwidth)
        key = f"{bucket}/{name}"
        with storage.stream(key):
            for piece in found.pieces(start, stop):
                self.wfile.write(piece)
                with storage.lock:
                    storage.bytes_read[key] += len(piece)
                pacer.passed(len(piece))

    def _manage(self, parts: list[str], query: Mapping[str, str]) -> None:
        """`b/BUCKET[/o[/OBJECT[/rewriteTo/b/BUCKET/o/OBJECT]]]`."""
        storage = self.server.storage
        kind = {2: "bucket", 3: "list", 4: "stat", 9: "copy"}[len(parts)]
        kind = "delete" if self.command == "DELETE" else kind
        storage.count(kind)
        objects = self._bucket(parts[1], writes=kind == "delete")
        if kind == "bucket":
            self.send_json({"name": parts[1], "location": "HERE"})
        elif kind == "list":
            self.send_json(list_page(objects, query))
        elif parts[3] not in objects:
            raise Refusal(404)
        elif kind == "stat":
            self.send_json(objects[parts[3]].metadata(parts[3]))
        elif kind == "delete":
            with storage.lock:
                objects.pop(parts[3], None)
            self.send(204)
        else:
            self.body()
            target = self._bucket(parts[6], writes=True)
            with storage.lock:
                target[parts[8]] = storage.new(objects[parts[3]].contents)
            self.send_json({"done": True})

    def _upload(self, bucket: str, query: Mapping[str, str]) -> None:
        storage = self.server.storage
        objects = self._bucket(bucket, writes=True)
        if query.get("uploadType") == "media":
            storage.count("write")
            contents = self._receive(f"{bucket}/{query['name']}", bytearray())
            self._publish(objects, query["name"], contents)
        elif "upload_id" not in query:
            storage.count("write")
            self.body()
            number = str(next(storage.numbers))
            storage.uploads[number] = bucket, query["name"], bytearray()
            url = f"https://{HOSTS[0]}{self.path}&upload_id={number}"
            self.send(200, headers={"Location": url})
        else:
            bucket, name, received = storage.uploads[query["upload_id"]]
            self._receive(f"{bucket}/{name}", received)
            span = self.headers["Content-Range"]  # None: it has come as a whole.
            if span and len(received) < int(span.rpartition("/")[2]):
                has = {"Range": f"bytes=0-{len(received) - 1}"} if received else {}
                self.send(308, headers=has)
            else:
                self._publish(objects, name, received)

    def _receive(self, key: str, received: bytearray) -> bytearray:
        """Adds to an upload what comes, at the bandwidth of a stream."""
        storage = self.server.storage
        settings = storage.settings
        pacer = Pacer(settings.bandwidth)
        for piece in self.pieces():
            received += piece
            with storage.lock:
                storage.bytes_written[key] += len(piece)
            pacer.passed(len(piece))
            limit = settings.stall_uploads_after
            if limit and len(received) > limit and key.endswith(settings.stall_suffix):
                threading.Event().wait()
        return received

    def _publish(
        self, objects: dict[str, Object], name: str, contents: bytearray
    ) -> None:
        storage = self.server.storage
        with storage.lock:
            objects[name] = storage.new(bytes(contents))
        self.send_json(objects[name].metadata(name))

    def _administer(self, path: str) -> None:
        """What the tests ask of the server, not encrypted."""
        storage = self.server.storage
        parts = parts_of(path, 2)
        if parts[0] == "settings":
            changes = json.loads(self.body())
            storage.settings = dataclasses.replace(storage.settings, **changes)
            self.send(200)
            return
        if parts[0] == "counts":
            with storage.lock:
                if self.command == "DELETE":
                    storage.reset()
                names = (x.name for x in dataclasses.fields(Counts))
                self.send_json({x: getattr(storage, x) for x in names})
            return
        objects = storage.buckets[parts[1]]
        if len(parts) == 2:
            self.send_json(sorted(objects))
        elif self.command == "PUT":
            objects[parts[2]] = storage.new(self.body())
            self.send(200)
        elif parts[2] not in objects:
            raise Refusal(404)
        elif self.command == "DELETE":
            del objects[parts[2]]
            self.send(200)
        else:
            found = objects[parts[2]]
            self.send(200, b"".join(found.pieces(0, found.size)))


def list_page(
    objects: Mapping[str, Object], query: Mapping[str, str]
) -> dict[str, Any]:
    """A page of a listing, as the storage gives it."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
    entries: dict[str, bool] = {}  # Whether an entry is a prefix.
    for name in sorted(objects):
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                entries[prefix + rest.partition(delimiter)[0] + delimiter] = True
            else:
                entries[name] = False
    most = int(query.get("maxResults", 1000))
    left = [x for x in entries if x > query.get("pageToken", "")]
    page = left[:most]
    answer: dict[str, Any] = {
        "items": [{"name": x} for x in page if not entries[x]],
        "prefixes": [x for x in page if entries[x]],
    }
    if len(left) > most:
        answer["nextPageToken"] = page[-1]
    return {x: value for x, value in answer.items() if value}
