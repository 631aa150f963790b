"""The command line: `python -m keras_effnetv2 COMMAND`, a module of `commands` each."""

import argparse
import importlib
import io
import sys

from absl import app, logging
from absl.flags import argparse_flags

from keras_effnetv2.errors import UserError
from keras_effnetv2.version import __version__

COMMANDS = {
    "list": "print every variant with its size beside the published figures",
    "profile": "count and measure what a variant costs, stage by stage",
    "predict": "classify image files",
    "embed": "write the features of image files, as a network sees them",
    "similar": "find the images that are most like one",
    "explain": "draw where in image files a network sees their classes",
    "train": "train an experiment, or go on with it",
    "evaluate": "measure the accuracy of a trained run or of weights",
    "export": "write a model in the form it is deployed in",
    "search": "search for a network, or go on with a search",
    "convert": "write weights of any known format as a .weights.h5 file",
}

_REPORT = (
    f"This is a bug in keras_effnetv2 {__version__}, not in what you asked for. Please "
    "report it, with your command and all that is printed below."
)


def main(args: argparse.Namespace) -> int:
    """Runs the chosen command; returns the exit code."""
    try:
        return args.run(args)
    except KeyboardInterrupt:
        return 130  # What a shell reports of a program ended by SIGINT.
    except Exception as error:
        if not _is_meant_for_users(error):
            print(_REPORT, file=sys.stderr)
            raise
        logging.debug("Where the error came from:", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        return 2


def _is_meant_for_users(error: Exception) -> bool:
    """Ours by their type; the operating system's where it names what it could not do.

    A full disk, a missing file and a folder without rights are the user's to mend; an
    OSError without a number is somebody's code that gave up.
    """
    return isinstance(error, UserError) or (
        isinstance(error, OSError) and error.errno is not None
    )


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
    # Names that the output's encoding lacks are escaped, as on standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(main, flags_parser=parse)


if __name__ == "__main__":
    run()
