"""Errors that are meant for users: the command line shows their message alone.

Each is an ordinary `ValueError`, `ImportError`, ... too, for whoever catches those. Any
other error of the package is a bug and keeps its traceback.
"""


class UserError(Exception):
    """What the user can mend: the message says what arrived and what to do."""


class InputError(UserError, ValueError):
    """An argument, a file or a setting that cannot be used."""


class MissingPackageError(UserError, ImportError):
    """A package that an extra of ours installs is not there."""


class DivergedError(UserError, FloatingPointError):
    """A training whose loss is no number any more."""


class FileError(UserError, OSError):
    """A file or folder that cannot be read or written."""


class WorkerError(UserError, ChildProcessError):
    """Processes that failed; their own output says why."""


class DownloadError(UserError, ConnectionError):
    """A file that could not be fetched."""
