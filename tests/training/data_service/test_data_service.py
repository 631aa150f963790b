"""Batches of input processes: bit for bit those that a training makes itself."""

import dataclasses
import http.server
import os
import threading

import numpy as np
import pytest

from keras_effnetv2.data.order import ALL_ROWS, Shard
from keras_effnetv2.errors import InputError, WorkerError
from keras_effnetv2.training.data_service import service_client
from keras_effnetv2.training.data_service.service_client import DataService
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.experiments.settings import override
from keras_effnetv2.training.progressive.feeding import (
    data_errors_raised,
    open_feeds,
    segment_batches,
)
from keras_effnetv2.training.progressive.learning import Segment
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.batches import assert_same, joined
from tests.data.records.imagenet_files import write_imagenet
from tests.training import run_processes
from tests.training.data_service import input_processes
from tests.training.devices import test_workers
from tests.training.runs.test_resume import assert_alike


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Of 200 images in 100 files, each a chunk, mixed with each other."""
    root = write_imagenet(tmp_path_factory.mktemp("records"), num_files=100)
    return (
        *run_processes.of_records(root),
        "progressive.mixup_alpha=0.2,0.5",
        "progressive.cutmix_alpha=0.2,0.5",
        "progressive.image_size=8,16",
        "model.eval_size=16",
        "epochs=12",
    )


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    with input_processes.running(tmp_path_factory.mktemp("processes"), 2) as found:
        yield [*found]


@pytest.fixture(scope="module")
def training(settings):
    """An experiment, its images and its stages."""
    return opened(settings)


def opened(settings):
    experiment = override(get_experiment("digits-smoke"), settings)
    experiment, feed, _ = open_feeds(experiment)
    return experiment, feed, experiment.stages(feed.source.num_examples)


def made(make, training, segment, shard=ALL_ROWS):
    experiment, feed, _ = training
    return [*make(feed, experiment, segment, shard).as_numpy_iterator()]


def service_options(addresses):
    return [word for x in addresses for word in ("--data_service", x)]


@pytest.fixture(scope="module")
def whole(training):
    """The batches of the second stage, six epochs of five steps."""
    _, _, (_, stage) = training
    return made(segment_batches, training, Segment(stage, 6, 12, 0, 5))


@pytest.mark.long
def test_any_number_of_processes_goes_on_at_any_step(addresses, training, whole):
    _, _, (_, stage) = training
    generator = np.random.default_rng(0)
    for num in (1, 2, 1, 2, 2):
        epoch, step = (int(generator.integers(x)) for x in (6, 5))
        segment = Segment(stage, 6 + epoch, 7 + epoch, step, 5 - step)
        found = made(DataService(addresses[:num]).batches, training, segment)
        first = 5 * epoch + step
        assert_same(found, whole[first : 5 * epoch + 5])


@pytest.mark.long
def test_several_epochs_for_two_workers(addresses, training, whole):
    experiment, feed, (_, stage) = training
    segment = Segment(stage, 7, 10, 0, 5)
    service = DataService(addresses)
    parts = [
        service.batches(feed, experiment, segment, Shard(worker, 2))
        for worker in range(2)
    ]
    next(iter(parts[0]))  # And left off, as of what looks at the first batch only.
    assert_same(joined([[*x.as_numpy_iterator()] for x in parts]), whole[5:20])


@pytest.mark.long
def test_images_in_memory_and_in_full_order(addresses, settings):
    training = opened((*settings, "data.order=full", "data.cache=true"))
    segment = Segment(training[2][1], 7, 8, 2, 3)
    found = made(DataService(addresses).batches, training, segment)
    assert_same(found, made(segment_batches, training, segment))


@pytest.mark.long
def test_a_process_that_is_lost_stops_a_training_that_goes_on_with_others(
    tmp_path, addresses, settings
):
    workdir = tmp_path / "run"
    with input_processes.running(tmp_path, 1) as lost:
        process = run_processes.start(workdir, *settings, options=service_options(lost))
        while run_processes.steps_saved(workdir) < 3 and process.poll() is None:
            pass
        for each in lost.values():
            each.kill()
        assert process.wait() == 2
    (line,) = run_processes.errors_in(process.log)
    assert "No input process answers at localhost:" in line
    assert 3 <= run_processes.steps_saved(workdir) < 60
    log = run_processes.finish(workdir, *settings, options=service_options(addresses))
    assert "Resuming after step" in log
    assert f"batches: of 2 input processes, {', '.join(addresses)}" in log
    run_processes.finish(tmp_path / "whole", *settings)
    assert_alike(workdir, tmp_path / "whole")


@pytest.mark.slow
def test_two_workers_train_as_one_process_on_batches_of_others(tmp_path, addresses):
    def begin(workdir, *settings, options, environment):
        options = (*options, *service_options(addresses))
        return run_processes.start(
            workdir, *settings, options=options, environment=environment
        )

    both = test_workers.free_addresses(2)
    workers = [
        test_workers.start_worker(
            tmp_path / "two", x, both, *test_workers.ALIKE, begin=begin
        )
        for x in range(2)
    ]
    assert [x.wait() for x in workers] == [0, 0], workers[0].log.read_text()[-3000:]
    run_processes.finish(tmp_path / "one", *test_workers.ALIKE)
    found, wanted = (test_workers.losses(tmp_path / x) for x in ("two", "one"))
    assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("num_damaged", [1, 2])
def test_damaged_images_are_told_to_the_training(tmp_path, addresses, num_damaged):
    for split in ("train", "test"):
        image_folders.write(tmp_path / split, {"cat": 8, "dog": 8})
    for path in sorted((tmp_path / "train" / "cat").iterdir())[:num_damaged]:
        image_folders.damage(path)
    training = opened(
        (
            *run_processes.QUICK,
            "data.source=folder",
            f"data.directory={tmp_path}",
            "data.train_split=train",
            "data.num_train_images=none",
            "data.num_classes=none",
            "batch_size=16",
        )
    )
    _, feed, (stage, _) = training
    service = DataService(addresses[:1])
    segment = Segment(stage, 0, 1, 0, 1)
    if num_damaged == 1:
        found = made(service.batches, training, segment)
        assert list(feed.decode_errors.found()) == [0]
        assert_same(found, made(segment_batches, training, segment))
        return
    with (
        pytest.raises(InputError, match="2 of the 16 images of 'train' cannot") as text,
        data_errors_raised(feed),
    ):
        made(service.batches, training, segment)
    assert addresses[0] in str(text.value)


def test_a_training_and_a_process_with_other_files(addresses, training):
    experiment, feed, (stage, _) = training
    source = dataclasses.replace(feed.source, num_examples=199)
    others = experiment, dataclasses.replace(feed, source=source), (stage,)
    with pytest.raises(InputError, match="There are 200 training images here, but 199"):
        made(DataService(addresses).batches, others, Segment(stage, 0, 1, 0, 4))


def test_a_directory_that_a_process_does_not_see(addresses, training):
    experiment, feed, (stage, _) = training
    data = dataclasses.replace(experiment.data, directory="/nowhere/records")
    others = dataclasses.replace(experiment, data=data), feed, (stage,)
    with pytest.raises(InputError, match="Input process localhost.*/nowhere/records"):
        made(DataService(addresses).batches, others, Segment(stage, 0, 1, 0, 4))


def test_processes_get_names_of_folders_that_hold_anywhere(training, tmp_path):
    experiment, feed, _ = training
    name = os.path.relpath(tmp_path)
    for source, given, sent in (
        ("csv", "labels.csv", os.path.abspath("labels.csv")),
        ("hugging_face", name, str(tmp_path)),
        ("hugging_face", "owner/birds", "owner/birds"),
    ):
        data = dataclasses.replace(experiment.data, source=source, name=given)
        made = service_client._for_all(dataclasses.replace(experiment, data=data), feed)
        assert made.data.name == sent


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_):
        pass


@pytest.fixture
def page():
    """The address of some other server."""
    with http.server.HTTPServer(("localhost", 0), _Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"localhost:{server.server_port}"
        server.shutdown()


def test_addresses_at_which_there_is_none(page):
    nobody = f"localhost:{input_processes.free_port()}"
    for address, error, message in (
        ("localhost", InputError, "is HOST:PORT, such as localhost:5050"),
        ("grpc://localhost:5050", InputError, "is HOST:PORT, such as localhost:5050"),
        (nobody, WorkerError, f"No input process answers at {nobody}.*Start it there"),
        (page, InputError, f"The server at {page} is not an input process"),
    ):
        with pytest.raises(error, match=message) as caught:
            DataService([address])
        assert "\n" not in str(caught.value)


def test_a_training_is_refused_before_it_begins(tmp_path, capsys, addresses, settings):
    workdir = tmp_path / "run"
    nobody = f"localhost:{input_processes.free_port()}"
    for chosen, message in (
        ([nobody], "No input process answers"),
        ([addresses[0]] * 3, "A batch of 40 images cannot be divided among 3 input"),
    ):
        _, _, command, *words = run_processes.command(
            workdir, *settings, options=service_options(chosen)
        )
        assert run_command(command, *words) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ") and message in error
        assert not workdir.exists()


def test_a_process_of_other_versions(addresses, monkeypatch):
    versions = {"keras_effnetv2": "0.0.9", "tensorflow": "2.99"}
    monkeypatch.setattr(service_client, "VERSIONS", versions)
    with pytest.raises(InputError, match="runs keras_effnetv2 0.0.9, tensorflow 2.99"):
        DataService(addresses[:1])


def test_ports_that_are_in_use_and_none(tmp_path, addresses, capsys):
    port = int(addresses[0].partition(":")[2])
    process = input_processes.start(tmp_path, port)
    assert process.wait() == 2
    (line,) = run_processes.errors_in(process.log)
    assert f"The ports {port} to {port + 2} of localhost cannot be opened" in line
    for port in ("0", "70000"):
        words = ["data_service", "--port", port]
        assert run_command(*words) == 2
        assert "--port is 1024 to 65533" in capsys.readouterr().err
