"""A study in PostgreSQL that four workers share, of whom two are killed."""

import csv
import subprocess
import sys

import optuna
import pytest

from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies.storage import open_storage
from keras_effnetv2.search.studies.study import open_study
from tests import forked, postgresql
from tests.conftest import ROOT
from tests.search.studies import worker
from tests.search.studies.test_workers import states, wait_for

pytest.importorskip("psycopg2", reason="needs psycopg2")

CLAIM, ATTEMPTS = "keras_effnetv2:claim", "keras_effnetv2:attempts"
SEARCH_TRIALS = 8
# Of candidates that are trained in seconds.
QUICK = ("epochs=1", "progressive.num_stages=1", "data.train_split=train[:64]")


@pytest.fixture
def url():
    with postgresql.running() as url:
        yield url


def kill(processes):
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.long
def test_killed_workers_lose_no_trial_and_none_counts_twice(url, tmp_path):
    num_trials, log = 12, tmp_path / "log"
    log.touch()
    words = ("-m", "tests.search.studies.worker", url, num_trials, tmp_path)

    def start(number, *options):
        return forked.Process([*words, *options], tmp_path / f"{number}.txt")

    def numbers(what):
        lines = (line.split() for line in log.read_text().splitlines())
        return sorted(int(number) for name, number, _ in lines if name == what)

    # Both find an empty database, at once.
    victims = [start(number, "hang") for number in range(2)]
    wait_for(lambda: len(numbers("begin")) == 2)
    others = [start(number) for number in range(2, 4)]
    wait_for(lambda: len(numbers("end")) >= 2)
    assert not {0, 1} & {*numbers("end")}
    kill(victims)
    assert [other.wait() for other in others] == [0, 0]
    assert numbers("end") == [*range(num_trials)]
    assert numbers("begin") == [0, 0, 1, 1, *range(2, num_trials)]
    study = open_study(url, worker.DECISIONS, {}, create_sampler("reinforce", 0))
    expected = ["COMPLETE"] * num_trials
    expected[worker.FAILING] = "FAIL"
    assert states(study) == expected


@pytest.fixture
def commands(url, tmp_path):
    """Four that search, as on four machines that share a study."""
    words = [sys.executable, "-m", "keras_effnetv2", "search", "--study", url]
    words += ["--experiment", "digits-search", "--trials", str(SEARCH_TRIALS)]
    words += [word for setting in QUICK for word in ("--set", setting)]
    processes = [
        subprocess.Popen([*words, "--output", tmp_path / str(number)], cwd=ROOT)
        for number in range(4)
    ]
    yield processes
    kill(processes)


@pytest.mark.slow
def test_a_search_goes_on_when_two_of_four_commands_are_killed(url, commands, tmp_path):
    storage, victims = open_storage(url), commands[:2]

    def trials():
        if "search" not in optuna.get_all_study_names(storage):
            return []
        return optuna.load_study(study_name="search", storage=storage).trials

    def claimed():
        """Numbers of the trials that the victims evaluate now."""
        pids = {process.pid for process in victims}
        claims = {
            x.number: x.system_attrs.get(CLAIM) or {}
            for x in trials()
            if x.state.name == "RUNNING"
        }
        return {number for number, claim in claims.items() if claim.get("pid") in pids}

    wait_for(lambda: len(claimed()) == 2, seconds=1200, pause=1.0)
    lost = claimed()
    kill(victims)
    assert [other.wait(1200) for other in commands[2:]] == [0, 0]
    found = trials()
    assert [x.number for x in found] == [*range(SEARCH_TRIALS)]
    assert {x.state.name for x in found} == {"COMPLETE"}
    again = {x.number for x in found if x.system_attrs[ATTEMPTS] == 2}
    assert len(lost) == 2 and again == lost
    for number in (2, 3):
        with (tmp_path / str(number) / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["number"]) for row in rows] == [*range(SEARCH_TRIALS)]
