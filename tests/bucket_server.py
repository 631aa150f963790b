"""A bucket on this machine, which TensorFlow's own `gs://` file system talks to.

The server speaks what TensorFlow's client asks of Google Cloud Storage: lists,
metadata, reads of ranges, resumable uploads, rewrites and deletions. The client is
TensorFlow's, unchanged: its variables of the environment lead it through a proxy that
is this server, and have it trust this server's certificate. So `tf.io.gfile`, `tf.data`
and whatever is built on them work on `gs://NAME/...`:

    with BucketServer({"data": folder, "runs": None}) as server:
        subprocess.run([..., "gs://data/train*"], env=os.environ | server.environment)
        print(server.counts().requests)

The variables must be there when a process first uses `gs://`: give them to a process of
its own (`subprocess`, `tests.forked.Process`). Tests in pytest's process can set them
too (`use`), as the proxy and the certificate are looked up for each request; but the
client keeps sizes of objects for 5 s, so each server of a process needs other names of
buckets.

Each request waits `latency` seconds, then each stream has `bandwidth` bytes a second,
as if it came from far; the server is a process of its own, so that what it computes
does not hold the client's threads. All of it can be changed while it runs (`change`):
no rights, failures now and then, and uploads that never end, for kills in the middle of
one. A bucket that was not named does not exist. A folder given for a bucket is read
where it lies, as it is at the start, and never written; uploads stay in memory.
"""

import argparse
import contextlib
import dataclasses
import http.client
import http.server
import itertools
import json
import os
import pathlib
import random
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_HOSTS = ("www.googleapis.com", "storage.googleapis.com")
_PIECE = 1 << 18  # Bytes between looks at the clock.


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


