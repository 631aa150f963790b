"""Progressive learning against a fixed image size, on Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python tools/comparisons/progressive.py [--subset 1000] [--seeds 3] [--workdir DIR]
        [--json FILE]

Three arms train the network of the recipe `fashion-mnist` for the same epochs, up to
the same size, with many epochs on few images and matching regularization, like
ImageNet's recipes: 350 epochs there, 150 here.

- fixed: the last size and the last regularization from the start;
- adaptive: size and regularization grow (Tan and Le 2021, Algorithm 1);
- constant: the size grows, the regularization is the last one from the start ("vanilla"
  progressive resizing, Table 13).

Every run has its own process. Machines are noisy, so the arms take turns, seed by seed,
and times are compared within a seed. Started again, the tool keeps finished runs; a
stopped run starts from scratch, so that its times are complete.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298, Tables 5, 12 and 13.
"""

import argparse
import itertools
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from keras_effnetv2.training import get_experiment, override
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.reporting.records import Records

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from tables.comparison_rows import ARMS, progressive_table  # noqa: E402
from tables.result_files import write_results  # noqa: E402

EXPERIMENT = "fashion-mnist"
# Settings of all arms. With few epochs nothing is gained: half of them use another size
# than the last, and regularization hardly matters.
SETTINGS = (
    "epochs=150",
    "progressive.randaugment_magnitude=3,12",
    "progressive.dropout_rate=0.1,0.4",
    "loop.evaluate_steps=320",
)
_COLORS = ("#444444", "#1f5fa8", "#e08e2b")
_REGULARIZERS = (
    "randaugment_magnitude", "mixup_alpha", "cutmix_alpha", "dropout_rate",
    "drop_path_rate",
)  # fmt: skip

# Records of a run, by epoch; of every arm, by seed.
_Records = Sequence[dict[str, Any]]
_Results = Mapping[str, Sequence[_Records]]


def arm_settings(experiment: Experiment, arm: str) -> list[str]:
    """Settings to override in `experiment`, which is progressive and adaptive."""
    if arm == "fixed":
        return ["progressive.num_stages=1"]
    if arm == "adaptive":
        return []
    ramps = {name: getattr(experiment.progressive, name) for name in _REGULARIZERS}
    return [
        f"progressive.{name}={ramp.last},{ramp.last}"
        for name, ramp in ramps.items()
        if ramp is not None
    ]


def run_all(
    settings: Sequence[str], num_seeds: int, workdir: pathlib.Path
) -> dict[str, list[_Records]]:
    """Trains missing runs; returns the records of all runs."""
    experiment = override(get_experiment(EXPERIMENT), settings)
    runs = list(itertools.product(range(num_seeds), ARMS))
    results = {arm: [] for arm in ARMS}
    for number, (seed, arm) in enumerate(runs, 1):
        print(f"\nRun {number} of {len(runs)}: {ARMS[arm]}, seed {seed}", flush=True)
        own = [*settings, *arm_settings(experiment, arm), f"seed={seed}"]
        results[arm].append(run_one(own, workdir / f"{arm}-{seed}"))
    return results


def run_one(settings: Sequence[str], workdir: pathlib.Path) -> _Records:
    """Trains an unfinished run from scratch; returns its records.

    Raises:
        ValueError: a finished run there has other settings.
    """
    if not is_finished(settings, workdir):
        shutil.rmtree(workdir, ignore_errors=True)
        command = [sys.executable, "-m", "keras_effnetv2", "train"]
        command += ["--experiment", EXPERIMENT, "--workdir", str(workdir)]
        command += [word for setting in settings for word in ("--set", setting)]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
        subprocess.run(command, check=True, env=quiet)
    return Records(workdir / "metrics.jsonl").read()


def is_finished(settings: Sequence[str], workdir: pathlib.Path) -> bool:
    """Whether a run with these settings has finished.

    Raises:
        ValueError: a run with other settings has.
    """
    from keras_effnetv2.training.runs.workdir import Workdir, read_experiment

    if not Workdir(workdir).weights.exists():
        return False
    if read_experiment(workdir) != override(get_experiment(EXPERIMENT), settings):
        raise ValueError(
            f"{workdir} holds a finished run with other settings. Choose another "
            "--workdir, or remove it."
        )
    return True


def accuracy(records: _Records) -> float:
    """Test accuracy after the last epoch, percent; not the best of all epochs."""
    return 100 * records[-1]["eval_accuracy"]


def seconds(records: _Records) -> float:
    """Seconds of training, including tracing of every stage, without evaluation."""
    return sum(record["seconds"] for record in records)


def seconds_untraced(records: _Records) -> float:
    """As `seconds`, but without tracing, as in training with many epochs.

    A stage counts as its epochs times their median, without the first, which traces.
    """
    total = 0.0
    for _, group in itertools.groupby(records, lambda record: record["stage"]):
        times = [record["seconds"] for record in group]
        total += len(times) * statistics.median(times[1:] or times)
    return total


def figures(results: _Results) -> dict[str, list[dict[str, float]]]:
    """Of each arm, for every seed."""
    measures = accuracy, seconds, seconds_untraced
    return {
        arm: [{measure.__name__: measure(run) for measure in measures} for run in runs]
        for arm, runs in results.items()
    }


def mean_course(runs: Sequence[_Records]) -> tuple[list[float], list[float]]:
    """Seconds and accuracy, percent, at every evaluation: means over the seeds."""
    points = zip(*map(_course, runs), strict=True)
    means = [[statistics.mean(x) for x in zip(*p, strict=True)] for p in points]
    elapsed, accuracies = zip(*means, strict=True)
    return list(elapsed), list(accuracies)


def _course(records: _Records) -> list[tuple[float, float]]:
    """(seconds so far, accuracy in percent) at every evaluation."""
    elapsed = itertools.accumulate(record["seconds"] for record in records)
    return [
        (so_far, 100 * record["eval_accuracy"])
        for so_far, record in zip(elapsed, records, strict=True)
        if record.get("eval_accuracy") is not None
    ]


def draw(results: _Results, labels: Mapping[str, str], path: pathlib.Path) -> None:
    """A PNG: accuracy against seconds of training, one line per arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    for (arm, runs), color in zip(results.items(), _COLORS, strict=False):
        for run in runs:
            axes.plot(*zip(*_course(run), strict=True), color=color, alpha=0.2)
        elapsed, accuracies = mean_course(runs)
        label = f"{labels[arm]}: {accuracies[-1]:.1f} % in {elapsed[-1]:.0f} s"
        axes.plot(elapsed, accuracies, "o-", color=color, label=label)
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("accuracy on the test images (%)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    num_seeds = len(next(iter(results.values())))
    if num_seeds > 1:
        axes.set_title(f"Fashion-MNIST, mean of {num_seeds} seeds; faint: each seed")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--subset", type=int, default=1000, help="train on the first N images"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm")
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        default=pathlib.Path("runs/compare_progressive"),
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE",
        help="change a setting in all arms",
    )  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of figures")
    args = parser.parse_args()
    subset = f"data.train_split=train[:{args.subset}]"
    settings = [subset, "data.num_train_images=none", *SETTINGS, *args.set]
    results = run_all(settings, args.seeds, args.workdir)
    picture = args.workdir / "comparison.png"
    draw(results, ARMS, picture)
    found = figures(results)
    if args.json:
        write_results(args.json, found)
    print(f"\n{progressive_table(found)}\n\nPicture: {picture}")


if __name__ == "__main__":
    main()
