"""The space of networks that a search chooses from.

space = Space.of("efficientnet-b4")
point = space.random(np.random.default_rng(0))
model = create_model(space.variant(point))

Source: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Section 3.3. A space has the
backbone's stages, strides and channels; each stage chooses its operator, kernel,
expansion and number of layers. The paper does not state:

- which numbers of layers can be chosen. Here: every number from 1 to a quarter more
  than the backbone's, and at least one more;
- squeeze-excite, which is not among the choices it lists. Here: as in its Table 4 and
  the released code, a quarter of the input channels in MBConv, none in Fused-MBConv
  (its Figure 2 shows one in both); none if the backbone's MBConv has none.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import (
    FUSED_MBCONV,
    MBCONV,
    Variant,
    apply_coefficients,
)
from keras_effnetv2.networks.variant_files import check_variant
from keras_effnetv2.networks.variants import get_variant

OPERATORS = (MBCONV, FUSED_MBCONV)
KERNELS = (3, 5)
EXPANSIONS = (1, 4, 6)
SE_RATIOS = {MBCONV: 0.25, FUSED_MBCONV: 0.0}

# The choices of a stage, as names of a row's fields.
_FIELDS = ("operator", "kernel_size", "expand_ratio", "num_repeats")


@dataclasses.dataclass(frozen=True)
class Space:
    """All networks of a backbone's stages; `Space.of` makes one.

    A point is a choice for every decision: `{"stage1/operator": "mbconv", ...}`.

    Attributes:
        backbone: the backbone, with coefficients of 1: its rows are blocks as built.
        operators: choices of every stage.
        kernels: choices of every stage, odd sides.
        expansions: choices of every stage, hidden channels per input channel.
        layers: for each stage, the numbers of layers to choose from.
    """

    backbone: Variant
    operators: tuple[str, ...]
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    layers: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        backbone: str | Variant,
        *,
        operators: Iterable[str] = OPERATORS,
        kernels: Iterable[int] = KERNELS,
        expansions: Iterable[int] = EXPANSIONS,
        layers: Iterable[int] | Mapping[int, Iterable[int]] | None = None,
    ) -> "Space":
        """The space around a backbone.

        Args:
            backbone: name, file or `Variant`; it determines stages, strides and
                channels, and sizes and rates of training, which are not searched.
            operators: some of `OPERATORS`.
            kernels: odd sides.
            expansions: hidden channels per input channel.
            layers: numbers of layers for every stage, or for some by their numbers from
                1. None, and for stages left out: from 1 to a quarter more than the
                backbone's, at least one more.

        Raises:
            ValueError: nothing to choose from, an invalid choice, or networks too large
                for a variant file.
        """
        backbone = apply_coefficients(get_variant(backbone))
        space = cls(
            backbone,
            _operators(operators),
            _whole(kernels, "kernels", is_odd=True),
            _whole(expansions, "expansions"),
            _layers(layers, backbone),
        )
        _check_largest(space)
        return space

    @property
    def decisions(self) -> dict[str, tuple[str | int, ...]]:
        """Name of every decision, in order -> its choices: `"stage1/operator"`, ..."""
        return {
            f"stage{stage}/{field}": choices
            for stage, layers in enumerate(self.layers, start=1)
            for field, choices in zip(
                _FIELDS,
                (self.operators, self.kernels, self.expansions, layers),
                strict=True,
            )
        }

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(map(len, self.decisions.values()))

    def random(self, rng: np.random.Generator) -> dict[str, str | int]:
        """A random point, all with equal probability."""
        return {
            name: choices[rng.integers(len(choices))]
            for name, choices in self.decisions.items()
        }

    def variant(self, point: Mapping[str, Any], name: str = "found") -> Variant:
        """The network of a point; sizes and rates of training are the backbone's.

        Args:
            point: a choice for every decision, in any order.
            name: name of the variant.

        Raises:
            ValueError: a decision is missing or unknown, or has no such choice.
        """
        point = self._checked(point)
        blocks, ratios = [], self._se_ratios()
        for stage, spec in enumerate(self.backbone.blocks, start=1):
            chosen = {field: point[f"stage{stage}/{field}"] for field in _FIELDS}
            se_ratio = ratios[str(chosen["operator"])]
            blocks.append(dataclasses.replace(spec, **chosen, se_ratio=se_ratio))
        return dataclasses.replace(self.backbone, name=name, blocks=tuple(blocks))

    def _se_ratios(self) -> Mapping[str, float]:
        """Ratio of each operator; none if the backbone's MBConv has none, as Lite's."""
        rows = [spec for spec in self.backbone.blocks if spec.operator == MBCONV]
        if any(not spec.se_ratio for spec in rows):
            return dict.fromkeys(SE_RATIOS, 0.0)
        return SE_RATIOS

    def _checked(self, point: Mapping[str, Any]) -> dict[str, str | int]:
        """`point` in order, with choices converted to the space's types."""
        decisions = self.decisions
        missing, unknown = decisions.keys() - point, point.keys() - decisions.keys()
        if missing or unknown:
            raise InputError(
                "A point must have exactly the decisions of the space. Missing: "
                f"{sorted(missing) or 'none'}. Unknown: "
                f"{sorted(unknown, key=str) or 'none'}."
            )
        for name, choices in decisions.items():
            if isinstance(point[name], bool) or point[name] not in choices:
                raise InputError(
                    f"{name} must be one of {choices}. Received: {point[name]!r}."
                )
        return {
            name: choices[choices.index(point[name])]
            for name, choices in decisions.items()
        }


