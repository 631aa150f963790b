"""Exports answer by TF Serving's protocols, gRPC and REST, the same.

The real server is not at hand: `model_server` speaks its protos and its REST.
"""

import base64
import json
import re
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    prediction_service_pb2_grpc,
)

from tests.export.tf_serving.goods import DAMAGED

pytestmark = pytest.mark.usefixtures("client_folder")


def post(address, path, body, is_json=False):
    """Status and JSON of an answer by REST."""
    data = body if is_json else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", data)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def predict(address, files, **target):
    from transports import Target, connect

    transport = connect(address, Target("goods", **target), timeout=30)
    try:
        return transport.predict(files)
    finally:
        transport.close()


@pytest.mark.parametrize("signature", ["classify", "serving_bytes"])
def test_rest_and_grpc_give_what_the_model_gives(server, base, photographs, signature):
    by_grpc, by_rest, _ = server
    files = [path.read_bytes() for path in sorted(photographs.iterdir())]
    answers = [predict(x, files, signature=signature, version=1) for x in server[:2]]
    loaded = tf.saved_model.load(base / "1")
    wanted = loaded.signatures[signature](image_bytes=tf.constant(files))
    for answer in answers:
        assert set(answer) == set(wanted)
        for key, value in wanted.items():
            if value.dtype == tf.string:
                assert answer[key] == [
                    [x.decode() for x in row] for row in value.numpy()
                ]
            else:
                np.testing.assert_allclose(answer[key], value, rtol=1e-5, atol=1e-6)


def test_labels_and_versions_name_what_answers(server, photographs):
    files = [(photographs / "0.jpeg").read_bytes()]
    for address in server[:2]:
        one, two = (predict(address, files, version=x) for x in (1, 2))
        assert one["scores"] != two["scores"]
        assert predict(address, files, label="stable") == one
        assert predict(address, files, label="canary") == two
        assert predict(address, files) == two  # The largest.


def test_rows_and_columns_are_the_same(server, photographs):
    address = server[1]
    path = "/v1/models/goods/versions/1:predict"
    files = [b64(x.read_bytes()) for x in sorted(photographs.iterdir())]
    bodies = [
        {"instances": files},
        {"instances": [{"image_bytes": x} for x in files]},
        {"inputs": files},
        {"inputs": {"image_bytes": files}},
    ]
    answers = [post(address, path, {"signature_name": "classify", **x}) for x in bodies]
    assert [status for status, _ in answers] == [200] * 4
    rows, same_rows, columns, same_columns = (x for _, x in answers)
    assert rows == same_rows and columns == same_columns
    for key, values in columns["outputs"].items():
        assert [row[key] for row in rows["predictions"]] == values
    pixels = np.full((2, 48, 48, 3), 99).tolist()
    status, answer = post(address, path, {"instances": pixels})
    assert status == 200 and set(answer["predictions"][1]) == {
        "logits",
        "probabilities",
    }
    body = {"signature_name": "features", "inputs": pixels}
    assert np.shape(post(address, path, body)[1]["outputs"])[0] == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("absent:predict", {"instances": [1]}, 404, "Servable not found"),
        ("goods/versions/9:predict", {"instances": [1]}, 404, "Servable not found"),
        ("goods/labels/x:predict", {"instances": [1]}, 400, "Unrecognized .* label"),
        ("goods:predict", {"signature_name": "x", "inputs": []}, 400, 'key "x" not'),
        ("goods:predict", {"instances": [], "inputs": []}, 400, "or both"),
        ("goods:predict", b"{no json", 400, "JSON Parse error"),
        ("goods:predict", {"instances": [[1.0, 2.0]]}, 400, r"\[1,2\] is not"),
        ("goods:predict", {"instances": [[[[1.0] * 3]]]}, 400, r"1,1,1,3\] is not"),
        (
            "goods:predict",
            {"signature_name": "classify", "inputs": [{"b64": "_-8="}]},
            400,
            "base64",
        ),
        (
            "goods:predict",
            {"signature_name": "classify", "inputs": [b64(DAMAGED)]},
            400,
            "JPEG",
        ),
    ],
)  # fmt: skip
def test_bad_requests_say_what_is_wrong(server, path, body, status, message):
    found, answer = post(
        server[1], f"/v1/models/{path}", body, is_json=isinstance(body, bytes)
    )
    assert found == status
    assert re.search(message, answer["error"])


def test_the_status_says_what_is_loaded(server):
    with urllib.request.urlopen(f"{server[1]}/v1/models/goods") as response:
        states = json.load(response)["model_version_status"]
    assert [(x["version"], x["state"]) for x in states] == [
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]


def test_the_metadata_name_the_signatures(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name, request.model_spec.version_label = "goods", "stable"
    request.metadata_field.append("signature_def")
    with grpc.insecure_channel(server[0].removeprefix("grpc://")) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.GetModelMetadata(request)
    assert answer.model_spec.version.value == 1
    signatures = get_model_metadata_pb2.SignatureDefMap()
    answer.metadata["signature_def"].Unpack(signatures)
    inputs = signatures.signature_def["classify"].inputs
    assert inputs["image_bytes"].dtype == tf.string.as_datatype_enum
