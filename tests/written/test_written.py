"""Files that older versions wrote are read by this one."""

import json
import pathlib
import shutil
import zipfile

import keras
import numpy as np
import optuna
import pytest

import keras_effnetv2
from keras_effnetv2 import create_model, export, search
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.search.studies.workers import run_worker
from tests.training import run_processes
from tests.written.write import CLASS_NAMES, VARIANT, WORKDIR_SETTINGS

VERSIONS = sorted(x for x in pathlib.Path(__file__).parent.glob("[0-9]*"))


@pytest.fixture(params=VERSIONS, ids=lambda folder: folder.name)
def written(request, tmp_path):
    """A copy of what a version wrote."""
    return pathlib.Path(shutil.copytree(request.param, tmp_path / "written"))


@pytest.fixture
def expected(written):
    with np.load(written / "expected.npz") as arrays:
        return dict(arrays)


def load(path):
    """The model in a `.keras` file; Keras reads none of a Keras newer than itself."""
    metadata = json.loads(zipfile.ZipFile(path).read("metadata.json"))
    if release(keras.__version__) < release(metadata["keras_version"]):
        pytest.skip(f"written with Keras {metadata['keras_version']}")
    return keras.models.load_model(path)


def release(version):
    return tuple(int(x) for x in version.split(".")[:2])


def check(model, expected):
    found = model(expected["images"])
    np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-5)


def test_a_model_and_its_optimizer(written, expected):
    model = load(written / "classifier.keras")
    check(model, expected)
    assert model.preprocessing.labels == CLASS_NAMES
    assert int(model.optimizer.iterations) == 3
    assert model.train_on_batch(expected["images"], np.array([0, 2])) < 2


def test_a_folded_model(written, expected):
    check(load(written / "folded.keras"), expected)


def test_weights_of_a_variant_file(written, expected):
    variant = get_variant(written / "variant.json")
    assert variant == VARIANT
    model = create_model(variant, classes=3, weights=written / "classifier.weights.h5")
    check(model, expected)


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on(written):
    log = run_processes.finish(written / "workdir", *WORKDIR_SETTINGS)
    assert "Resuming after step 25" in log
    assert (written / "workdir" / "final.weights.h5").exists()


def test_a_search_goes_on(written):
    experiment = search.get_search("digits-search")
    study = search.open_search(experiment, written / "study.journal")
    assert [trial.value for trial in study.trials] == [0.5, 0.6, 0.7]
    run_worker(study, lambda trial, point: 0.8, num_trials=4)
    assert [trial.value for trial in study.trials] == [0.5, 0.6, 0.7, 0.8]
    states = {trial.state for trial in study.trials}
    assert states == {optuna.trial.TrialState.COMPLETE}


def test_a_module_is_a_layer(written, expected):
    layer = export.HubLayer(written / "hub" / "classification.tar.gz")
    logits = np.array(layer(expected["images"] / 255))
    found = keras.ops.softmax(logits)
    np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-5)


@pytest.mark.long
def test_a_served_model_gets_its_next_version(written, engines_here):
    model = load(written / "classifier.keras")
    served = export.serving(model, written / "serving")
    assert served.path.name == "2"
    assert served.labels == {"stable": 1, "canary": 2}


def test_every_minor_version_has_its_files():
    major, minor, _ = keras_effnetv2.__version__.split(".")
    assert f"{major}.{minor}.0" in {folder.name for folder in VERSIONS}
