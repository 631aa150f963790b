"""Chunks and their index in a bucket, read by TensorFlow's own client."""

import os
import subprocess
import sys

import pytest

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.records import record_index
from keras_effnetv2.data.records.record_opening import READ_AHEAD
from keras_effnetv2.errors import InputError
from tests.buckets.bucket_server import BucketServer
from tests.conftest import ROOT
from tests.data.batches import assert_same, evaluate, train
from tests.data.chunks import record_datasets
from tests.data.chunks.record_datasets import numbers_in

NUM = 1200


@pytest.fixture(scope="module")
def local_paths(tmp_path_factory):
    return record_datasets.write(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="module")
def bucket(local_paths):
    folder = os.path.dirname(local_paths[0])
    names = ("chunks-early", "chunks-locked", "chunks-refused", "chunks-cut")
    with BucketServer(dict.fromkeys(names, folder), latency=0.005) as server:
        yield server


@pytest.fixture
def server(bucket, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(READ_AHEAD, "0")  # Too late for this process: no matter here.
    monkeypatch.setattr("keras_effnetv2.data.decoding.retrying.WAITS", ())
    bucket.use(monkeypatch)
    bucket.reset_counts()
    return bucket


def in_bucket(name, paths):
    return [f"gs://{name}/{os.path.basename(path)}" for path in paths]


@pytest.mark.long
def test_a_bucket_is_read_in_chunks_with_an_index_in_it(
    server, local_paths, monkeypatch
):
    paths = in_bucket("chunks-early", local_paths)
    # The first batches come before all records are found.
    early = record_datasets.open_files(
        paths, monkeypatch, order="auto", num_records=NUM
    )
    expected = train(record_datasets.open_files(local_paths, monkeypatch), 40)
    assert_same(train(early, 40), expected)
    (index,) = [x for x in server.names("chunks-early") if x.endswith(".records")]
    server.reset_counts()
    source = record_datasets.open_files(paths, monkeypatch, order="auto")
    assert server.counts().opens == {f"chunks-early/{index}": 1}
    server.reset_counts()
    assert sorted(numbers_in(train(source, 40, num_steps=30))) == [*range(NUM)]
    assert sum(server.counts().opens.values()) <= 2.2 * source.chunks.store.num_chunks
    local = record_datasets.open_files(local_paths, monkeypatch, order="full")
    assert_same(evaluate(source, 70), evaluate(local, 70))


def test_where_nobody_may_write_the_index_is_in_the_cache(
    server, local_paths, monkeypatch, tmp_path
):
    server.change(read_only=("chunks-locked",))
    paths = in_bucket("chunks-locked", local_paths)
    source = record_datasets.open_files(paths, monkeypatch, order="full")
    assert source.num_examples == NUM
    assert len([*(tmp_path / "home").rglob("*.records")]) == 1
    server.reset_counts()
    record_datasets.open_files(paths, monkeypatch, order="full")
    assert server.counts().bytes_read == {}


def test_without_rights_or_files_one_line_says_so(server, local_paths, monkeypatch):
    server.change(refused=("chunks-refused",))
    with pytest.raises(
        OSError, match="part-00000 cannot be read.*does not have access"
    ):
        record_datasets.open_files(
            in_bucket("chunks-refused", local_paths), monkeypatch
        )
    with pytest.raises(ValueError, match="gs://chunks-nobody/part-000.* is missing"):
        record_datasets.open_files(in_bucket("chunks-nobody", local_paths), monkeypatch)


def test_a_file_that_is_cut_off_is_named(server, local_paths, monkeypatch):
    contents = server.read("chunks-cut", "part-00003")
    server.put("chunks-cut", "part-00003", contents[:-3])
    paths = in_bucket("chunks-cut", local_paths)
    with pytest.raises(InputError, match="part-00003 is cut off"):
        record_datasets.open_files(paths, monkeypatch)
    # While the images are read already, it stops the training.
    early = record_datasets.open_files(paths, monkeypatch, num_records=NUM)
    decode_errors = DecodeErrors("train", NUM)
    with pytest.raises(Exception, match="part-00003 is cut off"):
        train(early, 40, decode_errors=decode_errors)
    with pytest.raises(InputError, match="part-00003 is cut off"):
        decode_errors.raise_if_any()
    assert not [x for x in record_index.index_paths(paths) if os.path.exists(x)]


@pytest.mark.slow
def test_each_byte_is_read_about_once(server, local_paths, tmp_path):
    command = [sys.executable, "tools/benchmark_storage.py"]
    command += ["--images", "20000", "--files", "16", "--seconds", "60"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    text = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout
    rows = {row[0]: row for row in (line.split("\t") for line in text.splitlines())}
    _, first, rate, num_bytes, opens = rows["indexed"]
    assert float(num_bytes) <= 1.1 and float(opens) <= 2.1
    assert float(first.removesuffix(" s")) < 3
    before = float(rows["before"][2].replace(",", ""))
    assert float(rate.replace(",", "")) > 20 * before
