"""Exports killed before each of the things that they do to files. A program.

    python -m tests.export.killed_exports FOLDER

Writes FOLDER/0, FOLDER/1 and so on: a base folder each of an export that was killed
one step later than the one before; the last one came to its end.
"""

import os
import pathlib
import shutil
import signal
import sys

import pytest

from keras_effnetv2 import export
from tests.export import micro

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def main(folder):
    # TensorFlow has computed nothing yet here, so that processes may be forked.
    with pytest.MonkeyPatch.context() as monkeypatch:
        micro.write_quickly(monkeypatch)
        model = micro.classifier()
        original = folder / "original"
        for _ in range(4):
            export.serving(model, original, fold=False, name="flowers")
        for step in range(1000):
            base = folder / str(step)
            shutil.copytree(original, base)
            if not is_killed(model, base, step):
                return


def is_killed(model, base, step):
    """Exports in another process; whether that had as many steps."""
    child = os.fork()
    if child == 0:
        kill_at(step, str(base))
        export.serving(model, base, fold=False, name="flowers", keep=1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


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
