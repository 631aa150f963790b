"""Engines run in a process that ends, whatever the export does."""

import os
import sys
import time

import numpy as np
import pytest

from keras_effnetv2.export.checks import roundtrip

INPUTS = {"serving_default": {"images": np.zeros((1, 2, 2, 3), "float32")}}

# Imported by every Python of its folder: the engine starts a child, and hangs.
HANGING = """
import os, pathlib, subprocess, sys, time
if sys.argv[0] != "-c":
    sleep = "import time; time.sleep(99)"
    child = subprocess.Popen([sys.executable, "-S", "-c", sleep])
    pids = pathlib.Path(__file__).with_name("pids")
    pids.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
    pids.with_suffix(".new").rename(pids)
    time.sleep(99)
"""


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Folder where the engine's process writes its number and that of its child."""
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    return tmp_path


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("by_environment", [False, True])
def test_an_engine_that_hangs_is_stopped_with_its_children(
    hanging, monkeypatch, by_environment
):
    if by_environment:
        monkeypatch.setenv(roundtrip.TIME_VARIABLE, "2")
    limit = {} if by_environment else {"seconds": 2}
    start = time.monotonic()
    with pytest.raises(
        ValueError, match="not finish nowhere within 2 s.*_SECONDS to mo"
    ):
        roundtrip.run_engine("saved_model", "nowhere", INPUTS, **limit)
    assert time.monotonic() - start < 20
    pids = (hanging / "pids").read_text().split()
    deadline = time.monotonic() + 5
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))
    assert not os.listdir(hanging / "scratch")


@pytest.mark.parametrize("found", [np.ones((2, 3)), np.full((2, 1), np.nan)])
def test_other_shapes_and_no_numbers_are_no_agreement(found):
    wanted = {"features": {"x": np.ones((2, 1))}}
    differences = roundtrip.compare(wanted, {"features": {"x": found}})
    with pytest.raises(ValueError, match="not kept: its features/x differs"):
        roundtrip.check_differences(differences, 1e-3)
    equal = roundtrip.compare(wanted, wanted)
    assert equal == {"features/x": 0}
    roundtrip.check_differences(equal, 1e-3)


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "nan", "inf"])
def test_a_time_limit_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(roundtrip.TIME_VARIABLE, text)
    with pytest.raises(ValueError, match="ENGINE_SECONDS must be a positive number"):
        roundtrip.run_engine("saved_model", "nowhere", INPUTS)
