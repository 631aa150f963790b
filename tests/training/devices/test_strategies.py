"""What each strategy opens, and how it says what is missing."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from keras_effnetv2.training.devices import strategies
from keras_effnetv2.training.devices.strategies import Devices, open_devices
from keras_effnetv2.training.devices.tf_config import find_worker
from tests import forked

CHECKS = pathlib.Path(__file__).with_name("device_checks.py")
WORKERS = {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}
SET_UP = (
    "TF_CONFIG",
    "TPU_NAME",
    "TPU_WORKER_HOSTNAMES",
    "KERAS_DISTRIBUTION_JOB_ADDRESSES",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in SET_UP:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(strategies, "_has_tpu", lambda: False)


def start(*code, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, code)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    found, errors = process.communicate(timeout=300)
    assert not process.returncode, errors
    return found.strip()


def free_addresses():
    """Two addresses of this machine."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


def test_unknown_strategies_are_refused():
    with pytest.raises(ValueError, match="auto, cpu, mirrored, multiworker, tpu"):
        open_devices("gpu")


@pytest.mark.parametrize(
    ("num_gpus", "expected"), [(0, "1 CPU"), (1, "1 GPU"), (2, "2 GPUs, mirrored")]
)
def test_auto_takes_all_gpus(num_gpus, expected, monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: [None] * num_gpus)
    mirrored = Devices("mirrored", None, 2, kind="GPU")
    monkeypatch.setattr(strategies, "_open_mirrored", lambda: mirrored)
    opened = open_devices()
    assert opened.describe() == expected
    assert opened.is_chief


def test_auto_prefers_workers_to_a_tpu_to_gpus(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: [None] * 2)
    monkeypatch.setattr(strategies, "_open_tpu", lambda name: f"TPU {name}")
    monkeypatch.setattr(strategies, "_open_multiworker", lambda: "workers")
    assert open_devices("auto", "a") == "TPU a"
    monkeypatch.setenv("TPU_NAME", "b")
    assert open_devices() == "TPU b"
    set_tf_config(monkeypatch, cluster={"worker": ["10.0.0.1:2222"]})
    assert open_devices() == "TPU b"
    set_tf_config(monkeypatch)
    assert open_devices() == "workers"


def test_cpu_is_one_replica():
    opened = open_devices("cpu")
    with opened.scope():
        assert tf.distribute.get_strategy().num_replicas_in_sync == 1
    assert opened.describe() == "1 CPU"


def test_gpus_that_are_in_use_cannot_be_hidden(monkeypatch):
    def refuse(*_):
        raise RuntimeError("Visible devices cannot be modified")

    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _: [None])
    monkeypatch.setattr(tf.config, "set_visible_devices", refuse)
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES=-1"):
        open_devices("cpu")


def test_mirrored_says_where_there_is_nothing_to_mirror(monkeypatch):
    monkeypatch.setattr(
        strategies, "_open_mirrored", strategies._open_mirrored.__wrapped__
    )
    with pytest.raises(ValueError, match="TensorFlow finds none here"):
        open_devices("mirrored")


@pytest.mark.long
def test_mirrored_takes_all_logical_cpus(tmp_path):
    found = forked.output([CHECKS, "mirrored", 4], tmp_path)
    assert found.splitlines()[-1] == "4 CPUs, mirrored"


@pytest.mark.long
def test_two_workers_of_tensorflow(tmp_path):
    chief, worker = free_addresses()
    cluster = {"chief": [chief], "worker": [worker]}
    processes = [
        forked.Process(
            [CHECKS, "auto", 1], tmp_path / job, {"TF_CONFIG": tf_config(cluster, job)}
        )
        for job in ("chief", "worker")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert [x.log.read_text().splitlines()[-1] for x in processes] == [
        "2 CPUs, multiworker, worker 0 of 2",
        "2 CPUs, multiworker, worker 1 of 2",
    ]


def tf_config(cluster=WORKERS, job="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


def set_tf_config(monkeypatch, **arguments):
    monkeypatch.setenv("TF_CONFIG", tf_config(**arguments))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs the cluster's addresses"),
        ("{", "not JSON"),
        ("[]", "needs the cluster's addresses"),
        ('{"cluster": []}', "needs the cluster's addresses"),
        (json.dumps({"cluster": WORKERS}), "the task's type and index"),
        (tf_config({"worker": "10.0.0.1:2222"}), "lists of addresses"),
        (tf_config({"worker": [1, 2]}), "lists of addresses"),
        (tf_config({**WORKERS, "chief": ["a:1", "b:1"]}), "one chief"),
        (tf_config(job="ps"), "chief or worker, not 'ps'"),
        (tf_config(job="chief"), "less than 0"),
        (tf_config(index=2), "less than 2"),
        (tf_config(index="0"), "not '0'"),
        (tf_config(index=True), "not True"),
    ],
)
def test_mistakes_in_tf_config_take_one_line(text, problem, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=problem) as caught:
        open_devices("multiworker")
    assert str(caught.value).startswith("TF_CONFIG must be like {")
    assert "\n" not in str(caught.value)


