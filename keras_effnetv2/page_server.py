"""The page of `export.web` on this machine, and the heat maps that it can ask for.

For its user alone: other sites that are open in the same browser, and names of theirs
that lead to this machine, get nothing. It is no server for the internet.
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

# Of a picture that is explained.
MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
NUM_CLASSES = 3
# Pictures that may wait for their turn.
_MAX_WAITING = 4
_TIMEOUT_SECONDS = 30

_MANIFEST = "model.json"
_EXPLAIN = "/explain"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Embedder-Policy": "require-corp",  # With the next, threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml"}  # Whatever the system has.
# Instead of the site's: one that was here before would go on to show its own site.
_WORKER = b"""self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", async () => {
  await self.registration.unregister();
  for (const page of await self.clients.matchAll()) page.navigate(page.url);
});
"""


class PageServer(http.server.ThreadingHTTPServer):
    """Serves a site, and explains pictures that are posted to `/explain`.

    Args:
        site: folder of `export.web`.
        classifier: of the same model, which explains.
        listener: a bound socket, of `listen`.
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
        """A PNG of a picture and of where in it the network sees its best classes.

        Raises:
            ValueError: no picture, or a large one.
        """
        try:
            num_pixels = int(headers.num_pixels(contents))
        except tf.errors.OpError:
            num_pixels = 0  # Who decodes it says what is wrong.
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
        port: 0 for any that is free.

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
                "Pass another --port (0: any that is free) or --host."
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
            self._refuse(411, "Say how many bytes the picture has.")
        elif int(size) > MAX_BYTES:
            self._refuse(413, f"Pictures of up to {MAX_BYTES >> 20} MB are explained.")
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
        """Whether the request names this machine, and no name that leads to it.

        Of a machine that serves others, its addresses and its own name are enough.
        """
        try:
            host = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:  # No host's name.
            return False
        if host in _LOOPBACK:
            return True
        if self._pages.is_local or host is None:
            return False
        with contextlib.suppress(ValueError):
            return bool(ipaddress.ip_address(host))
        return host == socket.gethostname().lower()

    def _is_of_us(self) -> bool:
        """Whether the page has sent the request, or a program that is no browser."""
        origin = self.headers.get("Origin")
        if origin is None:
            return self.headers.get("Sec-Fetch-Site") in (None, "same-origin")
        return origin == f"http://{self.headers.get('Host')}"

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True  # What was sent is not read.
        self._answer(status, text.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        entries: Mapping[str, str] = {
            **_HEADERS,
            "Content-Type": kind,
            "Content-Length": str(len(body)),
        }
        with contextlib.suppress(ConnectionError, TimeoutError):  # They have left.
            self.send_response(status)
            for name, value in entries.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what is asked for is on the page."""


def _type_of(name: str) -> str:
    suffix = pathlib.PurePosixPath(name).suffix
    guessed = mimetypes.guess_type(name)[0]
    return _TYPES.get(suffix) or guessed or "application/octet-stream"
