"""Packs of images in a bucket, in a bucket."""

import json

import pytest

from keras_effnetv2.data import pack
from tests.buckets.bucket_server import BucketServer
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.packing.folders import contents, examples, opened

OUT = "gs://packing-out/insects"
OPTIONS = {"num_shards": 3, "processes": 1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return image_folders.write(tmp_path_factory.mktemp("in"), {"ant": 14, "bee": 12})


@pytest.fixture(scope="module")
def server(photos):
    buckets = {"packing-photos": photos, "packing-secret": photos, "packing-out": None}
    with (
        BucketServer(buckets, latency=0.002, refused=("packing-secret",)) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.use(monkeypatch)
        yield server


@pytest.mark.long
def test_a_bucket_is_packed_into_a_bucket(server, photos, tmp_path):
    found = pack("gs://packing-photos/", f"{OUT}/", **OPTIONS)
    assert pack("gs://packing-photos", OUT, **OPTIONS) == found
    wanted = pack(photos, tmp_path / "insects", **OPTIONS)
    assert found.num_images == wanted.num_images
    here = contents(tmp_path / "insects")
    assert {*server.names("packing-out")} == {f"insects/{name}" for name in here}
    for name, stored in here.items():
        there = server.read("packing-out", f"insects/{name}")
        if name == "pack.json":  # Which knows no sizes of files in buckets.
            there, stored = (json.loads(x)["shards"] for x in (there, stored))
        assert there == stored
    source = opened(OUT, "train")
    assert examples(source) == examples(opened(photos, "train", "folder"))


def test_a_shard_that_is_missing_is_written_again(server):
    output = "gs://packing-out/mended"
    pack("gs://packing-photos", output, **OPTIONS)
    names = [x for x in server.names("packing-out") if x.startswith("mended/")]
    before = {name: server.read("packing-out", name) for name in names}
    (lost,) = (name for name in names if "train.tfrecord-00001" in name)
    server.remove("packing-out", lost)
    pack("gs://packing-photos", output, **OPTIONS)
    assert {x: server.read("packing-out", x) for x in names} == before


@pytest.mark.parametrize(
    ("folder", "output", "message"),
    [
        ("gs://packing-absent/photos", OUT, "There is no folder 'gs://packing-absent"),
        ("gs://packing-secret", OUT, "no permission for packing-secret"),
        ("gs://packing-photos", "gs://packing-nowhere/x", "Nothing can be written to"),
        ("gs://packing-photos", "gs://packing-secret/x", "no permission for packing"),
        ("gs://packing-photos", "gs://packing-photos/x", "is inside"),
    ],
)
def test_buckets_that_cannot_be_used_are_said(server, capsys, folder, output, message):
    words = ["pack", folder, output, "--processes", "1"]
    assert run_command(*words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("error: ") == error.count("\n") == 1
