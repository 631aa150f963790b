"""Benchmarks against peers: each figure is a ratio measured in one run.

    python tools/benchmark.py train|bfloat16|infer|calls|memory|growth|startup|data|all
        [--repeats 7] [--threads N] [--json FILE] [--chart FILE.png]
        [--torch_python PYTHON [--torch_compile]]

Machines are noisy, so ours and the peers run in turn (A B A B), each in its own process
that is idle while the others run, and the result is the median ratio of all rounds.
Everything runs on the processor, on all cores, and in float32 except in `bfloat16`. On
a busy machine, threads of the same process wait for each other, PyTorch's most of all,
and `--threads 1` is fairer.

Peers are keras.applications, tf_keras.applications, kimm and timm on PyTorch in
channels_last, eager and, on request, with `torch.compile`, which takes minutes per
network. Those that cannot be imported are left out and named. timm is best in an
environment of its own; none of the peers is a dependency of this package:

    pip install --no-deps kimm
    python -m venv .venv-torch
    .venv-torch/bin/pip install torch timm
    python tools/benchmark.py train --torch_python .venv-torch/bin/python
"""

import argparse
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Sequence

from benchmarks import report, sides
from benchmarks.sides import OURS, Side
from benchmarks.suites import calls, data, growth, infer, memory, startup, train
from tables.result_files import write_results

# In the order of `all`.
SUITES: dict[str, Callable[[int, Sequence[Side]], list[dict]]] = {
    "startup": startup.measure,
    "data": lambda repeats, _: data.measure(repeats),
    "train": train.measure,
    "bfloat16": train.measure_bfloat16,
    "infer": infer.measure,
    "calls": calls.measure,
    "memory": memory.measure,
    "growth": lambda repeats, _: growth.measure(repeats),
}
ALL = "all"


def caption(repeats: int, peers: Sequence[Side]) -> str:
    """Machine, versions and number of rounds, in words."""
    from keras_effnetv2.search.costs.workload import device_name

    versions: dict[str, str] = {}
    for side in (OURS, *peers):
        versions |= side.versions()
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    rounds = f"{repeats} rounds in turn" if repeats > 1 else "1 round: no spread"
    threads = sides.num_threads()
    return (
        f"{device_name()}, {threads} thread{'s' * (threads > 1)}; Python "
        f"{platform.python_version()}, {packages}; {rounds}."
    )


def _warn_if_busy() -> None:
    load, cores = os.getloadavg()[0], os.cpu_count()
    if load > 0.5:
        print(
            f"Other work is running (load {load:.1f} on {cores} cores): figures are "
            "rough, and PyTorch's suffer most. See --threads.",
            file=sys.stderr,
        )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Refuses what could not be measured or written, before anything is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=[*SUITES, ALL])
    parser.add_argument("--repeats", type=int, default=7, help="rounds")
    parser.add_argument(
        "--threads", type=int, help="threads to compute with (default: one per core)"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="also write the rows there"
    )
    parser.add_argument(
        "--chart", type=pathlib.Path, metavar="FILE.png", help="also draw them there"
    )
    parser.add_argument(
        "--torch_python", metavar="PYTHON", help="interpreter with torch and timm"
    )
    parser.add_argument(
        "--torch_compile", action="store_true", help="also timm with torch.compile"
    )
    arguments = parser.parse_args(words)
    for name in ("repeats", "threads"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name} must be at least 1. Received: {value}.")
    if arguments.chart and arguments.chart.suffix != ".png":
        parser.error(f"--chart must end in .png. Received: {arguments.chart}.")
    for path in (arguments.json, arguments.chart):
        if path and not path.parent.is_dir():
            parser.error(f"There is no folder {path.parent} for {path.name}.")
    try:
        arguments.peers = sides.installed_peers(
            arguments.torch_python, arguments.torch_compile
        )
    except ValueError as error:
        parser.error(str(error))
    return arguments


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    if arguments.threads:
        sides.limit_threads(arguments.threads)
    _warn_if_busy()
    names = SUITES if arguments.suite == ALL else [arguments.suite]
    text = caption(arguments.repeats, arguments.peers)
    rows: list[dict] = []
    for name in names:
        rows += SUITES[name](arguments.repeats, arguments.peers)
        if arguments.json:  # At once: a later suite may fail.
            write_results(arguments.json, {"caption": text, "rows": rows})
    print(f"{text}\n\n{report.table(rows)}")
    if arguments.chart:
        for path in report.draw(rows, arguments.chart, text):
            print(f"\nChart: {path}")


if __name__ == "__main__":
    main()
