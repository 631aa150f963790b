"""Two worker processes train as one does, and go on when one of them is lost."""

import functools
import json
import random
import socket
import time

import pytest

from tests import containers
from tests.training import run_processes

# No dropout, which differs by replica; and an optimizer whose steps are as large as the
# gradients: what is left to differ is rounding.
ALIKE_STEPS = (
    "progressive.dropout_rate=0,0",
    "optimizer.name=sgd",
    "optimizer.learning_rate=0.01",
    "schedule.name=constant",
    "schedule.warmup_epochs=0",
    "model.bn_group_size=0",
)
ALIKE = (
    *run_processes.QUICK,
    "epochs=1",
    "progressive.num_stages=1",
    "progressive.image_size=16,16",
    *ALIKE_STEPS,
)


def free_addresses(num):
    sockets = [socket.socket() for _ in range(num)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start_worker(
    workdir, index, addresses, *settings, begin=run_processes.start, **arguments
):
    task = {
        "cluster": {"worker": addresses},
        "task": {"type": "worker", "index": index},
    }
    return begin(
        workdir,
        *settings,
        options=("--strategy", "multiworker"),
        environment={"TF_CONFIG": json.dumps(task)},
        **arguments,
    )


def train_with_workers(workdir, *settings):
    addresses = free_addresses(2)
    workers = [start_worker(workdir, i, addresses, *settings) for i in range(2)]
    codes = [worker.wait() for worker in workers]
    assert codes == [0, 0], (workdir.parent / f"{workdir.name}.log").read_text()[-3000:]


def losses(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.long
def test_two_workers_train_as_one_process(tmp_path):
    run_processes.finish(tmp_path / "one", *ALIKE)
    train_with_workers(tmp_path / "two", *ALIKE)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)


def test_a_chief_that_cannot_write_stops_all_workers(tmp_path):
    (tmp_path / "file").touch()
    addresses = free_addresses(2)
    logs = []
    workers = []
    for index in range(2):
        # The same folder, and a log for each.
        link = tmp_path / f"{index}"
        link.symlink_to(tmp_path / "file")
        workers.append(start_worker(link, index, addresses))
        logs.append(tmp_path / f"{index}.log")
    assert [worker.wait() for worker in workers] == [2, 2]
    assert "cannot be written" in logs[0].read_text()
    assert "Worker 0 of 2, the chief, has failed" in logs[1].read_text()


@pytest.mark.slow
def test_killed_at_random_in_containers_nothing_is_lost(tmp_path):
    """Both are process 1 of one host name; the second may only read the folder."""
    containers.require()
    settings = ("epochs=1", "progressive.num_stages=1", "loop.checkpoint_steps=3")
    train_with_workers(tmp_path / "whole", *settings)
    workdir, addresses = tmp_path / "killed", free_addresses(2)
    workdir.mkdir()

    def start(index):
        read_only = workdir if index else None
        wrap = functools.partial(containers.command, read_only=read_only)
        begin = functools.partial(run_processes.start_anew, wrap=wrap)
        return start_worker(workdir, index, addresses, *settings, begin=begin)

    workers, generator = [start(0), start(1)], random.Random(0)
    for victim in (1, 0):
        run_processes.kill_at_random(workers[victim], workdir, generator)
        time.sleep(5)
        workers[victim] = start(victim)
    assert [worker.wait() for worker in workers] == [0, 0]
    run_processes.assert_same_bits(workdir, tmp_path / "whole")
    assert losses(workdir) == losses(tmp_path / "whole")
    assert not [x for x in workdir.rglob(".*")]


@pytest.mark.slow
def test_two_jax_devices_train_as_one(tmp_path):
    for num in (1, 2):
        flag = f"--xla_force_host_platform_device_count={num}"
        environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flag}
        run_processes.finish(
            tmp_path / str(num),
            *ALIKE,
            begin=run_processes.start_anew,
            environment=environment,
        )
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), abs=1e-4)


@pytest.mark.slow
def test_a_worker_that_was_killed_rejoins_and_the_run_ends_with_the_same_bits(tmp_path):
    settings = ("epochs=1", "progressive.num_stages=1", "loop.checkpoint_steps=3")
    train_with_workers(tmp_path / "whole", *settings)
    workdir, addresses = tmp_path / "killed", free_addresses(2)
    first, second = (start_worker(workdir, i, addresses, *settings) for i in range(2))
    run_processes.kill_at_random(second, workdir)
    time.sleep(5)
    second = start_worker(workdir, 1, addresses, *settings)
    assert (first.wait(), second.wait()) == (0, 0)
    assert "A worker was lost" in (tmp_path / "killed.log").read_text()
    run_processes.assert_same_bits(workdir, tmp_path / "whole")
