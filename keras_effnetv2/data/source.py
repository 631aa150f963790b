"""The interface of every kind of dataset to the pipeline."""

import dataclasses
import re
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.chunks.stores import ChunkOrder
from keras_effnetv2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Source:
    """Images with labels, with random access.

    Attributes:
        num_examples: number of examples.
        num_classes: labels are below it.
        multi_label: an image may have several classes.
        read: turns a scalar int64 index into an image and its label, in TensorFlow ops.
            Image: encoded, a scalar string, or uint8 `(height, width, 1 or 3)`. Label:
            scalar int64, or multi-hot float32 `(num_classes,)` with `multi_label`.
        name_of: turns an index into the name of the example in messages.
        class_names: a name for each class, or None.
        turn_upright: whether to rotate encoded images as their EXIF orientation says.
        class_counts: images of each class, or None if that takes reading them all.
        chunks: how images are read in chunks. None: one by one, in any order.
    """

    num_examples: int
    num_classes: int
    multi_label: bool
    read: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    name_of: Callable[[int], str]
    class_names: tuple[str, ...] | None = None
    turn_upright: bool = True
    class_counts: tuple[int, ...] | None = None
    chunks: ChunkOrder | None = None

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """An image as from `read`, and its label as float32 `(num_classes,)`.

        Raises:
            tf.errors.InvalidArgumentError: the label is not a class.
        """
        return self.checked(*self.read(index))

    def checked(
        self, image: tf.Tensor, label: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The result of `example`, from that of `read`."""
        if self.multi_label:
            return image, tf.ensure_shape(label, (self.num_classes,))
        check = tf.debugging.Assert(
            (label >= 0) & (label < self.num_classes),
            [f"its label is not in 0 to {self.num_classes - 1}:", label],
        )
        with tf.control_dependencies([check]):
            return image, tf.one_hot(label, self.num_classes)

    def by_address(self) -> "Source":
        """The same images by their addresses in chunks, instead of their indices."""
        if self.chunks is None:
            return self
        parse, store = self.chunks.parse, self.chunks.store
        return dataclasses.replace(
            self,
            read=lambda address: parse(store.record(address)),
            name_of=store.name_of,
        )


def check_num_classes(received: int | None, found: int, where: str) -> None:
    """Refuses a number of classes that differs from the data's.

    Args:
        received: the number given. None: that of the data.
        found: the number in the data.
        where: name of the data, for messages.

    Raises:
        ValueError: the numbers differ.
    """
    if received not in (None, found):
        raise InputError(
            f"{where} has {found} classes. Received: data.num_classes={received}. "
            f"Leave it out, or set data.num_classes={found}."
        )


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    subset: slice,
    num_classes: int,
    name: str,
    class_names: tuple[str, ...] | None = None,
) -> Source:
    """A source of pixels in memory.

    Args:
        images: uint8 `(num, height, width)`, gray.
        labels: integers `(num,)`.
        subset: range of images to use; names count from the first of all images.
        num_classes: labels are below it.
        name: name of the whole dataset, for messages.
        class_names: a name for each class, or None.

    Raises:
        ValueError: the subset is empty.
    """
    numbers = np.arange(len(images))[subset]
    if not len(numbers):
        raise InputError(
            f"{name} has {len(images):,} images, and none of them is asked for. "
            "Choose another range."
        )
    # Not graph constants, which would copy them.
    pixels = tf.constant(images[subset][..., None])
    classes = tf.constant(labels[subset], tf.int64)

    def read(index):
        return pixels[index], classes[index]

    return Source(
        num_examples=len(numbers),
        num_classes=num_classes,
        multi_label=False,
        read=read,
        name_of=lambda index: f"{name} image {numbers[index]}",
        class_names=class_names,
        class_counts=tuple(np.bincount(labels[subset], minlength=num_classes).tolist()),
    )


def parse_split(split: str, choices: tuple[str, ...]) -> tuple[str, slice]:
    """The name and the range of a split such as `"train"` or `"train[:1000]"`.

    Raises:
        ValueError: unknown name, or no such range.
    """
    match = re.fullmatch(r"(\w+)(?:\[(\d*):(\d*)\])?", split)
    if not match or match[1] not in choices:
        raise InputError(
            f"The splits are {' and '.join(choices)}, whole or in part, such as "
            f"{choices[0]}[:1000]. Received: split={split!r}."
        )
    start, stop = (int(text) if text else None for text in match.groups()[1:])
    return match[1], slice(start, stop)
