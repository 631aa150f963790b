"""A study: the space that is searched, how, and all trials so far."""

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

# User attribute of a trial: whether it was predicted to be too slow, and not trained.
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
        settings: whatever else makes results comparable, such as the experiment and the
            name and seed of the sampler; of JSON's types.
        sampler: of points; see `create_sampler`.
        pruner: stops hopeless trials; None: none.
        name: of the study; a storage may hold several.
        backbone: of the space, likewise of JSON's types; None: it is not kept.

    Raises:
        ValueError: an empty space or a decision without different choices; a storage
            that cannot be opened; a study of another space, backbone or other settings;
            a name that no folder could have.
    """
    check_name(name)
    _check_decisions(decisions)
    # It would log every study; what a search shows is `SearchProgress`'s.
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
    # Beside the settings, so that older studies, which lack it, go on.
    if backbone is not None:
        wanted[_BACKBONE] = dict(backbone)
    for key, value in wanted.items():
        if key not in study.user_attrs:
            tried_again(functools.partial(study.set_user_attr, key, value))
        # Read anew: another worker may have made the study at the same time.
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
            f"The study {study.study_name!r} does not say what it decides. Make it "
            "with open_study."
        )
    return {name: tuple(choices) for name, choices in decisions.items()}


def is_screened(trial: FrozenTrial) -> bool:
    """Whether a trial has ended untrained, as it was predicted to be too slow."""
    return trial.state == TrialState.PRUNED and bool(trial.user_attrs.get(SCREENED))


def _check_decisions(decisions: Decisions) -> None:
    if not decisions:
        raise InputError("The space is empty: nothing is to be decided.")
    for name, choices in decisions.items():
        if not choices or len(set(choices)) < len(choices):
            raise InputError(
                f"A decision needs choices, each once. Received: {name} of "
                f"{tuple(choices)}."
            )


def _check_same(study: optuna.Study, key: str, wanted: Any) -> None:
    found = _by_path(study.user_attrs[key])
    wanted = _by_path(json.loads(json.dumps(wanted)))  # Tuples come back as lists.
    differences = [
        f"{name} is {found.get(name)!r} there and {wanted.get(name)!r} now"
        for name in {**found, **wanted}
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise InputError(
            f"The study {study.study_name!r} that is there has other {key}: "
            f"{'; '.join(differences)}. Choose another study, by place or name, or the "
            "same settings."
        )


def _by_path(values: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Settings within settings, each by its path, as `training.epochs`."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        # An experiment is kept as JSON in a string.
        with contextlib.suppress(TypeError, ValueError):
            value = _completed(json.loads(value))
        if isinstance(value, dict):
            settings |= _by_path(value, f"{start}{name}.")
        else:
            settings[start + name] = values[name]
    return settings


def _completed(values: Any) -> Any:
    """What JSON holds; an experiment with the settings that are newer than it."""
    completed = with_later_settings(values)
    data = values.get("data") if isinstance(values, dict) else None
    if isinstance(data, dict) and "order" not in data:
        # Of all that could be searched on then, `auto` is what was done.
        completed["data"]["order"] = "auto"
    return completed