def test_multiworker_needs_tf_config():
    with pytest.raises(ValueError, match="TF_CONFIG must be like"):
        open_devices("multiworker")


def test_workers_are_opened_before_all_else(monkeypatch):
    set_tf_config(monkeypatch)
    tf.ones(())
    with pytest.raises(ValueError, match="call open_devices first"):
        open_devices("multiworker")


@pytest.mark.parametrize(
    ("job", "index", "expected"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)]
)
def test_a_chief_comes_before_the_workers(job, index, expected, monkeypatch):
    cluster = {"chief": ["10.0.0.3:2222"], **WORKERS}
    set_tf_config(monkeypatch, cluster=cluster, job=job, index=index)
    assert find_worker() == (expected, 3)


@pytest.mark.parametrize("tpu", [None, "local"])
def test_a_machine_without_a_tpu_is_told_so(tpu):
    with pytest.raises(ValueError, match="has none. It takes a Cloud TPU VM"):
        open_devices("tpu", tpu)


@pytest.mark.long
def test_tensorflow_without_tpu_kernels_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from keras_effnetv2.training.devices import strategies\n"
        "strategies._has_tpu = lambda: True\n"
        "try: strategies.open_devices('tpu')\n"
        "except ValueError as error: print(error)"
    )
    found = forked.output([script], tmp_path).splitlines()[-1]
    assert found.startswith("The TPU 'local' cannot be opened: TPUs not found")
    assert found.endswith("KERAS_BACKEND=jax.")


@pytest.mark.parametrize("tpu", ["grpc://127.0.0.1:1", "grpc://127.0.0.1:no"])
def test_a_tpu_that_does_not_answer_is_not_waited_for(tpu):
    with pytest.raises(ValueError, match="cannot be opened"):
        open_devices("tpu", tpu)


def test_a_name_that_nobody_knows_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(strategies, "_TIMEOUT", 0.5)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{port}")
        with pytest.raises(ValueError, match="'my-tpu' cannot be opened: timed out"):
            open_devices("tpu", "my-tpu")
    assert time.monotonic() - began < 30
    assert socket.getdefaulttimeout() is None


def test_a_tpu_goes_with_its_strategy():
    with pytest.raises(ValueError, match="needs strategy tpu"):
        open_devices("mirrored", "local")


ON_JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}


@pytest.mark.parametrize(
    "strategy", ["auto", pytest.param("mirrored", marks=pytest.mark.slow)]
)
def test_jax_takes_all_devices(strategy):
    pytest.importorskip("jax", reason="needs jax")
    flags = "--xla_force_host_platform_device_count=4"
    process = start(CHECKS, strategy, 1, XLA_FLAGS=flags, **ON_JAX)
    assert output(process) == "4 CPUs, data parallel"


@pytest.mark.slow
def test_two_processes_of_jax():
    pytest.importorskip("jax", minversion="0.5", reason="JAX 0.4.30 joins no CPUs")
    environment = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": free_addresses()[0],
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
        **ON_JAX,
    }
    processes = [
        start(CHECKS, "auto", 1, KERAS_DISTRIBUTION_PROCESS_ID=i, **environment)
        for i in "01"
    ]
    # Gloo, which connects them, prints too.
    assert [output(process).splitlines()[-1] for process in processes] == [
        "2 CPUs, data parallel, worker 0 of 2",
        "2 CPUs, data parallel, worker 1 of 2",
    ]


def test_jax_says_what_is_missing():
    pytest.importorskip("jax", reason="needs jax")
    code = (
        "from keras_effnetv2.training.devices import strategies\n"
        "strategies._has_tpu = lambda: False\n"
        "for request in ('tpu', None), ('auto', 'name'), ('multiworker', None):\n"
        "    try: strategies.open_devices(*request)\n"
        "    except ValueError as error: print(error)\n"
        "print(strategies.open_devices('cpu').describe())"
    )
    local, name, processes, cpu = output(start("-c", code, **ON_JAX)).splitlines()
    assert "this machine has none" in local
    assert name == local
    assert "KERAS_DISTRIBUTION_PROCESS_ID" in processes
    assert cpu == "1 CPU"
