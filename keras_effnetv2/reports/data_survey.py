"""Findings about the data, for a report."""

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class DataSurvey:
    """Findings about a dataset.

    Attributes:
        warnings: one sentence each.
        counts: class -> part of the data, such as `"train"` -> images.
    """

    warnings: Sequence[str] = ()
    counts: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """All parts in which any class has images, in order."""
        parts = (part for of_class in self.counts.values() for part in of_class)
        return list(dict.fromkeys(parts))
