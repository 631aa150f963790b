"""Compiles the steps of an experiment, in a separate process; see `process`.

It reads a request from standard input, and writes lines of JSON: each step as it is
compiled, and finally the plan, or what is wrong with the request.
"""

import dataclasses
import importlib.metadata
import json
import sys
from collections.abc import Callable
from typing import Any

from keras_effnetv2.errors import UserError
from keras_effnetv2.planning import step_compiling
from keras_effnetv2.planning.chips import Slice, find_slice
from keras_effnetv2.planning.fitting import find_largest
from keras_effnetv2.planning.plans import Largest, Plan, StepCost
from keras_effnetv2.training.devices.strategies import Devices
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import from_json
from keras_effnetv2.training.learner.building import build_learner
from keras_effnetv2.training.learner.learner import Learner
from keras_effnetv2.training.progressive.stages import Stage
from keras_effnetv2.training.runs.feasibility import check


@dataclasses.dataclass(frozen=True)
class _Request:
    """A request, as written by `process`."""

    experiment: str
    device: str
    every_stage: bool
    quick: bool


class _Planner:
    """Compiles steps of an experiment, and reports each."""

    def __init__(
        self, experiment: Experiment, found: Slice, tell: Callable[[StepCost], None]
    ) -> None:
        self.num_images = experiment.data.num_train_images or 0
        self.stages = experiment.stages(self.num_images)
        # Steps that train only the classifier need less of everything.
        optimizer = dataclasses.replace(experiment.optimizer, head_epochs=0)
        self._experiment = dataclasses.replace(experiment, optimizer=optimizer)
        devices = Devices("data parallel", None, found.num_chips, kind="TPU")
        check(self._experiment, self.stages, devices)
        self._multiple = found.num_chips * optimizer.accumulation_steps
        self._mesh = step_compiling.open_mesh(found)
        self._usable = found.chip.usable
        self._tell = tell
        self.steps: list[StepCost] = []

    def learner(self, remat: bool) -> Learner:
        """The learner with or without `remat`; random weights cost the same."""
        model = dataclasses.replace(self._experiment.model, remat=remat)
        experiment = dataclasses.replace(self._experiment, model=model)
        # The images of each class are unknown; only whether they are used matters.
        counts = [1] * (experiment.data.num_classes or 0)
        return build_learner(
            experiment, self.stages, self.num_images, class_counts=counts
        )

    def compile(self, learner: Learner, stage: Stage, batch_size: int) -> StepCost:
        cost = step_compiling.compile_step(
            learner, self._mesh, self._usable, stage, batch_size
        )
        self._tell(cost)
        self.steps.append(cost)
        return cost

    def find_largest(self, learner: Learner, stage: Stage, first: StepCost) -> Largest:
        return find_largest(
            lambda batch_size: self.compile(learner, stage, batch_size),
            first,
            self._multiple,
            self._usable,
        )


def make_plan(request: _Request, tell: Callable[[StepCost], None]) -> Plan:
    """Compiles what is requested.

    Raises:
        ValueError: the experiment cannot be trained on these devices.
    """
    experiment = from_json(request.experiment)
    planner = _Planner(experiment, find_slice(request.device), tell)
    largest_stage = max(planner.stages, key=lambda x: x.image_size**2 * x.batch_size)
    asked, largest = experiment.model.remat, []
    for remat in (asked,) if request.quick else (asked, not asked):
        learner = planner.learner(remat)
        first = planner.compile(learner, largest_stage, largest_stage.batch_size)
        if request.every_stage and remat == asked:
            for stage in planner.stages:
                if stage is not largest_stage:
                    planner.compile(learner, stage, stage.batch_size)
        if not request.quick:
            largest.append(planner.find_largest(learner, largest_stage, first))
    return Plan(
        experiment.name,
        request.device,
        experiment.model.precision,
        planner.num_images,
        tuple(stage.num_epochs for stage in planner.stages),
        tuple(planner.steps),
        tuple(largest),
        ", ".join(f"{x} {importlib.metadata.version(x)}" for x in ("libtpu", "jax")),
    )


def _write(kind: str, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    print(json.dumps({kind: value}), flush=True)


def main() -> None:
    """Answers one request."""
    request = _Request(**json.load(sys.stdin))
    try:
        _write("plan", make_plan(request, lambda cost: _write("step", cost)))
    except UserError as error:
        _write("error", str(error))


if __name__ == "__main__":
    main()
