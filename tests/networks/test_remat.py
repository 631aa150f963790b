"""Rematerialisation in a whole network: the same training, in every precision."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from tests.tiny_networks import NANO, PADDED, pixels


def trained(variant, remat, jit_compile):
    keras.utils.set_random_seed(0)
    model = create_model(variant, classes=3, remat=remat, drop_path_rate=0.5)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    model.fit(pixels(32, 32, batch=8), np.arange(8) % 3, batch_size=4, verbose=0)
    return model.get_weights()


@pytest.mark.parametrize(
    ("variant", "policy", "jit_compile", "tolerance"),
    [
        (NANO, "float32", False, 1e-5),
        pytest.param(PADDED, "float32", False, 1e-5, marks=pytest.mark.slow),
        pytest.param(NANO, "float32", True, 1e-5, marks=pytest.mark.slow),
        pytest.param(PADDED, "float32", True, 1e-5, marks=pytest.mark.slow),
        pytest.param(NANO, "mixed_float16", False, 1e-2, marks=pytest.mark.slow),
    ],
)
def test_training_is_the_same(variant, policy, jit_compile, tolerance):
    keras.config.set_dtype_policy(policy)
    try:
        expected, found = (
            trained(variant, remat, jit_compile) for remat in (False, True)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
