"""What whoever looked at the data has to say of it."""

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class DataSurvey:
    """What was noticed in a dataset.

    Attributes:
        warnings: a sentence each.
        counts: class -> part of the data, such as `"train"` -> images.
    """

    warnings: Sequence[str] = ()
    counts: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """All parts that any class has images in, in the order they come."""
        parts = (part for of_class in self.counts.values() for part in of_class)
        return list(dict.fromkeys(parts))
