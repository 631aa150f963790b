"""Storages of studies: a journal file, an SQLite file or a database server."""

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
# Seconds to wait for another worker to complete what this one could not.
_PAUSES = (0.1, 0.5, 2.0)
_T = TypeVar("_T")


class _MemoryJournal(BaseJournalBackend):
    """A journal that exists only within the process.

    Optuna's own in-memory storage never hands out a trial that was returned to the
    queue: it looks for waiting trials only after the last one found.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._lines += map(json.dumps, logs)


class _KernelLock:
    """Lock of a journal file that is released when its process ends.

    Optuna's own lock outlives a killed process: others then wait until it is stale, and
    a process that was only suspended loses its lock.
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
        ValueError: the storage cannot be reached or read, or it is not such a location.
    """
    if location is None:
        return optuna.storages.JournalStorage(_MemoryJournal())
    location = os.fspath(location)
    try:
        if "://" in location:
            return tried_again(lambda: optuna.storages.RDBStorage(location))
        return _open_file(pathlib.Path(location).expanduser().absolute())
    except Exception as error:  # Drivers and damaged files raise anything.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        hidden = re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", location)
        reason = reason.replace(location, hidden).rstrip(".")
        raise InputError(
            f"The study's storage {hidden} cannot be opened: {reason}. Expected "
            f"a file that ends in {', '.join(_JOURNALS + _DATABASES)}, or the URL of a "
            "database. Choose another, or move a damaged file away."
        ) from error


def tried_again(action: Callable[[], _T]) -> _T:
    """The result of `action`, even if other workers do the same at the same time.

    If several workers create the tables of an empty database, or a study's attributes,
    at once, a database server lets one of them do it, and the others fail; what they
    need exists a moment later.
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
        raise InputError(f"{path.suffix or 'no suffix'} does not tell the kind")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in _DATABASES:
        return optuna.storages.RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"connect_args": {"timeout": _SQLITE_TIMEOUT}},
        )
    lock = _KernelLock(path)
    _check_journal(path, lock)
    # It implements Optuna's base class, which is private.
    backend = JournalFileBackend(str(path), lock)  # pyright: ignore[reportArgumentType]
    return optuna.storages.JournalStorage(backend)


def _check_journal(path: pathlib.Path, lock: _KernelLock) -> None:
    """Removes an incomplete record that a full disk or a power cut may have left.

    Nobody has read it: a record counts when its line has ended. Without this, the next
    record would be joined to it in an unreadable line.

    Raises:
        ValueError: a line is damaged.
    """
    lock.acquire()
    try:
        contents = path.read_bytes() if path.exists() else b""
        start = contents[: len(_JOURNAL_START)]
        if not _JOURNAL_START.startswith(start):
            raise InputError("it is not an Optuna journal")
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
