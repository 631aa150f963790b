"""Packing and scoring on a Ray cluster give the same bytes as one process does."""

import os

import pytest

from keras_effnetv2 import fleet
from keras_effnetv2.data import pack
from keras_effnetv2.errors import InputError
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.packing import folders
from tests.export import micro
from tests.fleet import clusters

pytest.importorskip("ray")
pytest.importorskip("pyarrow")


def refuse(number):
    raise InputError(f"{number} is refused")


def predict(photos, output, *flags):
    words = [photos, "--top", 2, "--batch_size", 2, "--output", output, *flags]
    return run_command("predict", *words)


@pytest.fixture
def network(tmp_path):
    micro.classifier(5).save(tmp_path / "network.keras")
    return tmp_path / "network.keras"


@pytest.mark.long
def test_a_cluster_packs_and_scores_as_one_process_does(
    tmp_path, network, capsys, monkeypatch
):
    photos = folders.write(tmp_path / "photos")
    image_folders.damage(photos / "train" / "ant" / "000.jpg")
    monkeypatch.chdir(tmp_path)
    with clusters.running(2):
        for engine in fleet.ENGINES:
            options = {"num_shards": 5, "processes": 1, "engine": engine}
            pack("photos", f"{engine}/insects", **options)
            flags = ["--model", network.name, "--engine", engine]
            assert predict("photos", f"{engine}.parquet", *flags) == 1
        with pytest.raises(ValueError, match="is refused"):
            [*fleet.on_ray(refuse, [1])]
    one, other = (folders.contents(tmp_path / x / "insects") for x in fleet.ENGINES)
    assert one == other and len(one) == 13
    files = [(tmp_path / f"{x}.parquet").read_bytes() for x in fleet.ENGINES]
    assert files[0] == files[1]
    assert not [x for x in tmp_path.iterdir() if x.name.endswith(".part")]


@pytest.mark.slow
def test_a_lost_node_loses_no_image_and_doubles_none(tmp_path):
    photos = image_folders.write(tmp_path / "photos", {"bus": 400, "car": 400})
    options = {"num_shards": 60, "processes": 1}
    pack(photos, tmp_path / "one" / "cars", **options)
    notes = tmp_path / "other" / "cars" / ".shards"

    def is_time():
        return notes.exists() and len(os.listdir(notes)) > 9

    with clusters.running(3) as cluster, clusters.losing_a_node(cluster, is_time):
        found = pack(photos, tmp_path / "other" / "cars", engine="ray", **options)
    assert sum(found.num_images.values()) == 800
    one, other = (folders.contents(tmp_path / x / "cars") for x in ("one", "other"))
    assert one == other


@pytest.mark.slow
@pytest.mark.parametrize("num_gpus", [0, 1])
def test_a_lost_node_loses_no_score_and_doubles_none(tmp_path, network, num_gpus):
    photos = image_folders.write(tmp_path / "photos", {"bus": 400, "car": 400})
    flags = ["--model", network]
    assert predict(photos, tmp_path / "one.parquet", *flags) == 0
    part = tmp_path / ".other.parquet.part"

    def is_time():
        return part.exists() and part.read_bytes().count(b"\n") > 32

    options = {"num_gpus": num_gpus} if num_gpus else {}
    with (
        clusters.running(3, **options) as cluster,
        clusters.losing_a_node(cluster, is_time),
    ):
        assert (
            predict(photos, tmp_path / "other.parquet", *flags, "--engine", "ray") == 0
        )
    files = [(tmp_path / f"{x}.parquet").read_bytes() for x in ("one", "other")]
    assert files[0] == files[1]


def test_a_cluster_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ChildProcessError, match="nobody answers at RAY_ADDRESS=127"):
        [*fleet.on_ray(refuse, [1])]


def test_a_cluster_writes_files_alone(capsys, network):
    words = ["predict", ".", "--model", str(network), "--engine", "ray"]
    assert run_command(*words) == 2
    assert "--engine ray writes to a file" in capsys.readouterr().err
