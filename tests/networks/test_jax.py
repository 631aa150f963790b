"""The networks on the JAX backend: the same logits, and they train."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras_effnetv2 import create_model, write_variant
from tests.conftest import ROOT
from tests.tiny_networks import NANO, PADDED, pixels, spread_weights


@pytest.mark.long
@pytest.mark.parametrize(
    "variant",
    [NANO, pytest.param(PADDED, marks=pytest.mark.slow)],
    ids=lambda x: x.name,
)
def test_jax_gives_the_logits_of_tensorflow_and_trains(variant, tmp_path):
    pytest.importorskip("jax", reason="needs jax")
    write_variant(variant, tmp_path / "variant.json")
    model = create_model(variant, classes=10, classifier_activation=None)
    images = pixels(64, 48, batch=4)
    spread_weights(model, images)
    logits = model.predict(images, verbose=0)
    assert np.ptp(logits, axis=0).min() > 0.01 * np.abs(logits).max()
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "logits.npy", logits)
    result = subprocess.run(
        [sys.executable, "-m", "tests.networks.jax_checks", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == "passed", result.stderr
