"""Run by test_activation_maps.py in a process of its own, on the JAX backend."""

import sys

import keras
import numpy as np

from keras_effnetv2.explanation.activation_maps import METHODS, class_activation_maps

folder = sys.argv[1]
assert keras.backend.backend() == "jax"
model = keras.models.load_model(f"{folder}/model.keras")
images = np.load(f"{folder}/images.npy")
for method in METHODS:
    expected = np.load(f"{folder}/{method}.npy")
    found = class_activation_maps(model, images, [[0, 2], [1, 3]], method)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.max())
print("passed")
