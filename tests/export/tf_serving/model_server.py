"""A server of exports that speaks TF Serving's protocols: gRPC, REST, models.config.

For tests, where the real `tensorflow_model_server` cannot be had. It keeps to what is
documented of it: https://www.tensorflow.org/tfx/serving/api_rest, and the protos.
"""

import base64
import binascii
import concurrent.futures
import contextlib
import http.server
import json
import re
import threading

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

DEFAULT_SIGNATURE = "serving_default"
URL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(:(?P<method>\w+)|/(?P<metadata>metadata))?"
)


class Refusal(Exception):
    """An answer that is an error: gRPC's status code, HTTP's and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.status = {grpc.StatusCode.NOT_FOUND: 404}.get(code, 400)


class Models:
    """What a models.config serves, loaded when it is first asked for."""

    def __init__(self, path):
        config = model_server_config_pb2.ModelServerConfig()
        text_format.Parse(path.read_text(), config)
        self.models = {model.name: model for model in config.model_config_list.config}
        self.loaded = {}
        self.lock = threading.Lock()

    def versions(self, name):
        if name not in self.models:
            raise Refusal(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: Latest({name})",
            )
        return list(self.models[name].model_version_policy.specific.versions)

    def find(self, name, version=None, label=None):
        """The number and the SavedModel of a version."""
        versions = self.versions(name)
        if label:
            labels = self.models[name].version_labels
            if label not in labels:
                message = f"Unrecognized servable version label: {label}"
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
            version = labels[label]
        version = version or max(versions)
        if version not in versions:
            message = f"Servable not found for request: Specific({name}, {version})"
            raise Refusal(grpc.StatusCode.NOT_FOUND, message)
        with self.lock:
            if (name, version) not in self.loaded:
                path = f"{self.models[name].base_path}/{version}"
                model = tf.saved_model.load(path, tags=["serve"])
                self.loaded[name, version] = model
        return version, self.loaded[name, version]

    def predict(self, loaded, signature, inputs):
        """Arrays of a signature's outputs; `inputs` are arrays by name."""
        function = self.signature(loaded, signature)
        specs = function.structured_input_signature[1]
        if set(inputs) != set(specs):
            message = f"expected inputs {sorted(specs)}. Received: {sorted(inputs)}"
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
        try:
            tensors = {
                key: tf.constant(value, specs[key].dtype)
                for key, value in inputs.items()
            }
            return {key: value.numpy() for key, value in function(**tensors).items()}
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            message = getattr(error, "message", str(error))
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message) from error

    def signature(self, loaded, name):
        if name not in loaded.signatures:
            message = f'Serving signature key "{name}" not found.'
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
        return loaded.signatures[name]


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        try:
            return self._predict(request)
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal))

    def GetModelMetadata(self, request, context):
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        try:
            version, loaded = self._find(request.model_spec)
        except Refusal as refusal:
            context.abort(refusal.code, str(refusal))
        for name, function in loaded.signatures.items():
            definition = signatures.signature_def[name]
            for key, spec in function.structured_input_signature[1].items():
                definition.inputs[key].dtype = spec.dtype.as_datatype_enum
            for key, spec in function.structured_outputs.items():
                definition.outputs[key].dtype = spec.dtype.as_datatype_enum
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = version
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def _find(self, spec):
        version = spec.version.value if spec.HasField("version") else None
        return self.models.find(spec.name, version, spec.version_label)

    def _predict(self, request):
        spec = request.model_spec
        version, loaded = self._find(spec)
        signature = spec.signature_name or DEFAULT_SIGNATURE
        inputs = {key: tf.make_ndarray(x) for key, x in request.inputs.items()}
        outputs = self.models.predict(loaded, signature, inputs)
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = spec.name
        answer.model_spec.version.value = version
        answer.model_spec.signature_name = signature
        for key, value in outputs.items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return answer


class RestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self._answer(self._status)

    def do_POST(self):
        self.body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self._predict)

    def _answer(self, make):
        try:
            parts = URL.fullmatch(self.path)
            if parts is None:
                message = f"Malformed request: {self.command} {self.path}"
                raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
            status, answer = 200, make(parts)
        except Refusal as refusal:
            status, answer = refusal.status, {"error": str(refusal)}
        status, answer = self.server.trouble(status, answer)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self, parts):
        versions = self.server.models.versions(parts["name"])
        ok = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [
                {"version": str(x), "state": "AVAILABLE", "status": ok}
                for x in sorted(versions, reverse=True)
            ]
        }

    def _predict(self, parts):
        models = self.server.models
        version = parts["version"] and int(parts["version"])
        _, loaded = models.find(parts["name"], version, parts["label"])
        request = parse_json(self.body)
        name = request.get("signature_name", DEFAULT_SIGNATURE)
        keys = list(models.signature(loaded, name).structured_input_signature[1])
        is_row = "instances" in request
        read = rows if is_row else columns
        outputs = models.predict(loaded, name, read(request, keys))
        outputs = {key: as_json(key, value) for key, value in outputs.items()}
        if not is_row:
            only = len(outputs) == 1
            return {"outputs": next(iter(outputs.values())) if only else outputs}
        table = zip(*outputs.values(), strict=True)
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values()))}
        return {"predictions": [dict(zip(outputs, x, strict=True)) for x in table]}


class RestServer(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # Connections of a load test all come at once.


def parse_json(body):
    try:
        request = json.loads(body)
    except ValueError as error:
        message = f"JSON Parse error: {error}"
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message) from error
    if not isinstance(request, dict) or ("instances" in request) == (
        "inputs" in request
    ):
        message = "Missing 'inputs' or 'instances' key, or both are there"
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message)
    return request


def rows(request, keys):
    """Arrays by name of `instances`: objects, or values of the only input."""
    instances = [binary(x) for x in request["instances"]]
    if instances and isinstance(instances[0], dict):
        return {key: [x[key] for x in instances] for key in instances[0]}
    return {keys[0]: instances}


def columns(request, keys):
    """Arrays by name of `inputs`: an object of all, or the value of the only one."""
    inputs = binary(request["inputs"])
    return inputs if isinstance(inputs, dict) else {keys[0]: inputs}


def binary(value):
    """JSON with its `{"b64": text}` objects as bytes: the standard alphabet only."""
    if isinstance(value, list):
        return [binary(x) for x in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"b64"}:
        return {key: binary(x) for key, x in value.items()}
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, TypeError) as error:
        message = "Unable to base64 decode"
        raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, message) from error


def as_json(name, value):
    """Lists of an array; texts, unless the name says that they are bytes."""
    if value.dtype != object:
        return value.tolist()
    if name.endswith("_bytes"):
        encode = np.vectorize(lambda x: {"b64": base64.b64encode(x).decode()}, "O")
        return encode(value).tolist()
    return np.vectorize(lambda x: x.decode(), "O")(value).tolist()


@contextlib.contextmanager
def running(config):
    """Serves what a models.config says; gives both addresses and the REST server.

    `server.trouble` may change status and answer of what is asked by REST.
    """
    models = Models(config)
    pool = concurrent.futures.ThreadPoolExecutor(8)
    grpc_server = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
    service = PredictionService(models)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        service, grpc_server
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    rest = RestServer(("127.0.0.1", 0), RestHandler)
    rest.models, rest.trouble = models, lambda status, answer: (status, answer)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    try:
        yield f"grpc://127.0.0.1:{port}", f"http://127.0.0.1:{rest.server_port}", rest
    finally:
        rest.shutdown()
        rest.server_close()
        grpc_server.stop(None)
