"""Buckets that cannot be used: a line says why, and what is in them stays as it was."""

import os
import pathlib
import re

import pytest

from keras_effnetv2.data import pack
from keras_effnetv2.data.records import record_index
from keras_effnetv2.data.records.record_search import file_sizes, find_lengths
from tests.buckets.bucket_server import BucketServer
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.records.imagenet_files import write_imagenet
from tests.training import run_processes

_PHOTOS, _PACKS, _RUNS = "bad-photos", "bad-packs", "bad-runs"
_SHARD = "train-00001-of-00003"
# Each has a bucket of its own, as the client remembers sizes for a while.
_HARMS = ("sound", "refused", "missing", "cut", "other")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    records = write_imagenet(tmp_path_factory.mktemp("records"), num_files=3)
    photos = image_folders.write(tmp_path_factory.mktemp("in"), {"ant": 7, "bee": 7})
    paths = sorted(map(str, records.glob("train-*")))
    find_lengths(paths, file_sizes(paths))
    index = pathlib.Path(record_index.index_paths(paths)[0])
    buckets = {f"bad-{harm}": records for harm in _HARMS}
    buckets |= {_PHOTOS: photos, _PACKS: None, _RUNS: None}
    with (
        BucketServer(buckets, latency=0.002, refused=("bad-refused",)) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        server.use(monkeypatch)
        monkeypatch.setattr("keras_effnetv2.data.decoding.retrying.WAITS", ())
        monkeypatch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("home")))
        shard = server.read("bad-cut", _SHARD)
        for bucket in buckets:
            if index.name in server.names(bucket) and bucket != "bad-other":
                server.remove(bucket, index.name)
        server.remove("bad-missing", _SHARD)
        server.put("bad-cut", _SHARD, shard[:-3])
        server.put("bad-other", _SHARD, shard + shard)
        pack(f"gs://{_PHOTOS}", f"gs://{_PACKS}/photos", processes=1)
        yield server


def train(bucket, workdir=f"gs://{_RUNS}/run"):
    settings = (*run_processes.of_records(f"gs://{bucket}"), "batch_size=4")
    _, _, *words = run_processes.command(workdir, *settings)
    return words


def pack_photos(*words, source=_PHOTOS):
    return ["pack", f"gs://{source}", f"gs://{_PACKS}/photos", *words]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (train("bad-absent"), "There are no files train-\\*.*in gs://bad-absent"),
        (train("bad-refused"), "gs://bad-refused cannot .*no permission for bad"),
        (train("bad-missing"), f"1 of 3 files are missing.*{_SHARD}"),
        (train("bad-cut"), f"{_SHARD} is cut off"),
        (train("bad-other"), f"{_SHARD} has .* the index .*cut off, or another"),
        (train("bad-sound", "gs://bad-absent/x"), "cannot be written: .*bad-absent"),
        (
            train("bad-sound", "gs://bad-refused/x"),
            "bad-refused/x.* no permission for bad-ref",
        ),
        (pack_photos("--seed", "1"), "holds another pack: seed is 0 there and 1 now"),
        (pack_photos(source="bad-sound"), "has no images|There is no split"),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_lost(
    server, capsys, words, message
):
    def contents():
        buckets = (_PACKS, *(f"bad-{harm}" for harm in _HARMS))
        return {x: {y: server.read(x, y) for y in server.names(x)} for x in buckets}

    before = contents()
    assert run_command(*words) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x]
    assert line.startswith("error: ")
    assert re.search(message, line), line
    assert contents() == before
    assert not server.names(_RUNS)
    assert not os.path.exists("gs:")
