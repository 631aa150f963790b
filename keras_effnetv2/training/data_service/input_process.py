"""A process that makes batches for training, perhaps on other machines.

Training gets them through `tf.data` service, which sends graphs to its workers, but no
Python, and Python is needed to read chunks, report damaged images and decode what
TensorFlow cannot. So the training process only requests batches (`batch_requests.py`).
This process opens the data itself, registers its batches at its own dispatcher, and its
only worker delivers them in order.
"""

import collections
import functools
import http
import http.server
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.errors import InputError, UserError
from keras_effnetv2.training.data_service.batch_requests import (
    DISPATCHER,
    PATH,
    VERSIONS,
    WORKER,
    BatchRequest,
)
from keras_effnetv2.training.experiments.image_settings import Data
from keras_effnetv2.training.progressive.feeding import Feed, segment_batches

# Batches and datasets that are kept: training requests new ones for each stage and does
# not announce its end.
_MOST_BATCHES = 256
_MOST_FEEDS = 2
# After this time, batches that are no longer taken are dropped; how often to check.
_UNUSED_MS = 60_000
_LARGEST = 1 << 20  # Largest request, bytes.


class InputProcess:
    """Makes batches on request.

    Args:
        host: name of this machine, as training machines reach it.
        port: the first of three; see `batch_requests.py`.

    Raises:
        ValueError: a port is in use, or the host is not this machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self._feeds: collections.OrderedDict[Data, Feed] = collections.OrderedDict()
        self._batches: collections.OrderedDict[
            str, tuple[tf.data.Dataset, DecodeErrors]
        ] = collections.OrderedDict()
        self._lock = threading.Lock()
        try:
            self._start(port)
        except (OSError, OverflowError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(
                f"The ports {port} to {port + WORKER} of {host} cannot be opened: "
                f"{reason.splitlines()[0].rstrip('.')}. Choose another --port or "
                "--host."
            ) from error

    def _start(self, port: int) -> None:
        service = tf.data.experimental.service
        self._dispatcher = service.DispatchServer(
            service.DispatcherConfig(
                port=port + DISPATCHER,
                job_gc_check_interval_ms=_UNUSED_MS,
                job_gc_timeout_ms=_UNUSED_MS,
            )
        )
        self._worker = service.WorkerServer(
            service.WorkerConfig(
                dispatcher_address=f"localhost:{port + DISPATCHER}",
                worker_address=f"{self.host}:{port + WORKER}",
                port=port + WORKER,
            )
        )
        # Last, so that clients find the others ready.
        self._server = http.server.ThreadingHTTPServer(
            (self.host, port), functools.partial(_Handler, self)
        )

    def serve(self) -> None:
        """Answers requests until the process is stopped."""
        self._server.serve_forever()

    def add(self, request: BatchRequest) -> str:
        """Prepares batches, and returns their name.

        Raises:
            ValueError: their data is missing here, or differs from the training's.
            OSError: it cannot be read, after several tries.
        """
        data = request.experiment.data
        with self._lock:  # Two workers may ask for the same data.
            source = self._feed(data).source
            if source.num_examples != request.num_images:
                raise InputError(
                    f"There are {source.num_examples:,} training images here, but "
                    f"{request.num_images:,} on the training machine. Let both see "
                    "the same files."
                )
            decode_errors = DecodeErrors(
                data.train_split, source.num_examples, data.on_error
            )
            batches = segment_batches(
                Feed(source, decode_errors),
                request.experiment,
                request.segment,
                request.shard,
            )
            name = uuid.uuid4().hex
            self._register(batches, name)
            self._batches[name] = batches, decode_errors
            while len(self._batches) > _MOST_BATCHES:
                self._batches.popitem(last=False)
        return name

    def state(self, name: str) -> dict[str, Any]:
        """The error that stopped batches, and damaged images.

        Raises:
            ValueError: there are no such batches.
        """
        if name not in self._batches:
            raise InputError("The input process was restarted.")
        _, decode_errors = self._batches[name]
        error = decode_errors.error
        return {"error": error and str(error), "damaged": decode_errors.found()}

    def _feed(self, data: Data) -> Feed:
        if data not in self._feeds:
            self._feeds[data] = Feed.open(data, data.train_split)
        self._feeds.move_to_end(data)
        while len(self._feeds) > _MOST_FEEDS:
            self._feeds.popitem(last=False)
        return self._feeds[data]

    def _register(self, batches: tf.data.Dataset, name: str) -> None:
        # From a generator: the graph of the batches may hold what cannot be copied,
        # such as all images if they are cached in memory.
        registered = tf.data.Dataset.from_generator(
            lambda: batches, output_signature=batches.element_spec
        )
        options = tf.data.Options()
        ignore = tf.data.experimental.ExternalStatePolicy.IGNORE
        options.experimental_external_state_policy = ignore
        tf.data.experimental.service.register_dataset(
            self._dispatcher.target,
            registered.with_options(options),
            compression=None,  # Photographs hardly compress.
            dataset_id=name,
        )


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = 60  # Seconds, for a request that stays incomplete.

    def __init__(self, process: InputProcess, *arguments: Any) -> None:
        self._process = process
        super().__init__(*arguments)  # Also answers the request.

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(lambda: {"versions": VERSIONS, "host": self._process.host})
        else:
            name = self.path.removeprefix(f"{PATH}/")
            self._answer(lambda: self._process.state(name))

    def do_POST(self) -> None:
        size = min(_LARGEST, int(self.headers.get("Content-Length", 0)))
        text = self.rfile.read(size)
        self._answer(lambda: {"name": self._process.add(BatchRequest.from_json(text))})

    def _answer(self, compute: Callable[[], dict[str, Any]]) -> None:
        try:
            status, answer = http.HTTPStatus.OK, compute()
        except Exception as error:
            if not isinstance(error, UserError):
                logging.exception("A bug, or a request that is not from training:")
            text = " ".join(str(error).split())
            status, answer = http.HTTPStatus.BAD_REQUEST, {"error": text}
        contents = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(contents)))
        self.end_headers()
        self.wfile.write(contents)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: errors are reported to the training process."""
