"""Where studies are kept: a journal file, an SQLite file or a database server."""

import json
import os
import pathlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import filelock
import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from keras_effnetv2.errors import InputError

_JOURNALS = (".journal", ".jsonl", ".log")
_DATABASES = (".db", ".sqlite", ".sqlite3")
_JOURNAL_START = b'{"op_code":'
# Seconds that a worker waits for the SQLite file while others write.
_SQLITE_TIMEOUT = 60
# Seconds to wait for another worker to have done what this one could not.
_PAUSES = (0.1, 0.5, 2.0)
_T = TypeVar("_T")


class _MemoryJournal(BaseJournalBackend):
    """A journal that is lost with the process.

    Optuna's own storage in memory never hands out a trial that was returned to the
    queue: it looks for waiting ones only behind the last it has found.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._lines += map(json.dumps, logs)


class _KernelLock:
    """Lock of a journal file that ends with the process that holds it.

    Optuna's own outlives a killed process: the others then wait until it is stale, and
    one that was only suspended finds its lock gone.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._lock = filelock.FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def open_storage(location: str | os.PathLike | None) -> optuna.storages.BaseStorage:
    """The storage at a location, made if need be.

    Args:
        location: a path that ends in .journal, .jsonl or .log, or in .db, .sqlite or
            .sqlite3; or the URL of a database, as SQLAlchemy writes it; None: memory.

    Raises:
        ValueError: it cannot be reached or read, or is no such location.
    """
    if location is None:
        return optuna.storages.JournalStorage(_MemoryJournal())
    location = os.fspath(location)
    try:
        if "://" in location:
            return tried_again(lambda: optuna.storages.RDBStorage(location))
        return _open_file(pathlib.Path(location).expanduser().absolute())
    except (
        Exception
    ) as error:  # What a driver or a damaged file raises can be anything.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        hidden = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", location)
        reason = reason.replace(location, hidden).rstrip(".")
        raise InputError(
            f"The study's storage {hidden} cannot be opened: {reason}. Expected "
            f"a file that ends in {', '.join(_JOURNALS + _DATABASES)}, or the URL of a "
            "database. Choose another, or move a damaged file away."
        ) from error


def tried_again(action: Callable[[], _T]) -> _T:
    """What `action` returns, also where other workers do the same at the same time.

    Of several that make the tables of an empty database, or a study's attributes, at
    once, a database server lets one do it, and the others fail: what they wanted is
    there a moment later.
    """
    from sqlalchemy import exc

    for pause in _PAUSES:
        try:
            return action()
        except (exc.IntegrityError, exc.ProgrammingError, StorageInternalError):
            time.sleep(pause)
    return action()


def _open_file(path: pathlib.Path) -> optuna.storages.BaseStorage:
    if path.suffix not in _JOURNALS + _DATABASES:
        raise InputError(f"{path.suffix or 'no suffix'} says neither kind")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in _DATABASES:
        return optuna.storages.RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"connect_args": {"timeout": _SQLITE_TIMEOUT}},
        )
    lock = _KernelLock(path)
    _check_journal(path, lock)
    # It does what Optuna's base class wants, which is private.
    backend = JournalFileBackend(str(path), lock)  # pyright: ignore[reportArgumentType]
    return optuna.storages.JournalStorage(backend)


def _check_journal(path: pathlib.Path, lock: _KernelLock) -> None:
    """Removes the half of a record that a full disk or a power cut may have left.

    Nobody has seen it: a record counts when its line has ended. Without this, the next
    record would join it to a line that no one can read.

    Raises:
        ValueError: a line is damaged.
    """
    lock.acquire()
    try:
        contents = path.read_bytes() if path.exists() else b""
        start = contents[: len(_JOURNAL_START)]
        if not _JOURNAL_START.startswith(start):
            raise InputError("it is not a journal of Optuna")
        *lines, rest = contents.split(b"\n")
        for number, line in enumerate(lines, 1):
            _check_record(line, number)
        if rest:
            os.truncate(path, len(contents) - len(rest))
    finally:
        lock.release()


def _check_record(line: bytes, number: int) -> None:
    try:
        record = json.loads(line)
    except ValueError:  # Neither JSON nor, perhaps, UTF-8.
        record = None
    if not isinstance(record, dict) or "op_code" not in record:
        raise InputError(f"line {number} is damaged ({line[:40]!r})")
