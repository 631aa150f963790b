"""Processes of their own that start at once: forked from one that has TensorFlow.

For what changes its devices, or is killed; what differs in how Python starts, such as
the backend of Keras, needs `subprocess`.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import pathlib
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence

from tests.conftest import ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.forked_imports"])


class Process:
    """`python ARGUMENTS`, whose output goes to the file `log`, like a `Popen`."""

    def __init__(
        self,
        arguments: Sequence[str | os.PathLike],
        log: str | os.PathLike,
        environment: Mapping[str, str] | None = None,
    ):
        self.log = pathlib.Path(log)
        self._process = _CONTEXT.Process(
            target=_run,
            args=([*map(str, arguments)], str(log), os.environ | (environment or {})),
        )
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int:
        """The exit code; what hangs until the test's time is up leaves its stacks."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._abort)
            self._process.join()
            stack.pop_all()
        return self._process.exitcode

    def _abort(self) -> None:
        """Ends the process; in its log is what each of its threads was doing."""
        self.send_signal(signal.SIGABRT)
        self._process.join()
        print(self.log.read_text(errors="replace")[-8000:])

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)


def output(arguments: Sequence[str | os.PathLike], folder: pathlib.Path) -> str:
    """What `python ARGUMENTS` prints, on both streams, until it ends well.

    Args:
        arguments: of Python: a file or `-m` and a module, and its arguments.
        folder: an empty one, for its output.
    """
    process = Process(arguments, folder / "log")
    code = process.wait()
    text = process.log.read_text(errors="replace")
    assert code == 0, text[-3000:]
    return text


def _run(arguments: list[str], log: str, environment: Mapping[str, str]) -> None:
    """In the new process."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    faulthandler.enable()
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, str(ROOT))
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(arguments[0], run_name="__main__")
