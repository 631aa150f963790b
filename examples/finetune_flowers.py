r"""Fine-tunes EfficientNetV2 on flowers, or on the photographs of any folder.

    python examples/finetune_flowers.py --folder PHOTOGRAPHS
    python examples/finetune_flowers.py --dataset tf_flowers
    python examples/finetune_flowers.py --dataset oxford_flowers102 \
        --variant efficientnetv2-s --image_size 384

PHOTOGRAPHS has a folder of images for each class, with about one image in ten held out,
or such folders within `train` and `validation`. The datasets are those of TensorFlow
Datasets, which downloads them. First only the new classifier is trained, then
everything except the batch norms, which few images would spoil.

Hardware: a GPU, or patience. Its accuracy has not been measured, as pretrained weights
and datasets could not be downloaded; the tests run it on a small folder with `--weights
none`. The paper's longer training, the experiment `finetune-flowers`, reaches 97.9%
with S on oxford_flowers102 (Table 8).
"""

import argparse
import dataclasses
import pathlib

import keras
import tensorflow as tf

import keras_effnetv2
from keras_effnetv2 import preprocessing
from keras_effnetv2.data import (
    Augmenter,
    RandomCrop,
    RandomCutout,
    Source,
    evaluation_image,
    images,
    open_source,
)

# Classes, split to train on, split to measure on.
DATASETS = {
    "tf_flowers": (5, "train[:90%]", "train[90%:]"),
    "oxford_flowers102": (102, "train+validation", "test"),
}


def open_folder(folder: pathlib.Path) -> list[Source]:
    """Training and validation images of a folder of class folders."""
    root = folder / "train" if (folder / "train").is_dir() else folder
    num_classes = sum(path.is_dir() for path in root.glob("[!.]*"))
    return [
        open_source("folder", split, num_classes=num_classes, directory=str(folder))
        for split in ("train", "validation")
    ]


def open_dataset(name: str) -> list[Source]:
    """Training and validation images of a dataset of TensorFlow Datasets."""
    num_classes, *splits = DATASETS[name]
    return [
        open_source("tfds", split, name=name, num_classes=num_classes)
        for split in splits
    ]


def build_model(
    variant: str, weights: str | None, image_size: int, class_names: tuple[str, ...]
) -> keras.Model:
    """The pretrained network with a new classifier and its class names."""
    record = preprocessing.record(variant, weights or "imagenet21k", image_size)
    record = dataclasses.replace(
        record.unlabelled(), image_size=image_size, labels=class_names
    )
    return keras_effnetv2.create_model(
        variant, weights=weights, classes=len(class_names), preprocessing=record
    )


def training_data(source: Source, image_size: int, batch_size: int) -> tf.data.Dataset:
    """Shuffled batches of cropped, mirrored and partly covered images."""
    augmenter = Augmenter(
        image_size,
        crop=RandomCrop(area=(0.25, 1.0)),
        flip=True,
        interpolation="bilinear",
        policy=RandomCutout(),
    )
    num = source.num_examples
    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True, seed=0)
    data = tf.data.Dataset.range(num).shuffle(num, seed=0).map(source.read)
    data = tf.data.Dataset.zip((data, seeds.batch(2, drop_remainder=True)))
    data = data.map(
        lambda example, seed: (augmenter.apply(example[0], seed), example[1]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return data.batch(batch_size).prefetch(2)


def validation_data(
    source: Source, record: keras_effnetv2.Preprocessing, batch_size: int
) -> tf.data.Dataset:
    """Batches of images, cropped as in the pretrained network's evaluation."""

    def read(index):
        image, label = source.read(index)
        return evaluation_image(images.to_rgb(image), record), label

    data = tf.data.Dataset.range(source.num_examples)
    data = data.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(batch_size).prefetch(2)


def fit(
    model: keras.Model,
    data: tf.data.Dataset,
    validation: tf.data.Dataset,
    epochs: int,
    learning_rate: float,
) -> None:
    """Trains the layers that are not frozen, with a learning rate that falls to 0."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(data))
    model.compile(
        keras.optimizers.Adam(schedule),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(
        data,
        epochs=epochs,
        validation_data=validation,
        shuffle=False,  # The dataset shuffles.
        verbose=2,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    images_of = parser.add_mutually_exclusive_group(required=True)
    images_of.add_argument("--folder", type=pathlib.Path)
    images_of.add_argument("--dataset", choices=DATASETS)
    parser.add_argument("--variant", default="efficientnetv2-b0")
    parser.add_argument("--weights", default="imagenet21k", help="or none")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, nargs=2, default=(3, 10))
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/flowers")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)

    size, batch_size = arguments.image_size, arguments.batch_size
    train_source, validation_source = (
        open_folder(arguments.folder)
        if arguments.folder
        else open_dataset(arguments.dataset)
    )
    weights = None if arguments.weights == "none" else arguments.weights
    model = build_model(arguments.variant, weights, size, train_source.class_names)
    data = training_data(train_source, size, batch_size)
    validation = validation_data(validation_source, model.preprocessing, batch_size)

    first_epochs, epochs = arguments.epochs
    keras_effnetv2.freeze(model, until="top")  # All except the new classifier.
    fit(model, data, validation, first_epochs, learning_rate=1e-3)
    keras_effnetv2.freeze(model, until=None, batch_norm="frozen")
    fit(model, data, validation, epochs, learning_rate=1e-4)

    path = arguments.workdir / "flowers.keras"
    model.save(path)
    print(f"\nClassify with python -m keras_effnetv2 predict IMAGE --weights {path}")


if __name__ == "__main__":
    main()
