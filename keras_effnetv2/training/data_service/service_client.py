"""Batches that input processes make for training.

Each makes some rows of every global batch, like workers in distributed training, so the
batches do not depend on the number of processes, and each file is read once.
"""

import concurrent.futures
import contextlib
import dataclasses
import http
import http.client
import json
import os
import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.order import Shard
from keras_effnetv2.data.parallelism import in_background
from keras_effnetv2.errors import InputError, UserError, WorkerError
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.paths import is_remote
from keras_effnetv2.training.data_service.batch_requests import (
    DISPATCHER,
    PATH,
    VERSIONS,
    WORKER,
    BatchRequest,
)
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.progressive.feeding import Feed
from keras_effnetv2.training.progressive.learning import Segment
from keras_effnetv2.training.progressive.stages import Stage

# Timeout for an answer. Opening data can take as long as reading through all of it.
_SECONDS, _SECONDS_TO_OPEN = 10.0, 3600.0
# After this time without a batch, the processes are checked: TensorFlow tries for an
# hour to reach one that is gone.
_PATIENCE = 3.0
_NUM_AHEAD = 2  # Batches.


class DataService:
    """The input processes of a training run, all of which are reachable.

    Args:
        addresses: `"HOST:PORT"` of each.

    Raises:
        ValueError: not an address, or a process with other versions.
        ChildProcessError: a process does not answer.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._processes = [_Process.at(address) for address in addresses]
        for process in self._processes:
            process.check()

    def check(self, stages: Sequence[Stage], num_workers: int) -> None:
        """Refuses batch sizes that cannot be divided.

        Raises:
            ValueError: there is one.
        """
        num = len(self._processes) * num_workers
        for stage in stages:
            if stage.batch_size % num:
                raise InputError(
                    f"A batch of {stage.batch_size} images cannot be divided among "
                    f"{len(self._processes)} input processes for each of {num_workers} "
                    f"workers. Choose a multiple of {num} as batch_size."
                )

    def describe(self) -> str:
        """A line for people."""
        names = ", ".join(process.address for process in self._processes)
        return f"batches: of {len(self._processes)} input processes, {names}"

    def batches(
        self, feed: Feed, experiment: Experiment, segment: Segment, shard: Shard
    ) -> tf.data.Dataset:
        """The batches of `segment_batches`, bit for bit.

        Raises:
            ValueError: a process cannot find the data.
            ChildProcessError: a process is gone.
        """
        num = len(self._processes)
        shards = [Shard(shard.index * num + i, shard.count * num) for i in range(num)]
        requests = [
            BatchRequest(
                _for_all(experiment, feed), feed.source.num_examples, segment, part
            )
            for part in shards
        ]
        with concurrent.futures.ThreadPoolExecutor(num) as pool:
            parts = [*pool.map(_Part.begin, self._processes, requests)]
        stage, num_rows = segment.stage, len(shards[0].rows(segment.stage.batch_size))
        spec = (
            tf.TensorSpec((num_rows, stage.image_size, stage.image_size, 3), tf.uint8),
            tf.TensorSpec((num_rows, feed.source.num_classes), tf.float32),
        )
        num_steps = (segment.end_epoch - segment.first_epoch) * segment.num_steps
        return _watched(parts, _joined(parts, spec), num_steps, feed.decode_errors)


@dataclasses.dataclass(frozen=True)
class _Process:
    """The address of an input process."""

    host: str
    port: int

    @classmethod
    def at(cls, address: str) -> "_Process":
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not port.isdecimal():
            raise InputError(
                "The address of an input process is HOST:PORT, such as "
                f"localhost:5050. Received: --data_service {address}."
            )
        return cls(host, int(port))

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def check(self) -> None:
        """Detects early what TensorFlow would wait for."""
        answer = self.ask("GET", "/")
        versions = answer.get("versions")
        if versions != VERSIONS:
            raise InputError(
                f"The input process {self.address} runs {_listed(versions)}, but "
                f"training runs {_listed(VERSIONS)}: their batches may differ. "
                "Install the same."
            )
        host = answer["host"]  # The worker's own name for itself.
        for place in (
            (self.host, self.port + DISPATCHER),
            (host, self.port + WORKER),
        ):
            try:
                socket.create_connection(place, _SECONDS).close()
            except OSError as error:
                raise WorkerError(
                    f"The input process {self.address} answers, but not at "
                    f"{place[0]}:{place[1]} ({error}). Open its ports {self.port} to "
                    f"{self.port + WORKER}, and start it with --host NAME that is "
                    "known here."
                ) from error

    def ask(
        self, method: str, path: str, text: str | None = None, seconds: float = _SECONDS
    ) -> dict[str, Any]:
        """An answer; see `batch_requests.py`."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            with contextlib.closing(connection):
                connection.request(method, path, text)
                response = connection.getresponse()
                answer = dict(json.loads(response.read()))
        except (OSError, http.client.HTTPException) as error:
            command = ["--host", self.host, "--port", str(self.port)]
            raise WorkerError(
                f"No input process answers at {self.address} ({error}). Start it "
                f"there: python -m keras_effnetv2 data_service {shlex.join(command)}"
            ) from error
        except (ValueError, TypeError) as error:
            raise InputError(
                f"The server at {self.address} is not an input process. Correct "
                "--data_service."
            ) from error
        if response.status != http.HTTPStatus.OK:
            raise InputError(f"Input process {self.address}: {answer.get('error')}")
        return answer


