"""`search`: runs, or resumes, a training-aware architecture search."""

import argparse
import dataclasses
import os
import pathlib
import statistics
import sys

from keras_effnetv2 import search as searching
from keras_effnetv2.commands.shared.arguments import add_set_argument, check_output
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import check_name
from keras_effnetv2.search.named_searches import SEARCHES, SearchExperiment, get_search

EXAMPLE = (
    "python -m keras_effnetv2 search --experiment digits-search "
    "--study runs/digits.journal --trials 20"
)

# Trials per process: TensorFlow keeps about 0.1 GB of each.
_SHARE = 25
# Default name of a study, whose results need no folder of their own.
_NAME = "search"
# Settings of the network, which each candidate has its own of.
_SEARCHED = ("variant", "weights", "width_coefficient", "depth_coefficient", "frozen")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the search, its storage, its length and its workers."""
    parser.add_argument(
        "--experiment",
        required=True,
        metavar="NAME",
        help=f"search to run: {', '.join(SEARCHES)}",
    )
    parser.add_argument(
        "--study",
        required=True,
        metavar="FILE",
        help="journal (.journal), SQLite file (.db) or database URL; an existing "
        "study is resumed. Results, figures and the winner are written next to the "
        "file",
    )
    parser.add_argument(
        "--study_name",
        default=_NAME,
        metavar="NAME",
        help="name of the study, if FILE holds several (default: search)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        help="folder of results (default: FILE without its suffix, or NAME in it)",
    )
    add_set_argument(
        parser,
        "change a setting of the candidates' training, as in --set epochs=5",
    )
    # For worker processes, which only evaluate: the first process writes the results.
    parser.add_argument("--only_work", action="store_true", help=argparse.SUPPRESS)
    _add_course(parser)


def _add_course(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sampler",
        default="reinforce",
        help="reinforce, random, tpe or nsga2 (default: reinforce)",
    )
    parser.add_argument("--trials", type=int, help="trials in total, of all workers")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes on this machine (default: 1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampler")
    parser.add_argument(
        "--prune",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="stop unpromising candidates early (default: yes)",
    )
    parser.add_argument(
        "--screen",
        type=float,
        metavar="RATIO",
        help="do not train candidates predicted to take more than RATIO times the "
        "backbone's step; they are recorded as screened and count as trials. Blocks "
        "are measured first, once per device",
    )
    parser.add_argument(
        "--confirm",
        type=int,
        default=0,
        metavar="SEEDS",
        help="at the end, train the winner and the backbone again with SEEDS new seeds",
    )


def run(args: argparse.Namespace) -> int:
    """Searches, then writes the results."""
    from keras_effnetv2.search.studies import processes

    search = _search(args)
    num_trials = search.num_trials if args.trials is None else args.trials
    _check(args, search, num_trials)
    output = _output(args)
    study = _open(args, search)
    if args.only_work:
        is_done = searching.run_search(
            search, study, num_trials, args.prune, most=_SHARE
        )
        return 0 if is_done else processes.RENEW
    print(f"{search.name}: {search.space.size:.3g} networks, {num_trials} trials by "
          f"{args.sampler}", file=sys.stderr)  # fmt: skip
    if args.workers == 1 and num_trials <= _SHARE:
        searching.run_search(search, study, num_trials, args.prune)
    else:
        # Otherwise TensorFlow reserves all of a GPU's memory for the first process on
        # it.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        gpus = processes.visible_gpus()
        processes.run_workers(_worker_command(), args.workers, gpus)
        study = _open(args, search)
    found = _write(search, study, output)
    if found is not None and args.confirm:
        _confirm(search, study, found.variant, args.confirm)
    return 0


def _search(args: argparse.Namespace) -> SearchExperiment:
    """The search, with the changed settings."""
    from keras_effnetv2.training.experiments.settings import override

    search = get_search(args.experiment)
    training = override(search.training, args.set)
    for name in _SEARCHED:
        if getattr(training.model, name) != getattr(search.training.model, name):
            raise InputError(
                f"model.{name} cannot be set: a search makes its own networks, around "
                f"{search.backbone.name}. A backbone of your own needs Python: see "
                "examples/search_small_network.py."
            )
    return dataclasses.replace(search, training=training, screen=args.screen)


def _check(args: argparse.Namespace, search: SearchExperiment, num_trials: int) -> None:
    """Checks the flags before a study exists that would store invalid settings."""
    for name, number, least in (
        ("workers", args.workers, 1),
        ("confirm", args.confirm, 0),
    ):
        if number < least:
            raise InputError(f"--{name} must be at least {least}. Received: {number}.")
    if not args.only_work:
        searching.check_search(search, num_trials)


def _output(args: argparse.Namespace) -> pathlib.Path:
    check_output(args)
    if args.output is None and "://" in args.study:
        raise InputError(
            f"--output is needed with a database. Received: --study {args.study}."
        )
    beside = pathlib.Path(args.study).with_suffix("")
    if args.study_name != _NAME:
        check_name(args.study_name)
        beside /= args.study_name
    output = pathlib.Path(args.output or beside)
    output.mkdir(parents=True, exist_ok=True)
    return output


def _open(args: argparse.Namespace, search: SearchExperiment):
    return searching.open_search(
        search, args.study, args.sampler, args.seed, args.study_name
    )


def _worker_command() -> list[str]:
    """This command, for a process that only evaluates candidates."""
    return [sys.executable, "-m", "keras_effnetv2", *sys.argv[1:], "--only_work"]


def _write(search: SearchExperiment, study, output: pathlib.Path):
    """Writes the results, prints where, and returns the winner."""
    found = searching.write_found(search, study, output)
    print(f"Results and figures: {output}")
    if search.screen is not None:
        states = [result.state for result in searching.read_results(study)]
        print(
            f"Screened: {states.count('screened')} of {len(states)} candidates, "
            f"predicted to take more than {search.screen:g} times the backbone's step"
        )
    if found is None:
        print("No trial has a reward yet.")
        return None
    best = found.result
    print(
        f"{found.path}: reward {best.reward:.4f}, accuracy {best.accuracy:.1%}, step "
        f"{1000 * best.step_seconds:.1f} ms, {best.parameters:,} parameters "
        f"(trial {best.number})"
    )
    return found


def _confirm(search: SearchExperiment, study, winner, num_seeds: int) -> None:
    """Trains winner and backbone again; prints each result, and the means."""
    rewards: dict[str, list[float]] = {}
    networks = (search.space.backbone, winner)
    for confirmation in searching.confirm(search, study, networks, num_seeds):
        print(confirmation, flush=True)
        if confirmation.measured is not None:
            rewards.setdefault(confirmation.variant, []).append(confirmation.reward)
    for name, values in rewards.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"{name}: reward {statistics.mean(values):.4f} ± {spread:.4f}")
