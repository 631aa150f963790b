"""Devices to train on, by name: one, all of a machine, several machines, or a TPU.

| name | on TensorFlow | on JAX |
| --- | --- | --- |
| auto | what the environment and the machine offer, see `open_devices` | the same |
| cpu | one replica, without GPUs | one CPU |
| mirrored | all GPUs, or all logical CPUs: `MirroredStrategy` | all devices |
| multiworker | all workers of TF_CONFIG | all processes |
| tpu | all cores: `TPUStrategy` | all TPU devices |
"""

import contextlib
import dataclasses
import functools
import glob
import os
import socket
from typing import Any

import keras

from keras_effnetv2 import private_apis
from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.training.choices import STRATEGIES
from keras_effnetv2.training.devices.tf_config import find_worker

# Read by keras.distribution.initialize.
_JAX_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
_TIMEOUT = 10  # Seconds for a server to answer.


@dataclasses.dataclass(frozen=True)
class Devices:
    """Opened devices.

    Attributes:
        name: "cpu", "gpu" (one), "mirrored", "multiworker", "tpu", or, on JAX, "data
            parallel" for several.
        strategy: a `tf.distribute.Strategy`; None on JAX.
        num_replicas: copies of the model, over all workers.
        worker: number of this process, from 0.
        num_workers: processes that train together.
        kind: kind of device, "CPU", "GPU" or "TPU".
    """

    name: str
    strategy: Any = None
    num_replicas: int = 1
    worker: int = 0
    num_workers: int = 1
    kind: str = "CPU"

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what only one process may write."""
        return self.worker == 0

    def scope(self) -> contextlib.AbstractContextManager:
        """The context to make a model in."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def describe(self) -> str:
        """A description such as "2 GPUs, mirrored"."""
        text = f"{self.num_replicas} {self.kind}" + "s" * (self.num_replicas > 1)
        if self.name != self.kind.lower():
            text += f", {self.name}"
        if self.num_workers > 1:
            text += f", worker {self.worker} of {self.num_workers}"
        return text


def open_devices(strategy: str = "auto", tpu: str | None = None) -> Devices:
    """Opens devices for this process; later calls return the same ones.

    Call it before TensorFlow or JAX computes anything. `"auto"` takes the first of: the
    workers of TF_CONFIG, if it has several (on JAX, the processes of
    KERAS_DISTRIBUTION_JOB_ADDRESSES or of a TPU pod); the TPU of `tpu` or of TPU_NAME;
    all GPUs; the CPU. On JAX it takes all devices of the kind that JAX prefers.

    Args:
        strategy: one of `STRATEGIES`.
        tpu: `"local"` for the TPU of this machine, a TPU's name, or `"grpc://HOST:PORT"`.
            None: TPU_NAME, or else local. On JAX every name is that of this machine's.

    Raises:
        ValueError: the devices of `strategy` are missing or not set up, or Keras runs
            on a backend that experiments do not support.
    """
    if strategy not in STRATEGIES:
        raise InputError(
            f"strategy must be one of {', '.join(STRATEGIES)}. Received: {strategy!r}."
        )
    if tpu and strategy not in ("auto", "tpu"):
        raise InputError(f"The TPU {tpu!r} needs strategy tpu. Received: {strategy!r}.")
    require_backend("Experiments are trained and evaluated on", "tensorflow", "jax")
    if strategy in ("auto", "tpu"):
        tpu = tpu or os.environ.get("TPU_NAME") or None
    if keras.backend.backend() == "jax":
        return _open_jax(strategy, is_tpu=strategy == "tpu" or bool(tpu))
    if strategy == "auto":
        strategy = _choose(tpu)
    if strategy == "tpu":
        return _open_tpu(tpu or "local")
    openers = {"mirrored": _open_mirrored, "multiworker": _open_multiworker}
    return openers[strategy]() if strategy in openers else _open_one(strategy)


def _choose(tpu: str | None) -> str:
    """The strategy for `"auto"` on TensorFlow; a single GPU is `"gpu"`."""
    import tensorflow as tf

    if "TF_CONFIG" in os.environ and find_worker()[1] > 1:
        return "multiworker"
    if tpu:
        return "tpu"
    num_gpus = len(tf.config.get_visible_devices("GPU"))
    return "mirrored" if num_gpus > 1 else "gpu" if num_gpus else "cpu"


