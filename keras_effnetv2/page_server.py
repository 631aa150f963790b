"""Serves the page of `export.web` on this machine, and heat maps for it.

Only for its user: other sites open in the same browser, and host names of theirs that
point to this machine, are refused. It is not a server for the internet.
"""

import contextlib
import http.server
import ipaddress
import json
import mimetypes
import pathlib
import socket
import tempfile
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any, cast

import tensorflow as tf

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.data.decoding import headers
from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError, UserError

# The largest picture that is explained.
MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
NUM_CLASSES = 3
# Pictures that may wait in the queue.
_MAX_WAITING = 4
_TIMEOUT_SECONDS = 30

_MANIFEST = "model.json"
_EXPLAIN = "/explain"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Embedder-Policy": "require-corp",  # With the next: threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}  # Of any system.
# Replaces the site's service worker: an earlier one would keep showing its own site.
_WORKER = b"""self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", async () => {
  await self.registration.unregister();
  for (const page of await self.clients.matchAll()) page.navigate(page.url);
});
"""


class PageServer(http.server.ThreadingHTTPServer):
    """Serves a site, and explains pictures that are posted to `/explain`.

    Args:
        site: a folder written by `export.web`.
        classifier: a classifier of the same model, which explains.
        listener: a bound socket, from `listen`.
    """

    daemon_threads = True

    def __init__(
        self, site: pathlib.Path, classifier: Classifier, listener: socket.socket
    ) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        host, self.server_port = listener.getsockname()[:2]
        self.is_local = ipaddress.ip_address(host).is_loopback
        self.classifier = classifier
        self.waiting = threading.BoundedSemaphore(_MAX_WAITING)
        self.turn = threading.Lock()
        paths = (x for x in site.rglob("*") if x.is_file())
        self.paths = {f"/{x.relative_to(site).as_posix()}": x for x in paths}
        self.paths["/"] = site / "index.html"
        manifest = json.loads((site / _MANIFEST).read_text(encoding="utf-8"))
        manifest["explains"] = True
        self.replaced = {
            f"/{_MANIFEST}": json.dumps(manifest).encode(),
            "/sw.js": _WORKER,
        }

    def explain(self, contents: bytes) -> bytes:
        """A PNG of a picture, with heat maps of its best classes.

        Raises:
            ValueError: not a picture, or too large a one.
        """
        try:
            num_pixels = int(headers.num_pixels(contents))
        except tf.errors.OpError:
            num_pixels = 0  # Decoding it will say what is wrong.
        if num_pixels > MAX_PIXELS:
            raise InputError(
                f"The picture has {num_pixels:,} pixels; up to {MAX_PIXELS:,} are "
                "explained."
            )
        with self.turn, tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "heat.png")
            self.classifier.explain(contents, top=NUM_CLASSES).save(path)
            return path.read_bytes()


def listen(host: str, port: int) -> socket.socket:
    """A socket for `PageServer`.

    Args:
        host: name or address of this machine, in one of its networks.
        port: 0 for any free port.

    Raises:
        ValueError: the address is not this machine's, or the port is taken.
    """
    with contextlib.ExitStack() as stack:
        try:
            if not 0 <= port < 1 << 16:
                raise OverflowError("ports are 0 to 65535")
            family, kind, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = stack.enter_context(socket.socket(family, kind))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"Nothing can be served at {printable(host)}, port {port}: {reason}. "
                "Pass another --port (0: any free port) or --host."
            ) from error
        stack.pop_all()  # It stays open.
    return listener


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_SECONDS

    @property
    def _pages(self) -> PageServer:
        return cast(PageServer, self.server)

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if not self._is_for_us():
            self._refuse(403, "Open the page by the address that serve has printed.")
        elif path in self._pages.replaced:
            self._answer(200, self._pages.replaced[path], _type_of(path))
        elif path in self._pages.paths:
            file = self._pages.paths[path]
            self._answer(200, file.read_bytes(), _type_of(file.name))
        else:
            self._refuse(404, "There is no such file.")

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if self.path != _EXPLAIN:
            self._refuse(404, "Pictures are posted to /explain.")
        elif not (self._is_for_us() and self._is_of_us()):
            self._refuse(403, "Only the page itself may ask for heat maps.")
        elif not size.isdecimal():
            self._refuse(411, "The request needs the size of the picture, in bytes.")
        elif int(size) > MAX_BYTES:
            self._refuse(413, f"Pictures may have up to {MAX_BYTES >> 20} MB.")
        elif not self._pages.waiting.acquire(blocking=False):
            self._refuse(503, "Other pictures are being explained. Try again.")
        else:
            try:
                self._explain(self.rfile.read(int(size)))
            finally:
                self._pages.waiting.release()

    def _explain(self, contents: bytes) -> None:
        try:
            self._answer(200, self._pages.explain(contents), "image/png")
        except UserError as error:
            self._refuse(400, str(error))

    def _is_for_us(self) -> bool:
        """Whether the request addresses this machine by a name of its own.

        A machine that serves others accepts its addresses and its own name.
        """
        try:
            host = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:  # Not a host name.
            return False
        if host in _LOOPBACK:
            return True
        if self._pages.is_local or host is None:
            return False
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(host))
        return host == socket.gethostname().lower()

    def _is_of_us(self) -> bool:
        """Whether the page itself, or a program other than a browser, asks."""
        origin = self.headers.get("Origin")
        if origin is None:
            return self.headers.get("Sec-Fetch-Site") in (None, "same-origin")
        return origin == f"http://{self.headers.get('Host')}"

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True  # The body is not read.
        self._answer(status, text.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        entries: Mapping[str, str] = {
            **_HEADERS,
            "Content-Type": kind,
            "Content-Length": str(len(body)),
        }
        with contextlib.suppress(ConnectionError, TimeoutError):  # The client has left.
            self.send_response(status)
            for name, value in entries.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the page shows what is requested."""


def _type_of(name: str) -> str:
    suffix = pathlib.PurePosixPath(name).suffix
    guessed = mimetypes.guess_type(name)[0]
    return _TYPES.get(suffix) or guessed or "application/octet-stream"
