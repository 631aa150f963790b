"""Downloads weights into Keras's cache: verified, once, never left incomplete.

An interrupted download resumes where it stopped, if the server allows it.

A file without a published hash is checked against the server's claims, and its own hash
is stored next to it, in `NAME.origin.json`; later it must have that hash.

Set `KERAS_EFFNETV2_MIRROR` to the base URL of a mirror to get released files from
`{mirror}/{file name}` instead of from their publishers.
"""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from keras_effnetv2.errors import DownloadError, FileError, InputError
from keras_effnetv2.files import locked, replace_file, replacing
from keras_effnetv2.weights.downloads import https
from keras_effnetv2.weights.downloads.parts import Part

_LOG = logging.getLogger(__name__)

MIRROR_VARIABLE = "KERAS_EFFNETV2_MIRROR"


def fetch(
    url: str, digest: str | None = None, file_name: str | None = None
) -> pathlib.Path:
    """The local copy of a file, downloaded unless the cache has it.

    The cache is that of `keras.utils.get_file`: the folder `models` in `$KERAS_HOME` or
    `~/.keras`. Files that keras.applications downloaded there are used.

    Args:
        url: https; http only for this machine.
        digest: published hash, `"KIND:HEX"`, of which the first digits are enough; None
            if there is none.
        file_name: name of a released file, in the cache and on a mirror. None for
            other URLs: never mirrored, and named after a hash of the URL, so that equal
            names from different places do not collide.

    Raises:
        ValueError: the URL is not allowed, or what it serves is not the file.
        ConnectionError: the file did not arrive completely.
    """
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror and file_name:
        source = f"{mirror.rstrip('/')}/{urllib.parse.quote(file_name)}"
        http_hosts = {urllib.parse.urlsplit(source).hostname}
    else:
        source = url
        http_hosts = https.loopback_hosts(source)
    try:
        https.check_url(source, http_hosts)
    except InputError as error:
        raise InputError(_explain(source, error)) from None
    target = _cache_folder() / (file_name or _name_of(url))
    if _is_valid(target, digest):
        return target
    with _locked(target):
        # Another process may have just fetched it.
        if not (_is_valid(target, digest) or _is_adopted(source, target, digest)):
            _download(source, target, digest)
    return target


def is_cached(file_name: str, digest: str | None) -> bool:
    """Whether `fetch` of a released file would download nothing."""
    return _is_valid(_cache_folder() / file_name, digest)


def _cache_folder() -> pathlib.Path:
    return (
        pathlib.Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models"
    )


def _name_of(url: str) -> str:
    """A file name for any URL: a hash of the URL, then its last part, sanitized."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rpartition("/")[2]
    harmless = re.sub(r"[^\w.-]", "_", last, flags=re.ASCII)[-100:]
    return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{harmless}"


def _is_valid(path: pathlib.Path, digest: str | None) -> bool:
    """Whether a cached file is the published one, or else the one once downloaded."""
    if not path.is_file():
        return False
    if digest is not None:
        kind, _, start = digest.partition(":")
        return _hash(path, kind).startswith(start)
    origin = _read_origin(path)
    return (
        origin.get("size") == path.stat().st_size
        and origin.get("sha256") == _hash(path, "sha256")
    )  # fmt: skip


def _is_adopted(source: str, path: pathlib.Path, digest: str | None) -> bool:
    """Whether a cached file without a stored hash may stay.

    It may if it matches the server's claims, and also if no server can be reached:
    machines without a network get their files by hand.
    """
    if digest is not None or not path.is_file() or _read_origin(path):
        return False
    try:
        claimed = https.claims(source)
    except https.TransferError as error:
        _LOG.warning("%s is used unverified: %s: %s.", path, source, error)
        return True
    if claimed.size not in (None, path.stat().st_size):
        return False
    if claimed.md5 not in (None, _hash(path, "md5")):
        return False
    _remember(path, source, path.stat().st_size, _hash(path, "sha256"))
    return True


def _remember(path: pathlib.Path, source: str, size: int, sha256: str) -> None:
    origin = {"url": source, "size": size, "sha256": sha256}
    replace_file(_origin(path), json.dumps(origin, indent=2).encode())


def _read_origin(path: pathlib.Path) -> dict[str, Any]:
    """The stored origin of a cached file; empty if there is none that can be read."""
    try:
        origin = json.loads(_origin(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return origin if isinstance(origin, dict) else {}


def _origin(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.origin.json")


def _hash(path: pathlib.Path, kind: str) -> str:
    digest = hashlib.new(kind, usedforsecurity=kind != "md5")
    with path.open("rb") as file:
        while chunk := file.read(https.CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(target: pathlib.Path) -> Iterator[None]:
    """Holds the lock of a file in the cache; others wait for it."""
    with contextlib.ExitStack() as stack:
        try:
            path = target.parent / ".locks" / f"{target.name}.lock"
            stack.enter_context(locked(path, f"downloads {target.name}"))
        except OSError as error:
            raise FileError(
                f"Cannot write to the cache folder {target.parent}: {error}. "
                "Set KERAS_HOME to a folder that can be written to."
            ) from error
        yield


def _download(source: str, target: pathlib.Path, digest: str | None) -> None:
    """Downloads `source` under a temporary name, verifies it, then renames it."""
    if target.exists():
        expected = digest or "the size and hash it should have"
        _LOG.warning("%s does not have %s: downloading it again.", target, expected)
    try:
        with replacing(target, is_locked=True) as temporary:
            part = Part(target, source)
            received = _receive(source, part, target.name, digest)
            os.replace(part.path, temporary)
            part.discard()
            if digest is None:
                _remember(target, source, received.size, received.sha256)
    except https.TransferError as error:
        raise DownloadError(_explain(source, error)) from None
    except InputError as error:
        raise InputError(_explain(source, error)) from None


def _receive(source: str, part: Part, name: str, digest: str | None) -> https.Received:
    """Gets a complete file, resuming what an earlier download has left."""
    was_begun = part.size > 0
    received = https.get(source, part, name)
    if digest is None:
        return received
    kind, _, start = digest.partition(":")
    found = {"md5": received.md5, "sha256": received.sha256}[kind]
    if found.startswith(start):
        return received
    part.discard()
    if was_begun:  # The rest of an earlier download may be damaged by a power cut.
        return _receive(source, part, name, digest)
    raise InputError(f"its {kind.upper()} is {found}, expected {start}")


def _explain(source: str, error: Exception) -> str:
    return (
        f"Cannot download {source}: {error}. Check the connection and the mirror, if "
        f"{MIRROR_VARIABLE} names one (it may: the base URL of copies of the released "
        "files), or get the file by other means and pass its path: weights=FILE."
    )
