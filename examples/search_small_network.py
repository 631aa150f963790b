r"""Searches a small network for digits, scales it to a series, and trains it.

    python examples/search_small_network.py
    python examples/search_small_network.py --trials 20 --sampler random \
        --study runs/search_random/study.journal

A candidate is a choice, for each of three stages, of operator, kernel, expansion and
number of layers. Each is trained for six epochs on scikit-learn's digits, which need no
download, and its training step is timed alternately with the backbone's; accuracy, step
time and parameters make its reward (the paper's, Section 3.3). Stopped and started
again, the search resumes, also with more trials. Run it in two terminals at once, and
both work on the same study.

At the end the winner and the backbone are trained again, with a seed that no trial
used, as the best of several trials is also a lucky one. Six trials are too few to find
much, but show how it is done. `python -m keras_effnetv2 search` does it for named
searches.

The first command takes 285 seconds of processor time: about three minutes on two idle
CPU cores, by estimate, as it was measured on a busy machine.
"""

import argparse
import dataclasses
import pathlib

from keras_effnetv2 import BlockSpec, Variant, search, training

IMAGE_SIZE, BATCH_SIZE = 32, 64
# Strides, channels and the number of stages stay; the rest of each row is searched.
# fmt: off
BACKBONE = Variant(
    "small-backbone",
    (
        #         operator  kernel strides expand filters repeats squeeze-excite
        BlockSpec("mbconv", 3,     1,      1,     16,     1,      0.25),
        BlockSpec("mbconv", 3,     2,      4,     24,     2,      0.25),
        BlockSpec("mbconv", 3,     2,      4,     48,     2,      0.25),
    ),
    stem_filters=16,
    train_size=IMAGE_SIZE,
    eval_size=IMAGE_SIZE,
    dropout_rate=0.1,
    top_filters=128,
)
# fmt: on


def small_search() -> search.SearchExperiment:
    """The named search of digits, around another backbone and with less training."""
    named = search.get_search("digits-search")
    settings = [f"model.eval_size={IMAGE_SIZE}", f"batch_size={BATCH_SIZE}", "epochs=6"]
    return dataclasses.replace(
        named,
        name="small",
        backbone=BACKBONE,
        choices={"layers": (1, 2)},
        training=training.override(named.training, settings),
    )


def train_winner(
    experiment: search.SearchExperiment, variant: pathlib.Path, workdir: pathlib.Path
) -> float:
    """Trains a variant file on all training images; its accuracy on the test images."""
    settings = [
        f"model.variant={variant}",
        "data.train_split=train",
        "data.eval_split=test",
        "epochs=12",
    ]
    *_, last = training.train(training.override(experiment.training, settings), workdir)
    return last["eval_accuracy"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=6, help="trials of the study")
    parser.add_argument(
        "--study",
        type=pathlib.Path,
        default="runs/search_small/study.journal",
        help="a file; results are written next to it",
    )
    parser.add_argument("--sampler", choices=search.SAMPLERS, default="reinforce")
    arguments = parser.parse_args()
    folder = arguments.study.parent

    experiment = small_search()
    print(f"{experiment.space.size:,} networks, {arguments.trials} trials", flush=True)
    study = search.open_search(experiment, arguments.study, arguments.sampler)
    search.run_search(experiment, study, arguments.trials)
    found = search.write_found(experiment, study, folder)
    if found is None:
        raise SystemExit("error: every candidate failed")
    print(f"\nResults, pictures and the winner: {folder}\n\nTrained again:", flush=True)
    for confirmed in search.confirm(experiment, study, [BACKBONE, found.variant], 1):
        print(confirmed, flush=True)

    print("\nA series scaled from the winner:", flush=True)
    scales = [search.compound(phi, name, phi) for phi, name in enumerate("sml")]
    series = search.scale_series(found.variant, scales)
    costs = search.measure_costs(series, batch_size=BATCH_SIZE, classes=10, repeats=5)
    print(search.format_costs(costs), flush=True)

    workdir = folder / f"trial_{found.result.number}"
    accuracy = train_winner(experiment, found.path, workdir)
    model = training.load_run(workdir)
    print(
        f"\nThe winner, with {model.count_params():,} parameters, trained in "
        f"{workdir}, reads {accuracy:.1%} of the test images"
    )


if __name__ == "__main__":
    main()
