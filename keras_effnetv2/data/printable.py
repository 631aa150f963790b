"""Names of files and classes as people read them."""

import os
import unicodedata
from collections.abc import Iterable

# Of a long list, so many are shown.
_NUM_SHOWN = 10
# Control characters, and what ends lines and paragraphs, by Unicode's categories.
_UNPRINTABLE = {"Cc", "Zl", "Zp"}


def composed(name: str) -> str:
    """The name in Unicode's composed form: macOS writes `é` as two characters."""
    return unicodedata.normalize("NFC", name)


def printable(name: str | os.PathLike) -> str:
    r"""The name as one line that any UTF-8 file takes.

    Bytes that are not UTF-8, which Python has as lone surrogates, and control
    characters are escaped: `caf\xe9`, `a\nb`. Other names stay as they are.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        x.encode("unicode_escape").decode()
        if unicodedata.category(x) in _UNPRINTABLE
        else x
        for x in text
    )


def shown(names: Iterable[str]) -> str:
    """The names with commas between them, printable; of many, the first few."""
    names = [*names]
    text = ", ".join(map(printable, names[:_NUM_SHOWN]))
    num_more = len(names) - _NUM_SHOWN
    return f"{text} and {num_more:,} more" if num_more > 0 else text