class BucketServer:
    """Starts the server and ends it, as a context.

    Args:
        buckets: their names, each with a local folder whose files it holds or None.
        **settings: of `Settings`.
    """

    def __init__(
        self, buckets: Mapping[str, str | os.PathLike | None], **settings: Any
    ) -> None:
        folders = {x: folder and os.fspath(folder) for x, folder in buckets.items()}
        self._start = json.dumps({"buckets": folders, "settings": settings})
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "BucketServer":
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._certificate = pathlib.Path(folder, "certificate.pem")
        arguments = [sys.executable, __file__, "--folder", folder]
        # It ends when its input does, so also when this process is killed.
        process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        assert process.stdin
        assert process.stdout
        self._stack.enter_context(process.stdin)
        self._stack.enter_context(process.stdout)
        process.stdin.write(self._start + "\n")
        process.stdin.flush()
        self.port = int(process.stdout.readline())
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What makes TensorFlow's `gs://` reach this server."""
        proxy = f"http://127.0.0.1:{self.port}"
        return {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "localhost,127.0.0.1",  # Of other workers, say.
            "no_proxy": "localhost,127.0.0.1",
            "CURL_CA_BUNDLE": str(self._certificate),
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "a-token",  # Else it looks for one.
            "NO_GCE_CHECK": "true",
            "GCS_RETRY_CONFIG_INIT_DELAY_TIME_US": "10000",
            "GCS_RETRY_CONFIG_MAX_DELAY_TIME_US": "100000",
        }

    def use(self, monkeypatch: Any) -> None:
        """Has this process reach the server, until pytest's `monkeypatch` is undone."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def change(self, **settings: Any) -> None:
        """Sets some of `Settings`."""
        self._ask("PUT", "/settings", json.dumps(settings).encode())

    def counts(self) -> Counts:
        """What has been asked for so far."""
        return Counts(**json.loads(self._ask("GET", "/counts")))

    def reset_counts(self) -> None:
        """Begins to count anew."""
        self._ask("DELETE", "/counts")

    def names(self, bucket: str) -> list[str]:
        """The objects of a bucket, sorted."""
        return json.loads(self._ask("GET", f"/objects/{bucket}"))

    def read(self, bucket: str, name: str) -> bytes:
        """An object, at once and uncounted."""
        return self._ask("GET", f"/objects/{bucket}/{urllib.parse.quote(name)}")

    def put(self, bucket: str, name: str, contents: bytes) -> None:
        """Makes an object, or another in its place, at once and uncounted."""
        path = f"/objects/{bucket}/{urllib.parse.quote(name)}"
        self._ask("PUT", path, contents)

    def remove(self, bucket: str, name: str) -> None:
        """Removes an object, at once and uncounted."""
        self._ask("DELETE", f"/objects/{bucket}/{urllib.parse.quote(name)}")

    def _ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise KeyError(f"{method} {path}: {response.status}")
        return answer


@dataclasses.dataclass(frozen=True)
class _Object:
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
        places = range(start, stop, _PIECE)
        if isinstance(self.contents, bytes):
            for place in places:
                yield self.contents[place : min(place + _PIECE, stop)]
            return
        with open(self.contents, "rb") as file:
            file.seek(start)
            for place in places:
                yield file.read(min(_PIECE, stop - place))

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


class _Storage:
    """Buckets and what is counted of them, for all threads."""

    def __init__(self, buckets: Mapping[str, str | None], settings: Settings) -> None:
        self.lock = threading.Lock()
        self.settings = settings
        self.uploads: dict[str, tuple[str, str, bytearray]] = {}
        self.numbers = itertools.count(1)
        self.random = random.Random(0)
        self.num_streams = 0
        self.buckets: dict[str, dict[str, _Object]] = {}
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

    def new(self, contents: bytes | str) -> _Object:
        return _Object(contents, next(self.numbers), time.time())

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


class _Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status


class _Pacer:
    """Holds a stream to its bandwidth."""

    def __init__(self, bandwidth: float) -> None:
        self.bandwidth = bandwidth
        self.start = time.monotonic()
        self.sent = 0

    def passed(self, size: int) -> None:
        self.sent += size
        ahead = self.start + self.sent / self.bandwidth - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One connection: to the proxy and then, encrypted, to the storage."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the requests are counted."""

    def do_CONNECT(self) -> None:  # noqa: N802
        """Becomes the host that is asked for."""
        if self.path.partition(":")[0] not in _HOSTS:
            self.send_error(502, "Only the storage is here")
            return
        self.send_response_only(200)
        self.end_headers()
        self.connection = self.server.tls.wrap_socket(self.request, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.is_storage = True
        self.close_connection = False

    is_storage = False

    def finish(self) -> None:
        super().finish()
        if self.is_storage:
            self.connection.close()

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
                raise _Refusal(503, "fails now")
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            if self.headers["Host"].startswith("storage."):
                self._read_object(url.path)
            elif url.path.startswith("/upload/"):
                self._upload(_parts(url.path)[4], query)
            else:
                self._manage(_parts(url.path)[2:], query)
        except _Refusal as refusal:
            self._body()
            self._send(refusal.status, str(refusal).encode())

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _send(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode())

    def _body(self) -> bytes:
        return b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        """The body of the request, once, as it comes."""
        # TensorFlow's uploads are chunked, and say their length nonetheless.
        is_chunked = self.headers["Transfer-Encoding"] == "chunked"
        left = 0 if is_chunked else int(self.headers["Content-Length"] or 0)
        del self.headers["Transfer-Encoding"], self.headers["Content-Length"]
        while left or is_chunked:
            if not left:
                left = int(self.rfile.readline(), 16)
                if not left:
                    self.rfile.readline()
                    return
            piece = self.rfile.read(min(left, _PIECE))
            if not piece:
                raise ConnectionError("A request ended early.")
            yield piece
            left -= len(piece)
            if is_chunked and not left:
                self.rfile.readline()

    def _bucket(self, name: str, *, writes: bool = False) -> dict[str, _Object]:
        storage = self.server.storage
        if name in storage.settings.refused:
            raise _Refusal(403, "the caller does not have access")
        if writes and name in storage.settings.read_only:
            raise _Refusal(403, "the caller may not create or delete objects")
        if name not in storage.buckets:
            raise _Refusal(404, "The specified bucket does not exist.")
        return storage.buckets[name]

    def _read_object(self, path: str) -> None:
        """Sends a range of an object, at the bandwidth of a stream."""
        storage = self.server.storage
        storage.count("read")
        bucket, name = _parts(path, 1)
        found = self._bucket(bucket).get(name)
        if found is None:
            raise _Refusal(404)
        first, _, last = (self.headers["Range"] or "bytes=0-")[6:].partition("-")
        start = int(first)
        stop = min(int(last) + 1 if last else found.size, found.size)
        if start >= found.size:
            raise _Refusal(416)
        self.send_response_only(206)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{found.size}")
        self.end_headers()
        pacer = _Pacer(storage.settings.bandwidth)
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
            self._send_json({"name": parts[1], "location": "HERE"})
        elif kind == "list":
            self._send_json(_list(objects, query))
        elif parts[3] not in objects:
            raise _Refusal(404)
        elif kind == "stat":
            self._send_json(objects[parts[3]].metadata(parts[3]))
        elif kind == "delete":
            with storage.lock:
                objects.pop(parts[3], None)
            self._send(204)
        else:
            self._body()
            target = self._bucket(parts[6], writes=True)
            with storage.lock:
                target[parts[8]] = storage.new(objects[parts[3]].contents)
            self._send_json({"done": True})

    def _upload(self, bucket: str, query: Mapping[str, str]) -> None:
        storage = self.server.storage
        objects = self._bucket(bucket, writes=True)
        if query.get("uploadType") == "media":
            storage.count("write")
            contents = self._receive(f"{bucket}/{query['name']}", bytearray())
            self._publish(objects, query["name"], contents)
        elif "upload_id" not in query:
            storage.count("write")
            self._body()
            number = str(next(storage.numbers))
            storage.uploads[number] = bucket, query["name"], bytearray()
            url = f"https://{_HOSTS[0]}{self.path}&upload_id={number}"
            self._send(200, headers={"Location": url})
        else:
            bucket, name, received = storage.uploads[query["upload_id"]]
            self._receive(f"{bucket}/{name}", received)
            span = self.headers["Content-Range"]  # None: it has come as a whole.
            if span and len(received) < int(span.rpartition("/")[2]):
                has = {"Range": f"bytes=0-{len(received) - 1}"} if received else {}
                self._send(308, headers=has)
            else:
                self._publish(objects, name, received)

    def _receive(self, key: str, received: bytearray) -> bytearray:
        """Adds to an upload what comes, at the bandwidth of a stream."""
        storage = self.server.storage
        settings = storage.settings
        pacer = _Pacer(settings.bandwidth)
        for piece in self._pieces():
            received += piece
            with storage.lock:
                storage.bytes_written[key] += len(piece)
            pacer.passed(len(piece))
            limit = settings.stall_uploads_after
            if limit and len(received) > limit and key.endswith(settings.stall_suffix):
                threading.Event().wait()
        return received

    def _publish(
        self, objects: dict[str, _Object], name: str, contents: bytearray
    ) -> None:
        storage = self.server.storage
        with storage.lock:
            objects[name] = storage.new(bytes(contents))
        self._send_json(objects[name].metadata(name))

    def _administer(self, path: str) -> None:
        """What the tests ask of the server, not encrypted."""
        storage = self.server.storage
        parts = _parts(path, 2)
        if parts[0] == "settings":
            changes = json.loads(self._body())
            storage.settings = dataclasses.replace(storage.settings, **changes)
            self._send(200)
            return
        if parts[0] == "counts":
            with storage.lock:
                if self.command == "DELETE":
                    storage.reset()
                names = (x.name for x in dataclasses.fields(Counts))
                self._send_json({x: getattr(storage, x) for x in names})
            return
        objects = storage.buckets[parts[1]]
        if len(parts) == 2:
            self._send_json(sorted(objects))
        elif self.command == "PUT":
            objects[parts[2]] = storage.new(self._body())
            self._send(200)
        elif parts[2] not in objects:
            raise _Refusal(404)
        elif self.command == "DELETE":
            del objects[parts[2]]
            self._send(200)
        else:
            found = objects[parts[2]]
            self._send(200, b"".join(found.pieces(0, found.size)))


def _parts(path: str, most: int = -1) -> list[str]:
    """The names in the path of an address, the last of which may have slashes."""
    return [urllib.parse.unquote(x) for x in path.lstrip("/").split("/", most)]


def _list(objects: Mapping[str, _Object], query: Mapping[str, str]) -> dict[str, Any]:
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


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, storage: _Storage, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.storage = storage
        self.tls = tls

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed, or have read enough, are none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _make_certificate(folder: pathlib.Path) -> ssl.SSLContext:
    """A certificate of the storage's hosts that vouches for itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ",".join(f"DNS:{x}" for x in _HOSTS)
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=tests"]
    command += ["-addext", f"subjectAltName={names}"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def main() -> None:
    """Serves until the input ends; prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    folder = parser.parse_args().folder
    start = json.loads(sys.stdin.readline())
    storage = _Storage(start["buckets"], Settings(**start["settings"]))
    server = _Server(storage, _make_certificate(folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
