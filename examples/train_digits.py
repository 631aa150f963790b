"""Trains EfficientNetV2-B0 on handwritten digits and classifies some it has not seen.

    python examples/train_digits.py [--epochs 20] [--workdir runs/digits]

The images are scikit-learn's 1,797 digits of 8x8 pixels, which need no download; every
fifth is held out. It takes about four minutes on two CPU cores and reaches 98.6%.
"""

import argparse
import pathlib
import subprocess
import sys

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from PIL import Image

import keras_effnetv2

IMAGE_SIZE = 32
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
WANTED_ACCURACY = 0.97


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 `(1797, 8, 8)` with ink in white, and their digits."""
    digits = sklearn.datasets.load_digits()
    return (digits.images * 255 / 16).round().astype("uint8"), digits.target


def enlarge(images: np.ndarray) -> np.ndarray:
    """Float pixels 0..255, `(count, IMAGE_SIZE, IMAGE_SIZE, 3)`."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return tf.image.resize(images[..., None].repeat(3, axis=-1), size).numpy()


def training_data(images: np.ndarray, digits: np.ndarray) -> tf.data.Dataset:
    """Shuffled batches, each digit a little moved and turned."""
    jitter = keras.Sequential(
        [
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            keras.layers.RandomRotation(0.03, fill_mode="constant"),
        ]
    )
    data = tf.data.Dataset.from_tensor_slices((enlarge(images), digits))
    data = data.shuffle(len(digits)).batch(BATCH_SIZE, drop_remainder=True)
    return data.map(lambda x, y: (jitter(x, training=True), y)).prefetch(2)


def build_model(num_steps: int) -> keras.Model:
    """B0 for ten digits, ready to fit."""
    preprocessing = keras_effnetv2.Preprocessing(
        mean=(128,),
        std=(128,),
        interpolation="bilinear",
        crop="squash",
        image_size=IMAGE_SIZE,
        labels=tuple("0123456789"),
    )
    model = keras_effnetv2.EfficientNetV2B0(
        weights=None, drop_path_rate=0.0, preprocessing=preprocessing
    )
    warm_up = num_steps // 10
    learning_rate = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE / 10,
        decay_steps=num_steps - warm_up,
        warmup_target=LEARNING_RATE,
        warmup_steps=warm_up,
    )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def classify(workdir: pathlib.Path, images: np.ndarray, digits: np.ndarray) -> None:
    """Writes some digits as PNG files and has the saved model name them, elsewhere."""
    paths = []
    for index in np.unique(digits, return_index=True)[1][:5]:
        paths.append(workdir / f"digit_{digits[index]}.png")
        Image.fromarray(images[index]).save(paths[-1])
    command = [sys.executable, "-m", "keras_effnetv2", "predict", *map(str, paths)]
    command += ["--weights", str(workdir / "digits.keras"), "--top", "2"]
    print("\n$ python", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/digits")
    arguments = parser.parse_args()
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)

    images, digits = load_digits()
    held_out = np.arange(len(digits)) % 5 == 0
    data = training_data(images[~held_out], digits[~held_out])
    model = build_model(num_steps=arguments.epochs * len(data))
    test_data = enlarge(images[held_out]), digits[held_out]
    model.fit(
        data,
        epochs=arguments.epochs,
        validation_data=test_data,
        shuffle=False,  # The dataset does it.
        verbose=2,
    )

    path = arguments.workdir / "digits.keras"
    model.save(path)
    reloaded = keras.models.load_model(path)
    _, accuracy = reloaded.evaluate(*test_data, verbose=0)
    print(f"\nAccuracy on {held_out.sum()} held-out digits, reloaded: {accuracy:.1%}")
    classify(arguments.workdir, images[held_out], digits[held_out])
    if accuracy < WANTED_ACCURACY:
        sys.exit(f"error: the accuracy is below {WANTED_ACCURACY:.0%}")


if __name__ == "__main__":
    main()
