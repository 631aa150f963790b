"""Completions after flags: variants, weights, experiments and settings."""

import argparse
from collections.abc import Iterable
from typing import Any

from argcomplete.completers import FilesCompleter

from keras_effnetv2.networks.variants import VARIANTS, get_variant
from keras_effnetv2.training.experiments.checked import choices
from keras_effnetv2.training.experiments.named import RECIPES
from keras_effnetv2.training.experiments.settings import list_hints
from keras_effnetv2.weights import releases


class KnownNames(FilesCompleter):
    """Completes by the name of the flag, and files everywhere else."""

    def __call__(self, prefix: str, **context: Any) -> list[str]:
        """Words that `prefix` may be completed to.

        Args:
            prefix: text typed so far.
            **context: `action`, `parser` and `parsed_args`, as argcomplete gives them.
        """
        flag = context["action"].dest
        if flag not in _KNOWN:
            return super().__call__(prefix)
        found = _KNOWN[flag](prefix, context["parser"], context["parsed_args"])
        fitting = [x for x in found if x.startswith(prefix)]
        # All except settings may be files, too.
        is_name = fitting or flag in ("set", "pattern")
        return fitting if is_name else super().__call__(prefix)


def _variants(*_: Any) -> Iterable[str]:
    return VARIANTS


def _weights(
    prefix: str, parser: argparse.ArgumentParser, parsed: argparse.Namespace
) -> Iterable[str]:
    """Weights of the variant, if one is named."""
    variant = getattr(parsed, "variant", None)
    known = releases.datasets(get_variant(variant).name) if variant in VARIANTS else ()
    return known or releases.DATASETS


def _experiments(
    prefix: str, parser: argparse.ArgumentParser, parsed: argparse.Namespace
) -> Iterable[str]:
    if parser.prog.endswith(" search"):
        from keras_effnetv2.search.named_searches import SEARCHES

        return SEARCHES
    return RECIPES


def _settings(prefix: str, *_: Any) -> Iterable[str]:
    """Names such as `optimizer.learning_rate=`, then values, if they are few."""
    name, equals, _begun = prefix.partition("=")
    hints = list_hints()
    if equals and name == "model.variant":
        return [f"{name}={x}" for x in VARIANTS]
    if equals and name == "model.weights":
        return [f"{name}={x}" for x in releases.DATASETS]
    if equals:
        return [f"{name}={x}" for x in choices(hints[name])] if name in hints else ()
    return [f"{x}=" for x in hints]


_KNOWN = {
    "variant": _variants,
    "pattern": _variants,
    "model": _variants,
    "weights": _weights,
    "experiment": _experiments,
    "set": _settings,
}
