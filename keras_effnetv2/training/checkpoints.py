"""Complete states of a training in files that are either whole or not there.

A checkpoint holds every number that the rest of the training depends on: weights, batch
statistics, moving averages, the optimizer's slots and step, the states of random
generators, metrics. The files are safetensors, which cannot hold code.
"""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_effnetv2.errors import InputError

_NAME = re.compile(r"step_(\d+)\.safetensors")
_BEST = "best.safetensors"


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a training is.

    Attributes:
        step: optimizer steps done.
        epoch: epochs finished.
        epoch_step: steps done of the next one.
        evaluated_step: step of the last evaluation.
        best_accuracy: the best evaluation's so far.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    evaluated_step: int = 0
    best_accuracy: float = -1.0


class Checkpoints:
    """The newest and the best checkpoints of a run, in a folder.

    Args:
        folder: made when the first checkpoint is saved.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: str | os.PathLike, keep: int) -> None:
        self.folder = pathlib.Path(folder)
        self.keep = keep

    def save(
        self, arrays: dict[str, np.ndarray], position: Position, is_best: bool = False
    ) -> pathlib.Path:
        """Writes a checkpoint and removes those that are too many."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step_{position.step:09d}.safetensors"
        write_arrays(path, arrays, {"position": json.dumps(vars(position))})
        if is_best:
            # The same file under a second name; it stays when the first one goes.
            link = self.folder / f"{_BEST}.{os.getpid()}"
            link.unlink(missing_ok=True)
            os.link(path, link)
            os.replace(link, self.folder / _BEST)
        unfinished = self.folder.glob(".step_*")  # Of a process that was killed.
        for old in (*self._paths()[self.keep :], *unfinished):
            old.unlink()
        return path

    def restore(self) -> tuple[dict[str, np.ndarray], Position] | None:
        """The newest checkpoint that can be read, or None where there is none.

        Raises:
            ValueError: there are checkpoints, but none can be read.
        """
        paths = self._paths()
        for path in paths:
            try:
                arrays, metadata = read_arrays(path)
                return arrays, Position(**json.loads(metadata["position"]))
            except (ValueError, KeyError, TypeError, OSError) as error:
                logging.warning("Checkpoint %s cannot be read: %s", path, error)
        if paths:
            raise InputError(
                f"None of the checkpoints in {self.folder} can be read: "
                f"{', '.join(path.name for path in paths)}. Choose another --workdir, "
                "or remove the folder to start anew."
            )
        return None

    def _paths(self) -> list[pathlib.Path]:
        """Those of single steps, the newest first."""
        found = self.folder.glob("step_*.safetensors")
        return sorted((x for x in found if _NAME.fullmatch(x.name)), reverse=True)


def read_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Every variable that training `model` changes, by number and name.

    All workers must call it at once: metrics are summed over them.
    """
    return {
        name: np.array(keras.ops.convert_to_numpy(variable), order="C")
        for name, variable in _state_variables(model)
    }


def write_state(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Gives the variables of `model` the values that `read_state` read.

    Raises:
        ValueError: a variable is missing, left over or has another shape or type.
    """
    variables = dict(_state_variables(model))
    differing = variables.keys() ^ arrays.keys()
    for name in variables.keys() & arrays.keys():
        array, variable = arrays[name], variables[name]
        same = array.shape == tuple(variable.shape) and array.dtype == variable.dtype
        differing |= set() if same else {name}
    if differing:
        raise InputError(
            f"The checkpoint is of another training: {len(differing)} variables "
            f"differ, such as {min(differing)}. Choose another --workdir."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _state_variables(model: keras.Model) -> Iterator[tuple[str, Any]]:
    groups = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    for group, variables in groups.items():
        for number, variable in enumerate(variables):
            # Not the path: Keras numbers models and generators through the process.
            yield f"{group}/{number:05d}/{variable.name}", variable


def write_arrays(
    path: pathlib.Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    """Writes a safetensors file under a temporary name, then gives it its own."""
    import safetensors.numpy

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        safetensors.numpy.save_file(arrays, temporary, metadata)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What `write_arrays` wrote.

    Raises:
        ValueError: the file is damaged.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}.") from error
