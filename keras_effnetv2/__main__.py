"""The command line: `python -m keras_effnetv2 COMMAND`, a module of `commands` each."""

import argparse
import importlib
import sys

from absl import app, logging
from absl.flags import argparse_flags

COMMANDS = {
    "list": "print every variant with its size beside the published figures",
    "profile": "count and measure what a variant costs, stage by stage",
    "predict": "classify image files",
    "explain": "draw where in image files a network sees their classes",
    "train": "train an experiment, or go on with it",
    "evaluate": "measure the accuracy of a trained run or of weights",
    "export": "write a model in the form it is deployed in",
    "search": "search for a network, or go on with a search",
    "convert": "write weights of any known format as a .weights.h5 file",
}


def main(args: argparse.Namespace) -> int:
    """Runs the chosen command; returns the exit code."""
    try:
        return args.run(args)
    except (ValueError, OSError, FloatingPointError, ImportError) as error:
        logging.debug("Where the error came from:", exc_info=True)
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130  # What a shell reports of a program ended by SIGINT.


def parse(argv: list[str]) -> argparse.Namespace:
    """Flags of the command in `argv`, and its function as `run`."""
    parser = argparse_flags.ArgumentParser(
        prog="keras_effnetv2", description="EfficientNetV2 for Keras 3."
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = subparsers.add_parser(name, help=summary, description=summary)
        # Only the named command is imported: the others may need TensorFlow.
        if name in argv[1:]:
            module = importlib.import_module(f"keras_effnetv2.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(argv[1:])


def run() -> None:
    """Entry point of the console script."""
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
