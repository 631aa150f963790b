"""A training step on an accelerator, by its compiler: ours beside those of peers.

    python tools/compile_accelerator.py [--network S] [--device v5e:1x1]
        [--image_size 300] [--batch_size 128] [--sides ours kimm] [--movers 10]
        [--json FILE]

Compiles the step that Keras's `fit` runs on JAX, in bfloat16 with float32 weights and
with the same loss and optimizer, for TPUs, which need not be here. It prints FLOPs,
bytes moved and temporaries an image, and seconds, side by side, and of each side the
operations that move most bytes. None is a measurement. S takes many minutes of
processor time a side.

It needs the extra `plan`. Peers are keras.applications and kimm (`pip install kimm`);
those that are not installed are left out, and named.
"""

import argparse
import dataclasses
import importlib.util
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.workers import Worker
from benchmarks.works import NETWORKS
from tables.result_files import write_results

from keras_effnetv2.errors import require_modules
from keras_effnetv2.planning.chips import find_slice
from keras_effnetv2.planning.process import ENVIRONMENT
from keras_effnetv2.tables import align

# Name -> module with the constructors of its networks, which have the same names.
SIDES = {
    "ours": "keras_effnetv2",
    "keras.applications": "keras.applications",
    "kimm": "kimm.models",
}
_HEADER = (
    "", "GFLOPs", "MB moved", "to ours", "temporaries, MB", "to ours", "build, s",
    "trace, s", "compile, s",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Work:
    """What is compiled of each side.

    Attributes:
        network: constructor, such as "EfficientNetV2S", or a variant's file.
        device: a slice of TPU chips.
        image_size: pixels a side.
        batch_size: images a step, over all chips.
    """

    network: str
    device: str
    image_size: int
    batch_size: int

    def __str__(self) -> str:
        return (
            f"{self.network}@{self.image_size} batch {self.batch_size} on {self.device}"
        )


def installed(names: Sequence[str]) -> list[str]:
    """Those of the sides that can be compiled; the others are named."""
    found = []
    for name in names:
        if importlib.util.find_spec(SIDES[name].partition(".")[0]) is not None:
            found.append(name)
            continue
        print(f"{name} is left out: it is not installed.", file=sys.stderr)
    return found


def compile_side(name: str, work: Work) -> dict[str, Any]:
    """The figures of `accelerators.compiling`, from a process of its own."""
    words = [SIDES[name], *map(str, dataclasses.astuple(work))]
    worker = Worker("accelerators.compiling", *words, environment=ENVIRONMENT)
    figures = worker.ready()
    worker.close()
    return {"side": name, **dataclasses.asdict(work), **figures}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a side, with its ratio to the first."""
    first = rows[0]
    lines = [_HEADER]
    for row in rows:
        moved, kept = ("moved_bytes", "temporary_bytes")
        lines.append(
            (
                row["side"],
                f"{row['flops'] / 1e9:.2f}",
                f"{row[moved] / 1e6:.1f}",
                f"{row[moved] / first[moved]:.2f}",
                f"{row[kept] / 1e6:.1f}",
                f"{row[kept] / first[kept]:.2f}" if first[kept] else "-",
                *(f"{row[f'{x}_seconds']:.1f}" for x in ("build", "trace", "compile")),
            )
        )
    return "\n".join(align(lines, num_left=1))


def movers_of(row: dict[str, Any], num: int) -> str:
    """The largest movers of a side: MB read and written an image, and where from."""
    lines = [("MB moved", "read", "written", "")]
    for mover in row["movers"][:num]:
        read, written = mover["read_bytes"] / 1e6, mover["written_bytes"] / 1e6
        figures = (f"{x:.2f}" for x in (read + written, read, written))
        lines.append((*figures, mover["origin"]))
    return "\n".join(align([(x[-1], *x[:-1]) for x in lines], num_left=1))


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Refuses what cannot be compiled or written, before anything is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network",
        default="S",
        metavar="NAME",
        help="S, B0, a constructor that all sides have, such as EfficientNetV2M, or "
        "a variant's JSON file, of ours alone",
    )
    parser.add_argument("--device", default="v5e:1x1", help="a slice of TPU chips")
    parser.add_argument("--image_size", type=int, default=300, help="pixels a side")
    parser.add_argument("--batch_size", type=int, default=128, help="over all chips")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--movers", type=int, default=10, help="to show of each side")
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="also write all there"
    )
    arguments = parser.parse_args(words)
    for name in ("image_size", "batch_size"):
        if getattr(arguments, name) < 1:
            parser.error(
                f"--{name} must be at least 1. Received: {getattr(arguments, name)}."
            )
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"There is no folder {arguments.json.parent} for --json.")
    if arguments.network.endswith(".json") and arguments.sides != ["ours"]:
        parser.error("Peers take no variant's file: add --sides ours.")
    try:
        find_slice(arguments.device)
        require_modules("This tool needs", "plan", "jax", "libtpu")
    except (ValueError, ImportError) as error:
        parser.error(str(error))
    return arguments


def main(words: Sequence[str] | None = None) -> None:
    arguments = parse(words)
    network, _ = NETWORKS.get(arguments.network, (arguments.network, ""))
    work = Work(network, arguments.device, arguments.image_size, arguments.batch_size)
    rows: list[dict[str, Any]] = []
    for name in installed(arguments.sides):
        print(f"Compiling {name}: {work} ...", file=sys.stderr, flush=True)
        rows.append(compile_side(name, work))
        if arguments.json:  # As soon as it is there: a side may take an hour.
            write_results(arguments.json, rows)
        if arguments.movers:
            print(f"{name}, an image:\n{movers_of(rows[-1], arguments.movers)}\n")
    print(f"{work}, an image:\n{table(rows)}")


if __name__ == "__main__":
    main()
