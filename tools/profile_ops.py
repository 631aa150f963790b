"""Where a training step spends its time, by kind of operation: TensorFlow's profiler.

    python tools/profile_ops.py [--network B0] [--image_size 224] [--batch_size 8]
        [--side ours|keras.applications|tf_keras.applications] [--bfloat16] [--top 20]
        [--json FILE]

The step is that of `benchmark.py train`. Here operations run one after the other, each
on all cores, so that their times add up to that of the step; normally TensorFlow runs
several at once, and the step is a little shorter. Fusions have their own names:
`_MklNativeFusedConv2D` is a convolution with what follows it.
"""

import argparse
import collections
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks import sides
from benchmarks.works import NETWORKS, Work
from tables.result_files import write_results

# The profiler's events in the plane of the processor: "name of a node:kind of
# operation".
_OPERATION = re.compile(r"[^:]+:(\w+)")
_NUM_WARM_UPS = 3

# Purpose of a kind of operation, from its name; the first match counts.
# fmt: off
PURPOSES = (
    ("depthwise convolutions",     r"Depthwise"),
    ("convolutions and matrices",  r"Conv2D|MatMul"),
    ("batch norm",                 r"BatchNorm"),
    ("optimizer's variables",      r"Variable|Assign|ResourceApply"),
    ("activations",                r"Swish|Sigmoid|Relu|Soft"),
    ("sums and means",             r"Sum|Mean|BiasAdd"),
    ("elementwise",                r"^(Add|Sub|Mul|Neg|Square|Rsqrt|Sqrt|Real|Div|Max|"
                                   r"_MklNative(Add|Mul|Sub|Square)|_Fused|Pow|Cast)"),
    ("copies and shapes",          r"Tile|Transpose|Reshape|Concat|Slice|Pad|Broadcast|"
                                   r"ToTf|Identity|Select|Shape|Fill"),
)
# fmt: on
OTHER = "other"


class Kind(NamedTuple):
    """Operations of one kind in a step: number, and seconds in total."""

    name: str
    num: float
    seconds: float


def purpose(name: str) -> str:
    """The purpose of operations with a name."""
    return next((x for x, pattern in PURPOSES if re.search(pattern, name)), OTHER)


def count(events: Iterable[tuple[str, float]], num_steps: int) -> list[Kind]:
    """Kinds by their time in a step.

    Args:
        events: names from the profiler, and seconds.
        num_steps: number of profiled steps.
    """
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    for name, duration in events:
        if found := _OPERATION.fullmatch(name):
            seconds[found[1]].append(duration)
    kinds = [
        Kind(name, len(durations) / num_steps, sum(durations) / num_steps)
        for name, durations in seconds.items()
    ]
    return sorted(kinds, key=lambda kind: -kind.seconds)


def grouped(kinds: Sequence[Kind]) -> list[Kind]:
    """A kind for each purpose, by time."""
    by_purpose: dict[str, list[Kind]] = collections.defaultdict(list)
    for kind in kinds:
        by_purpose[purpose(kind.name)].append(kind)
    groups = [
        Kind(name, sum(x.num for x in group), sum(x.seconds for x in group))
        for name, group in by_purpose.items()
    ]
    return sorted(groups, key=lambda group: -group.seconds)


def table(kinds: Sequence[Kind], top: int) -> str:
    """Markdown: purposes, and the `top` kinds, by time."""
    total = sum(kind.seconds for kind in kinds)
    sections = (("for", grouped(kinds)), ("operation", list(kinds)[:top]))
    return "\n\n".join(_section(title, rows, total) for title, rows in sections)


def read_table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown of what `--json` wrote."""
    kinds = [Kind(**row) for row in rows]
    return _section("operations", kinds, sum(kind.seconds for kind in kinds))


def _section(title: str, rows: Sequence[Kind], total: float) -> str:
    lines = [f"| {title} | number | ms per step | share |", "|---|---:|---:|---:|"]
    lines += [
        f"| {row.name} | {row.num:g} | {1000 * row.seconds:.1f} "
        f"| {row.seconds / total:.1%} |"
        for row in rows
    ]
    return "\n".join(lines)


def profile(run: Any, num_steps: int) -> list[tuple[str, float]]:
    """Names and seconds of the processor's operations in some runs.

    Raises:
        RuntimeError: the profiler wrote nothing.
    """
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(num_steps):
            run()
        tf.profiler.experimental.stop()
        files = list(pathlib.Path(folder).rglob("*.xplane.pb"))
        if not files:
            raise RuntimeError("TensorFlow's profiler wrote no *.xplane.pb.")
        space = xplane_pb2.XSpace.FromString(files[0].read_bytes())
    return [
        (plane.event_metadata[event.metadata_id].name, 1e-12 * event.duration_ps)
        for plane in space.planes
        if plane.name == "/host:CPU"
        for line in plane.lines
        for event in line.events
    ]


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    of_keras = {x.name: x for x in (sides.OURS, sides.KERAS, sides.TF_KERAS)}
    parser.add_argument("--side", choices=of_keras, default=sides.OURS.name)
    parser.add_argument("--network", choices=NETWORKS, default="B0")
    parser.add_argument("--image_size", type=int, default=224, help="pixels")
    parser.add_argument("--batch_size", type=int, default=8, help="images")
    parser.add_argument("--steps", type=int, default=5, help="steps to profile")
    parser.add_argument("--top", type=int, default=20, help="kinds to list")
    parser.add_argument("--remat", action="store_true", help="only for ours")
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision")
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="of kinds and seconds"
    )
    arguments = parser.parse_args(words)
    for name in ("image_size", "batch_size", "steps", "top"):
        if getattr(arguments, name) < 1:
            value = getattr(arguments, name)
            parser.error(f"--{name} must be at least 1. Received: {value}.")
    arguments.side = of_keras[arguments.side]
    if arguments.remat and arguments.side is not sides.OURS:
        parser.error("--remat is only for ours. Leave out --side.")
    return arguments


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    import tensorflow as tf
    from benchmarks.processes import keras_side

    tf.config.threading.set_inter_op_parallelism_threads(1)
    work = Work(arguments.network, arguments.image_size, arguments.batch_size)
    source, size = arguments.side.source, work.image_size
    name = NETWORKS[work.network][arguments.side.place]
    print(f"building and tracing {work}", file=sys.stderr)
    if arguments.bfloat16:
        policies = keras_side.keras_of(source).mixed_precision
        policies.set_global_policy("mixed_bfloat16")
    network = keras_side.build(source, name, size, arguments.remat)
    run = keras_side.training_run(source, network, size, work.batch_size)
    for _ in range(_NUM_WARM_UPS):
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
    print(f"profiling {arguments.steps} steps", file=sys.stderr)
    kinds = count(profile(run, arguments.steps), arguments.steps)
    total = sum(kind.seconds for kind in kinds)
    print(
        f"{arguments.side.name}, {work}: a training step of {1000 * seconds:.0f} ms "
        f"without the profiler; {1000 * total:.0f} ms in operations with it.\n"
    )
    print(table(kinds, arguments.top))
    if arguments.json:
        write_results(arguments.json, [kind._asdict() for kind in grouped(kinds)])


if __name__ == "__main__":
    main()
