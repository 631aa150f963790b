"""The bucket that tests put their `gs://` in, seen by TensorFlow's own client."""

import contextlib
import dataclasses
import threading
import time

import pytest
import tensorflow as tf

from tests.buckets.bucket_server import BucketServer
from tests.buckets.storage import Settings

gfile = tf.io.gfile
_SIZE = 3_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "train").mkdir()
    for number in range(4):
        contents = bytes([number]) * _SIZE
        (folder / "train" / f"{number}.bin").write_bytes(contents)
    buckets = {"served-data": folder, "served-runs": None}
    with BucketServer(buckets) as server, pytest.MonkeyPatch.context() as monkeypatch:
        server.use(monkeypatch)
        yield server


@pytest.fixture(autouse=True)
def as_at_the_start(server):
    yield
    server.change(**dataclasses.asdict(Settings()))
    server.reset_counts()


def write(path, contents=b"contents"):
    with gfile.GFile(path, "wb") as file:
        file.write(contents)


def read(path):
    with gfile.GFile(path, "rb") as file:
        return file.read()


def test_a_folder_is_listed_and_read(server):
    assert gfile.listdir("gs://served-data") == ["train/"]
    paths = gfile.glob("gs://served-data/train/*.bin")
    assert [x.rpartition("/")[2] for x in paths] == [f"{x}.bin" for x in range(4)]
    assert gfile.stat(paths[3]).length == _SIZE
    assert read(paths[3]) == b"\3" * _SIZE


def test_a_folder_of_more_than_a_page_is_listed(server):
    for number in range(1005):
        server.put("served-runs", f"many/{number:04d}", b"")
    assert len(gfile.listdir("gs://served-runs/many")) == 1005


def test_what_is_written_is_there_whole(server):
    contents = bytes(range(256)) * 20_000
    write("gs://served-runs/a/written file.bin", contents)
    assert server.read("served-runs", "a/written file.bin") == contents
    assert read("gs://served-runs/a/written file.bin") == contents
    assert gfile.isdir("gs://served-runs/a")


def test_a_rename_and_a_deletion(server):
    write("gs://served-runs/b/old")
    gfile.rename("gs://served-runs/b/old", "gs://served-runs/b/new")
    assert [x for x in server.names("served-runs") if x.startswith("b/")] == ["b/new"]
    gfile.remove("gs://served-runs/b/new")
    assert not gfile.exists("gs://served-runs/b/new")


def test_folders_are_made_and_removed(server):
    gfile.makedirs("gs://served-runs/c/d")
    write("gs://served-runs/c/d/e")
    gfile.rmtree("gs://served-runs/c")
    assert not gfile.exists("gs://served-runs/c")


def test_requests_opens_and_bytes_are_counted(server):
    server.change(bandwidth=10e6)  # Streams overlap, also on a busy machine.
    read("gs://served-data/train/0.bin")
    paths = tf.data.Dataset.from_tensor_slices(
        [f"gs://served-data/train/{x}.bin" for x in range(4)]
    )
    list(paths.map(tf.io.read_file, num_parallel_calls=4))
    counts = server.counts()
    assert counts.opens["served-data/train/0.bin"] == 2
    assert counts.opens["served-data/train/3.bin"] == 1
    assert counts.bytes_read["served-data/train/0.bin"] == 2 * _SIZE
    assert counts.requests["read"] == 5
    assert counts.most_streams > 1


def test_requests_wait_and_streams_have_a_bandwidth(server):
    server.change(latency=0.3, bandwidth=5e6)
    gfile.stat("gs://served-data/train/1.bin")  # Known from here on.
    start = time.monotonic()
    read("gs://served-data/train/1.bin")
    seconds = time.monotonic() - start
    assert seconds >= 0.3 + _SIZE / 5e6 - 0.1


def test_what_fails_now_and_then_is_tried_again(server):
    server.change(fail_share=0.4)
    write("gs://served-runs/f")
    assert read("gs://served-runs/f") == b"contents"
    assert server.counts().requests["failed"] > 1


def test_no_rights_and_no_bucket(server):
    with pytest.raises(tf.errors.NotFoundError, match="404"):
        write("gs://served-nowhere/g")
    server.change(read_only=("served-runs",))
    with pytest.raises(tf.errors.PermissionDeniedError, match="403"):
        write("gs://served-runs/g")
    server.change(refused=("served-data",))
    with pytest.raises(tf.errors.PermissionDeniedError, match="403"):
        read("gs://served-data/train/2.bin")


def test_an_upload_that_is_not_finished_leaves_nothing(server):
    server.put("served-runs", "h", b"before")
    server.change(stall_uploads_after=1000, stall_suffix="/h")

    def upload():
        with contextlib.suppress(tf.errors.OpError):  # When the server ends.
            write("gs://served-runs/h", bytes(_SIZE))

    threading.Thread(target=upload, daemon=True).start()
    while not server.counts().bytes_written.get("served-runs/h"):
        time.sleep(0.02)
    assert server.read("served-runs", "h") == b"before"
