"""`convert`: from any format to one file that loads by itself."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest

from keras_effnetv2.commands import convert
from keras_effnetv2.models import create_model
from keras_effnetv2.networks import variants
from keras_effnetv2.preprocessing import record
from tests.commands.running import run_command
from tests.tiny_networks import NANO, tiny


@pytest.fixture(autouse=True)
def small_reference(monkeypatch):
    """Makes the small reference network a variant that the command knows."""
    variant = dataclasses.replace(tiny("tiny-b0"), name="tiny-b0")
    monkeypatch.setitem(variants.VARIANTS, "tiny-b0", variant)


def run(*arguments):
    return run_command("convert", *arguments)


@pytest.mark.parametrize(
    "ending", [".weights.h5", pytest.param(".keras", marks=pytest.mark.slow)]
)
def test_checkpoint_becomes_one_file(reference, ending, tmp_path, capsys):
    source = reference / "checkpoints/tiny-b0.tgz"
    path = tmp_path / f"new{ending}"
    code = run(
        source,
        path,
        "--variant=tiny-b0",
        "--preprocessing=imagenet21k-ft1k",
    )
    assert code == 0
    printed = capsys.readouterr().out
    assert f"{source}: google/automl, TensorFlow checkpoint" in printed
    assert "arrays         208" in printed
    official = json.loads((reference / "checkpoints/tiny-b0.names.json").read_text())
    shapes = [x for name, x in official if x and "ExponentialMoving" not in name]
    assert f"parameters     {sum(map(math.prod, shapes)):,}\n" in printed
    assert "difference     0, largest" in printed
    assert list(tmp_path.iterdir()) == [path]
    model = create_model("tiny-b0", weights=path)
    expected = record("tiny-b0", "imagenet21k-ft1k", 224).unlabelled()
    assert model.preprocessing == expected
    official = create_model("tiny-b0", weights=source)
    for ours, theirs in zip(model.get_weights(), official.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_without_classifier(reference, tmp_path, capsys):
    source, path = reference / "checkpoints/tiny-b0.tgz", tmp_path / "a.keras"
    assert run(source, path, "--variant", "tiny-b0", "--no-include_top") == 0
    assert "arrays         206" in capsys.readouterr().out
    assert keras.saving.load_model(path).output_shape == (None, None, None, 320)
    assert run(path, tmp_path / "b.weights.h5", "--variant", "tiny-b0") == 2
    assert "has no classifier" in capsys.readouterr().err


def test_the_network_may_be_left_to_the_weights(tmp_path, capsys):
    source = tmp_path / "a.weights.h5"
    create_model("tiny-b0", include_top=False).save_weights(source)
    assert run(source, tmp_path / "b.weights.h5", "--no-include-top") == 0
    printed = capsys.readouterr().out
    assert "network        tiny-b0\n" in printed and "difference     0," in printed


def test_a_source_that_is_not_there_is_named(tmp_path, capsys):
    assert run("absent.h5", tmp_path / "b.weights.h5") == 2
    assert "There is no file or folder absent.h5" in capsys.readouterr().err


def test_wrong_variant_writes_nothing(reference, tmp_path, capsys):
    source = reference / "checkpoints/tiny-s.tgz"
    assert run(source, tmp_path / "a.keras", "--variant", "tiny-b0") == 2
    assert "does not belong to tiny-b0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "destination, message",
    [
        ("a.h5", "must end in .weights.h5 or .keras"),
        ("absent/a.keras", "There is no folder"),
    ],
)
def test_destination_is_checked_first(destination, message, tmp_path, capsys):
    assert run("absent", tmp_path / destination, "--variant", "tiny-b0") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("difference", [1.0, float("nan")])
def test_file_that_reads_back_differently_is_not_kept(
    difference, tmp_path, monkeypatch
):
    monkeypatch.setattr(convert, "_difference", lambda model, copy: difference)
    path = tmp_path / "a.weights.h5"
    path.write_bytes(b"what was there before")
    with pytest.raises(ValueError, match="its outputs differ by up to"):
        convert.write(create_model(NANO, classes=3), NANO, path)
    assert path.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [path]
