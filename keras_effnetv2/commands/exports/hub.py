"""`export hub`."""

import argparse
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.commands.exports import print_differences

EXAMPLE = (
    "python -m keras_effnetv2 export hub --workdir runs/smoke --output exports/modules"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: a module's users configure it."""


def write(model: Any, args: argparse.Namespace, source: Mapping[str, str]) -> None:
    """Writes the modules and their archives."""
    from keras_effnetv2 import export

    manifest = export.hub(
        model,
        args.output,
        classifier_activation=args.classifier_activation,
        source=source,
    )
    print_differences(manifest)
    for name in manifest.contents["modules"]:
        print(f"module: {args.output}/{name}, and {name}.tar.gz next to it to host")
