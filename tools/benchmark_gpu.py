"""EfficientNetV2-S on a GPU: ours on Keras's JAX backend against timm on PyTorch.

    pip install "jax[cuda13]" torch timm
    python tools/benchmark_gpu.py [--repeats 7] [--batch 128] [--json FILE]
        [--torch_python PYTHON]

Both sides compute in bfloat16 with float32 weights, on images that are on the GPU, and
train by SGD with momentum. Each is a process that keeps its compiled steps; they take
turns. The limit is bfloat16 matrix multiplication in the same run. A multiply-add
counts as two operations, training as three forward passes.
"""

import argparse
import functools
import os
import pathlib
from collections.abc import Sequence

# Keras's backend in all processes. TensorFlow is not needed.
os.environ["KERAS_BACKEND"] = "jax"

from benchmarks import comparison, report
from benchmarks.crews import crew
from benchmarks.progress import Progress
from benchmarks.workers import Worker
from benchmarks.works import NETWORKS, Work
from tables.result_files import write_results

_MATRIX = 8192  # Side.
_LIMIT = f"matrix {_MATRIX} 1"
# Both share the one GPU.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def works_of(network: str, batch: int) -> dict[str, Work]:
    """The processes' words for a work -> the work."""
    return {
        f"{kind} {size} {count}": Work(network, size, count)
        for kind, size, count in (
            ("training", 300, batch),
            ("inference", 384, batch),
            ("inference", 384, 1),
        )
    }


def measure(
    works: dict[str, Work], repeats: int, torch_python: str | None = None
) -> list[dict]:
    """Measures images/s of both, and the share of the limit that ours reaches."""
    (network,) = {work.network for work in works.values()}
    ours, timm = NETWORKS[network]
    starters = {
        "ours": functools.partial(
            Worker, "benchmarks.processes.jax_side", ours, *works,
            environment=_ENVIRONMENT,
        ),
        "timm": functools.partial(
            Worker, "benchmarks.processes.cuda_side", timm, *works, _LIMIT,
            python=torch_python, environment=_ENVIRONMENT,
        ),
    }  # fmt: skip
    progress = Progress("gpu", 2 + repeats * (2 * len(works) + 1))
    with crew(progress) as members:
        for name, start in starters.items():
            members.add(name, start)
        asks = {name: worker.ask for name, worker in members.workers.items()}
        turns = {
            (side, name): functools.partial(asks[side], "seconds", name)
            for name in works
            for side in asks
        }
        turns["limit",] = functools.partial(asks["timm"], "seconds", _LIMIT)
        seconds = comparison.take_turns(turns, repeats, progress)
    return [row for name, work in works.items() for row in _rows(name, work, seconds)]


def _rows(name: str, work: Work, seconds: dict[tuple, list[float]]) -> tuple[dict, ...]:
    kind, *_ = name.split()
    flops = work.training_flops if kind == "training" else work.forward_flops
    rates = [[work.batch_size / x for x in seconds[s, name]] for s in ("ours", "timm")]
    achieved = [1e-12 * flops / x for x in seconds["ours", name]]
    limits = [2e-12 * _MATRIX**3 / x for x in seconds["limit",]]
    title = f"{work}, {kind}"
    return (
        comparison.row(
            "gpu", title, "images/s", "timm", comparison.pairs(*rates), "above 1"
        ),
        comparison.row(
            "gpu", title, "TFLOP/s", "limit: matrix multiplication",
            comparison.pairs(achieved, limits), "nearer 1",
        ),
    )  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="S")
    parser.add_argument("--repeats", type=int, default=7, help="rounds")
    parser.add_argument("--batch", type=int, default=128, help="images per step")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument(
        "--torch_python", metavar="PYTHON", help="interpreter with torch and timm"
    )
    args = parser.parse_args(words)
    if min(args.repeats, args.batch) < 1:
        parser.error("--repeats and --batch must be at least 1.")
    works = works_of(args.network, args.batch)
    rows = measure(works, args.repeats, args.torch_python)
    print(report.table(rows))
    if args.json:
        write_results(args.json, rows)


if __name__ == "__main__":
    main()