def _open_one(name: str) -> Devices:
    import tensorflow as tf

    if name == "cpu" and tf.config.get_visible_devices("GPU"):
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError as error:
            raise InputError(
                "TensorFlow has opened the GPUs already. Open devices before anything "
                "is computed, or set CUDA_VISIBLE_DEVICES=-1."
            ) from error
    return Devices(name, tf.distribute.get_strategy(), kind=name.upper())


# Cached: variables made under one strategy do not work under another of its kind.
@functools.cache
def _open_mirrored() -> Devices:
    import tensorflow as tf

    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    names = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(names) == 1 and kind == "CPU":
        raise InputError(
            "The strategy mirrored trains on all GPUs, but TensorFlow finds none "
            "here. Leave it out to train on the processor."
        )
    strategy = private_apis.mirrored_strategy(names)
    return Devices("mirrored", strategy, len(names), kind=kind)


@functools.cache
def _open_multiworker() -> Devices:
    import tensorflow as tf

    worker, num_workers = find_worker()
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InputError(
            "Several workers must be opened before TensorFlow computes anything: call "
            f"open_devices first. {_first_line(error)}"
        ) from error
    kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
    num_replicas = strategy.num_replicas_in_sync
    return Devices("multiworker", strategy, num_replicas, worker, num_workers, kind)


@functools.cache
def _open_tpu(name: str) -> Devices:
    import tensorflow as tf

    _check_tpu(name)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)  # Name look-ups have no timeout of their own.
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name)
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        strategy = tf.distribute.TPUStrategy(resolver)
    except Exception as error:  # From TensorFlow, Google's clients or the network.
        raise _no_tpu(name, _first_line(error)) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return Devices("tpu", strategy, strategy.num_replicas_in_sync, kind="TPU")


def _check_tpu(name: str) -> None:
    """Detects early what TensorFlow or JAX would wait for, for minutes or forever."""
    if name == "local" and not _has_tpu():
        raise _no_tpu(name, "this machine has none")
    if name.startswith("grpc://"):
        host, _, port = name.removeprefix("grpc://").partition(":")
        try:
            socket.create_connection((host, int(port or 8470)), _TIMEOUT).close()
        except (OSError, ValueError) as error:
            raise _no_tpu(name, _first_line(error)) from error


def _has_tpu() -> bool:
    return any(map(glob.glob, ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")))


def _no_tpu(name: str, problem: str) -> ValueError:
    return InputError(
        f"The TPU {name!r} cannot be opened: {problem}. It takes a Cloud TPU VM with "
        "tensorflow-tpu, which ends at TensorFlow 2.20, or with jax[tpu] and "
        "KERAS_BACKEND=jax."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")


def _open_jax(strategy: str, is_tpu: bool) -> Devices:
    """On JAX, one program runs on all devices; the distribution is Keras's."""
    import jax

    if strategy == "cpu":
        jax.config.update("jax_platforms", "cpu")
        return Devices("cpu")
    if is_tpu:
        _check_tpu("local")
    if strategy == "multiworker" or _has_jax_processes():
        _connect_jax_processes()
    try:
        names = keras.distribution.list_devices("tpu" if is_tpu else None)
    except RuntimeError as error:
        if not is_tpu:
            raise
        raise _no_tpu("local", _first_line(error)) from error
    if len(names) > 1:
        # Each process reads its own part of the data.
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
        )
    kind = names[0].partition(":")[0]
    return Devices(
        "data parallel" if len(names) > 1 else kind,
        None,
        len(names),
        jax.process_index(),
        jax.process_count(),
        kind.upper(),
    )


def _has_jax_processes() -> bool:
    is_pod = "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    return _JAX_ADDRESSES in os.environ or (is_pod and _has_tpu())


@functools.cache
def _connect_jax_processes() -> None:
    if _JAX_ADDRESSES not in os.environ and not _has_tpu():
        raise InputError(
            f"Several processes on JAX need {_JAX_ADDRESSES} (such as "
            "10.0.0.1:2222,10.0.0.2:2222), KERAS_DISTRIBUTION_NUM_PROCESSES and "
            "KERAS_DISTRIBUTION_PROCESS_ID in the environment, or a TPU pod."
        )
    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"The processes of JAX cannot be connected: {_first_line(error)}."
        ) from error
