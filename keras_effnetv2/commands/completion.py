"""`completion`: the code that a shell runs to complete commands and flags."""

import argparse

from keras_effnetv2.commands.shared import completion

EXAMPLE = 'eval "$(keras_effnetv2 completion bash)"'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the choice of shell."""
    parser.add_argument(
        "shell", choices=completion.SHELLS, help="shell that will run the code"
    )


def run(args: argparse.Namespace) -> int:
    """Prints it."""
    print(completion.code(args.shell))
    return 0
