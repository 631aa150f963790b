"""Published figures of Cloud TPU chips, and slices of them by name."""

import dataclasses
import math
import re

from keras_effnetv2.errors import InputError

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One chip, which JAX shows as one device.

    Attributes:
        name: Google Cloud's name.
        flops: floating-point operations per second in bfloat16.
        bandwidth: memory bandwidth, bytes per second.
        memory: bytes.
        usable: memory that the compiler gives to a program, bytes. Not published:
            libtpu 0.0.42 reports it when it refuses a program.
        num_dimensions: dimensions of the torus that connects the chips.
        most_chips: chips in a pod.
        examples: examples of existing slices.
        page: page of Google's documentation with these figures.
        config: libtpu's setting for chips whose two cores are one device.
    """

    name: str
    flops: float
    bandwidth: float
    memory: int
    usable: float
    num_dimensions: int
    most_chips: int
    examples: str
    page: str
    config: str | None = None


_FLAT, _CUBIC = "1x1, 2x2, 4x4, 16x16", "2x2x1, 2x2x2, 4x4x4"
_PAGES = "https://cloud.google.com/tpu/docs"

# fmt: off
_ROWS = (
    #            FLOP/s bytes/s  memory  usable
    Chip("v4",  275e12, 1200e9, 32 * GIB, 30.75 * GIB, 3, 4096, _CUBIC,
         f"{_PAGES}/v4", "megacore"),
    Chip("v5e", 197e12,  819e9, 16 * GIB, 15.75 * GIB, 2, 256, _FLAT, f"{_PAGES}/v5e"),
    Chip("v5p", 459e12, 2765e9, 95 * GIB, 95.74 * GIB, 3, 8960, _CUBIC,
         f"{_PAGES}/v5p", "megacore"),
    Chip("v6e", 918e12, 1640e9, 32 * GIB, 31.25 * GIB, 2, 256, _FLAT, f"{_PAGES}/v6e"),
)
# fmt: on

CHIPS = {chip.name: chip for chip in _ROWS}
"""Published figures of TPU chips, by name, such as `"v5e"`."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """Connected chips that a program runs on.

    Attributes:
        chip: the kind of chip.
        topology: such as "4x4".
    """

    chip: Chip
    topology: str

    @property
    def sides(self) -> tuple[int, ...]:
        """Chips along each dimension."""
        return tuple(map(int, self.topology.split("x")))

    @property
    def num_chips(self) -> int:
        """Number of chips."""
        return math.prod(self.sides)

    def __str__(self) -> str:
        return f"{self.chip.name}:{self.topology}"


def find_slice(device: str) -> Slice:
    """The slice named by a text such as `"v5e:4x4"`.

    Raises:
        ValueError: no such chip, or wrong number of dimensions or chips.
    """
    name, _, topology = device.partition(":")
    if name not in CHIPS:
        raise InputError(
            "A device is a chip and a topology, such as v5e:4x4; the chips are "
            f"{', '.join(CHIPS)}. Received: {device!r}."
        )
    chip = CHIPS[name]
    sides = re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", topology)
    if sides is None or topology.count("x") + 1 != chip.num_dimensions:
        raise InputError(
            f"The topology of {name} has {chip.num_dimensions} numbers of chips, such "
            f"as {chip.examples}. Received: {device!r}."
        )
    found = Slice(chip, topology)
    if found.num_chips > chip.most_chips:
        raise InputError(
            f"A pod of {name} has {chip.most_chips:,} chips. Received: {device!r}, "
            f"which has {found.num_chips:,}."
        )
    return found
