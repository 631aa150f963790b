"""The command line: `python -m keras_effnetv2 COMMAND`, one module per command."""

import argparse
import contextlib
import importlib
import importlib.metadata
import io
import os
import platform
import sys
from typing import Any

from absl import app, flags, logging
from absl.flags import argparse_flags

from keras_effnetv2 import lazy
from keras_effnetv2.commands.shared import completion, noise
from keras_effnetv2.errors import UserError
from keras_effnetv2.version import __version__

COMMANDS = {
    "list": "print every variant, with its size and the published figures",
    "profile": "count and measure what a variant costs, stage by stage",
    "predict": "classify image files",
    "embed": "write the features that a network computes from image files",
    "similar": "find the images most similar to one",
    "explain": "draw heat maps of where a network sees its classes in images",
    "finetune": "fine-tune a classifier on a folder of photographs",
    "pack": "pack folders of images into shards that are fast to read",
    "train": "train an experiment, or resume it",
    "data_service": "make batches for training on other machines",
    "plan": "find out what training needs on TPUs, by compiling it without one",
    "evaluate": "measure the accuracy of a trained run or of weights",
    "export": "write a model in a format for deployment",
    "serve": "show a classifier as a page on this machine, with heat maps",
    "search": "search for a network architecture, or resume a search",
    "convert": "convert weights of any known format to .weights.h5 or .keras",
    "completion": "print the shell code that completes commands and flags",
}

_EXAMPLE = "python -m keras_effnetv2 predict photographs --model efficientnetv2-s"
_REPORT = (
    f"This is a bug in keras_effnetv2 {__version__}, not in your input. Please "
    "report it, with your command and the output below."
)
# What a shell reports for a program that SIGINT or SIGPIPE ended.
_EXIT_INTERRUPTED, _EXIT_CLOSED_PIPE = 130, 141


def main(args: argparse.Namespace) -> int:
    """Runs the chosen command; returns the exit code."""
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:  # For example `list | head -1`.
        # Otherwise Python reports it itself when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_CLOSED_PIPE
    except Exception as error:
        if not _is_meant_for_users(error):
            print(_REPORT, file=sys.stderr)
            raise
        logging.debug("Where the error came from:", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        return 2


def _is_meant_for_users(error: Exception) -> bool:
    """Our own errors by their type; OSErrors if they have an error number.

    A full disk, a missing file or a folder without permissions is the user's to fix; an
    OSError without a number is raised by some code that gave up.
    """
    return isinstance(error, UserError) or (
        isinstance(error, OSError) and error.errno is not None
    )


def parse(argv: list[str]) -> argparse.Namespace:
    """Flags of the command in `argv`, and its function as `run`."""
    words = [_with_underscores(word) for word in argv[1:]]
    # Only the named command is imported; completion imports all.
    parser = _parser([x for x in COMMANDS if x in words or completion.is_asked()])
    completion.answer(parser)
    return parser.parse_args(words)


def _parser(commands: list[str]) -> argparse.ArgumentParser:
    """The parser, with the flags of some of the commands."""
    parser = argparse_flags.ArgumentParser(
        prog="keras_effnetv2",
        description="EfficientNetV2 for Keras 3.",
        epilog=f"example: {_EXAMPLE}",
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show versions and exit"
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = subparsers.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in commands:
            module = importlib.import_module(f"keras_effnetv2.commands.{name}")
            command.epilog = f"example:\n  {module.EXAMPLE}"
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _with_underscores(word: str) -> str:
    """A flag as it is defined, for one with dashes: `--image-size`, `--no-fold=x`."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word[2:].partition("=")
    no = "no-" if flag.startswith("no-") else ""
    return f"--{no}{flag.removeprefix(no).replace('-', '_')}{equals}{value}"


class _Version(argparse.Action):
    """Prints versions of the package and its dependencies, without importing them."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        found = [f"Python {platform.python_version()}"]
        for name in ("keras", "tensorflow"):
            # TensorFlow has other names too: tensorflow-cpu, tf-nightly.
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found.append(f"{name} {importlib.metadata.version(name)}")
        print(f"keras_effnetv2 {__version__} ({', '.join(found)})")
        parser.exit()


def _run(args: argparse.Namespace) -> int:
    """`main` as a program that owns its standard error."""
    # By default absl logs at level info, and so do Python's loggers; we log warnings.
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    verbosity = logging.get_verbosity()
    # TensorFlow counts the other way: 0 is everything, 1 is from warnings on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", str(min(3, max(0, -verbosity))))
    if verbosity < logging.INFO:
        lazy.call_before_import("tensorflow", _drop_noise)
    return main(args)


def _drop_noise() -> None:
    noise.drop_noise()
    logging.get_absl_handler().python_handler.setStream(sys.stderr)


def run() -> None:
    """Entry point of the console script."""
    # TensorFlow reads it when it is imported. By default, each read from a bucket
    # fetches 64 MB more than was asked for.
    os.environ.setdefault("GCS_READAHEAD_BUFFER_SIZE_BYTES", "0")
    # Characters that the output's encoding lacks are escaped, as on standard error.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    app.run(_run, flags_parser=parse)


if __name__ == "__main__":
    run()
