r"""Trains a plain Keras model, a ResNet, progressively on CIFAR-10.

    python examples/train_cifar10_progressively.py
    python examples/train_cifar10_progressively.py --num_stages 1    # fixed size
    python examples/train_cifar10_progressively.py --dataset digits --epochs 12 \
        --filters 16 --batch_size 32

Progressive learning is not only for EfficientNetV2: in the paper's Table 12, ResNets
benefit too. Images grow from 16 to 32 pixels, and with them RandAugment, MixUp and
dropout; for comparison, `--num_stages 1` trains with the largest values throughout.

Hardware: a GPU for CIFAR-10, which TensorFlow Datasets downloads; this has not been
run, and its accuracy is unknown. The digits are scikit-learn's and need no download:
the third command took under three minutes on two busy CPU cores and reached 96.9% on
the 360 held-out digits.
"""

import argparse

import keras
import tensorflow as tf

from keras_effnetv2.data import (
    Augmenter,
    Mixing,
    RandAugment,
    RandomCrop,
    Source,
    images,
    open_source,
)
from keras_effnetv2.training import (
    ProgressiveLearning,
    Ramp,
    Stage,
    format_plan,
    plan_stages,
)

IMAGE_SIZE = 32
NUM_CLASSES = 10


def residual_block(x, filters: int, strides: int):
    """Two convolutions and a shortcut."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = keras.layers.Conv2D(filters, 1, strides)(x)
    x = keras.layers.Conv2D(filters, 3, strides, "same", use_bias=False)(x)
    x = keras.layers.Activation("relu")(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(filters, 3, 1, "same", use_bias=False)(x)
    x = keras.layers.Add()([keras.layers.BatchNormalization()(x), shortcut])
    return keras.layers.Activation("relu")(x)


def resnet(filters: int) -> keras.Model:
    """ResNet-20 for images of any size (He et al., arXiv 1512.03385, Section 4.2)."""
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    for stage in range(3):
        for block in range(3):
            strides = 2 if stage > 0 and block == 0 else 1
            x = residual_block(x, filters * 2**stage, strides)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)  # Above 0, so that stages can set it.
    outputs = keras.layers.Dense(NUM_CLASSES, activation="softmax")(x)
    return keras.Model(inputs, outputs)


def training_data(source: Source, stage: Stage, flip: bool) -> tf.data.Dataset:
    """Shuffled batches of a stage: its image size, RandAugment and MixUp."""
    augmenter = Augmenter(
        stage.image_size,
        crop=RandomCrop(area=(0.5, 1.0)),
        flip=flip,
        interpolation="bilinear",
        policy=RandAugment(
            num_ops=2,
            magnitude=stage.randaugment_magnitude,
            pixel_scale=stage.image_size / 128,  # The paper's smallest images.
        ),
    )
    mixing = Mixing(mixup_alpha=stage.mixup_alpha)

    def augment(index, seed):
        image, label = source.example(index)
        return augmenter.apply(image, seed), label

    def mix(image_batch, labels):
        seed = tf.random.uniform((2,), maxval=tf.int32.max, dtype=tf.int32)
        return mixing.apply(image_batch, labels, seed)

    num = source.num_examples
    seeds = tf.data.Dataset.random(rerandomize_each_iteration=True)
    indices = tf.data.Dataset.range(num).shuffle(num)
    data = tf.data.Dataset.zip((indices, seeds.batch(2, drop_remainder=True)))
    data = data.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(stage.batch_size, drop_remainder=True).map(mix).prefetch(2)


def validation_data(source: Source, batch_size: int) -> tf.data.Dataset:
    """Batches of whole images of the largest size."""

    def read(index):
        image, label = source.example(index)
        size = (IMAGE_SIZE, IMAGE_SIZE)
        return tf.image.resize(images.to_rgb(image), size), label

    data = tf.data.Dataset.range(source.num_examples).map(read)
    return data.batch(batch_size).cache()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=("cifar10", "digits"), default="cifar10")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--num_stages", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--filters", type=int, default=32)
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    keras.utils.set_random_seed(0)
    is_digits = arguments.dataset == "digits"
    train_source, test_source = (
        open_source(
            "digits" if is_digits else "tfds",
            split,
            name=arguments.dataset,
            num_classes=NUM_CLASSES,
        )
        for split in ("train", "test")
    )
    stages = plan_stages(
        epochs=arguments.epochs,
        num_stages=arguments.num_stages,
        image_size=Ramp(IMAGE_SIZE // 2, IMAGE_SIZE),
        batch_size=arguments.batch_size,
        randaugment_magnitude=Ramp(2, 8),
        mixup_alpha=Ramp(0, 0.2),
        dropout_rate=Ramp(0.1, 0.3),
    )
    print(format_plan(stages, train_source.num_examples))

    model = resnet(arguments.filters)
    num_steps = sum(stage.num_steps(train_source.num_examples) for stage in stages)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, num_steps)
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=0.01),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
    )
    history = ProgressiveLearning(stages).fit(
        model,
        # Mirrored digits are not digits.
        lambda stage: training_data(train_source, stage, flip=not is_digits),
        validation_data=validation_data(test_source, arguments.batch_size),
        verbose=2,
    )
    print(f"\nAccuracy on the test images: {history['val_accuracy'][-1]:.1%}")


if __name__ == "__main__":
    main()
