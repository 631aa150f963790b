"""Workers: what their objectives may do, and what becomes of killed ones."""

import collections
import os
import signal
import subprocess
import sys
import threading
import time

import optuna
import pytest

from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies.processes import RENEW, run_workers, visible_gpus
from keras_effnetv2.search.studies.study import open_study
from keras_effnetv2.search.studies.workers import CandidateError, run_worker
from tests import containers
from tests.conftest import ROOT
from tests.search.studies import worker

SMALL = {"operator": ("a", "b"), "layers": (1, 2, 3)}


def open_small(pruner=None):
    return open_study(None, SMALL, {}, create_sampler("reinforce", 0), pruner)


def states(study):
    return [trial.state.name for trial in study.trials]


def test_failed_candidates_are_recorded_and_the_search_goes_on():
    def objective(trial, point):
        if trial.number == 1:
            raise CandidateError("out of memory")
        return {2: float("nan"), 3: float("inf")}.get(trial.number, 0.5)

    study = open_small()
    ended = []
    run_worker(study, objective, 5, lambda study, trial: ended.append(trial.number))
    assert states(study) == ["COMPLETE", "FAIL", "FAIL", "FAIL", "COMPLETE"]
    assert [trial.user_attrs.get("failure") for trial in study.trials] == [
        None,
        "out of memory",
        "the reward is nan",
        "the reward is inf",
        None,
    ]
    assert ended == [0, 1, 2, 3, 4]


def test_hopeless_candidates_are_pruned():
    def objective(trial, point):
        for step in range(3):
            trial.report(0.1 * (trial.number < 4), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 0.5

    study = open_small(optuna.pruners.MedianPruner(n_startup_trials=4))
    run_worker(study, objective, 6)
    assert states(study) == ["COMPLETE"] * 4 + ["PRUNED"] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_trial_is_done_next_time(error):
    points = []

    def objective(trial, point):
        points.append(point)
        if len(points) == 2:
            raise error
        return 0.5

    study = open_small()
    with pytest.raises(error):
        run_worker(study, objective, 3)
    assert states(study) == ["COMPLETE", "WAITING"]
    run_worker(study, objective, 3)
    assert states(study) == ["COMPLETE"] * 3
    assert len(points) == 4 and points[1] == points[2]


def test_sigterm_interrupts():
    study = open_small()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        run_worker(study, lambda *_: os.kill(os.getpid(), signal.SIGTERM), 3)
    assert states(study) == ["WAITING"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_works_without_handlers_of_signals():
    study, ends = open_small(), []
    before = signal.getsignal(signal.SIGTERM)

    def objective(trial, point):
        assert signal.getsignal(signal.SIGTERM) == before
        return 0.5

    def work():
        ends.append(run_worker(study, objective, 2))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ends == [True] and states(study) == ["COMPLETE"] * 2


def test_a_trial_that_another_worker_has_finished_meanwhile_is_left_as_it_is():
    study, told = open_small(), []

    def objective(trial, point):
        if trial.number:
            return 0.5
        study.tell(trial.number, 0.7)
        raise CandidateError("too late")

    run_worker(study, objective, 2, on_trial_end=lambda _, x: told.append(x.number))
    assert [trial.value for trial in study.trials] == [0.7, 0.5] and told == [1]


def test_a_study_made_elsewhere_is_refused():
    with pytest.raises(ValueError, match="open_study"):
        run_worker(optuna.create_study(), lambda trial, point: 0.0, 1)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["a.journal", pytest.param("a.db", marks=pytest.mark.slow)]
)
def test_a_killed_worker_loses_no_trial_and_none_counts_twice(name, tmp_path):
    location, num_trials = tmp_path / name, 12

    def start(*options):
        # Any backend will do, and this one starts fast.
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.search.studies.worker",
                location,
                str(num_trials),
            ]
            + [tmp_path, *options],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": "numpy"},
        )

    log = tmp_path / "log"
    log.touch()
    victim = start("hang")
    wait_for(lambda: log.read_text())
    other = start()
    wait_for(lambda: log.read_text().count("end") >= 2)
    assert "end 0" not in log.read_text()
    victim.kill()
    victim.wait()
    restarted = start()
    assert other.wait(120) == restarted.wait(120) == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    begun = collections.Counter(int(n) for what, n, _ in lines if what == "begin")
    ended = collections.Counter(int(n) for what, n, _ in lines if what == "end")
    assert ended == dict.fromkeys(range(num_trials), 1)
    assert begun == {**ended, 0: 2}
    assert len({layers for what, n, layers in lines if n == "0"}) == 1
    sampler = create_sampler("reinforce", 0)
    study = open_study(location, worker.DECISIONS, {}, sampler)
    expected = ["COMPLETE"] * num_trials
    expected[worker.FAILING] = "FAIL"
    assert states(study) == expected


