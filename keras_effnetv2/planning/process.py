"""Makes plans in a process whose Keras runs on JAX, and whose JAX runs on the CPU."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

from keras_effnetv2.errors import InputError, WorkerError, require_modules
from keras_effnetv2.planning.chips import find_slice
from keras_effnetv2.planning.plans import Plan, StepCost
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import to_json

ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",  # Leaves a TPU of this machine alone,
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # and other plans, too.
    "TPU_SKIP_MDS_QUERY": "1",  # There is no cloud metadata server.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
"""Of a process that compiles, read when Keras, JAX and libtpu are imported."""


def plan(
    experiment: Experiment,
    device: str,
    *,
    every_stage: bool = False,
    quick: bool = False,
    tell: Callable[[StepCost], Any] | None = None,
) -> Plan:
    """Compiles an experiment's training step for TPUs that need not be attached.

    This compiles the step that `train` runs on JAX, data-parallel, for the stage with
    most pixels per batch. Compiling a large network takes many minutes of processor
    time.

    Args:
        experiment: its data must state the numbers of classes and training images; the
            data is not opened.
        device: a slice of Cloud TPU chips, such as `"v5e:4x4"`.
        every_stage: whether to compile the steps of all other stages too.
        quick: whether to leave out the largest batch, and the effect of `model.remat`.
        tell: called with each compiled step.

    Raises:
        ValueError: no such slice, or the experiment cannot be trained on it.
        ImportError: JAX or libtpu is missing.
        ChildProcessError: the compiler has failed.
    """
    find_slice(device)
    _check_data(experiment)
    require_modules("A plan for TPUs needs", "plan", "jax", "libtpu")
    request = {
        "experiment": to_json(experiment),
        "device": device,
        "every_stage": every_stage,
        "quick": quick,
    }
    values = _run(request, tell or (lambda step: None))
    return Plan.from_values(values)


def _check_data(experiment: Experiment) -> None:
    for name in ("num_classes", "num_train_images"):
        if getattr(experiment.data, name) is None:
            raise InputError(
                f"A plan opens no data, and needs data.{name}. Received: None. Set "
                f"it: --set data.{name}=NUMBER."
            )


def _run(request: dict[str, Any], tell: Callable[[StepCost], Any]) -> dict[str, Any]:
    """The plan's values, from the other process."""
    with (
        tempfile.TemporaryFile("w+") as asked,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        json.dump(request, asked)
        asked.seek(0)
        with subprocess.Popen(
            [sys.executable, "-m", "keras_effnetv2.planning.planner"],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | ENVIRONMENT,
        ) as process:
            try:
                values = _read_plan(process.stdout or (), tell)
            except BaseException:
                process.kill()
                raise
        if values is not None:
            return values
        errors.seek(0)
        raise WorkerError(_why(process.returncode, errors.read()))


def _why(code: int, errors: str) -> str:
    """Why the compiler gave no answer."""
    if code < 0:
        return (
            f"The compiler was killed by signal {-code}, as happens if memory runs "
            "out. A large network takes several GB."
        )
    lines = errors.strip().splitlines() or ["it gave no reason"]
    return f"The compiler has failed (exit status {code}): {lines[-1]}"


def _read_plan(
    lines: Iterable[str], tell: Callable[[StepCost], Any]
) -> dict[str, Any] | None:
    """The plan's values; None if the lines end without them."""
    for line in lines:
        ((kind, value),) = json.loads(line).items()
        if kind == "error":
            raise InputError(value)
        if kind == "plan":
            return value
        tell(StepCost(**value))
    return None
