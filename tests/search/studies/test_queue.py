"""Trials are claimed by one worker each, and come back when it is gone."""

import time

import optuna
import pytest
from optuna.trial import TrialState

from keras_effnetv2.search.sampling.samplers import create_sampler
from keras_effnetv2.search.studies import queue as queues
from keras_effnetv2.search.studies.queue import TrialQueue
from keras_effnetv2.search.studies.study import open_study

DECISIONS = {"operator": ("a", "b"), "layers": tuple(range(100))}
DEAD = 2**22 + 1  # Above the greatest number that Linux gives to a process.


class Machines:
    """Several workers on one study, and the clock of one of them."""

    def __init__(self, location):
        self.location = location
        self.study = None
        self.study = self.open()
        self.now = 0.0

    def open(self):
        """A study of its own for each worker; in memory, of one storage."""
        sampler = create_sampler("random", 0)
        if self.study is None or self.location is not None:
            return open_study(self.location, DECISIONS, {}, sampler)
        storage = self.study._storage
        return optuna.load_study(study_name="search", storage=storage, sampler=sampler)

    def worker(self, name, machine="far", pid=1, num_trials=3, interval=10.0):
        queue = TrialQueue(self.open(), num_trials, interval, 90.0, lambda: self.now)
        queue._worker = {"worker": name, "machine": machine, "pid": pid}
        return queue

    def states(self):
        return [trial.state.name for trial in self.study.trials]


@pytest.fixture(params=[None, "a.journal", "a.db"], ids=["memory", "journal", "sqlite"])
def machines(request, tmp_path):
    return Machines(request.param and tmp_path / request.param)


def point(trial):
    return {name: trial.suggest_categorical(name, c) for name, c in DECISIONS.items()}


def test_each_trial_goes_to_one_worker(machines):
    workers = [machines.worker("a"), machines.worker("b")]
    trials = [workers[number % 2].claim() for number in range(3)]
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert workers[0].claim() is None is workers[1].claim()
    for number, trial in enumerate(trials):
        assert workers[number % 2].finish(trial, TrialState.COMPLETE, 0.5)
    assert workers[0].num_finished == workers[1].num_finished == 3
    assert machines.states() == ["COMPLETE"] * 3


def test_a_silent_worker_is_given_up_after_a_while(machines):
    silent, other = machines.worker("a"), machines.worker("b")
    trial = silent.claim()
    drawn = point(trial)
    assert other.claim().number == 1 and other.claim().number == 2
    machines.now = 80.0
    assert other.claim() is None
    silent._renew(trial, 1)
    machines.now = 100.0
    assert other.claim() is None  # It saw the claim renewed only now.
    machines.now = 185.0
    assert other.claim() is None
    machines.now = 191.0
    again = other.claim()
    assert again.number == 0 and point(again) == drawn
    assert other.claim() is None


def test_what_a_worker_finishes_too_late_is_not_counted(machines):
    slow, other = machines.worker("a"), machines.worker("b")
    late = slow.claim()
    assert other.claim().number == 1 and other.claim().number == 2
    machines.now = 91.0
    again = other.claim()
    assert again.number == late.number == 0
    assert not slow.finish(late, TrialState.COMPLETE, 0.1)
    assert other.finish(again, TrialState.COMPLETE, 0.9)
    assert not slow.finish(late, TrialState.COMPLETE, 0.1)
    assert machines.study.trials[0].value == 0.9
    assert machines.states() == ["COMPLETE", "RUNNING", "RUNNING"]


def test_a_dead_process_of_this_machine_is_given_up_at_once(machines):
    dead = machines.worker("a", queues._MACHINE, DEAD)
    other = machines.worker("b")
    assert dead.claim().number == 0
    assert other.claim().number == 0
    assert machines.states() == ["RUNNING"]


@pytest.mark.parametrize("machine", ["other kernel", None])
def test_a_number_of_a_process_says_nothing_elsewhere(machines, machine, monkeypatch):
    monkeypatch.setattr(queues, "_MACHINE", machine and queues._MACHINE)
    busy = machines.worker("a", machine, DEAD, num_trials=1)
    other = machines.worker("b", num_trials=1)
    assert busy.claim().number == 0
    assert other.claim() is None
    machines.now = 91.0
    assert other.claim().number == 0


def test_a_worker_killed_before_it_signed_is_given_up_after_a_while(machines):
    machines.study.ask()
    other = machines.worker("b", num_trials=1)
    assert other.claim() is None
    machines.now = 91.0
    assert other.claim().number == 0


def test_a_candidate_that_kills_its_workers_fails(machines):
    for name in "abc":
        assert machines.worker(name, queues._MACHINE, DEAD).claim().number == 0
    other = machines.worker("d")
    assert other.claim().number == 1
    assert machines.states() == ["FAIL", "RUNNING"]
    assert "3 workers" in machines.study.trials[0].user_attrs["failure"]
    assert other.num_finished == 1


def test_released_trials_come_next_and_do_not_wear_out(machines):
    worker = machines.worker("a")
    drawn = []
    for _ in range(5):
        trial = worker.claim()
        drawn.append((trial.number, point(trial)))
        worker.release(trial)
    assert drawn == [(0, drawn[0][1])] * 5
    assert machines.states() == ["WAITING"]


def test_a_race_for_the_last_trial_leaves_none_too_many(machines):
    """The slower one gets a trial beyond the last; it waits for a longer search."""
    fast, slow = machines.worker("a", num_trials=1), machines.worker("b", num_trials=1)
    ask = slow._study.ask

    def ask_too_late():
        fast.claim()
        return ask()

    slow._study.ask = ask_too_late
    assert slow.claim() is None
    assert machines.states() == ["RUNNING", "WAITING"]
    longer = machines.worker("c", num_trials=2)
    assert longer.num_finished == 0
    assert longer.claim().number == 1
    assert longer.claim() is None


def test_a_claim_is_renewed_meanwhile(machines):
    worker = machines.worker("a", interval=0.05)
    trial = worker.claim()

    def beat():
        return machines.study.trials[0].system_attrs[queues._CLAIM]["beat"]

    deadline = time.monotonic() + 30
    with worker.heartbeat(trial):
        while beat() < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    stopped = beat()
    time.sleep(0.2)
    assert beat() == stopped >= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_trials": 0}, "needs trials"),
        ({"interval": 0.0}, "above 0"),
        ({"patience": 5.0}, "patience longer"),
    ],
)
def test_bad_settings(options, message):
    study = open_study(None, DECISIONS, {}, create_sampler("random", 0))
    with pytest.raises(ValueError, match=message):
        TrialQueue(study, **{"num_trials": 3, **options})
