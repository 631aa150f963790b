"""A connection to the server: to the proxy and then, encrypted, to the storage."""

import http.server
import json
import ssl
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from tests.buckets.storage import PIECE, Storage

HOSTS = ("www.googleapis.com", "storage.googleapis.com")


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str = "") -> None:
        super().__init__(reason)
        self.status = status


class Pacer:
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


class Connection(http.server.BaseHTTPRequestHandler):
    """One connection: to the proxy and then, encrypted, to the storage."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the requests are counted."""

    def do_CONNECT(self) -> None:  # noqa: N802
        """Becomes the host that is asked for."""
        if self.path.partition(":")[0] not in HOSTS:
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

    def send(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode())

    def body(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
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
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionError("A request ended early.")
            yield piece
            left -= len(piece)
            if is_chunked and not left:
                self.rfile.readline()


class Server(http.server.ThreadingHTTPServer):
    """Serves a storage, each connection in a thread."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, storage: Storage, tls: ssl.SSLContext, handler: type[Connection]
    ) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.storage = storage
        self.tls = tls

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed, or have read enough, are none."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def parts_of(path: str, most: int = -1) -> list[str]:
    """The names in the path of an address, the last of which may have slashes."""
    return [urllib.parse.unquote(x) for x in path.lstrip("/").split("/", most)]