@pytest.mark.slow
def test_containers_leave_each_other_their_trials(tmp_path):
    """Of one host name, each with a worker whose process is number 1."""
    containers.require()
    location, log = tmp_path / "a.journal", tmp_path / "log"
    log.touch()

    def start(*options):
        parts = [
            sys.executable,
            "-m",
            "tests.search.studies.worker",
            location,
            3,
            tmp_path,
        ]
        environment = {**os.environ, "KERAS_BACKEND": "numpy"}
        command = containers.command([*parts, *options])
        return subprocess.Popen(command, cwd=ROOT, env=environment)

    slow = start("hang")
    wait_for(log.read_text)
    other = start()
    wait_for(lambda: log.read_text().count("end") == 2)
    time.sleep(3)
    for process in (other, slow):
        process.kill()
        process.wait()
    begun = [
        x.split()[1] for x in log.read_text().splitlines() if x.startswith("begin")
    ]
    assert begun == ["0", "1", "2"]


def wait_for(condition, seconds=120.0, pause=0.05):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


def gpus_of_workers(folder, num_workers, gpus):
    code = (
        "import os, pathlib, sys, uuid; "
        "found = os.environ.get('CUDA_VISIBLE_DEVICES', 'all'); "
        "pathlib.Path(sys.argv[1], uuid.uuid4().hex).write_text(found)"
    )
    run_workers(python(code, folder), num_workers, gpus)
    return sorted(path.read_text() for path in folder.iterdir())


@pytest.mark.parametrize(
    ("num_workers", "gpus", "expected"),
    [
        (2, ["0", "1"], ["0", "1"]),
        (3, ["2", "GPU-5e"], ["2", "2", "GPU-5e"]),
        (2, [], ["all", "all"]),
        (1, ["0", "1"], ["all"]),
    ],
)
def test_each_worker_gets_a_gpu_of_its_own(
    tmp_path, monkeypatch, caplog, num_workers, gpus, expected
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_of_workers(tmp_path, num_workers, gpus) == expected
    assert ("3 workers share 2 GPUs" in caplog.text) == (num_workers == 3)


@pytest.mark.parametrize(
    ("visible", "num_gpus", "expected"),
    [
        (None, 2, ["0", "1"]),
        ("3, 1", 2, ["3", "1"]),
        ("2,-1,0", 1, ["2"]),
        ("-1", 0, []),
    ],
)
def test_gpus_have_the_names_that_the_environment_gives(
    monkeypatch, visible, num_gpus, expected
):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    # The machine of the tests has none.
    monkeypatch.setattr(
        "tensorflow.config.list_physical_devices", lambda kind: [None] * num_gpus
    )
    assert visible_gpus() == expected


def python(code, *arguments):
    return [sys.executable, "-c", code, *map(str, arguments)]


def test_several_processes_run_and_killed_ones_start_again(tmp_path):
    code = (
        "import os, pathlib, signal, sys, uuid\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "(folder / uuid.uuid4().hex).touch()\n"
        "if len(list(folder.iterdir())) == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run_workers(python(code, tmp_path), 1)
    assert len(list(tmp_path.iterdir())) == 2
    run_workers(python(code, tmp_path), 3)
    assert len(list(tmp_path.iterdir())) == 5


def test_processes_that_fail_are_reported():
    with pytest.raises(ChildProcessError, match="2 of 2 workers failed"):
        run_workers(python("raise SystemExit(3)"), 2)
    with pytest.raises(ChildProcessError, match="1 of 1"):
        run_workers(python("import os; os.kill(os.getpid(), 9)"), 1)
    with pytest.raises(ValueError, match="needs workers"):
        run_workers(python(""), 0)


@pytest.fixture
def interruptible():
    """SIGINT is ignored where the tests run in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_all_processes(number, tmp_path):
    """The last to start interrupts its parent, as Ctrl-C would."""
    code = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "folder, pid = pathlib.Path(sys.argv[1]), str(os.getpid())\n"
        "try:\n"
        "    (folder / ('begun' + pid)).touch()\n"
        "    if len(list(folder.glob('begun*'))) == 3:\n"
        "        (folder / 'last').touch(exist_ok=False)  # Two may see all three.\n"
        "        os.kill(os.getppid(), int(sys.argv[2]))\n"
        "    time.sleep(60)\n"
        "except (FileExistsError, KeyboardInterrupt):\n"
        "    (folder / ('stopped' + pid)).touch()\n"
    )
    with pytest.raises(KeyboardInterrupt):
        run_workers(python(code, tmp_path, int(number)), 3)
    assert len(list(tmp_path.glob("stopped*"))) == 3


def test_a_worker_leaves_after_its_share():
    study = open_small()
    assert run_worker(study, lambda trial, point: 0.5, 5, most=2) is False
    assert len(study.trials) == 2
    assert run_worker(study, lambda trial, point: 0.5, 5, most=3) is True
    assert len(study.trials) == 5


def test_another_worker_goes_on(tmp_path):
    code = (
        "import pathlib, sys; "
        "log = pathlib.Path(sys.argv[1]); log.open('a').write('x'); "
        "sys.exit(int(sys.argv[2]) if log.stat().st_size < 6 else 0)"
    )
    log = tmp_path / "log"
    run_workers(python(code, log, RENEW), 1)
    assert log.read_text() == "x" * 6  # More often than a killed worker is restarted.
