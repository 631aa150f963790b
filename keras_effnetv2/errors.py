"""Errors that are meant for users: the command line shows their message alone.

Each is an ordinary `ValueError`, `ImportError`, ... too, for whoever catches those. Any
other error of the package is a bug and keeps its traceback.
"""

import difflib
import importlib.util
from collections.abc import Iterable


class UserError(Exception):
    """What the user can mend: the message says what arrived and what to do."""


class InputError(UserError, ValueError):
    """An argument, a file or a setting that cannot be used."""


class MissingPackageError(UserError, ImportError):
    """A package that one of the extras installs is missing."""


class DivergedError(UserError, FloatingPointError):
    """A training whose loss is no number any more."""


class FileError(UserError, OSError):
    """A file or folder that cannot be read or written."""


class WorkerError(UserError, ChildProcessError):
    """Processes that failed; their own output says why."""


class Interrupted(Exception):
    """A training that was asked to stop; started again, it resumes."""

    exit_code = 143  # What a shell reports of a program that SIGTERM ended.


class DownloadError(UserError, ConnectionError):
    """A file that could not be fetched."""


def expected(name: str, known: Iterable[str]) -> str:
    """What may have been meant by an unknown name: what is close to it, or all."""
    known = [*known]
    close = difflib.get_close_matches(name, known, n=5)
    if close:
        return f"Close to it: {', '.join(close)}."
    return f"Expected one of: {', '.join(known)}."


# Module -> the package that brings it, where that is called something else.
_PACKAGES = {
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_hub": "tensorflow-hub",
    "tensorflow_serving": "tensorflow-serving-api",
}


def require_modules(task: str, extra: str, *modules: str) -> None:
    """Does nothing if all modules are installed.

    Args:
        task: what needs them, as the beginning of a sentence: "Curves need".
        extra: of the installation, that brings them.
        *modules: by name.

    Raises:
        MissingPackageError: some are not.
    """
    missing = [x for x in modules if importlib.util.find_spec(x) is None]
    if missing:
        names = " and ".join(_PACKAGES.get(x, x) for x in missing)
        raise MissingPackageError(
            f"{task} {names}: pip install 'keras_effnetv2[{extra}]'."
        )
