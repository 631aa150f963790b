"""Exports killed before each of the things that they do to files. A program.

    python -m tests.export.tf_serving.killed_exports FOLDER

Writes FOLDER/0, FOLDER/1 and so on: a base folder each of an export that was killed
one step later than the one before; the last one came to its end.
"""

import os
import pathlib
import shutil
import signal
import sys
import traceback

import pytest

from keras_effnetv2 import export
from tests.export import micro

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def main(folder):
    original = folder / "original"
    with pytest.MonkeyPatch.context() as monkeypatch:
        micro.write_quickly(monkeypatch)
        assert not is_killed(lambda: [export_to(original) for _ in range(4)])
        for step in range(1000):
            base = folder / str(step)
            shutil.copytree(original, base)
            if not is_killed(lambda base=base, step=step: export_until(step, base)):
                return


def is_killed(work):
    """Does the work in another process; whether that was killed."""
    # Here TensorFlow computes nothing: threads that it starts are not forked.
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def export_to(base, keep=None):
    export.serving(micro.classifier(), base, fold=False, name="flowers", keep=keep)


def export_until(step, base):
    kill_at(step, str(base))
    export_to(base, keep=1)


def kill_at(step, base):
    left = step

    def watch(event, arguments):
        nonlocal left
        if event in EVENTS and str(arguments[0]).startswith(base):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(watch)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
