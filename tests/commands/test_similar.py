"""`embed` and `similar`: features of many images, and the nearest of them."""

import csv

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.commands.results import feature_files
from keras_effnetv2.commands.results.feature_cache import CACHE
from keras_effnetv2.errors import InputError
from tests import image_files as files
from tests.commands.running import run_command


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), "uint8")
    pictures = {
        "gradient": files.RGB,
        "mirrored": files.RGB.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "more/noise": Image.fromarray(noise),
    }
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(files.encode(picture, "PNG"))
    (folder / "bad.png").write_bytes(b"<html>")
    return folder


def expected(network, photos):
    """Paths, and cosines with the first."""
    paths = [photos / f"{x}.png" for x in ("gradient", "mirrored", "more/noise")]
    vectors = Classifier(network).features(paths)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[0]
    order = np.argsort(-cosines[1:]) + 1
    return [f"{cosines[i]:10.4f}  {paths[i]}" for i in order]


def test_features_are_written_in_every_format(capsys, network, photos):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    folder = photos.parent
    for kind in ("npz", "csv", "parquet"):
        output = folder / f"features.{kind}"
        assert run_command("embed", photos, "--model", network, "--output", output) == 1
    paths = [str(photos / f"{x}.png") for x in ("gradient", "mirrored", "more/noise")]
    wanted = Classifier(network).features(paths)
    found = feature_files.read(folder / "features.npz")
    assert found.files == paths
    np.testing.assert_allclose(found.vectors, wanted, rtol=1e-5)
    rows = parquet.read_table(folder / "features.parquet").to_pylist()
    with (folder / "features.csv").open(newline="") as file:
        lines = [*csv.DictReader(file)]
    for table in (rows, lines):
        assert [row["file"] for row in table if not row["error"]] == paths
        (bad,) = (row for row in table if row["error"])
        assert "bad.png cannot be read" in bad["error"]
    vectors = [row["features"] for row in rows if row["features"]]
    np.testing.assert_allclose(vectors, wanted, rtol=1e-5)
    vectors = [[*row.values()][2:] for row in lines if not row["error"]]
    np.testing.assert_allclose(np.array(vectors, "float32"), wanted, rtol=1e-5)


def test_the_nearest_in_a_folder_come_first_without_the_photograph(
    capsys, network, photos
):
    flags = [photos / "gradient.png", "--among", photos, "--model", network]
    assert run_command("similar", *flags) == 0
    output, errors = capsys.readouterr()
    assert output.splitlines() == expected(network, photos)
    assert "bad.png cannot be read" in errors


@pytest.mark.long
def test_features_are_kept_in_the_folder_until_a_file_changes(
    capsys, network, photos, monkeypatch
):
    seen = []
    rows = Classifier.rows

    def note(self, inputs, output):
        if isinstance(inputs, list):
            seen.append([x.source.name for x in inputs])
        return rows(self, inputs, output)

    monkeypatch.setattr(Classifier, "rows", note)
    flags = [photos / "gradient.png", "--among", photos, "--model", network]
    assert run_command("similar", *flags) == 0 and (photos / CACHE).is_file()
    (photos / "mirrored.png").write_bytes(files.encode(files.GRAY, "PNG"))
    assert run_command("similar", *flags) == 0
    assert run_command("similar", *flags, "--image_size", 48) == 0
    assert [len(x) for x in seen] == [4, 2, 4] and "mirrored.png" in seen[1]


def test_files_of_embed_say_their_network(capsys, network, photos):
    output = photos.parent / "features.npz"
    run_command("embed", photos, "--model", network, "--output", output)
    capsys.readouterr()
    flags = [photos / "gradient.png", "--among", output]
    assert run_command("similar", *flags) == 0
    assert capsys.readouterr().out.splitlines() == expected(network, photos)
    assert run_command("similar", *flags, "--model", "other.keras") == 2
    assert "are of --model" in capsys.readouterr().err


def test_the_nearest_are_drawn(capsys, network, photos):
    pytest.importorskip("matplotlib")
    picture = photos.parent / "similar.png"
    flags = [photos / "gradient.png", "--among", photos, "--model", network]
    assert run_command("similar", *flags, "--top", 1, "--output", picture) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [expected(network, photos)[0], str(picture)]
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width > 1.5 * image.height


def test_features_of_another_network_are_refused():
    vectors = np.eye(2, 3, dtype="float32")
    found = feature_files.Features(["a", "b"], vectors, {}, np.zeros((2, 2), "int64"))
    similar = found.similarities(np.array([0, 2, 0], "float32"))
    np.testing.assert_allclose(similar, [0, 1])
    with pytest.raises(InputError, match="gives 4 features, but .* are 3. Embed"):
        found.similarities(np.ones(4, "float32"))


@pytest.mark.parametrize("damage", ["empty", "array", "other", "cut"])
def test_files_without_features_are_named(damage, tmp_path):
    path = tmp_path / "features.npz"
    stamps = np.zeros((1, 2), "int64")
    feature_files.Features(["a"], np.ones((1, 3), "float32"), {}, stamps).write(path)
    assert feature_files.read(path).files == ["a"]
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        with path.open("wb") as file:
            (np.save if damage == "array" else np.savez)(file, np.ones(3))
    with pytest.raises(InputError, match="features.npz holds no features as embed"):
        feature_files.read(path)


@pytest.mark.parametrize(
    ("among", "message"),
    [
        ("absent.npz", "absent.npz holds no features as embed writes them"),
        ("empty", "empty is a folder without images"),
        ("photos/bad.png", "bad.png holds no features as embed writes them"),
    ],
)
def test_where_nothing_can_be_found_is_said(
    capsys, network, photos, monkeypatch, among, message
):
    monkeypatch.chdir(photos.parent)
    (photos.parent / "empty").mkdir()
    flags = ["--among", among, "--model", network]
    assert run_command("similar", photos / "gradient.png", *flags) == 2
    assert message in capsys.readouterr().err
