"""Deployment files: what can be said of them without a cluster."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.training import get_experiment, override

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
MANIFEST = (TOOLS / "kubernetes" / "tfjob.yaml").read_text()
SCRIPT = TOOLS / "launch_tpu_pod.sh"


def check_train_command(words):
    """The command line takes it, and the experiment its settings."""
    assert words[:3] == ["python", "-m", "keras_effnetv2"]
    args = command_line.parse(words[2:])
    experiment = override(get_experiment(args.experiment), args.set)
    return args, experiment


def test_the_manifest_trains_with_the_workers_of_tf_config():
    command = re.search(r"command:\s*(\[.*?\])", MANIFEST, flags=re.DOTALL)[1]
    args, experiment = check_train_command(json.loads(command))
    assert args.strategy == "multiworker"
    num_workers = int(re.search(r"replicas: (\d+)", MANIFEST)[1])
    pieces = num_workers * experiment.optimizer.accumulation_steps
    assert experiment.batch_size % pieces == 0


def test_the_manifest_is_indented_evenly():
    assert "\t" not in MANIFEST
    for line in MANIFEST.splitlines():
        assert (len(line) - len(line.lstrip())) % 2 == 0, line


def test_the_manifest_is_a_tfjob():
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load(MANIFEST)
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["restartPolicy"] == "ExitCode"
    pod = worker["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "tensorflow"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    workdir = container["command"][container["command"].index("--workdir") + 1]
    assert workdir.startswith("/runs/")


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_the_launch_script_is_bash():
    subprocess.run(["bash", "-n", SCRIPT], check=True)


# What gcloud is asked to do; nothing exists yet, so describe fails.
GCLOUD = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$CALLS"
for path in "$@"; do
  if [[ $path == *requirements.txt ]]; then cp "$path" "$CALLS.requirements"; fi
done
[[ $4 != describe ]]
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("route", ["jax", "tensorflow"])
def test_the_launch_script_makes_installs_and_trains(tmp_path, route):
    for name, text in (
        ("gcloud", GCLOUD),
        ("python3", f'#!/usr/bin/env bash\nexec {sys.executable} "$@"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "PROJECT": "project",
        "BUCKET": "gs://bucket",
        "ROUTE": route,
    }
    subprocess.run(["bash", SCRIPT], check=True, env=environment)
    calls = (tmp_path / "calls").read_text()
    actions = re.findall(r"^compute tpus tpu-vm (\w+)", calls, flags=re.MULTILINE)
    assert actions == ["describe", "create", "scp", "ssh", "ssh"]
    requirements = (tmp_path / "calls.requirements").read_text().splitlines()
    assert any(line.startswith("tensorflow-datasets") for line in requirements)
    assert not any(re.match(r"tensorflow[<>=]", line) for line in requirements)
    assert ("tensorflow-tpu==2.20.0" in requirements) == (route == "tensorflow")
    command = re.search(r"python3 (-m keras_effnetv2 train .*?) >> train.log", calls)
    args, _ = check_train_command(["python", *command[1].split()])
    assert args.workdir == "gs://bucket/runs/imagenet-s"
    assert args.strategy == {"jax": "multiworker", "tensorflow": "tpu"}[route]