@dataclasses.dataclass(frozen=True)
class _Part:
    """Some rows of the batches of a segment, made by one process.

    Attributes:
        process: the process that makes them.
        name: their name at the service.
    """

    process: _Process
    name: str

    @classmethod
    def begin(cls, process: _Process, request: BatchRequest) -> "_Part":
        answer = process.ask("POST", PATH, request.to_json(), _SECONDS_TO_OPEN)
        return cls(process, answer["name"])

    def dataset(self, spec: tuple[tf.TensorSpec, ...]) -> tf.data.Dataset:
        service = tf.data.experimental.service
        return service.from_dataset_id(
            service.ShardingPolicy.OFF,  # All batches, from the only worker, in order.
            f"grpc://{self.process.host}:{self.process.port + DISPATCHER}",
            self.name,
            spec,
        )

    def damaged(self) -> dict[int, tuple[str, str]]:
        """Damaged images, as for `DecodeErrors.report`.

        Raises:
            ValueError: an error stopped the batches.
            ChildProcessError: the process is gone.
        """
        state = self.process.ask("GET", f"{PATH}/{self.name}")
        if state["error"]:
            raise InputError(f"Input process {self.process.address}: {state['error']}")
        return {
            int(index): (name, reason)
            for index, (name, reason) in state["damaged"].items()
        }


def _for_all(experiment: Experiment, feed: Feed) -> Experiment:
    """The experiment, with absolute paths and a fixed order, for other processes."""
    data = experiment.data
    directory, name = data.directory, data.name
    if directory:
        directory = _absolute(directory)
    is_folder = os.path.isdir(os.path.expanduser(name))  # Or a name on the Hub.
    if data.source == "csv" or (data.source == "hugging_face" and is_folder):
        name = _absolute(name)
    order = "full" if feed.source.chunks is None else "chunks"
    data = dataclasses.replace(data, directory=directory, name=name, order=order)
    # A variant file exists only here.
    model = dataclasses.replace(
        experiment.model, variant=get_variant(experiment.model.variant)
    )
    return dataclasses.replace(experiment, data=data, model=model)


def _absolute(path: str) -> str:
    return path if is_remote(path) else os.path.abspath(os.path.expanduser(path))


def _joined(parts: Sequence[_Part], spec: tuple[tf.TensorSpec, ...]) -> tf.data.Dataset:
    """Batches joined from the rows of all parts."""

    def join(*rows: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        return tuple(tf.concat(column, axis=0) for column in zip(*rows, strict=True))

    every = tf.data.Dataset.zip(tuple(part.dataset(spec) for part in parts))
    return every.map(join).prefetch(_NUM_AHEAD)


def _watched(
    parts: Sequence[_Part],
    batches: tf.data.Dataset,
    num_steps: int,
    decode_errors: DecodeErrors,
) -> tf.data.Dataset:
    """Batches that fail when a process is gone, instead of waiting for it."""

    def check() -> None:
        """Reports damaged images, and raises errors of the processes."""
        try:
            found = [part.damaged() for part in parts]
        except UserError as error:
            decode_errors.stop(error)
        for each in found:
            decode_errors.report(each)

    def generate() -> Iterator[tuple[tf.Tensor, ...]]:
        iterator = iter(batches)
        for step in range(num_steps):
            batch = _next(iterator, check)
            if step + 1 == num_steps:
                check()
            yield batch

    watched = tf.data.Dataset.from_generator(
        generate, output_signature=batches.element_spec
    )
    cardinality = tf.data.experimental.assert_cardinality(num_steps)
    return watched.apply(cardinality).prefetch(_NUM_AHEAD)


def _next(iterator: Iterator[Any], check: Callable[[], None]) -> Any:
    """The next batch; while waiting, `check` is called, which may raise."""
    batch = in_background(lambda: next(iterator))
    while True:
        try:
            return batch.result(_PATIENCE)
        except concurrent.futures.TimeoutError:
            check()
        except tf.errors.OpError:
            check()
            raise


def _listed(versions: Any) -> str:
    known = versions if isinstance(versions, dict) else {}
    return ", ".join(f"{name} {version}" for name, version in known.items()) or "none"
