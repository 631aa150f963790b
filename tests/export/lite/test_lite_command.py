"""`export litert`."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.commands import finished_run
from tests.commands.running import run_command
from tests.export import micro

pytest.importorskip("ai_edge_litert")
pytest.importorskip("sklearn")


def run(*flags):
    return run_command("export", "litert", *flags)


def manifest(folder):
    return json.loads((folder / "model.json").read_text())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return finished_run.write(tmp_path_factory.mktemp("runs") / "digits")


@pytest.mark.long
def test_a_run_brings_its_images(workdir, tmp_path, capsys):
    folder = tmp_path / "digits"
    flags = ("--formats", "float32", "int8", "--input_type", "uint8")
    assert run("--workdir", workdir, "--output", folder, *flags) == 0
    printed = capsys.readouterr().out
    assert (folder / "report.md").read_text().strip() in printed
    contents = manifest(folder)
    assert contents["experiment"] == "digits-smoke"
    assert contents["compared_on"].endswith("evaluation images")
    assert contents["formats"]["int8"]["accuracy"] is not None
    assert contents["options"]["input_type"] == "uint8"
    assert (folder / "labels.txt").read_text().split() == list("0123456789")


@pytest.mark.long
def test_images_from_elsewhere(tmp_path):
    micro.classifier(10).save(tmp_path / "micro.keras")
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    flags = ("--weights", tmp_path / "micro.keras", "--no-fold", "--formats", "float32")
    folder = tmp_path / "export"
    assert not run(*flags, "--output", folder, "--images", tmp_path / "photos")
    assert manifest(folder)["compared_on"] == "1 representative images"
    source = ("--source", "digits", "--split", "train[:9]")
    assert not run(*flags, "--output", folder, *source)
    assert manifest(folder)["compared_on"] == "9 representative images"


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--images", "a", "--source", "digits"], "images are: --images or --source"),
        (["--images", "absent"], "There is no folder 'absent'"),
        (["--source", "paintings"], "kind must be one of"),
        (["--source", "digits", "--split", "dev"], "The splits are"),
    ],
)
def test_bad_input_is_one_line(workdir, tmp_path, capsys, flags, message):
    assert run("--workdir", workdir, "--output", tmp_path / "x", *flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not any(tmp_path.iterdir())
