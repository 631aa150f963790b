"""Training: experiments, progressive learning, runs that can stop at any moment.

```python
experiment = training.get_experiment("digits")
training.train(experiment, "runs/digits")
model = training.load_run("runs/digits")
```
"""

from keras_effnetv2 import lazy

# Imported on first use: a plan of stages needs no TensorFlow.
_MODULES = {
    "ProgressiveLearning": "progressive.learning",
    "Ramp": "progressive.stages",
    "Stage": "progressive.stages",
    "evaluate_run": "runs.evaluation",
    "evaluate_weights": "runs.evaluation",
    "format_plan": "progressive.stages",
    "get_experiment": "experiments.named",
    "list_experiments": "experiments.named",
    "load_run": "runs.trained",
    "override": "experiments.settings",
    "plan_stages": "progressive.stages",
    "sum_before_clipping": "devices.replicas",
    "train": "runs.run",
    "use_replica_seeds": "devices.replicas",
}

__all__ = sorted(_MODULES)
__getattr__ = lazy.attributes(__name__, _MODULES)
