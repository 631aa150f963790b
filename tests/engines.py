"""Engines of exports in this process, which saves the start of another for each.

That they run in a process of their own, tests of every format say once.
"""

import contextlib
import warnings

import pytest

from keras_effnetv2.export.checks import engines, roundtrip


@contextlib.contextmanager
def here():
    def run(command, seconds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # As nobody reads those of a process.
            engines.main(*command[2:])
        return 0, ""

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")  # As the engine of TF Hub does.
        monkeypatch.setattr(roundtrip, "_run", run)
        yield
