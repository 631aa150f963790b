"""Training: experiments, progressive learning, runs that can be stopped anywhere.

experiment = training.get_experiment("digits")
training.train(experiment, "runs/digits")
model = training.load_run("runs/digits")
"""

import importlib
from typing import Any

# Imported when they are asked for: a plan of stages needs no TensorFlow.
_MODULES = {
    "ProgressiveLearning": "progressive.learning",
    "Ramp": "progressive.stages",
    "Stage": "progressive.stages",
    "aggregate_first": "devices.replicas",
    "evaluate_run": "runs.evaluation",
    "evaluate_weights": "runs.evaluation",
    "fix_random_seeds": "devices.replicas",
    "get_experiment": "experiments.named",
    "list_experiments": "experiments.named",
    "load_run": "runs.workdir",
    "override": "experiments.settings",
    "plan_stages": "progressive.stages",
    "train": "runs.run",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"{__name__} has no attribute {name!r}.")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, name)
