"""What flags of a training may be: words, without what they stand for."""

# Of `devices.strategies`, which says what each means.
STRATEGIES = ("auto", "cpu", "mirrored", "multiworker", "tpu")

# Of a run, which weights: of its end, or of its best evaluation. The first is usual.
CHECKPOINTS = ("last", "best")
