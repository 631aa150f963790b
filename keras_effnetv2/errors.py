"""Errors that are meant for users: the command line shows only their message.

Each is also an ordinary `ValueError`, `ImportError`, ..., for code that catches those.
Any other error of the package is a bug and keeps its traceback.
"""

import difflib
import importlib.util
from collections.abc import Iterable

__all__ = [
    "DivergedError",
    "DownloadError",
    "FileError",
    "InputError",
    "Interrupted",
    "MissingPackageError",
    "UserError",
    "WorkerError",
]


class UserError(Exception):
    """An error that the user can fix; the message says what arrived and what to do."""


class InputError(UserError, ValueError):
    """An argument, a file or a setting that cannot be used."""


class MissingPackageError(UserError, ImportError):
    """A package that one of the extras installs is missing."""


class DivergedError(UserError, FloatingPointError):
    """A training run whose loss has become NaN or infinite."""


class FileError(UserError, OSError):
    """A file or folder that cannot be read or written."""


class WorkerError(UserError, ChildProcessError):
    """Processes that failed; their own output says why."""


class Interrupted(Exception):
    """A training run that was asked to stop; started again, it resumes."""

    exit_code = 143  # What a shell reports for a program that SIGTERM ended.


class DownloadError(UserError, ConnectionError):
    """A file that could not be fetched."""


def expected(name: str, known: Iterable[str]) -> str:
    """Suggestions for an unknown name: similar names, or all."""
    known = [*known]
    close = difflib.get_close_matches(name, known, n=5)
    if close:
        return f"Close to it: {', '.join(close)}."
    return f"Expected one of: {', '.join(known)}."


# Module -> the package that installs it, if its name differs.
_PACKAGES = {
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_hub": "tensorflow-hub",
    "tensorflow_serving": "tensorflow-serving-api",
}


def require_modules(task: str, extra: str, *modules: str) -> None:
    """Checks that all modules are installed.

    Args:
        task: the beginning of the error message: "Curves need".
        extra: the extra that installs them.
        *modules: their names.

    Raises:
        MissingPackageError: some are missing.
    """
    missing = [x for x in modules if importlib.util.find_spec(x) is None]
    if missing:
        names = " and ".join(_PACKAGES.get(x, x) for x in missing)
        raise MissingPackageError(
            f"{task} {names}: pip install 'keras_effnetv2[{extra}]'."
        )
