"""Images that cannot be decoded are named and counted; more than 1% is an error.

Files that cannot be read do not count as damaged; they are an error immediately.
"""

import threading
from collections.abc import Mapping
from typing import NoReturn

from absl import logging

from keras_effnetv2.errors import InputError, UserError

# Names shown in the error that stops training.
_NUM_SHOWN = 5


class DecodeErrors:
    """The damaged examples of a dataset, each counted once.

    `training_batches` and `evaluation_batches` report to it. An error that is raised
    inside a dataset reaches the training loop as a TensorFlow error; so it is kept here
    too, for the loop to raise instead, by `raise_if_any`.

    Args:
        source_name: the name of the dataset in messages.
        num_examples: examples in the whole dataset.
        on_error: `"skip"` leaves out a damaged example and logs its name; `"raise"`
            makes the first one an error.
        max_share: a larger fraction of damaged examples is an error, 0..1. A single one
            never is.

    Attributes:
        error: the error that stopped the data, or None.

    Raises:
        ValueError: unknown `on_error`.
    """

    def __init__(
        self,
        source_name: str,
        num_examples: int,
        on_error: str = "skip",
        max_share: float = 0.01,
    ) -> None:
        if on_error not in ("skip", "raise"):
            raise InputError(
                f"on_error must be 'skip' or 'raise'. Received: on_error={on_error!r}."
            )
        self.error: UserError | None = None
        self._source_name = source_name
        self._num_examples = num_examples
        self._on_error = on_error
        self._max_share = max_share
        self._found: dict[int, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def num_damaged(self) -> int:
        """Number of different damaged examples so far."""
        return len(self._found)

    def found(self) -> dict[int, tuple[str, str]]:
        """Index of each, its name and what is wrong with it."""
        with self._lock:
            return {**self._found}

    def report(self, found: Mapping[int, tuple[str, str]]) -> None:
        """Records damaged examples.

        Args:
            found: index of each, its name and what is wrong with it.

        Raises:
            ValueError: there are too many.
        """
        with self._lock:
            new = {i: what for i, what in found.items() if i not in self._found}
            self._found |= new
            if new and self._on_error == "raise":
                name, reason = next(iter(new.values()))
                self.stop(InputError(f"{name} cannot be read: {reason}."))
            if len(self._found) > max(1, self._max_share * self._num_examples):
                self.stop(InputError(self._summary()))
            for name, reason in new.values():
                logging.warning("%s cannot be read and is skipped: %s", name, reason)

    def stop(self, error: UserError) -> NoReturn:
        """Raises an error, and keeps it for `raise_if_any`."""
        self.error = self.error or error
        raise error

    def raise_if_any(self) -> None:
        """Raises the error that stopped the dataset, if there is one."""
        if self.error is not None:
            raise self.error from None  # The other is TensorFlow's version of it.

    def _summary(self) -> str:
        damaged = [*self._found.values()]
        shown = [name for name, _ in damaged[:_NUM_SHOWN]]
        more = ", ..." if len(damaged) > len(shown) else ""
        return (
            f"{len(damaged):,} of the {self._num_examples:,} images of "
            f"{self._source_name!r} cannot be read, which is more than "
            f"{self._max_share:.0%}: {', '.join(shown)}{more}. Repair or remove them. "
            f"The first one: {damaged[0][1]}."
        )
