"""Choices of training flags: only words, which need no imports."""

# Defined in `devices.strategies`.
STRATEGIES = ("auto", "cpu", "mirrored", "multiworker", "tpu")

# Weights of a run: "auto" is the best evaluation's if held-out images chose it, or else
# the last. The first is the default.
CHECKPOINTS = ("auto", "last", "best")

# Services that get the metrics too: see `reporting.trackers`.
TRACKERS = ("mlflow", "wandb")
