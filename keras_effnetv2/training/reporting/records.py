"""The metrics of a run by epoch: `metrics.jsonl`, one JSON object per line."""

import json
import math
import os
from collections.abc import Sequence
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replace_file
from keras_effnetv2.paths import AnyPathLike, RemotePath, as_path


class Records:
    """The records of a run, in a file that outlives it.

    A record has `epoch` (epochs finished), `step` (optimizer steps done), `stage` (from
    1), the stage's `image_size` (pixels), `batch_size`, `randaugment_magnitude`,
    `mixup_alpha`, `cutmix_alpha`, `dropout_rate` and `drop_path_rate`, then
    `learning_rate`, `loss`, `accuracy`, `seconds` (of training), `images_per_second`
    and, if the epoch was evaluated, `eval_loss`, `eval_accuracy` and, with more than
    five classes, `eval_top5_accuracy`. Accuracies are from 0 to 1.

    NaN and infinities, which JSON lacks, are stored as null: None.

    Args:
        path: the file, in a folder that exists; created with the first record.
    """

    def __init__(self, path: AnyPathLike) -> None:
        self.path = as_path(path)

    def append(self, record: dict[str, Any]) -> None:
        """Adds a record; it is on disk when this returns.

        When a run resumes, call `drop_after` first: it also removes an incomplete line
        that a killed run may have left.
        """
        if isinstance(self.path, RemotePath):  # Files in buckets cannot be appended to.
            before = self.path.read_bytes() if self.path.exists() else b""
            replace_file(self.path, before + _to_line(record))
            return
        with self.path.open("ab") as file:
            file.write(_to_line(record))
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All complete records, oldest first; none if there is no file.

        Raises:
            ValueError: a line is damaged.
        """
        if not self.path.exists():
            return []
        # The part after the last line break is empty or incomplete.
        *lines, _ = self.path.read_bytes().split(b"\n")
        return [self._parse(line, number) for number, line in enumerate(lines, 1)]

    def drop_after(self, step: int) -> None:
        """Removes what a killed run wrote after `step`, from which it resumes.

        Raises:
            ValueError: a line is damaged.
        """
        if self.path.exists():
            kept = [record for record in self.read() if record["step"] <= step]
            replace_file(self.path, b"".join(map(_to_line, kept)))

    def _parse(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError:  # Neither JSON nor, perhaps, UTF-8.
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            raise InputError(
                f"Line {number} of {self.path} is damaged. Expected a JSON object with "
                f"a step. Received: {line[:60]!r}. Remove the line, or the file."
            )
        return record


def best_evaluation(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The record with the highest `eval_accuracy`, if any.

    Ties are broken by the lowest `eval_loss`, then by the first.
    """
    evaluated = [x for x in records if x.get("eval_accuracy") is not None]
    return max(evaluated, key=_rank, default=None)


def _rank(record: dict[str, Any]) -> tuple[float, float]:
    loss = record.get("eval_loss")  # None if it was not finite.
    return record["eval_accuracy"], -math.inf if loss is None else -loss


def evaluations_since_best(records: Sequence[dict[str, Any]]) -> int:
    """The number of evaluations since the best one."""
    best = best_evaluation(records)
    if best is None:
        return 0
    later = records[records.index(best) + 1 :]
    return sum(record.get("eval_accuracy") is not None for record in later)


def _to_line(record: dict[str, Any]) -> bytes:
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(plain, allow_nan=False).encode() + b"\n"
