"""Names of files and classes in readable form."""

import os
import unicodedata
from collections.abc import Iterable

# Names shown of a long list.
_NUM_SHOWN = 10
# Unicode categories of control characters, and of line and paragraph separators.
_UNPRINTABLE = {"Cc", "Zl", "Zp"}


def composed(name: str) -> str:
    """The name in Unicode's composed form: macOS writes `é` as two characters."""
    return unicodedata.normalize("NFC", name)


def printable(name: str | os.PathLike) -> str:
    r"""The name as one line that any UTF-8 file takes.

    Bytes that are not UTF-8 (lone surrogates in Python) and control characters are
    escaped: `caf\xe9`, `a\nb`. Other names stay as they are.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        x.encode("unicode_escape").decode()
        if unicodedata.category(x) in _UNPRINTABLE
        else x
        for x in text
    )


def shown(names: Iterable[str | os.PathLike]) -> str:
    """The names, printable and separated by commas; only the first few of many."""
    names = [*names]
    text = ", ".join(map(printable, names[:_NUM_SHOWN]))
    num_more = len(names) - _NUM_SHOWN
    return f"{text} and {num_more:,} more" if num_more > 0 else text
