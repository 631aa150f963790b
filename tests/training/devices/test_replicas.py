"""Several logical devices train as one does on the same global batch.

Each fix of training/devices/replicas.py is also shown to be needed.
"""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_effnetv2.training.devices import replicas
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Losses and more by number of devices and whether Keras is fixed."""
    folder, found = tmp_path_factory.mktemp("replicas"), {}

    def run(num_devices, fixes="fixed"):
        if (num_devices, fixes) not in found:
            path = folder / f"{num_devices}-{fixes}.json"
            module = "tests.training.devices.replica_training"
            command = [sys.executable, "-m", module, str(num_devices), fixes, str(path)]
            result = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert result.returncode == 0, result.stderr[-3000:]
            found[num_devices, fixes] = json.loads(path.read_text())
        return found[num_devices, fixes]

    return run


DEVICES = [2, 4]


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", DEVICES)
@pytest.mark.parametrize("case", ["rmsprop", "clipped"])
def test_the_loss_curve_is_that_of_one_device(results, num_devices, case):
    one, several = results(1)[case], results(num_devices)[case]
    assert len(one["losses"]) == 20
    np.testing.assert_allclose(several["losses"], one["losses"], rtol=0, atol=1e-4)
    assert several["measured"] == pytest.approx(one["measured"], abs=1e-4)
    assert several["replicas_agree"]


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", DEVICES)
def test_pieces_on_several_devices_give_the_gradient_of_the_whole(results, num_devices):
    whole, pieces = results(1)["whole"], results(num_devices)["in pieces"]
    np.testing.assert_allclose(pieces["losses"], whole["losses"], rtol=0, atol=1e-4)
    assert pieces["replicas_agree"]


def test_another_version_of_keras_is_warned_of(monkeypatch, caplog):
    generator = keras.random.SeedGenerator
    unfixed = getattr(generator.next, "__wrapped__", generator.next)  # By another test.
    monkeypatch.setattr(generator, "next", unfixed)
    monkeypatch.setattr(keras, "__version__", "3.99.0")
    replicas.use_replica_seeds()
    assert "tested with Keras 3.10 to 3.15, not with 3.99.0" in caplog.text


@pytest.mark.slow
def test_several_steps_at_once_are_the_same_steps(results):
    single, looped = (results(1)[x] for x in ("clipped", "five at once"))
    np.testing.assert_allclose(looped["losses"], single["losses"][4::5], atol=1e-4)
    for name in ("measured", "evaluated"):
        assert looped[name] == pytest.approx(single[name], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("num_devices", DEVICES)
def test_evaluation_counts_every_image_once(results, num_devices):
    one, several = results(1)["rmsprop"], results(num_devices)["rmsprop"]
    assert one["num_evaluated"] == several["num_evaluated"] == 11
    assert several["evaluated"] == pytest.approx(one["evaluated"], abs=1e-3)


@pytest.mark.slow
def test_all_replicas_skip_a_step_where_one_gradient_is_infinite(results):
    assert results(2)["infinite"] == [[1, 1], [1, 1]]


@pytest.mark.slow
def test_every_replica_drops_other_units(results):
    first, second = results(2)["draws"]
    assert first != second
    assert 10 < sum(x == 0 for x in second) < 54


@pytest.mark.slow
def test_stock_keras_looks_before_it_sums_and_drops_the_same_units(results):
    stock, one = results(2, "stock"), results(1)
    differences = np.subtract(stock["clipped"]["losses"], one["clipped"]["losses"])
    assert np.abs(differences).max() > 1e-3
    assert stock["draws"][0] == stock["draws"][1]
    assert not np.isfinite(stock["infinite"]).all()
