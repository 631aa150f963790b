"""A search from start to end: running it, writing and confirming its results."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TextIO

import optuna

from keras_effnetv2.backends import require_backend
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variant_files import to_fields, write_variant
from keras_effnetv2.search.named_searches import SearchExperiment
from keras_effnetv2.search.objective import SearchObjective
from keras_effnetv2.search.results.figures import draw_figures
from keras_effnetv2.search.results.search_progress import SearchProgress
from keras_effnetv2.search.results.trials import (
    Result,
    best_result,
    read_results,
    write_results,
)
from keras_effnetv2.search.reward import Measurement
from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies.queue import TrialQueue, check_num_trials
from keras_effnetv2.search.studies.study import open_study
from keras_effnetv2.search.studies.workers import CandidateError, run_worker
from keras_effnetv2.training.experiments.settings import to_json

# Trials, and epochs of a trial, that are never pruned.
_PRUNER_TRIALS, _PRUNER_EPOCHS = 8, 2
_FIRST_SEED = 1000  # For confirmations: used by no trial.


def open_search(
    search: SearchExperiment,
    location: str | os.PathLike | None,
    sampler: str = "reinforce",
    seed: int = 0,
    name: str = "search",
) -> optuna.Study:
    """The study of a search, made if need be.

    Args:
        search: settings of the search.
        location: a file that ends in .journal or .db, or the URL of a database; None:
            memory.
        sampler: sampler of candidates, one of `SAMPLERS`.
        seed: seed of the sampler.
        name: name of the study; a storage may hold several.

    Raises:
        ValueError: an unknown sampler; a storage that cannot be opened; an existing
            study of another search, or with other settings.
    """
    settings = {
        "search": search.name,
        "training": to_json(search.training),
        "exponents": [search.step_exponent, search.parameter_exponent],
        "screen": search.screen,
        "sampler": sampler,
        "seed": seed,
    }
    pruner = optuna.pruners.MedianPruner(_PRUNER_TRIALS, _PRUNER_EPOCHS)
    return open_study(
        location,
        search.space.decisions,
        settings,
        create_sampler(sampler, seed),
        pruner,
        name,
        backbone=to_fields(search.space.backbone),
    )


def check_search(search: SearchExperiment, num_trials: int) -> None:
    """Checks whether `run_search` can begin, before there is a study.

    Raises:
        ValueError: as for `run_search`, except for networks that are too slow.
    """
    require_backend("Candidates are trained on", "tensorflow", "jax")
    check_num_trials(num_trials)
    SearchObjective(search)


def run_search(
    search: SearchExperiment,
    study: optuna.Study,
    num_trials: int | None = None,
    prune: bool = True,
    stream: TextIO | None = None,
    most: int | None = None,
) -> bool:
    """Evaluates candidates until the study has enough; prints a line for each.

    It may run in any number of processes, on several machines at a time, and stop and
    resume at any moment.

    Args:
        search: settings of the search.
        study: from `open_search`.
        num_trials: trials of the study, over all processes. None: the search's default.
        prune: whether to end unpromising training early.
        stream: where to write progress, including that of measuring step times for
            screening; None: `sys.stderr`.
        most: maximum of trials in this process. TensorFlow keeps about 0.1 GB of each,
            so a long search needs a new process now and then. None: no limit.

    Returns:
        Whether the study has enough; otherwise this process has evaluated `most`.

    Raises:
        ValueError: there is no such data, images are too small for the strides, less
            than one trial is asked for, or no network is fast enough to be trained.
    """
    num_trials = search.num_trials if num_trials is None else num_trials
    objective = SearchObjective(search, prune)
    # Before a trial begins, whose time it would count in.
    if TrialQueue(study, num_trials).num_finished < num_trials:
        objective.prepare(stream)
    progress = SearchProgress(num_trials, stream)
    return run_worker(study, objective, num_trials, progress, most)


@dataclasses.dataclass(frozen=True)
class Found:
    """The winner of a search.

    Attributes:
        variant: the network with the highest reward.
        result: its trial.
        path: path of the variant's file.
    """

    variant: Variant
    result: Result
    path: pathlib.Path


def write_found(
    search: SearchExperiment, study: optuna.Study, folder: str | os.PathLike
) -> Found | None:
    """Writes `results.csv`, `found.json` with the winner, and pictures.

    For the pictures, see `draw_figures`.

    Args:
        search: settings of the search.
        study: from `open_search`.
        folder: made if need be.

    Returns:
        The winner; None if no trial has a reward yet.

    Raises:
        ImportError: matplotlib is missing.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = read_results(study)
    write_results(study, folder / "results.csv")
    draw_figures(results, folder, search.name)
    best = best_result(results)
    if best is None:
        return None
    size = search.training.eval_size
    winner = dataclasses.replace(
        search.space.variant(best.point, name=f"{search.name}-found"),
        train_size=size,
        eval_size=size,
    )
    write_variant(winner, folder / "found.json")
    return Found(winner, best, folder / "found.json")


@dataclasses.dataclass(frozen=True)
class Confirmation:
    """The result of training a network once more.

    Attributes:
        variant: its name.
        seed: seed of the training.
        measured: its measurement; None if it could not be trained.
        reward: its reward; NaN if it could not be trained.
        failure: why it could not be trained.
    """

    variant: str
    seed: int
    measured: Measurement | None
    reward: float
    failure: str | None = None

    def __str__(self) -> str:
        measured = self.measured
        if measured is None:
            return f"{self.variant}: {self.failure} (seed {self.seed})"
        return (
            f"{self.variant}: reward {self.reward:.4f}, accuracy "
            f"{measured.accuracy:.1%}, step {1000 * measured.step_seconds:.1f} ms, "
            f"{measured.parameters:,} parameters (seed {self.seed})"
        )


def confirm(
    search: SearchExperiment,
    study: optuna.Study,
    variants: Sequence[Variant],
    num_seeds: int = 3,
) -> Iterator[Confirmation]:
    """Trains and times networks again, alternately, with seeds that no trial had.

    The best of many trials is also lucky: only this shows how good it really is.

    Args:
        search: settings of the search.
        study: from `open_search`.
        variants: such as the backbone and the winner.
        num_seeds: training runs of each.
    """
    objective = SearchObjective(search, prune=False)
    for seed in range(_FIRST_SEED, _FIRST_SEED + num_seeds):
        for variant in variants:
            try:
                accuracy = objective.evaluator.accuracy(variant, seed=seed)
                measured, reward = objective.measure(variant, accuracy, study)
            except CandidateError as error:
                yield Confirmation(variant.name, seed, None, math.nan, str(error))
            else:
                yield Confirmation(variant.name, seed, measured, reward)
