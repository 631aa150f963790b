"""`export`: says where the model is from and how far the export is from it."""

import json
import shutil

import numpy as np
import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import create_model
from keras_effnetv2.commands.export import FORMATS
from keras_effnetv2.commands.shared import exported_models
from keras_effnetv2.export.checks.roundtrip import run_engine
from keras_effnetv2.files import replace_file
from keras_effnetv2.networks import variants
from keras_effnetv2.training import evaluate_run, load_run, override
from keras_effnetv2.training.experiments.settings import to_json
from keras_effnetv2.training.learner.network import build_network
from keras_effnetv2.training.reporting.records import Records
from keras_effnetv2.training.runs.trained import describe_weights, trained_weights
from keras_effnetv2.training.runs.workdir import Workdir, read_experiment
from tests.commands import finished_run
from tests.commands.running import run_command
from tests.servers import mirror


def run(*flags):
    return run_command("export", *flags)


def manifest(folder):
    return json.loads((folder / "model.json").read_text())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return finished_run.write(tmp_path_factory.mktemp("runs") / "digits")


def test_a_finished_run(workdir, tmp_path, capsys):
    folder = tmp_path / "digits"
    assert run("onnx", "--workdir", workdir, "--output", folder) == 0
    assert "3 of 32x32/probabilities" in capsys.readouterr().out
    assert manifest(folder)["experiment"] == "digits-smoke"
    assert manifest(folder)["preprocessing"]["labels"] == list("0123456789")
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    inputs = {"batch": {"images": images}}
    found = run_engine("onnx", folder / "model.onnx", inputs)["batch"]["probabilities"]
    wanted = load_run(workdir)(images)  # Averaged weights.
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_repository_of_the_hub(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(variants.VARIANTS, mirror.VARIANT.name, mirror.VARIANT)
    folder = tmp_path / "small"
    flags = ("--variant", mirror.VARIANT.name, "--weights", "none", "--output", folder)
    assert run("hugging_face", *flags, "--repository", "me/small") == 0
    assert capsys.readouterr().out == f"Hugging Face: {folder}\n"
    assert "me/small" in (folder / "README.md").read_text()
    assert create_model(folder).output_shape == (None, 1000)


def write_best(workdir):
    """Weights of another network, as a run would keep them of its best evaluation."""
    network = build_network(read_experiment(workdir), None)
    network.get_layer("predictions").bias.assign(np.arange(10.0))
    path = Workdir(workdir).best_weights
    path.parent.mkdir()
    network.save_weights(path)
    return network


def test_the_best_checkpoint_of_a_run_that_may_not_be_finished(tmp_path):
    workdir = finished_run.write(tmp_path / "run")
    for load in (load_run, evaluate_run):
        with pytest.raises(ValueError, match="has no best checkpoint yet"):
            load(workdir, checkpoint="best")
    message = "one of auto, last, best. Received: 'newest'"
    with pytest.raises(ValueError, match=message):
        load_run(workdir, "newest")
    network = write_best(workdir)
    Workdir(workdir).weights.unlink()
    args = command_line.parse(
        ["", "export", "onnx", "--workdir", str(workdir), "--checkpoint", "best"]
        + ["--output", "x"]
    )
    model, _ = exported_models.open_model(args)
    for found, wanted in zip(model.weights, network.weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="is not finished.*train --workdir"):
        load_run(workdir, "last")
    # Of images that are not trained on, the best is what is taken.
    for found, wanted in zip(load_run(workdir).weights, network.weights, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("eval_split", "wanted"), [("test", "best"), ("train[:60]", "final")]
)
def test_the_best_evaluation_counts_where_it_is_of_other_images(
    eval_split, wanted, tmp_path
):
    workdir = Workdir(finished_run.write(tmp_path / "run"))
    experiment = override(
        read_experiment(workdir.path), [f"data.eval_split={eval_split}"]
    )
    replace_file(workdir.config, to_json(experiment).encode())
    workdir.best_weights.parent.mkdir()
    shutil.copyfile(workdir.weights, workdir.best_weights)
    Records(workdir.metrics).append({"epoch": 3, "step": 9, "eval_accuracy": 0.975})
    assert trained_weights(workdir.path).name == f"{wanted}.weights.h5"
    assert trained_weights(workdir.path, "last") == workdir.weights
    assert trained_weights(workdir.path, "best") == workdir.best_weights
    assert describe_weights(workdir.path, "best").endswith(
        "best.weights.h5, of the best evaluation: accuracy 97.50% after epoch 3."
    )
    assert "final.weights.h5" in describe_weights(workdir.path, "last")


@pytest.mark.parametrize("command", ["predict", "explain", "evaluate", "export"])
def test_a_best_checkpoint_needs_a_work_folder(command, tmp_path, capsys):
    output = ["--output", str(tmp_path / "new")]
    words = {
        "predict": ["a.png"],
        "explain": ["a.png", *output],
        "evaluate": [],
        "export": ["saved_model", "--variant", "b0", "--weights", "none", *output],
    }[command]
    words += ["--checkpoint", "best"]
    assert run_command(command, *words) == 2
    assert "--checkpoint best needs a work folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_keras_file(workdir, tmp_path):
    load_run(workdir).save(tmp_path / "digits.keras")
    folder = tmp_path / "export"
    flags = ("--image_size", 32, "--input_dtype", "uint8", "--no-fold")
    assert not run(
        "saved_model",
        "--weights",
        tmp_path / "digits.keras",
        "--output",
        folder,
        *flags,
    )
    assert manifest(folder)["model"].endswith("digits.keras")
    assert manifest(folder)["options"] == {"batch_norm_folded": False}
    inputs = manifest(folder)["signatures"]["serving_default"]["inputs"]
    assert inputs["images"] == "uint8 (?, 32, 32, 3)"


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "Say what to export"),
        (["--variant", "efficientnetv2-b0"], "--variant needs --weights"),
        (["--variant", "x", "--weights", "none"], "Unknown variant"),
        (["--weights", "network.h5"], "There is no file or folder network.h5"),
        (["--weights", "imagenet"], "weights 'imagenet' of several variants"),
        (["--weights", "none"], "Random weights need a network"),
        (["--weights", "a.keras", "--workdir", "b"], "Say what to export"),
        (["--weights", "absent.keras"], "absent.keras"),
        (["--workdir", "absent"], "is not the work folder of a run"),
    ],
)
def test_bad_input_is_one_line(flags, message, tmp_path, capsys):
    assert run("saved_model", *flags, "--output", tmp_path / "export") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_classes_are_named_from_a_file(workdir, tmp_path):
    names = [f"digit {number}" for number in range(10)]
    # With the mark that editors on Windows put first.
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(names) + "\n", "utf-8")
    flags = "--labels", tmp_path / "names.txt", "--output", tmp_path / "export"
    assert run("onnx", "--workdir", workdir, *flags) == 0
    assert manifest(tmp_path / "export")["preprocessing"]["labels"] == names


