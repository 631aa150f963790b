"""Requests to TF Serving by REST and by gRPC, and which errors are transient."""

import base64
import dataclasses
import functools
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

# Seconds: maximum of the first pause, doubling for each next one, and the limit.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

# Too many requests; the server, or a proxy before it, is starting, full or slow.
_RETRYABLE_STATUS = {429, 502, 503, 504}
_RETRYABLE_CODES = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "ABORTED")

Outputs = dict[str, list]


class RequestError(Exception):
    """A request without an answer.

    Attributes:
        retryable: whether the same request may succeed later.
    """

    def __init__(self, message: str, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclasses.dataclass(frozen=True)
class Target:
    """The signature and version that answers.

    Attributes:
        model: name of the model.
        signature: the signature that takes `image_bytes`.
        version: number of the version; None for the largest.
        label: instead of a version: `stable` or `canary`.
    """

    model: str
    signature: str = "classify"
    version: int | None = None
    label: str | None = None


class Rest:
    """Requests by HTTP.

    Args:
        address: `http://HOST:8501` or `https://HOST`.
        target: server that answers.
        timeout: timeout of a request, seconds.
    """

    def __init__(self, address: str, target: Target, timeout: float) -> None:
        path = f"/v1/models/{target.model}"
        if target.label is not None:
            path += f"/labels/{target.label}"
        elif target.version is not None:
            path += f"/versions/{target.version}"
        self.url = f"{address.rstrip('/')}{path}:predict"
        self.signature = target.signature
        self.timeout = timeout

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """Outputs of a batch of encoded images, by name.

        Raises:
            RequestError: there is no answer, or it is an error.
        """
        encoded = [{"b64": base64.b64encode(x).decode("ascii")} for x in files]
        body = {"signature_name": self.signature, "inputs": {"image_bytes": encoded}}
        request = urllib.request.Request(
            self.url,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return json.load(response)["outputs"]
        except urllib.error.HTTPError as error:
            retryable = error.code in _RETRYABLE_STATUS
            message = f"HTTP {error.code}: {_reason(error)}"
            raise RequestError(message, retryable) from error
        except OSError as error:  # Refused, interrupted, too slow.
            raise RequestError(f"{self.url}: {error}", retryable=True) from error

    def close(self) -> None:
        """Does nothing: each request has its own connection."""


def _reason(error: urllib.error.HTTPError) -> str:
    """The server's message; a proxy's page says less than its status."""
    try:
        return json.load(error)["error"]
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason


class Grpc:
    """Requests by gRPC; the arguments are those of `Rest`, `grpc://HOST:8500`."""

    def __init__(self, address: str, target: Target, timeout: float) -> None:
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise ImportError(
                "gRPC needs tensorflow-serving-api: pip install keras_effnetv2[export]"
            ) from error
        host = urllib.parse.urlsplit(address).netloc
        # The limit is 4 MiB otherwise.
        options = [("grpc.max_receive_message_length", -1)]
        if address.startswith("grpcs://"):
            credentials = grpc.ssl_channel_credentials()
            self.channel = grpc.secure_channel(host, credentials, options)
        else:
            self.channel = grpc.insecure_channel(host, options)
        self._call = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self._new_request = functools.partial(_grpc_request, predict_pb2, target)
        self._error, self._tf, self.timeout = grpc.RpcError, tf, timeout

    def predict(self, files: Sequence[bytes]) -> Outputs:
        """As `Rest.predict`."""
        request = self._new_request()
        tensor = self._tf.make_tensor_proto(list(files), self._tf.string)
        request.inputs["image_bytes"].CopyFrom(tensor)
        try:
            response = self._call.Predict(request, timeout=self.timeout)
        except self._error as error:
            code = error.code().name
            message = f"gRPC {code}: {error.details()}"
            raise RequestError(message, code in _RETRYABLE_CODES) from error
        arrays = {k: self._tf.make_ndarray(x) for k, x in response.outputs.items()}
        return {key: _texts(array.tolist()) for key, array in arrays.items()}

    def close(self) -> None:
        """Ends the connection."""
        self.channel.close()


def _grpc_request(protos: Any, target: Target) -> Any:
    request = protos.PredictRequest()
    spec = request.model_spec
    spec.name, spec.signature_name = target.model, target.signature
    if target.label is not None:
        spec.version_label = target.label
    elif target.version is not None:
        spec.version.value = target.version
    return request


def _texts(value: Any) -> Any:
    """Nested lists with texts instead of bytes, as in JSON."""
    if isinstance(value, list):
        return [_texts(x) for x in value]
    return value.decode() if isinstance(value, bytes) else value


TRANSPORTS = {"http": Rest, "https": Rest, "grpc": Grpc, "grpcs": Grpc}


def connect(address: str, target: Target, timeout: float) -> Rest | Grpc:
    """The transport for an address.

    Raises:
        ValueError: the address is of an unknown kind.
    """
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in TRANSPORTS or not parts.netloc:
        raise ValueError(
            "The server must be http://HOST:8501, https://HOST, grpc://HOST:8500 or "
            f"grpcs://HOST. Received: {address}."
        )
    return TRANSPORTS[parts.scheme](address, target, timeout)


def with_retries(
    send: Callable[[], Outputs],
    retries: int,
    sleep: Callable[[float], None] = time.sleep,
) -> Outputs:
    """The answer of the first request that succeeds.

    Pauses grow and are random, so that clients of a server that was down do not all
    come back at once. Only transient errors are retried.

    Raises:
        RequestError: the error of the last request.
    """
    for attempt in range(retries + 1):
        try:
            return send()
        except RequestError as error:
            if not error.retryable or attempt == retries:
                raise
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
            sleep(random.uniform(0, pause))
    raise ValueError(f"retries must be at least 0. Received: {retries}.")
