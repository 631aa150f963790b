"""Deployment files name the ports, paths and files that exports have."""

import pathlib
import re

import pytest

from keras_effnetv2.export.tf_serving import server_config, versions
from tests.export import micro

yaml = pytest.importorskip("yaml")

TOOLS = pathlib.Path(__file__).parents[2] / "tools" / "serving"
NAME, GRPC, REST = "flowers", 8500, 8501


def documents(name):
    return list(yaml.safe_load_all((TOOLS / name).read_text()))


def flags(arguments):
    return dict(x.removeprefix("--").split("=", 1) for x in arguments)


@pytest.fixture
def base(tmp_path, monkeypatch):
    """An export as the manifests have it, without contents."""
    micro.write_quickly(monkeypatch)
    model = micro.classifier()
    versions.serving(model, tmp_path / NAME, fold=False)
    return tmp_path / NAME


def check_flags(arguments, base, mount):
    """Files that flags name are in an export whose base path is mounted there."""
    given = flags(arguments)
    for key in ("model_config_file", "batching_parameters_file"):
        if key in given:
            path = pathlib.PurePosixPath(given[key]).relative_to(mount)
            assert (base / path).is_file()
    assert given["enable_batching"] == "true"
    assert given["enable_per_model_batching_parameters"] == "true"
    return given


def check_models(given, base, mount):
    """The server finds the versions where models.config says that they are."""
    assert given["allow_version_labels_for_unavailable_models"] == "true"
    assert given["model_config_file"] == f"{mount}/{server_config.MODELS}"
    (model,) = server_config.read_models(base).model_config_list.config
    assert (model.name, model.base_path) == (NAME, mount)
    # Read again by a running server, a moved label would be refused.
    assert "model_config_file_poll_wait_seconds" not in given


def test_docker_compose(base):
    (file,) = documents("docker-compose.yaml")
    (service,) = file["services"].values()
    (volume,) = service["volumes"]
    given = check_flags(service["command"], base, volume["target"])
    check_models(given, base, volume["target"])
    assert volume["read_only"] and volume["source"].endswith(f"/{NAME}")
    assert service["ports"] == [f"{port}:{port}" for port in (GRPC, REST)]
    check = service["healthcheck"]["test"][-1]
    assert f"/{REST} " in check and f"GET /v1/models/{NAME} " in check


def test_kubernetes(base):
    deployment, service = documents("kubernetes.yaml")
    assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"]
    assert labels == service["spec"]["selector"]
    (container,) = template["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == template["spec"]["volumes"][0]["name"]
    check_models(
        check_flags(container["args"], base, mount["mountPath"]),
        base,
        mount["mountPath"],
    )
    ports = {x["name"]: x["containerPort"] for x in container["ports"]}
    assert ports == {"grpc": GRPC, "rest": REST}
    for port in service["spec"]["ports"]:
        assert port["port"] == ports[port["targetPort"]]
    for probe in ("readinessProbe", "startupProbe"):
        request = container[probe]["httpGet"]
        assert request == {"path": f"/v1/models/{NAME}", "port": "rest"}
    assert set(container["resources"]) == {"requests", "limits"}


def test_kserve(base):
    (service,) = documents("kserve.yaml")
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert service["kind"] == "InferenceService"
    model = service["spec"]["predictor"]["model"]
    assert service["metadata"]["name"] == NAME
    assert model["storageUri"].endswith(f"/{NAME}")
    given = check_flags(model["args"], base, "/mnt/models")
    assert "model_config_file" not in given
    assert set(model["resources"]) == {"requests", "limits"}


def test_the_same_server_everywhere():
    (compose,) = documents("docker-compose.yaml")
    deployment, _ = documents("kubernetes.yaml")
    (kserve,) = documents("kserve.yaml")
    image = compose["services"]["serving"]["image"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == image
    version = kserve["spec"]["predictor"]["model"]["runtimeVersion"]
    assert image == f"tensorflow/serving:{version}"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
