"""Training: experiments, progressive learning, runs that can be stopped anywhere.

experiment = training.get_experiment("digits")
training.train(experiment, "runs/digits")
model = training.load_run("runs/digits")
"""

import importlib
from typing import Any

# Imported when they are asked for: a plan of stages needs no TensorFlow.
_MODULES = {
    "ProgressiveLearning": "progressive",
    "Ramp": "stages",
    "Stage": "stages",
    "aggregate_first": "replicas",
    "evaluate_run": "evaluation",
    "evaluate_weights": "evaluation",
    "fix_random_seeds": "replicas",
    "get_experiment": "experiments",
    "list_experiments": "experiments",
    "load_run": "workdir",
    "override": "settings",
    "plan_stages": "stages",
    "train": "run",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"{__name__} has no attribute {name!r}.")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return getattr(module, name)
