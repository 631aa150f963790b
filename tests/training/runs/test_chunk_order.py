"""Trainings on TFRecord files in chunk order, killed and started again."""

import json

import pytest

from keras_effnetv2.errors import InputError
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import from_json, override, to_json
from keras_effnetv2.training.progressive.feeding import open_feeds
from keras_effnetv2.training.runs.workdir import open_workdir
from tests.data.records.imagenet_files import write_imagenet
from tests.training import run_processes
from tests.training.runs.test_resume import assert_alike, train_with_kills


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Of 200 images in 100 files, each of which is a chunk."""
    root = write_imagenet(tmp_path_factory.mktemp("imagenet"), num_files=100)
    return run_processes.of_records(root)


@pytest.mark.long
def test_killed_in_chunk_order_the_weights_have_the_same_bits(tmp_path, settings):
    log = run_processes.finish(tmp_path / "whole", *settings)
    assert "order: 100 chunks of 0.0 MB, of which 8 are shuffled together" in log
    train_with_kills(tmp_path / "killed", settings, num_kills=1, longest=1)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.slow
def test_killed_five_times_in_chunk_order_the_bits_are_the_same(tmp_path, settings):
    settings = (*settings, "epochs=6")
    run_processes.finish(tmp_path / "whole", *settings)
    train_with_kills(tmp_path / "killed", settings, num_kills=5, longest=2)
    assert_alike(tmp_path / "killed", tmp_path / "whole")


def opened(experiment, workdir):
    experiment, feed, _ = open_feeds(experiment)
    folder = open_workdir(workdir, experiment, num_images=feed.source.num_examples)
    folder.metrics.write_text("")  # A run has begun.
    return experiment


def test_a_run_keeps_its_order(tmp_path, settings):
    chunks = override(get_experiment("digits-smoke"), settings)
    full = override(chunks, ["data.order=full"])
    auto = override(chunks, ["data.order=auto"])
    opened(full, tmp_path / "full")
    assert opened(auto, tmp_path / "full").data.order == "auto"  # Local and small.
    with pytest.raises(InputError, match="data.order is 'auto' there and 'chunks' now"):
        opened(chunks, tmp_path / "full")
    opened(chunks, tmp_path / "chunks")
    with pytest.raises(InputError, match="data.order is 'chunks' there and 'auto' now"):
        opened(auto, tmp_path / "chunks")
    smaller = override(chunks, ["data.chunk_mb=0.5"])
    with pytest.raises(InputError, match="data.chunk_mb is 4.0 there and 0.5 now"):
        opened(smaller, tmp_path / "chunks")


def test_runs_of_earlier_versions_go_on_in_full_order(settings):
    values = json.loads(to_json(override(get_experiment("digits-smoke"), settings)))
    for name in ("order", "chunk_mb", "window_chunks"):
        del values["data"][name]
    assert from_json(json.dumps(values)).data.order == "full"


@pytest.mark.parametrize(
    "changes,message",
    [
        (
            ["data.source=digits"],
            "Chunk order needs records: the kinds tfds.*kind 'digits'",
        ),
        (["data.cache=true"], "order='chunks' with cache=True"),
        (["data.chunk_mb=0"], "must be above 0.*chunk_mb=0"),
    ],
)
def test_chunks_of_what_has_none_are_refused(settings, changes, message):
    experiment = override(get_experiment("digits-smoke"), [*settings, *changes])
    with pytest.raises(InputError, match=message):
        open_feeds(experiment)
