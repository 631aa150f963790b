"""An HTTP server on this machine that misbehaves on request."""

import base64
import contextlib
import hashlib
import http.server
import threading
import time

from tests.servers import local_servers

CONTENT = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()
DIGEST = f"md5:{MD5}"
OTHER_CONTENT = CONTENT[:-1] + b"?"
STOP = 300_000  # Bytes after which servers of parts stop.
OTHER_MD5 = hashlib.md5(b"other").hexdigest()


def goog_hash(md5):
    """As Google's buckets send it, beside another hash."""
    return f"crc32c=n03x6A==,md5={base64.b64encode(bytes.fromhex(md5)).decode()}"


# Behaviour -> headers beside the right content.
CLAIMS = {
    "goog": {"x-goog-hash": goog_hash(MD5)},
    "goog_wrong": {"x-goog-hash": goog_hash(OTHER_MD5)},
    "content_wrong": {"Content-MD5": goog_hash(OTHER_MD5).partition("md5=")[2]},
    "content_nonsense": {"Content-MD5": "unknown"},
    "etag": {"ETag": f'"{MD5}"'},
    "etag_wrong": {"ETag": f'"{OTHER_MD5}"'},
    "weak_etag": {"ETag": f'W/"{OTHER_MD5}"'},
    "encrypted": {
        "ETag": f'"{OTHER_MD5}"',
        "x-amz-server-side-encryption": "aws:kms",
    },
    "unzipped": {
        "x-goog-hash": goog_hash(OTHER_MD5),
        "x-goog-stored-content-encoding": "gzip",
    },
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves /{behaviour}/{anything}."""

    def do_GET(self):
        self.server.paths.append(self.path)
        behaviour = self.path.split("/")[1]
        if behaviour in CLAIMS:
            self.serve_good(**CLAIMS[behaviour])
        else:
            getattr(self, f"serve_{behaviour}")()

    def do_HEAD(self):
        self.server.heads.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        for name, value in CLAIMS.get(self.path.split("/")[1], {}).items():
            self.send_header(name, value)
        self.end_headers()

    def serve_good(
        self, content=CONTENT, content_type="application/octet-stream", **headers
    ):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def serve_slow(self):
        time.sleep(1)
        self.serve_good()

    def serve_unsized(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def serve_truncated(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])

    def serve_resumable(self, stop=STOP):
        """Sends parts, of which each stops early."""
        content = OTHER_CONTENT if self.server.is_changed else CONTENT
        version = f'"{self.server.is_changed}"'
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = 0
        if asked and self.headers.get("If-Range") == version:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_part(content, start, stop, version)

    def send_part(self, content, start, stop, version='"v"'):
        self.send_response(206 if start else 200)
        last = len(content) - 1
        if start:
            self.send_header("Content-Range", f"bytes {start}-{last}/{last + 1}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", version)
        self.send_header("Content-Length", str(last + 1 - start))
        self.end_headers()
        self.wfile.write(content[start : start + stop])

    def serve_endless(self):
        """Stops without an end, until it is released."""
        self.serve_resumable(
            stop=len(CONTENT) if self.server.released.is_set() else STOP
        )
        self.wfile.flush()
        self.server.released.wait(20)

    def serve_rest(self, send_rest):
        """Stops at first; what asks for the rest gets something else."""
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if asked:
            send_rest()
        else:
            is_first = len(self.server.ranges) == 1
            self.send_part(CONTENT, 0, STOP if is_first else len(CONTENT))

    def serve_elsewhere(self):
        self.serve_rest(lambda: self.send_part(CONTENT, STOP + 7, len(CONTENT)))

    def serve_unasked(self):
        self.serve_rest(lambda: self.send_part(CONTENT + b"!", STOP, len(CONTENT)))

    def serve_no_rest(self):
        self.serve_rest(lambda: self.send_error(416))

    def serve_portal(self):
        self.serve_rest(self.serve_html)

    def serve_stalled(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:1000])
        self.wfile.flush()
        self.server.released.wait(20)

    def serve_tampered(self):
        self.serve_good(CONTENT[:-1] + b"!")

    def serve_empty(self):
        self.serve_good(b"")

    def serve_page(self):
        self.serve_good(b"\n <!DOCTYPE html><html>Sign in</html>", "text/plain")

    def serve_html(self):
        self.serve_good(b"Sorry, try later", "text/html; charset=utf-8")

    def serve_pointer(self):
        self.serve_good(b"version https://git-lfs.github.com/spec/v1\noid sha256:1")

    def serve_missing(self):
        self.send_error(404)

    def serve_busy(self):
        if len(self.server.paths) < 3:
            self.send_error(503)
        else:
            self.serve_good()

    def serve_flaky(self):
        if len(self.server.paths) < 3:
            self.serve_truncated()
        else:
            self.serve_good()

    def serve_down(self):
        self.send_error(500)

    def serve_moved(self):
        self.redirect("/good/there.h5")

    def serve_insecure(self):
        self.redirect("http://example.com/weights.h5")

    def serve_local(self):
        self.redirect("file:///etc/hostname")

    def redirect(self, location):
        self.send_response(302)
        self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def running():
    """A server with `paths`, `heads` and `ranges`, of the requests, in order."""
    attributes = {"paths": [], "heads": [], "ranges": [], "is_changed": False}
    released = threading.Event()
    with local_servers.running(Handler, released=released, **attributes) as server:
        try:
            yield server
        finally:
            released.set()
