"""A study: the space that is searched, the settings, and all trials so far."""

import contextlib
import functools
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import check_name
from keras_effnetv2.search.sampling.policy import Choice
from keras_effnetv2.search.studies.storage import open_storage, tried_again
from keras_effnetv2.training.experiments.settings import with_later_settings

Decisions = Mapping[str, Sequence[Choice]]

# User attribute of a trial: whether it was predicted to be too slow, so not trained.
SCREENED = "screened"
_DECISIONS, _SETTINGS, _BACKBONE = "decisions", "settings", "backbone"


def open_study(
    location: str | os.PathLike | None,
    decisions: Decisions,
    settings: Mapping[str, Any],
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner | None = None,
    name: str = "search",
    backbone: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """The study at a location, made if need be; its rewards are maximized.

    Args:
        location: see `open_storage`.
        decisions: the space, name -> choices.
        settings: everything else that makes results comparable, such as the experiment
            and the name and seed of the sampler; in JSON's types.
        sampler: sampler of points; see `create_sampler`.
        pruner: stops unpromising trials; None: none.
        name: name of the study; a storage may hold several.
        backbone: backbone of the space, in JSON's types; None: not stored.

    Raises:
        ValueError: an empty space or a decision without different choices; a storage
            that cannot be opened; a study of another space, backbone or settings; a
            name that no folder could have.
    """
    check_name(name)
    _check_decisions(decisions)
    # It would log every study; `SearchProgress` shows what matters.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(location)
    study = optuna.create_study(
        storage=storage,
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    wanted = {
        _DECISIONS: {key: list(choices) for key, choices in decisions.items()},
        _SETTINGS: dict(settings),
    }
    # Apart from the settings, so that older studies, which lack it, can resume.
    if backbone is not None:
        wanted[_BACKBONE] = dict(backbone)
    for key, value in wanted.items():
        if key not in study.user_attrs:
            tried_again(functools.partial(study.set_user_attr, key, value))
        # Read again: another worker may have made the study at the same time.
        _check_same(study, key, value)
    return study


def read_decisions(study: optuna.Study) -> dict[str, tuple[Choice, ...]]:
    """The space that a study searches.

    Raises:
        ValueError: the study was not made by `open_study`.
    """
    decisions = study.user_attrs.get(_DECISIONS)
    if decisions is None:
        raise InputError(
            f"The study {study.study_name!r} does not record its decisions. Make it "
            "with open_study."
        )
    return {name: tuple(choices) for name, choices in decisions.items()}


def is_screened(trial: FrozenTrial) -> bool:
    """Whether a trial ended without training, since it was predicted to be too slow."""
    return trial.state == TrialState.PRUNED and bool(trial.user_attrs.get(SCREENED))


def _check_decisions(decisions: Decisions) -> None:
    if not decisions:
        raise InputError("The space is empty: there is nothing to decide.")
    for name, choices in decisions.items():
        if not choices or len(set(choices)) < len(choices):
            raise InputError(
                f"A decision needs choices, each once. Received: {name} of "
                f"{tuple(choices)}."
            )


def _check_same(study: optuna.Study, key: str, wanted: Any) -> None:
    found = _by_path(study.user_attrs[key])
    wanted = _by_path(json.loads(json.dumps(wanted)))  # Turns tuples into lists.
    differences = [
        f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} now"
        for name in {**found, **wanted}
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise InputError(
            f"The existing study {study.study_name!r} has other {key}: "
            f"{'; '.join(differences)}. Choose another study, by location or name, or "
            "the same settings."
        )


def _by_path(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Nested settings by their paths, such as `training.epochs`."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        # An experiment is stored as JSON in a string.
        with contextlib.suppress(TypeError, ValueError):
            value = _completed(json.loads(value))
        if isinstance(value, dict):
            settings |= _by_path(value, f"{start}{name}.")
        else:
            settings[start + name] = values[name]
    return settings


def _completed(values: Any) -> Any:
    """Settings from JSON; an experiment is completed with newer settings."""
    completed = with_later_settings(values)
    data = values.get("data") if isinstance(values, dict) else None
    if isinstance(data, dict) and "order" not in data:
        # All data that could be searched on then was read as in `auto`.
        completed["data"]["order"] = "auto"
    return completed
