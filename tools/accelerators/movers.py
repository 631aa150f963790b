"""Which operations of a compiled program move the most bytes.

The compiler's own figure is a sum; these are read off the program's text, each array
with the padding of its tiles.
"""

import dataclasses
import math
import re
from collections.abc import Iterator

_SHAPE = re.compile(r"([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?")
_OPERATION = re.compile(r"\s+(?:ROOT )?%?([\w.-]+) = (.*?) ([a-z][a-z0-9-]*)\((.*)")
_NAME = re.compile(r"%([\w.-]+)")
_TILE = re.compile(r"T\(([\d,]+)\)")
_ORIGIN = re.compile(r'op_name="([^"]*)"')
_BITS = {"pred": 8, "bf16": 16}
# They say where an array is, and move none.
_STILL = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota"}
_BITCAST = 'custom_call_target="ConcatBitcast"'
# Of an array, or a part of it, into the memory of a core, while the core computes.
_COPIES = ("copy-start", "slice-start")
_ENDS = ("copy-done", "slice-done")


@dataclasses.dataclass(frozen=True)
class Mover:
    """An operation, as fused.

    Attributes:
        name: in the program.
        origin: the layers and functions that it was traced in.
        read_bytes: of its operands.
        written_bytes: of its results.
    """

    name: str
    origin: str
    read_bytes: int
    written_bytes: int

    @property
    def moved_bytes(self) -> int:
        """Read and written."""
        return self.read_bytes + self.written_bytes


def find_movers(program: str) -> list[Mover]:
    """The operations of a compiled program's entry that move bytes, the largest first.

    Args:
        program: text of `compiled.as_text()`.
    """
    sizes: dict[str, int] = {}
    movers = []
    for name, shapes, kind, operands, rest in _operations(program):
        arrays = [_size(found) for found in _SHAPE.finditer(shapes)]
        sizes[name] = sum(arrays)
        if kind in _STILL or kind in _ENDS or _BITCAST in rest:
            continue
        origin = _ORIGIN.search(rest)
        if kind in _COPIES:  # Its results are what it reads, what it writes, a signal.
            read = written = arrays[1]
        else:
            read = sum(sizes.get(x, 0) for x in _NAME.findall(operands))
            written = sizes[name]
        movers.append(Mover(name, origin[1] if origin else kind, read, written))
    return sorted(movers, key=lambda x: -x.moved_bytes)


def _operations(program: str) -> Iterator[tuple[str, str, str, str, str]]:
    """Name, shapes of results, kind, operands and the rest, of each of the entry."""
    _, _, entry = program.partition("\nENTRY ")
    for line in entry.splitlines()[1:]:
        found = _OPERATION.match(line)
        if found:
            name, shapes, kind, rest = found.groups()
            yield name, shapes, kind, *_split(rest)


def _split(text: str) -> tuple[str, str]:
    """Before and after the parenthesis that closes one which was opened before."""
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[:place], text[place:]
    return text, ""


def _size(shape: re.Match[str]) -> int:
    """Bytes of an array, padded to whole tiles."""
    kind, sides, order, layout = shape.groups()
    if kind == "token":
        return 0
    lengths = [int(x) for x in sides.split(",") if x]
    tile = _TILE.match(layout or "")
    if tile and order:
        minor = [int(x) for x in order.split(",")]
        for axis, side in zip(minor, reversed(tile[1].split(",")), strict=False):
            lengths[axis] = math.ceil(lengths[axis] / int(side)) * int(side)
    bits = _BITS.get(kind) or int(re.sub(r"\D", "", kind) or 8)
    return math.prod(lengths) * bits // 8
