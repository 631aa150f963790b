"""A PostgreSQL server of a test's own."""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

_PROGRAMS = ("initdb", "postgres", "pg_isready")
_DEBIAN = "/usr/lib/postgresql"
_USER = "postgres"  # PostgreSQL refuses to run as root.
_SECONDS = 60.0  # To start, on a busy machine.


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The URL of its database, as SQLAlchemy has it; it ends with the context.

    Skips a test where there is no PostgreSQL, or none that may run here.
    """
    programs = _find_programs()
    as_user = _other_user()
    # Not in pytest's folders, which no other user may enter.
    with tempfile.TemporaryDirectory() as folder:
        if as_user:
            shutil.chown(folder, _USER)
        data = f"{folder}/data"
        command = [programs / "initdb", "--pgdata", data, "--username", _USER]
        command += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C"]
        result = subprocess.run(
            [*command, "--no-sync"],
            cwd=folder,
            capture_output=True,
            text=True,
            **as_user,
        )
        assert result.returncode == 0, result.stderr
        with _server(programs, data, as_user) as port:
            yield f"postgresql+psycopg2://{_USER}@127.0.0.1:{port}/postgres"


def _find_programs() -> pathlib.Path:
    """The folder of them all: Debian's of the newest version, or one in PATH."""
    versions = pathlib.Path(_DEBIAN).glob("*/bin")
    newest = sorted(versions, key=lambda path: float(path.parent.name), reverse=True)
    on_path = map(pathlib.Path, os.get_exec_path())
    for folder in (*newest, *on_path):
        if all((folder / name).exists() for name in _PROGRAMS):
            return folder
    pytest.skip("needs PostgreSQL: apt-get install postgresql")


def _other_user() -> dict[str, str]:
    """Options of `subprocess`."""
    if os.getuid() != 0:
        return {}
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        pytest.skip(f"needs a user {_USER}: PostgreSQL does not run as root")
    return {"user": _USER, "group": _USER}


@contextlib.contextmanager
def _server(
    programs: pathlib.Path, data: str, as_user: dict[str, str]
) -> Iterator[int]:
    """The port of a server that listens on this machine alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "fsync": "off",  # No power fails in a test.
    }
    options = [part for x in settings.items() for part in ("-c", "{}={}".format(*x))]
    command = [programs / "postgres", "-D", data, *options]
    with open(f"{data}/log", "w") as log:
        server = subprocess.Popen(command, cwd=data, stderr=log, **as_user)
    try:
        _wait(programs, port, server)
        yield port
    finally:
        server.send_signal(signal.SIGINT)  # Its connections end too.
        server.wait(_SECONDS)


def _wait(programs: pathlib.Path, port: int, server: subprocess.Popen) -> None:
    command = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + _SECONDS
    while subprocess.run(command).returncode != 0:
        assert server.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