@pytest.mark.parametrize(
    "contents, message",
    [
        (None, "which cannot be read"),
        (b"\xff\xff", "which cannot be read"),
        (b"cat\ndog\n", "has 10 classes and needs a name for each. Received: 2"),
    ],
)
def test_bad_class_names_are_one_line(workdir, contents, message, tmp_path, capsys):
    file = tmp_path / "names.txt"
    if contents is not None:
        file.write_bytes(contents)
    flags = "--labels", file, "--output", tmp_path / "export"
    assert run("saved_model", "--workdir", workdir, *flags) == 2
    *_, error = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and message in error


def test_a_folder_that_is_no_export_stays(workdir, tmp_path, capsys):
    (tmp_path / "photo.jpg").touch()
    assert run("saved_model", "--workdir", workdir, "--output", tmp_path) == 2
    assert "is not an export" in capsys.readouterr().err


@pytest.mark.parametrize("kind", sorted(FORMATS))
@pytest.mark.parametrize(
    "output, message",
    [("file/export", "Nothing can be written"), ("s3://bucket/x", "to the bucket")],
)
def test_a_bad_output_is_refused_before_the_model_is_opened(
    kind, output, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(exported_models, "open_model", pytest.fail)
    (tmp_path / "file").touch()
    output = output if "://" in output else tmp_path / output
    assert run(kind, "--weights", "big.keras", "--output", output) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "kind, flag, message",
    [
        ("saved_model", "--top", "--top must be at least 1. Received: 0"),
        ("serving", "--image_size", "--image_size must be at least 1. Received: 0"),
        ("onnx", "--opset", "opset must be 13 to 18. Received: 0"),
    ],
)
def test_bad_numbers_are_refused_before_the_model_is_opened(
    kind, flag, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(exported_models, "open_model", pytest.fail)
    flags = "--weights", "big.keras", "--output", tmp_path / "export", flag, 0
    assert run(kind, *flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_int8_without_images_is_refused_before_the_model_is_opened(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(exported_models, "open_model", pytest.fail)
    flags = ("--weights", "big.keras", "--output", tmp_path / "export")
    assert run("litert", *flags) == 2
    assert "calibrated on real images" in capsys.readouterr().err
    assert run("litert", *flags, "--images", tmp_path / "absent") == 2
    assert "There is no folder" in capsys.readouterr().err
    assert run("litert", *flags, "--images", tmp_path) == 2
    assert "has no images" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--version", 1], "already has a version 1"),
        (["--keep", 0], "keep must be at least 1"),
        (["--model_name", "a/b"], "A served model's name"),
        (["--batch_sizes", 4, 2], "allowed_batch_sizes must be"),
    ],
)
def test_bad_versions_are_refused_before_the_model_is_opened(
    flags, message, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("tensorflow_serving")
    monkeypatch.setattr(exported_models, "open_model", pytest.fail)
    (tmp_path / "1").mkdir()
    assert run("serving", "--weights", "big.keras", "--output", tmp_path, *flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_unknown_formats_are_listed(capsys):
    with pytest.raises(SystemExit):
        run("caffe", "--output", "x")
    assert "saved_model" in capsys.readouterr().err
