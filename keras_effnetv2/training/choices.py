"""What flags of a training may be: words, without what they stand for."""

# Of `devices.strategies`, which says what each means.
STRATEGIES = ("auto", "cpu", "mirrored", "multiworker", "tpu")

# Of a run, which weights: of its end, of its best evaluation, or of the latter where it
# tells something. The first is usual.
CHECKPOINTS = ("auto", "last", "best")

# Where metrics go, too: of `reporting.trackers`.
TRACKERS = ("mlflow", "wandb")
