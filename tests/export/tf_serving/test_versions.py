"""Version folders: numbers, labels, removal; whole whatever happens."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_effnetv2 import export
from keras_effnetv2.export.tf_serving import server_config, versions
from tests import forked
from tests.export import micro


@pytest.fixture
def quick(monkeypatch):
    micro.write_quickly(monkeypatch)


@pytest.fixture(scope="module")
def model():
    return micro.classifier()


def serve(model, base, version=None, **options):
    return export.serving(model, base, version, fold=False, **options)


def numbers(base):
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdecimal())


def test_versions_count_up(quick, model, tmp_path):
    base = tmp_path / "flowers"
    first, second = serve(model, base), serve(model, base)
    assert (first.version, first.labels) == (1, {"stable": 1, "canary": 1})
    assert (second.version, second.labels) == (2, {"stable": 1, "canary": 2})
    assert second.path == base / "2"
    manifest = json.loads((second.path / "model.json").read_text())
    assert manifest == json.loads(json.dumps(second.manifest.contents))
    assert manifest["format"] == "TF Serving"
    assert micro.check_whole(base) == {1, 2}
    (config,) = server_config.read_models(base).model_config_list.config
    assert (config.name, config.base_path) == ("flowers", "/models/flowers")
    batching = (base / "batching.config").read_text()
    assert (second.path / "batching_params.pbtxt").read_text() == batching
    hidden = {path.name for path in base.iterdir() if path.name.startswith(".")}
    assert hidden == {".models.config.lock"}


def test_the_server_may_see_another_name_and_path(quick, model, tmp_path):
    served = serve(model, tmp_path, name="roses", server_path="/mnt/roses")
    (config,) = server_config.read_models(tmp_path).model_config_list.config
    assert (config.name, config.base_path) == ("roses", "/mnt/roses")
    assert served.name == "roses"


def test_versions_may_be_chosen_but_not_twice(quick, model, tmp_path):
    assert serve(model, tmp_path, 20260101).version == 20260101
    assert serve(model, tmp_path).version == 20260102
    with pytest.raises(ValueError, match="already has a version 20260101"):
        serve(model, tmp_path, 20260101)
    assert numbers(tmp_path) == [20260101, 20260102]


def test_two_at_once_get_two_versions(model, tmp_path, monkeypatch, quick):
    write, others = versions.write_checked, []

    def write_beside_another(*arguments):
        if not others:
            others.append(None)
            others[0] = serve(model, tmp_path)
        return write(*arguments)

    monkeypatch.setattr(versions, "write_checked", write_beside_another)
    served = serve(model, tmp_path)
    assert (others[0].version, served.version) == (1, 2)
    assert micro.check_whole(tmp_path) == {1, 2}


def test_a_version_taken_meanwhile_is_never_replaced(
    model, tmp_path, monkeypatch, quick
):
    there = versions._take

    def take_late(fresh, base, version):
        shutil.copytree(fresh, base / "5")
        return there(fresh, base, version)

    monkeypatch.setattr(versions, "_take", take_late)
    with pytest.raises(ValueError, match="already has a version 5"):
        serve(model, tmp_path, 5)


def test_many_at_once_are_all_served(quick, model, tmp_path):
    threads = [threading.Thread(target=serve, args=(model, tmp_path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert micro.check_whole(tmp_path) == set(range(1, 9))


def test_old_versions_go_but_none_that_clients_ask_for(quick, model, tmp_path):
    for _ in range(5):
        serve(model, tmp_path)
    serve(model, tmp_path, keep=2)  # 4 was stable until now: servers send there.
    assert numbers(tmp_path) == [4, 5, 6]
    assert micro.check_whole(tmp_path) == {4, 5, 6}
    serve(model, tmp_path, keep=1)
    assert numbers(tmp_path) == [5, 6, 7]


def test_other_labels_and_other_folders_stay(quick, model, tmp_path):
    serve(model, tmp_path, name="m")
    config = server_config.read_models(tmp_path)
    config.model_config_list.config[0].version_labels["trusted"] = 1
    server_config.write_models(tmp_path, config)
    (tmp_path / "2").mkdir()  # Nobody's, and nothing to serve.
    (tmp_path / "2" / "notes.txt").touch()
    for _ in range(4):
        served = serve(model, tmp_path, name="m", keep=1)
    assert served.labels == {"trusted": 1, "stable": 5, "canary": 6}
    assert numbers(tmp_path) == [1, 2, 4, 5, 6]
    (config,) = server_config.read_models(tmp_path).model_config_list.config
    assert list(config.model_version_policy.specific.versions) == [1, 4, 5, 6]


def test_labels_of_versions_that_are_gone_go_too(quick, model, tmp_path):
    serve(model, tmp_path, name="m")
    config = server_config.read_models(tmp_path)
    config.model_config_list.config[0].version_labels["trusted"] = 1
    server_config.write_models(tmp_path, config)
    shutil.rmtree(tmp_path / "1")
    served = serve(model, tmp_path, 2, name="m")
    assert served.labels == {"stable": 2, "canary": 2}
    assert micro.check_whole(tmp_path) == {2}


def test_an_older_number_is_not_removed_at_once(quick, model, tmp_path):
    for version in (10, 11):
        serve(model, tmp_path, version)
    served = serve(model, tmp_path, 3, keep=1)
    assert served.labels == {"stable": 10, "canary": 11}
    assert micro.check_whole(tmp_path) == {3, 10, 11}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 0}, "version must be at least 1"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"name": "a/b"}, "name consists of letters"),
        ({"allowed_batch_sizes": [4, 2]}, "whole numbers from 1"),
        ({"base_path": "gs://bucket/flowers"}, "copy that to the bucket"),
        ({"top": 0}, "top must be at least 1"),
        ({"image_size": 0}, "image_size must be at least 1"),
    ],
)
def test_bad_arguments_write_nothing(model, tmp_path, options, message):
    options = {"base_path": tmp_path / "flowers", **options}
    with pytest.raises(ValueError, match=message):
        serve(model, options.pop("base_path"), **options)
    assert not any((tmp_path).glob("flowers/*"))


def test_a_failed_check_changes_nothing(model, tmp_path, monkeypatch, quick):
    serve(model, tmp_path)

    def fail(*_):
        raise ValueError("The export is not kept")

    monkeypatch.setattr(versions, "write_checked", fail)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="not kept"):
        serve(model, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_step_the_folder_is_whole(tmp_path):
    exports = tmp_path / "exports"
    forked.output(["-m", "tests.export.tf_serving.killed_exports", exports], tmp_path)
    steps = sorted(exports.glob("[0-9]*"), key=lambda path: int(path.name))
    assert len(steps) > 15
    states = [micro.check_whole(base) for base in steps]
    old, new = {1, 2, 3, 4}, {3, 4, 5}
    first = states.index(new)
    assert states == [old] * first + [new] * (len(steps) - first)
    assert 0 < first < len(steps) - 1
    assert numbers(steps[0]) == [1, 2, 3, 4]
    assert numbers(steps[-1]) == [3, 4, 5]


def command(model, base):
    flags = ("--output", base, "--no-fold", "--batch_sizes", "1", "2")
    words = ("-m", "keras_effnetv2", "export", "serving", "--weights", model, *flags)
    return subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=-1, stderr=-1, text=True
    )


@pytest.mark.slow
def test_killed_at_random_moments_the_folder_is_whole(model, tmp_path):
    model.save(tmp_path / "micro.keras")
    base = tmp_path / "flowers"
    start = time.monotonic()
    done = command(tmp_path / "micro.keras", base)
    printed, errors = done.communicate(timeout=300)
    assert done.returncode == 0, errors
    assert "version 1 of flowers" in printed
    seconds = time.monotonic() - start
    for seed in range(6):
        process = command(tmp_path / "micro.keras", base)
        time.sleep(random.Random(seed).uniform(0.3, 1.05) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=300)
        assert 1 in micro.check_whole(base)
    assert serve(model, base).version == max(numbers(base))
    assert max(micro.check_whole(base)) == max(numbers(base))


@pytest.mark.slow
def test_two_commands_at_once_get_two_versions(model, tmp_path):
    model.save(tmp_path / "micro.keras")
    both = [command(tmp_path / "micro.keras", tmp_path / "m") for _ in range(2)]
    printed = "".join(process.communicate(timeout=300)[0] for process in both)
    assert "version 1 of m:" in printed and "version 2 of m:" in printed
    assert micro.check_whole(tmp_path / "m") == {1, 2}
