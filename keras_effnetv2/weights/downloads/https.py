"""Downloads one file: https only, with retries; refuses truncated files and text.

An attempt resumes where the one before stopped, if the server supports it.
"""

import contextlib
import dataclasses
import hashlib
import http.client
import ipaddress
import logging
import pathlib
import ssl
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Container, Iterator, Mapping

from keras_effnetv2 import version
from keras_effnetv2.errors import InputError
from keras_effnetv2.progress import Progress
from keras_effnetv2.weights.downloads.claims import Claims, read_claims
from keras_effnetv2.weights.downloads.parts import Part

_LOG = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30.0  # Without a byte.
NUM_ATTEMPTS = 4
BACKOFF_SECONDS = 1.0  # Before the second attempt; doubles from there.
CHUNK_BYTES = 1 << 20
# No weights are that large: XL takes 0.8 GB. Servers need not announce the size.
MAX_BYTES = 1 << 34

# How pages, error documents and Git LFS pointers start, unlike any weights file.
_TEXT_STARTS = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")

# Statuses that may be transient. 416: there is no such rest of the file.
_PARTIAL, _NO_REST = 206, 416
_TRANSIENT_STATUS = frozenset({408, _NO_REST, 425, 429, 500, 502, 503, 504})

_NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
_PERMANENT_ERRORS = (ssl.SSLCertVerificationError, http.client.InvalidURL)


class TransferError(ConnectionError):
    """No complete response arrived; `transient` if another attempt may succeed."""

    def __init__(self, problem: str, transient: bool):
        super().__init__(problem)
        self.transient = transient


@dataclasses.dataclass(frozen=True)
class Received:
    """What arrived: bytes, and hashes as hexadecimal text."""

    size: int
    md5: str
    sha256: str


def check_url(url: str, http_hosts: Container[str | None]) -> None:
    """Refuses everything but https, and http to `http_hosts`.

    Raises:
        ValueError: another scheme, or no host.
    """
    parts = urllib.parse.urlsplit(url)
    plain = parts.scheme == "http" and parts.hostname in http_hosts
    if not parts.hostname or not (plain or parts.scheme == "https"):
        raise InputError(
            f"weights are downloaded only over https. Received: {url!r}. Expected an "
            "https URL (http is for this machine and for the mirror) or a local path"
        )


def loopback_hosts(url: str) -> set[str]:
    """The host of `url` if it is this machine, or else empty."""
    host = urllib.parse.urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return {host}
    return set()


def claims(url: str) -> Claims:
    """What the server of `url` claims about the file, without sending it.

    Raises:
        TransferError: the server cannot be reached, or does not answer.
        ValueError: it redirects to something other than https.
    """
    with _network_errors(), _open(url, method="HEAD") as response:
        return read_claims(response.headers)


def get(url: str, part: Part, name: str) -> Received:
    """Writes what `url` serves to `part`, with a progress line about `name`.

    If it fails, the part received so far is kept if a later call can resume from it.

    Raises:
        TransferError: the server cannot be reached, refuses, stops early, or sends a
            file that differs from its claims.
        ValueError: it serves a page of text, or redirects to something other than
            https.
    """
    try:
        return _get_patiently(url, part, name)
    except BaseException:
        part.settle()
        raise


def _get_patiently(url: str, part: Part, name: str) -> Received:
    attempt = 1
    while True:
        before = part.size
        try:
            return _get_once(url, part, name)
        except TransferError as error:
            # An unstable connection succeeds eventually, as long as each attempt gets
            # bytes.
            attempt = 1 if part.size - before >= CHUNK_BYTES else attempt
            if not error.transient or attempt >= NUM_ATTEMPTS:
                raise
            wait = BACKOFF_SECONDS * 2 ** (attempt - 1)
            _LOG.warning("%s: %s. Retrying in %g s.", url, error, wait)
        attempt += 1
        time.sleep(wait)


def _get_once(url: str, part: Part, name: str) -> Received:
    hashes = _Hashes()
    with _network_errors(), _open_rest(url, part) as response:
        chunk = response.read(CHUNK_BYTES)
        if response.status != _PARTIAL:
            _check_not_text(chunk, response.headers.get_content_type())
        start = _begin(part, response)
        claimed = read_claims(response.headers, start)
        progress = Progress(name, claimed.size, form=_megabytes)
        if start:
            hashes.read(part.path)
            progress.advance(start)
        with part.path.open("ab") as file:
            while chunk:
                file.write(chunk)
                hashes.update(chunk)
                if hashes.size > MAX_BYTES:
                    part.discard()
                    raise TransferError(f"more than {MAX_BYTES:,} bytes arrived", False)
                progress.advance(len(chunk))
                chunk = response.read(CHUNK_BYTES)
    received = hashes.received()
    _check_claims(received, claimed, part)
    progress.finish()
    return received


def _open_rest(url: str, part: Part) -> http.client.HTTPResponse:
    try:
        return _open(url, headers=part.headers())
    except urllib.error.HTTPError as error:
        if error.code == _NO_REST:
            part.discard()
        raise


def _begin(part: Part, response: http.client.HTTPResponse) -> int:
    try:
        return part.begin(response.status, response.headers)
    except ValueError as error:
        raise TransferError(
            f"the server sent something else when {error}", True
        ) from error


class _Hashes:
    """Hashes of a file, updated piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)

    def read(self, path: pathlib.Path) -> None:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self.update(chunk)

    def received(self) -> Received:
        return Received(self.size, self._md5.hexdigest(), self._sha256.hexdigest())


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"


def _check_claims(received: Received, claimed: Claims, part: Part) -> None:
    """Refuses files that differ from the claims; truncated ones may resume."""
    if received.size == 0 or claimed.size not in (None, received.size):
        if received.size > (claimed.size or 0):
            part.discard()
        raise TransferError(
            f"{received.size} bytes arrived, expected {claimed.size or 'some'}",
            transient=True,
        )
    if claimed.md5 not in (None, received.md5):
        part.discard()
        raise TransferError(
            f"a file with the MD5 {received.md5} arrived, but the server says that it "
            f"has {claimed.md5}",
            transient=True,
        )


@contextlib.contextmanager
def _network_errors() -> Iterator[None]:
    """Turns urllib's errors into `TransferError`; disk errors pass."""
    try:
        yield
    except TransferError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise TransferError(
            f"the server answered {error.code} {error.reason}",
            transient=error.code in _TRANSIENT_STATUS,
        ) from error
    except _NETWORK_ERRORS as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        kind = "" if isinstance(reason, str) else f"{type(reason).__name__}: "
        raise TransferError(
            f"{kind}{reason}", transient=not isinstance(reason, _PERMANENT_ERRORS)
        ) from error


def _open(
    url: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    http_hosts = {parts.hostname} if parts.scheme == "http" else set()

    class SafeRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):
            try:
                check_url(newurl, http_hosts)
            except InputError:
                fp.close()
                raise
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    opener = urllib.request.build_opener(SafeRedirects)
    agent = f"keras_effnetv2/{version.__version__}"
    quoted = urllib.parse.quote(url, safe=string.punctuation)
    request = urllib.request.Request(
        quoted, headers={"User-Agent": agent, **(headers or {})}, method=method
    )
    return opener.open(request, timeout=TIMEOUT_SECONDS)


def _check_not_text(start: bytes, content_type: str) -> None:
    is_text = start[:512].lstrip().lower().startswith(_TEXT_STARTS)
    if is_text or content_type == "text/html":
        raise InputError(
            "a page of text arrived instead of a weights file; its type is "
            f"{content_type} and it starts with {start[:40]!r}"
        )
