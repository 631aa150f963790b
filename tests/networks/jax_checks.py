"""Run by test_jax.py in a process of its own, on the JAX backend."""

import sys

import keras
import numpy as np

import keras_effnetv2

folder = sys.argv[1]
images = np.load(f"{folder}/images.npy")


def same_logits():
    model = keras.models.load_model(f"{folder}/m.keras")
    found, expected = model.predict(images, verbose=0), np.load(f"{folder}/logits.npy")
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def trained(**options):
    keras.utils.set_random_seed(0)
    model = keras_effnetv2.create_model(
        f"{folder}/variant.json", classes=2, dropout_rate=0, drop_path_rate=0, **options
    )
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images[:, :32, :32], np.arange(len(images)) % 2, epochs=2, verbose=0)
    after = model.get_weights()
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    return after


assert keras.backend.backend() == "jax"
same_logits()
expected = trained()
found = trained(remat=True, bn_synchronized=8)
for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
print("passed")
