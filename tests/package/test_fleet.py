"""Tasks on processes and on Ray: all of them, once, whatever is killed."""

import os
import pathlib
import pickle
import signal
import socket
import subprocess
import sys
import time

import pytest

from keras_effnetv2 import fleet
from keras_effnetv2.errors import InputError, WorkerError
from tests.conftest import ROOT


def square(number):
    return os.getpid(), number * number


def die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number):
    raise InputError(f"{number} is refused")


def note_and_sleep(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(600)


def test_every_task_is_done_once_by_several_processes():
    found = [*fleet.in_processes(square, range(20), 2)]
    assert sorted(x for _, x in found) == [x * x for x in range(20)]
    assert os.getpid() not in {process for process, _ in found}
    assert [x for _, x in fleet.in_processes(square, range(3), 1)] == [0, 1, 4]


def test_a_killed_process_is_said():
    with pytest.raises(ChildProcessError, match="One of 2 processes was killed"):
        [*fleet.in_processes(die, range(5), 2)]


def test_what_is_refused_in_a_process_is_refused():
    with pytest.raises(ValueError, match="is refused"):
        [*fleet.in_processes(refuse, range(5), 2)]


def test_processes_end_with_the_one_that_started_them(tmp_path):
    script = tmp_path / "starting.py"
    script.write_text(
        "import sys\n"
        "from keras_effnetv2 import fleet\n"
        "from tests.package.test_fleet import note_and_sleep\n"
        "if __name__ == '__main__':\n"
        "    [*fleet.in_processes(note_and_sleep, sys.argv[1:] * 2, 2)]\n"
    )
    folder = tmp_path / "processes"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, script, folder], env=environment) as process:
        while len(numbers := os.listdir(folder)) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    deadline = time.monotonic() + 30
    while any(is_running(x) for x in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(x) for x in numbers)


def is_running(number):
    try:
        state = pathlib.Path("/proc", number, "stat").read_text().rpartition(")")[2]
    except OSError:
        return False
    return state.split()[0] != "Z"


def test_what_is_refused_on_a_cluster_comes_back_as_the_error():
    for task, kind in ((2, None), (3, InputError)):
        row = {fleet._COLUMN: pickle.dumps(task)}
        function = refuse if task == 3 else square
        answer, error = pickle.loads(fleet._answer(row, function)[fleet._COLUMN])
        assert answer == (None if kind else (os.getpid(), 4))
        assert type(error) is (kind or type(None))
    assert str(error) == "3 is refused"


def test_an_address_that_does_not_answer_is_refused():
    for address in ("", "auto", "ray://machine:10001"):
        fleet._check_address(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        fleet._check_address(address)
    with pytest.raises(WorkerError, match=f"nobody answers at RAY_ADDRESS={address}"):
        fleet._check_address(address)


def test_engines_that_are_not_there_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="'local' or 'ray'. Received: 'spark'"):
        fleet.check_engine("spark")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'keras_effnetv2\[fleet\]'"):
        fleet.check_engine("ray")
