"""`predict`: the classes printed are the model's; bad files do not stop the rest."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model, decode_predictions
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.networks import variants
from keras_effnetv2.preprocessing import preprocess_input, record
from keras_effnetv2.training import load_run
from tests import image_files as files
from tests.buckets.bucket_server import BucketServer
from tests.commands import finished_run
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.image_folders import AWKWARD, NOT_UTF8
from tests.export import micro
from tests.tiny_networks import NANO

RECORD = record("efficientnetv2-b0", "imagenet", 32)


def run(*flags):
    return run_command("predict", *flags)


def model(**options):
    options = {"classes": 10, "preprocessing": RECORD.unlabelled(), **options}
    keras.utils.set_random_seed(0)
    return create_model(NANO, **options)


def of_one_convolution(classes=10, contract=None, side=None):
    """For what goes for any model that says how its images are made."""
    keras.utils.set_random_seed(0)
    return micro.classifier_of(contract or RECORD.unlabelled(), classes, side)


def saved(folder, network):
    path = folder / "network.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("models"), of_one_convolution())


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(files.JPEG)
    (folder / "b.png").write_bytes(files.encode(files.UPSIDE_DOWN[0], "PNG"))
    (folder / "c.gif").write_bytes(files.encode(files.PALETTE, "GIF"))
    return folder


@functools.cache
def loaded(path):
    return keras.models.load_model(path)


def expected(network, path, preprocessing=RECORD):
    image = cropping.evaluation_image(images.read(path), preprocessing).numpy()[None]
    return np.asarray(loaded(network)(image))[0]


def test_it_prints_the_models_best_classes(capsys, network, photos):
    assert run(photos / "a.jpg", "--weights", network, "--top", 3) == 0
    scores = expected(network, photos / "a.jpg")
    best = np.argsort(-scores)[:3]
    assert capsys.readouterr().out.splitlines() == [
        str(photos / "a.jpg"),
        *(f"{scores[i]:10.4f}  class {i}" for i in best),
    ]


def test_a_folder_gives_the_same_in_batches(capsys, network, photos):
    flags = ["--weights", network, "--top", 1, "--batch_size", 2]
    assert run(photos, *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[::2] == [str(photos / name) for name in ("a.jpg", "b.png", "c.gif")]
    for path, line in zip(sorted(photos.iterdir()), lines[1::2], strict=True):
        score, _, index = line.split()
        scores = expected(network, path)
        assert int(index) == scores.argmax()
        assert float(score) == pytest.approx(scores.max(), abs=1e-4)


def test_unreadable_files_are_named_and_the_others_classified(
    capsys, network, photos, tmp_path
):
    (photos / "a.jpg").write_bytes(files.JPEG[:300])
    (photos / "b.png").write_text("<html>")
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = [tmp_path / "absent.bmp", photos, empty, photos / "c.gif"]
    assert run(*arguments, "--weights", network, "--top", 1) == 1
    output, errors = capsys.readouterr()
    assert output.splitlines()[::2] == [str(photos / "c.gif")]
    for name in ("absent.bmp", "a.jpg", "b.png", str(empty)):
        assert sum(name in line for line in errors.splitlines()) == 1
    assert errors.count("error: ") == 4
    assert errors.splitlines()[-1] == "4 of 5 images could not be read."


def test_images_of_any_name_are_classified_each_on_its_lines(capfd, network, tmp_path):
    for name in AWKWARD:
        (tmp_path / f"{name}.jpg").write_bytes(files.JPEG)
    (tmp_path / f"{NOT_UTF8}, too.jpg").write_bytes(b"")
    image_folders.leave_behind(tmp_path)
    assert run(tmp_path, "--weights", network, "--top", 1) == 1
    # As bytes left the process: UTF-8.
    output, errors = capfd.readouterr()
    lines = output.splitlines()
    assert sorted(lines[::2]) == sorted(
        f"{tmp_path}/{text}.jpg" for text in AWKWARD.values()
    )
    assert len(lines) == 2 * len(AWKWARD)
    (error,) = [line for line in errors.splitlines() if line.startswith("error")]
    assert error.startswith(f"error: {tmp_path}/caf\\xe9, too.jpg cannot be read")


def test_classes_of_any_name_are_printed(capfd, photos, tmp_path):
    names = tuple(AWKWARD.values())
    contract = dataclasses.replace(RECORD.unlabelled(), labels=names)
    path = saved(tmp_path, of_one_convolution(len(names), contract))
    assert run(photos / "c.gif", "--weights", path) == 0
    _, *lines = capfd.readouterr().out.splitlines()
    assert {line[12:] for line in lines} == {*names}


@pytest.mark.long
def test_images_in_a_bucket_are_classified(capsys, network, photos, monkeypatch):
    assert run(photos, "--weights", network, "--top", 1) == 0
    here = capsys.readouterr().out
    with BucketServer({"predict-photos": photos}, latency=0.002) as server:
        server.use(monkeypatch)
        for names in (["gs://predict-photos"], ["gs://predict-photos/a.jpg"]):
            assert run(*names, "--weights", network, "--top", 1) == 0
            found = capsys.readouterr().out.replace("gs://predict-photos", str(photos))
            assert here.startswith(found) and found
        assert run("gs://predict-absent/photos", "--weights", network) == 1
        assert "there is no gs://predict-absent" in capsys.readouterr().err


def test_classes_of_imagenet_have_names(capsys, photos, tmp_path):
    path = saved(tmp_path, of_one_convolution(1000, RECORD))
    assert run(photos / "c.gif", "--weights", path) == 0
    lines = capsys.readouterr().out.splitlines()
    scores = expected(path, photos / "c.gif")
    assert len(lines) == 1 + 5
    ((best, *_),) = decode_predictions(scores[None])
    assert lines[1] == f"{best[2]:10.4f}  {best[0]}  {best[1]}"


def test_a_variant_takes_weights_from_a_file(capsys, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(variants.VARIANTS, "small", NANO)
    trained = model()
    trained.save_weights(tmp_path / "small.weights.h5")
    flags = ["--variant", "small", "--weights", tmp_path / "small.weights.h5"]
    assert run(photos / "c.gif", *flags, "--image_size", 32, "--top", 1) == 0
    image = cropping.evaluation_image(images.read(photos / "c.gif"), RECORD)
    scores = np.asarray(trained(image[None]))[0]
    line = capsys.readouterr().out.splitlines()[1]
    assert line == f"{scores.max():10.4f}  class {scores.argmax()}"


def test_the_image_size_can_be_chosen(capsys, network, photos):
    flags = ["--weights", network, "--top", 1, "--image_size", 64]
    assert run(photos / "b.png", *flags) == 0
    larger = dataclasses.replace(RECORD, image_size=64)
    scores = expected(network, photos / "b.png", larger)
    line = capsys.readouterr().out.splitlines()[1]
    assert line == f"{scores.max():10.4f}  class {scores.argmax()}"


def test_a_model_of_fixed_size_decides(capsys, photos, tmp_path):
    path = saved(tmp_path, of_one_convolution(side=48))
    assert run(photos / "c.gif", "--weights", path) == 0
    flags = ["--weights", path, "--image_size", 32]
    assert run(photos / "c.gif", *flags) == 2
    assert "takes images of 48x48" in capsys.readouterr().err


def test_a_model_that_does_not_normalise_gets_normalised_images(
    capsys, photos, tmp_path
):
    bare = model(include_preprocessing=False)
    path = saved(tmp_path, bare)
    assert run(photos / "a.jpg", "--weights", path, "--top", 1) == 0
    image = cropping.evaluation_image(images.read(photos / "a.jpg"), RECORD).numpy()
    scores = np.asarray(bare(preprocess_input(image[None], mode=RECORD)))[0]
    line = capsys.readouterr().out.splitlines()[1]
    assert float(line.split()[0]) == pytest.approx(scores.max(), abs=1e-4)
    assert int(line.split()[2]) == scores.argmax()


def test_a_users_model_around_ours_keeps_the_preprocessing(photos, tmp_path, capsys):
    inputs = keras.Input((None, None, 3))
    features = model(include_top=False, pooling="avg", classes=None)(inputs)
    outputs = keras.layers.Dense(2, activation="softmax")(features)
    path = saved(tmp_path, keras.Model(inputs, outputs))
    assert run(photos / "a.jpg", "--weights", path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2


def test_models_that_are_no_classifiers_are_refused(capsys, photos, tmp_path):
    path = saved(tmp_path, model(include_top=False, classes=None))
    assert run(photos, "--weights", path) == 2
    assert "Expected a classifier of RGB images" in capsys.readouterr().err


def test_models_of_others_are_refused(capsys, photos, tmp_path):
    path = saved(
        tmp_path, keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    )
    assert run(photos, "--weights", path) == 2
    assert "does not say how its images are made" in capsys.readouterr().err


def test_a_finished_run_classifies_with_its_network_and_class_names(
    capsys, photos, tmp_path
):
    workdir = finished_run.write(tmp_path / "run")
    assert run(photos / "c.gif", "--workdir", workdir, "--top", 2) == 0
    trained = load_run(workdir)
    assert trained.preprocessing.image_size == 32
    image = cropping.evaluation_image(
        images.read(photos / "c.gif"), trained.preprocessing
    )
    scores = np.asarray(trained(image[None]))[0]
    assert scores.sum() == pytest.approx(1)
    digits = np.argsort(-scores)[:2]
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{scores[digit]:10.4f}  {digit}" for digit in digits
    ]


@pytest.mark.parametrize(
    "flags", [["--variant", "efficientnetv2-b0"], ["--weights", "imagenet"]]
)
def test_a_run_and_other_weights_exclude_each_other(capsys, flags):
    assert run("photo.jpg", "--workdir", "runs/digits", *flags) == 2
    assert "--workdir runs/digits determines network" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_said(capsys, photos, tmp_path):
    assert run(photos, "--workdir", tmp_path) == 2
    assert "is not the work folder of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--weights", "imagenet"], "--variant is needed with weights 'imagenet'"),
        (
            ["--variant", "efficientnetv3"],
            "Unknown model 'efficientnetv3'. Close to it: efficientnetv2-",
        ),
        (["--top", "0"], "--top must be at least 1. Received: 0"),
        (["--batch_size", "-1"], "--batch_size must be at least 1"),
        (["--image_size", "0"], "--image_size must be at least 1"),
        (["--weights", "absent.keras"], "absent.keras"),
    ],
)
def test_wrong_flags_end_in_one_line(capsys, photos, flags, message):
    assert run(photos, *flags) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ") and errors.count("\n") == 1


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 and no more", b"<html>"])
def test_a_damaged_model_file_is_named(capsys, photos, tmp_path, contents):
    path = tmp_path / "model.keras"
    path.write_bytes(contents)
    assert run(photos, "--weights", path) == 2
    assert f"{path} cannot be read as a Keras model" in capsys.readouterr().err


def test_folders_of_folders_are_looked_into(capsys, network, photos):
    (photos / "more" / "cats").mkdir(parents=True)
    (photos / "a.jpg").rename(photos / "more" / "cats" / "a.jpg")
    assert run(photos, "--weights", network, "--top", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ("b.png", "c.gif", "more/cats/a.jpg")
    assert lines[::2] == [str(photos / name) for name in names]


def test_any_model_can_be_named_by_one_flag(capsys, network, photos):
    for flag in ("--model", "--weights"):
        assert run(photos, flag, network, "--top", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:9] == lines[9:]
    assert run(photos, "--model", network, "--weights", network) == 2
    assert "determines network and weights. Leave out --weights" in (
        capsys.readouterr().err
    )