def _check_largest(space: Space) -> None:
    """Refuses a space whose networks could not be written as variant files."""
    largest = {name: max(choices) for name, choices in space.decisions.items()}
    try:
        check_variant(space.variant(largest))
    except ValueError as error:
        raise InputError(
            f"The largest network of the space cannot be a variant file: {error}"
        ) from error


def _layers(
    given: Iterable[int] | Mapping[int, Iterable[int]] | None, backbone: Variant
) -> tuple[tuple[int, ...], ...]:
    """The numbers of layers to choose from, for each stage of `backbone`."""
    stages = range(1, len(backbone.blocks) + 1)
    if given is not None and not isinstance(given, Mapping):
        return (_whole(given, "layers"),) * len(stages)
    own = given or {}
    if unknown := sorted(set(own) - set(stages), key=str):
        raise InputError(
            f"{backbone.name} has stages 1 to {len(stages)}. "
            f"Received: layers of {unknown}."
        )
    return tuple(
        _whole(own.get(stage, _near(spec.num_repeats)), f"layers[{stage}]")
        for stage, spec in zip(stages, backbone.blocks, strict=True)
    )


def _near(num_layers: int) -> range:
    """Numbers of layers to choose from, if the backbone has `num_layers`."""
    return range(1, num_layers + math.ceil(num_layers / 4) + 1)


def _operators(choices: Iterable[str]) -> tuple[str, ...]:
    given = (choices,) if isinstance(choices, str) else tuple(choices)
    if not given or not set(given) <= set(OPERATORS):
        raise InputError(
            f"operators must be some of {OPERATORS}. Received: {given or 'none'}."
        )
    return tuple(dict.fromkeys(given))


def _whole(
    choices: Iterable[int] | int, name: str, is_odd: bool = False
) -> tuple[int, ...]:
    """Checks whole numbers from 1 on, each once."""
    given = choices if isinstance(choices, Iterable) else (choices,)
    numbers: Sequence[Any] = tuple(given)
    valid = [
        isinstance(x, int | np.integer)
        and not isinstance(x, bool)
        and x >= 1
        and (x % 2 == 1 or not is_odd)
        for x in numbers
    ]
    if not numbers or not all(valid):
        kind = "odd whole numbers" if is_odd else "whole numbers"
        raise InputError(
            f"{name} must be {kind}, at least 1, and one of them or more. "
            f"Received: {numbers or 'none'}."
        )
    return tuple(dict.fromkeys(int(x) for x in numbers))
