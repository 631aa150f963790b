"""The classifier that flags name."""

import argparse
import os
import sys
from collections.abc import Sequence

from keras_effnetv2.classification.choices import BATCH_SIZE
from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.data.printable import shown
from keras_effnetv2.errors import InputError
from keras_effnetv2.training.runs.trained import describe_weights
from keras_effnetv2.weights.hub import addresses


def open_classifier(args: argparse.Namespace) -> Classifier:
    """The classifier that the flags of `add_model_arguments` name.

    Raises:
        ValueError: they name no classifier, or two.
    """
    options = {
        "batch_size": getattr(args, "batch_size", BATCH_SIZE),
        "image_size": args.image_size,
    }
    for flag in ("workdir", "model"):
        if getattr(args, flag) is not None:
            _refuse_others(args, flag)
    named = (args.workdir, args.model, args.variant)
    if all(x is None for x in named) and not says_its_network(args.weights or ""):
        raise InputError(
            f"--variant is needed with weights {args.weights or 'imagenet'!r}: only a "
            ".keras file and a repository of the Hub (hf://USER/REPO) say which "
            "network they hold. Or pass --model or --workdir."
        )
    check_images(getattr(args, "images", []))
    if args.workdir is not None:
        print(describe_weights(args.workdir, args.checkpoint), file=sys.stderr)
        return Classifier(args.workdir, checkpoint=args.checkpoint, **options)
    if args.model is not None:
        return Classifier(args.model, **options)
    if args.variant is not None:
        return Classifier(args.variant, args.weights, **options)
    return Classifier(args.weights, **options)


def check_images(names: Sequence[str]) -> None:
    """Refuses names of files and folders if none of them exists.

    This runs before a network is opened or downloaded. If only some are missing, each
    is reported in its turn.

    Raises:
        ValueError: none exists.
    """
    if names and not any(
        "://" in x or os.path.exists(os.path.expanduser(x)) for x in names
    ):
        raise InputError(
            f"There is no file or folder {shown(names)}. Pass images, or folders of "
            "them."
        )


def says_its_network(weights: str | os.PathLike) -> bool:
    """Whether the weights name their network."""
    return os.fspath(weights).endswith(".keras") or addresses.is_repository(weights)


def _refuse_others(args: argparse.Namespace, flag: str) -> None:
    flags = ("model", "variant", "weights", "workdir")
    others = [f"--{x}" for x in flags if x != flag and getattr(args, x) is not None]
    if others:
        raise InputError(
            f"--{flag} {getattr(args, flag)} determines network and weights. Leave "
            f"out {' and '.join(others)}, or --{flag}."
        )
