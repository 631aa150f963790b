"""Loads the networks that a run in a work folder has trained."""

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import on_this_machine
from keras_effnetv2.models import create_model
from keras_effnetv2.paths import AnyPath, AnyPathLike, as_path
from keras_effnetv2.training.choices import CHECKPOINTS
from keras_effnetv2.training.learner.network import trained_variant
from keras_effnetv2.training.reporting.records import Records, best_evaluation
from keras_effnetv2.training.runs.temperature import divide_logits, read_temperature
from keras_effnetv2.training.runs.workdir import (
    Workdir,
    read_experiment,
    train_command,
)


def load_run(
    path: AnyPathLike,
    checkpoint: str = CHECKPOINTS[0],
    *,
    calibrated: bool = True,
) -> keras.Model:
    """The network that a run in a work folder has trained.

    It returns probabilities, and carries the preprocessing that it was evaluated with.

    Args:
        path: the work folder.
        checkpoint: `"last"`: the weights of the run's end. `"best"`: those of its best
            evaluation, which an unfinished run may have too. `"auto"`: the best if
            held-out images chose them, else the last.
        calibrated: whether logits are divided by the temperature that a report has
            fitted to these weights, if any. False: as trained.

    Raises:
        ValueError: not the work folder of a run with such weights.
    """
    variant = trained_variant(read_experiment(path).model)
    with on_this_machine(trained_weights(path, checkpoint)) as weights:
        model = create_model(variant, weights=weights)
    temperature = fitted_temperature(path, checkpoint) if calibrated else None
    if temperature is not None:
        divide_logits(model, temperature)
    return model


def fitted_temperature(
    path: AnyPathLike, checkpoint: str = CHECKPOINTS[0]
) -> float | None:
    """The divisor of logits in `load_run`; None if no report has fitted it.

    Raises:
        ValueError: as for `trained_weights`; or the temperature's file is damaged.
    """
    workdir = Workdir(as_path(path))
    return read_temperature(workdir.calibration, trained_weights(path, checkpoint))


def trained_weights(path: AnyPathLike, checkpoint: str = CHECKPOINTS[0]) -> AnyPath:
    """The file of weights of a run in a work folder; see `load_run`.

    Raises:
        ValueError: not the work folder of a run with such weights.
    """
    if checkpoint not in CHECKPOINTS:
        raise InputError(
            f"checkpoint must be one of {', '.join(CHECKPOINTS)}. Received: "
            f"{checkpoint!r}."
        )
    experiment = read_experiment(path)
    workdir = Workdir(as_path(path))
    if checkpoint == "auto":
        is_chosen = experiment.data.is_held_out and workdir.best_weights.is_file()
        checkpoint = "best" if is_chosen else "last"
    weights = workdir.best_weights if checkpoint == "best" else workdir.weights
    if weights.is_file():
        return weights
    problem = (
        "has no best checkpoint yet, which needs an evaluation"
        if checkpoint == "best"
        else "is not finished"
    )
    raise InputError(
        f"The run in {path} {problem}: {weights.name} is missing. Start it again: "
        f"{train_command(path)}"
    )


def describe_weights(path: AnyPathLike, checkpoint: str = CHECKPOINTS[0]) -> str:
    """A line about the weights that `load_run` takes of a run.

    Raises:
        ValueError: as for `trained_weights`.
    """
    weights = trained_weights(path, checkpoint)
    workdir = Workdir(as_path(path))
    best = best_evaluation(Records(workdir.metrics).read())
    if weights != workdir.best_weights:
        origin = "of the end of the run"
    elif best is None:
        origin = "of the best evaluation"
    else:
        origin = (
            f"of the best evaluation: accuracy {best['eval_accuracy']:.2%} after epoch "
            f"{best['epoch']}"
        )
    temperature = fitted_temperature(path, checkpoint)
    scores = "" if temperature is None else f" Calibrated: logits / {temperature:.3g}."
    return f"Weights: {weights}, {origin}.{scores}"
