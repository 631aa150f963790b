"""Complete states of a training run, in files that are written atomically.

A checkpoint holds every number that the rest of the training depends on: weights, batch
statistics, moving averages, the optimizer's slots and step, the states of random
generators, metrics.
"""

import contextlib
import dataclasses
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from absl import logging

from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.files import remove_unfinished, replacing
from keras_effnetv2.paths import AnyPath, AnyPathLike, RemotePath, as_path
from keras_effnetv2.training.devices.agreement import from_chief, together
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.runs.array_files import (
    read_arrays,
    read_metadata,
    write_arrays,
)

_NAME = re.compile(r"step_(\d+)\.safetensors")
BEST = "best.weights.h5"
# Seconds for a network file system to show one machine what another has written.
_PATIENCE, _POLL = 60.0, 1.0


@dataclasses.dataclass(frozen=True)
class Position:
    """A position in a training run.

    Attributes:
        step: optimizer steps done.
        epoch: epochs finished.
        epoch_step: steps done in the current epoch.
        evaluated_step: step of the last evaluation.
        best_accuracy: accuracy of the best evaluation so far.
        best_loss: loss of that evaluation.
        evaluations_since_best: evaluations after it, none of which was better.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    evaluated_step: int = 0
    best_accuracy: float = -1.0
    best_loss: float = math.inf
    evaluations_since_best: int = 0


class Checkpoints:
    """The newest checkpoints of a run, and its best weights, in a folder.

    Args:
        folder: made when the first checkpoint is saved; may be in a bucket.
        keep: how many of the newest to keep.
    """

    def __init__(self, folder: AnyPathLike, keep: int) -> None:
        self.folder = as_path(folder)
        self.keep = keep

    def save(
        self,
        arrays: dict[str, np.ndarray],
        position: Position,
        best: keras.Model | None = None,
    ) -> AnyPath:
        """Writes a checkpoint and removes the oldest beyond `keep`.

        Args:
            arrays: from `read_state`.
            position: their position in the training.
            best: the network, if it was just measured as the best so far.
        """
        return self.write(arrays, position, self.stage(best))

    def stage(self, best: keras.Model | None) -> Callable[[], None] | None:
        """Reads the weights of the best network; returns a function to publish them."""
        if best is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.folder / BEST))
            best.save_weights(temporary)
            staged = stack.pop_all()
        return staged.close

    def write(
        self,
        arrays: dict[str, np.ndarray],
        position: Position,
        publish_best: Callable[[], None] | None = None,
    ) -> AnyPath:
        """As `save`, with the best network that was staged, if any."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if publish_best is not None:
            # Before the state that refers to it: a kill in between loses neither.
            publish_best()
        path = self._path(position.step)
        metadata = {"position": json.dumps(vars(position))}
        own_parts = write_arrays(path, arrays, metadata)
        paths = self._paths()
        for old in paths[self.keep :]:
            old.unlink(missing_ok=True)
        if isinstance(path, RemotePath):
            others = {x.stem for x in paths[: self.keep] if x != path}
            self._remove_parts(others, own_parts)
        remove_unfinished(self.folder)
        return path

    def _remove_parts(self, kept: set[str], own: Sequence[str]) -> None:
        """Removes parts of checkpoints that are deleted or were never finished."""
        for part in self.folder.glob("step_*.part.safetensors"):
            if part.name not in own and part.name.partition(".")[0] not in kept:
                part.unlink(missing_ok=True)

    def last_good(self) -> str:
        """A sentence about the last checkpoint, if there is one."""
        if not self._paths():
            return "No checkpoint had been saved."
        return f"The last good checkpoint is in {self.folder}."

    def restore(self) -> tuple[dict[str, np.ndarray], Position] | None:
        """The newest checkpoint that can be read, or None if there is none.

        Raises:
            ValueError: there are checkpoints, but none can be read.
        """
        paths = self._paths()
        for path in paths:
            try:
                return _read(path)
            except (ValueError, OSError) as error:
                logging.warning("Checkpoint %s cannot be read: %s", path, error)
        if paths:
            raise InputError(
                f"None of the checkpoints in {self.folder} can be read: "
                f"{', '.join(path.name for path in paths)}. Choose another --workdir, "
                "or remove the folder to start again."
            )
        return None

    def position(self) -> Position:
        """The position of the newest readable checkpoint, or the start."""
        for path in self._paths():
            try:
                return _position(path, read_metadata(path))
            except (ValueError, OSError):
                continue
        return Position()

    def read(
        self, step: int, patience: float = _PATIENCE
    ) -> tuple[dict[str, np.ndarray], Position]:
        """The checkpoint of a step that another machine has read or written.

        Args:
            step: step of the checkpoint.
            patience: seconds to wait until this machine sees it too.

        Raises:
            OSError: it cannot be read.
        """
        deadline = time.monotonic() + patience
        path = self._path(step)
        while True:
            try:
                return _read(path)
            except (ValueError, OSError) as error:
                if time.monotonic() >= deadline:
                    raise FileError(
                        f"The chief resumes from {path}, which cannot be read here: "
                        f"{error}. All workers must share the work folder."
                    ) from error
            time.sleep(_POLL)

    def _path(self, step: int) -> AnyPath:
        return self.folder / f"step_{step:09d}.safetensors"

    def _paths(self) -> list[AnyPath]:
        """Paths of the checkpoints, newest first."""
        found = self.folder.glob("step_*.safetensors")
        return sorted((x for x in found if _NAME.fullmatch(x.name)), reverse=True)


def restore_together(
    checkpoints: Checkpoints, devices: Devices
) -> tuple[dict[str, np.ndarray], Position] | None:
    """The newest checkpoint that the chief can read, the same on every worker.

    Raises:
        ValueError: there are checkpoints, but the chief can read none.
        OSError: a worker does not see the chief's, or has failed.
    """
    restored = None
    with together(devices):
        if devices.is_chief:
            restored = checkpoints.restore()
    step = from_chief(devices, restored[1].step if restored else 0)
    with together(devices):
        if step and not devices.is_chief:
            restored = checkpoints.read(step)
    return restored


def _read(path: AnyPath) -> tuple[dict[str, np.ndarray], Position]:
    """Reads a checkpoint.

    Raises:
        ValueError: it is damaged.
    """
    arrays, metadata = read_arrays(path)
    return arrays, _position(path, metadata)


def _position(path: AnyPath, metadata: dict[str, str]) -> Position:
    try:
        return Position(**json.loads(metadata["position"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not say where the training was.") from error


def read_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Every variable that training `model` changes, by number and name.

    All workers must call it together: metrics are summed over them.
    """
    return {name: _copied(variable) for name, variable in _state_variables(model)}


def _copied(variable: Any) -> np.ndarray:
    """A copy of a variable's value, which later updates do not change."""
    array = keras.ops.convert_to_numpy(variable)
    # On TensorFlow it is a copy already; on JAX it may be the device's memory.
    is_own = array.flags.owndata and array.flags.writeable
    return array if is_own and array.flags.c_contiguous else np.array(array, order="C")


def write_state(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Sets the variables of `model` to the values from `read_state`.

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
            f"The checkpoint is of another training run: {len(differing)} variables "
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
            # Not the path: Keras numbers models and generators process-wide.
            yield f"{group}/{number:05d}/{variable.name}", variable


def write_weights(network: keras.Model, path: AnyPath) -> None:
    """Writes the weights of a network to a file, atomically.

    Args:
        network: if it has a record of its preprocessing, that is written too.
        path: a path that ends in `.weights.h5`.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as temporary:
        network.save_weights(temporary)
