"""Tables as text."""

from collections.abc import Iterable


def align(rows: Iterable[tuple[str, ...]], num_left: int = 2) -> list[str]:
    """Lines of a table: the first `num_left` columns flush left, the others right."""
    columns = zip(*rows, strict=True)
    padded = []
    for index, column in enumerate(columns):
        width = max(len(cell) for cell in column)
        pad = str.ljust if index < num_left else str.rjust
        padded.append([pad(cell, width) for cell in column])
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]
