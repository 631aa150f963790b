"""Compares predicted step times with measured ones, on held-out networks.

    python tools/validate_step_times.py --experiment digits-smoke --figure scatter.png
    python tools/validate_step_times.py --experiment digits --num 10

Measures every block of the space around the experiment's network and 8 whole networks,
unless the results are already in Keras's folder; then 30 other networks, alternating
with the backbone. On 2 idle CPU cores, digits-smoke takes about 10 minutes. Times on a
busy machine mean little, as only each block's difference from a step without it is
kept.
"""

import argparse
import dataclasses
import os
import pathlib

from tables.result_files import write_results

from keras_effnetv2.progress import Progress
from keras_effnetv2.search.costs.screening import Validation, iterate_validation
from keras_effnetv2.search.costs.step_time import REPEATS
from keras_effnetv2.search.costs.table import NUM_NETWORKS, CostTable
from keras_effnetv2.search.sampling.space import Space
from keras_effnetv2.tables import align
from keras_effnetv2.training.experiments.named import get_experiment, list_experiments
from keras_effnetv2.training.learner.network import trained_variant

HEADER = ("network", "layers", "predicted (ms)", "measured (ms)", "error", "backbone")


def make_table(args: argparse.Namespace) -> tuple[Space, CostTable]:
    """The space around an experiment's network, and its table."""
    experiment = get_experiment(args.experiment)
    backbone = trained_variant(experiment.model)
    space = Space.of(
        backbone,
        kernels=args.kernels,
        expansions=args.expansions,
        layers=range(1, args.max_layers + 1) if args.max_layers else None,
    )
    print(f"{backbone.name}: a space of {space.size:,} networks")
    table = CostTable.of(
        space,
        image_size=args.image_size or experiment.eval_size,
        batch_size=args.batch_size or experiment.batch_size,
        precision=experiment.model.precision,
        classes=experiment.data.num_classes,
        optimizer=experiment.optimizer,
        repeats=args.repeats,
        num_networks=args.networks,
        folder=args.folder,
    )
    return space, table


def run(args: argparse.Namespace) -> Validation:
    """Measures the networks, and prints progress."""
    space, table = make_table(args)
    workload = table.workload
    print(
        f"{table.device}; {workload.image_size} pixels, batch of "
        f"{workload.batch_size}, {workload.precision}; {args.repeats} rounds"
    )
    rows, progress = [], Progress("networks measured", args.num)
    measured = iterate_validation(
        table, space, args.num, args.seed, args.repeats, group_size=4
    )
    for row in measured:
        rows.append(row)
        progress.advance(1)
    progress.finish()
    return Validation(*(tuple(column) for column in zip(*rows, strict=True)))


def format_rows(result: Validation) -> str:
    """One row per network, fastest first, and the figures, as text."""
    rows = []
    columns = (
        result.variants,
        result.predicted,
        result.measured,
        result.backbone_seconds,
    )
    for variant, predicted, measured, backbone in sorted(
        zip(*columns, strict=True), key=lambda row: row[2]
    ):
        times = [1000 * backbone * share for share in (predicted, measured)]
        layers = "-".join(str(spec.num_repeats) for spec in variant.blocks)
        rows.append(
            (
                variant.name,
                layers,
                *(f"{x:.1f}" for x in times),
                f"{predicted / measured - 1:+.1%}",
                f"{1000 * backbone:.1f}",
            )
        )
    lines = align([HEADER, *rows])
    error, rank = result.median_relative_error, result.rank_correlation
    lines += [
        "",
        f"Median relative error {error:.1%}, Spearman rank correlation {rank:.3f}, of "
        f"{len(rows)} networks. Errors are those of the ratio to the backbone.",
    ]
    return "\n".join(lines)


def draw(result: Validation, path: str | os.PathLike) -> None:
    """Measured over predicted ratios as PNG, with a band of 10% around equality."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), dpi=110, layout="constrained")
    axes = figure.subplots()
    low = 0.9 * min(result.predicted + result.measured)
    high = 1.1 * max(result.predicted + result.measured)
    axes.fill_between(
        *((low, high), (0.9 * low, 0.9 * high), (1.1 * low, 1.1 * high)),
        color="#1f5fa8",
        alpha=0.15,
        label="within 10%",
    )
    axes.plot((low, high), (low, high), color="#1f5fa8", linewidth=1)
    axes.plot(result.predicted, result.measured, "o", color="#c0392b", markersize=5)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.set_xlabel("predicted step time, relative to the backbone's")
    axes.set_ylabel("measured step time, relative to the backbone's")
    axes.set_title(
        f"Median error {result.median_relative_error:.1%}, rank correlation "
        f"{result.rank_correlation:.3f}"
    )
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--experiment", default="digits-smoke", choices=list_experiments(),
        metavar="NAME", help="whose network, optimizer, batch and precision",
    )  # fmt: skip
    parser.add_argument("--image_size", type=int, help="pixels; else the experiment's")
    parser.add_argument("--batch_size", type=int, help="images; else the experiment's")
    parser.add_argument("--kernels", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--expansions", type=int, nargs="+", default=[1, 4, 6])
    parser.add_argument(
        "--max_layers", type=int, help="maximum layers of every stage, from 1"
    )
    parser.add_argument("--num", type=int, default=30, help="networks, 2 or more")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds")
    parser.add_argument(
        "--networks",
        type=int,
        default=NUM_NETWORKS,
        help="networks that the table is fitted to",
    )
    parser.add_argument(
        "--folder", type=pathlib.Path, help="folder of tables (default: Keras's)"
    )
    parser.add_argument("--figure", type=pathlib.Path, metavar="PNG", help="scatter")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of ratios")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    args = parse(words)
    result = run(args)
    print("\n" + format_rows(result))
    if args.figure:
        draw(result, args.figure)
    if args.json:
        contents = dataclasses.asdict(result) | {
            "median_relative_error": result.median_relative_error,
            "rank_correlation": result.rank_correlation,
        }
        write_results(args.json, contents)


if __name__ == "__main__":
    main()
