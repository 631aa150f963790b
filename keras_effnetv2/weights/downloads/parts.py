"""The partial file of a download, and what is needed to resume it.

Only servers that identify the version of a file and send ranges can be asked for the
rest; for others, nothing is kept.

Source: RFC 9110, sections 13.1.5 (If-Range) and 14 (range requests).
"""

import json
import pathlib
import re
from typing import Any

from keras_effnetv2.files import replace_file


class Part:
    """The file that a download is written to, for one process at a time.

    Args:
        target: final path of the complete file.
        url: its URL; parts from another URL are not used.

    Attributes:
        path: path of the part.
    """

    def __init__(self, target: pathlib.Path, url: str) -> None:
        self.path = target.with_name(f".{target.name}.unfinished.part")
        self._note = target.with_name(f".{target.name}.unfinished.json")
        self._url = url

    @property
    def size(self) -> int:
        """Bytes received that can be kept."""
        return self.path.stat().st_size if self._read_note() else 0

    def headers(self) -> dict[str, str]:
        """Headers that request the rest, if the file is unchanged; {} requests all."""
        if not (size := self.size):
            return {}
        return {"Range": f"bytes={size}-", "If-Range": self._read_note()["version"]}

    def begin(self, status: int, headers: Any) -> int:
        """Prepares for the contents of a response.

        Args:
            status: 206 for the rest, any other for the whole file.
            headers: headers of the response.

        Returns:
            The number of bytes of the part that precede it.

        Raises:
            ValueError: it is the rest of something else; nothing is kept.
        """
        if status == 206:
            place = re.fullmatch(
                r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", "")
            )
            size, whole = self.size, self._read_note().get("size")
            start, end = map(int, place.groups()) if place else (0, 0)
            if 0 < size == start and whole in (None, end):
                return size
            self.discard()
            raise ValueError(f"the rest of a file was requested, from byte {size:,}")
        self.discard()
        version = _version(headers)
        if version and headers.get("Accept-Ranges") == "bytes":
            length = headers.get("Content-Length") or ""
            note = {
                "url": self._url,
                "version": version,
                "size": int(length) if length.isdecimal() else None,
            }
            replace_file(self._note, json.dumps(note).encode())
        return 0

    def settle(self) -> None:
        """Removes parts that no later download could use."""
        if not self.size:
            self.discard()

    def discard(self) -> None:
        """Removes everything."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _read_note(self) -> dict[str, Any]:
        """The stored note on the part; empty if it cannot be used."""
        try:
            note = json.loads(self._note.read_bytes())
            is_ours = note["url"] == self._url and isinstance(note["version"], str)
            is_ours = is_ours and isinstance(note["size"], int | None)
        except (OSError, ValueError, LookupError, TypeError):
            return {}
        return note if is_ours and self.path.is_file() else {}


def _version(headers: Any) -> str | None:
    """An exact identifier of the bytes of a file, for If-Range."""
    tag = headers.get("ETag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]+"', tag):  # Not a weak one.
        return tag
    return None if tag else headers.get("Last-Modified")
