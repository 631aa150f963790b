"""A variant file is a variant to every command; a run keeps its own copy of it."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.commands.shared.exported_models import open_model
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.variant_files import read_variant, write_variant
from keras_effnetv2.networks.variants import fuse_stages, get_variant
from keras_effnetv2.training import get_experiment, load_run
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.runs.workdir import open_workdir, read_experiment
from tests import image_files as files
from tests.commands.running import run_command

FOUND = dataclasses.replace(
    fuse_stages(get_variant("efficientnetv2-b0"), [4]),
    name="found",
    width_coefficient=0.25,
    depth_coefficient=0.1,
    eval_size=32,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with `found.json`, its weights and an image."""
    monkeypatch.chdir(tmp_path)
    write_variant(FOUND, "found.json")
    (tmp_path / "a.jpg").write_bytes(files.JPEG)
    return tmp_path


def experiment(*settings):
    settings = ("model.variant=found.json", *settings)
    none = ("model.width_coefficient=none", "model.depth_coefficient=none")
    return override(get_experiment("digits-smoke"), [*settings, *none])


def finished(path, started):
    """The work folder of a run, without its training."""
    workdir = open_workdir(path, started)
    build_network(started, None, tuple("0123456789")).save_weights(workdir.weights)
    return workdir


def test_profile(folder, capsys):
    assert run_command("profile", "--variant", "found.json", "--no-measure") == 0
    assert capsys.readouterr().out.startswith("found, 32x32 pixels")


def test_convert_predict_and_export(folder, capsys):
    create_model(FOUND, classes=4).save_weights("a.weights.h5")
    assert (
        run_command("convert", "a.weights.h5", "b.keras", "--variant", "found.json")
        == 0
    )
    model = keras.models.load_model("b.keras")
    assert (model.name, model.output_shape) == ("found", (None, 4))
    named = ("--variant", "found.json", "--weights", "a.weights.h5")
    assert run_command("predict", "a.jpg", *named, "--top", 1) == 0
    assert "class" in capsys.readouterr().out
    words = ("export", "saved_model", *named, "--output", "export")
    exported, source = open_model(command_line.parse(["", *words]))
    assert (exported.name, source["variant"]) == ("found", "found.json")


def test_released_weights_are_not_those_of_a_found_network(folder, capsys):
    assert run_command("predict", "a.jpg", "--variant", "found.json") == 2
    assert "found.json holds a network without weights" in capsys.readouterr().err


def test_a_run_keeps_its_own_copy(folder):
    started = experiment()
    workdir = finished("run", started)
    assert read_variant("run/variant.json") == FOUND
    config = json.loads((folder / "run/config.json").read_text())
    assert config["model"]["variant"] == "found.json"
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    before = load_run("run")(images)
    (folder / "found.json").unlink()
    workdir.path.rename(folder / "moved")
    after = load_run(folder / "moved")(images)
    np.testing.assert_array_equal(before, after)
    assert read_experiment("moved").eval_size == 32


def test_a_run_of_a_network_itself_needs_no_other_file(folder):
    named = experiment()
    model = dataclasses.replace(named.model, variant=FOUND)
    started = dataclasses.replace(named, model=model)
    finished("run", started)
    assert not (folder / "run/variant.json").exists()
    assert read_experiment("run") == started
    open_workdir("run", started)
    open_workdir("run", named)  # The same network, from a file.
    other = dataclasses.replace(FOUND, width_coefficient=0.5)
    changed = dataclasses.replace(model, variant=other)
    with pytest.raises(ValueError, match="another run.*model.variant is"):
        open_workdir("run", dataclasses.replace(started, model=changed))


def test_a_run_goes_on_with_the_same_network_only(folder):
    finished("run", experiment())
    (folder / "found.json").rename(folder / "other.json")
    moved = override(
        get_experiment("digits-smoke"),
        [
            "model.variant=other.json",
            "model.width_coefficient=none",
            "model.depth_coefficient=none",
        ],
    )
    open_workdir("run", moved)  # The path has changed, and the network has not.
    write_variant(dataclasses.replace(FOUND, width_coefficient=0.5), "found.json")
    with pytest.raises(
        ValueError, match=r"model.variant is '.*variant.json' there and"
    ):
        open_workdir("run", experiment())


def test_a_copy_that_is_gone_is_named(folder):
    finished("run", experiment())
    (folder / "run/variant.json").unlink()
    with pytest.raises(ValueError, match="no variant file run/variant.json"):
        load_run("run")


def test_runs_of_published_variants_have_no_copy(folder):
    open_workdir("run", get_experiment("digits-smoke"))
    write_variant(FOUND, "run/variant.json")  # Somebody's, and not the run's.
    assert read_experiment("run") == get_experiment("digits-smoke")


def test_a_file_that_is_not_there_stops_a_training_before_it_begins(folder, capsys):
    code = run_command(
        *("train", "--experiment", "digits-smoke", "--workdir", "run"),
        *("--set", "model.variant=absent.json"),
    )
    assert code == 2
    assert "There is no variant file absent.json" in capsys.readouterr().err
    assert not (folder / "run").exists()
