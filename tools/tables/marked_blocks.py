"""Blocks of Markdown that a command writes, between comments that name them."""

import re
from collections.abc import Callable

_COMMAND = "tools/write_tables.py"
_BLOCK = re.compile(
    rf"(<!-- (\S+): written by {re.escape(_COMMAND)} -->\n).*?(<!-- /\2 -->\n)",
    re.DOTALL,
)


def names(text: str) -> list[str]:
    """Of the blocks of a page, in order."""
    return [match[2] for match in _BLOCK.finditer(text)]


def replaced(text: str, contents: Callable[[str], str]) -> str:
    """A page with other contents of its blocks.

    Args:
        text: of the page.
        contents: Markdown for the name of a block, without empty lines around it.
    """
    return _BLOCK.sub(lambda x: f"{x[1]}\n{contents(x[2])}\n\n{x[3]}", text)


def table(rows: list[tuple[str, ...]], right: str = "") -> str:
    """A table of Markdown; the first row is its head.

    Args:
        rows: cells.
        right: a letter a column, `r` of those that are aligned to the right.
    """
    marks = right.ljust(len(rows[0]))
    lines = ["---:" if mark == "r" else "---" for mark in marks]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], lines, *rows[1:]])
