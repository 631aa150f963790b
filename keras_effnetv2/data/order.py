"""Which examples each training step sees: a function of seed, epoch and step.

This is the full shuffle; `chunks` has the order for storage with high latency.
"""

import dataclasses

import tensorflow as tf

from keras_effnetv2.data.augmentation import random_numbers
from keras_effnetv2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Shard:
    """The rows of every global batch that a worker makes.

    Attributes:
        index: index of the worker, from 0.
        count: number of workers, which must divide the batch size.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise InputError(
                f"With {self.count} workers, the index is 0 to {self.count - 1}. "
                f"Received: index={self.index}."
            )

    def rows(self, batch_size: int, num_before: int = 0) -> list[int]:
        """Indices in a global batch of this worker's rows, with some before its first.

        The row before the first one of the batch is its last.

        Raises:
            ValueError: a batch size that does not divide.
        """
        if batch_size % self.count:
            raise InputError(
                f"A batch of {batch_size} images cannot be divided among {self.count} "
                f"workers. Choose a multiple of {self.count} as batch_size."
            )
        num = batch_size // self.count
        first = self.index * num
        return [row % batch_size for row in range(first - num_before, first + num)]


ALL_ROWS = Shard()


def epoch_seeds(seed: int, epoch: tf.Tensor) -> list[tf.Tensor]:
    """Three seeds: for the order of an epoch, for its images and for its mixing."""
    root = tf.constant((seed, 0), tf.int64)
    return random_numbers.split(
        tf.random.experimental.stateless_fold_in(root, epoch), 3
    )


def epoch_order(num_examples: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """Indices of all examples in the order of an epoch, int64 `(num_examples,)`."""
    order_seed, _, _ = epoch_seeds(seed, epoch)
    everything = tf.range(num_examples, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(everything, order_seed)


def training_steps(
    num_examples: int,
    batch_size: int,
    *,
    steps_per_epoch: int,
    first_epoch: int,
    first_step: int,
    num_steps: int,
    seed: int,
) -> tf.data.Dataset:
    """The steps of a training run, from any of them on.

    Each epoch takes its images from a new permutation of all; the rest that does not
    fill a batch is left out.

    Args:
        num_examples: number of examples.
        batch_size: examples per step.
        steps_per_epoch: at most as many as there are full batches.
        first_epoch: epoch of the first step.
        first_step: its index in its epoch, from 0.
        num_steps: number of steps, across epochs.
        seed: seed of all permutations.

    Returns:
        Epoch, step in the epoch, example indices `(batch_size,)`; all int64.

    Raises:
        ValueError: an epoch has no such steps.
    """
    check_steps(num_examples, batch_size, steps_per_epoch, first_step)

    def with_order(epoch):
        return epoch, epoch_order(num_examples, seed, epoch)

    def steps_of_epoch(epoch, indices):
        batches = tf.reshape(
            indices[: steps_per_epoch * batch_size], (steps_per_epoch, batch_size)
        )
        return tf.data.Dataset.zip(
            (
                tf.data.Dataset.from_tensors(epoch).repeat(),
                tf.data.Dataset.range(steps_per_epoch),
                tf.data.Dataset.from_tensor_slices(batches),
            )
        )

    num_epochs = -(-(first_step + num_steps) // steps_per_epoch)
    epochs = tf.data.Dataset.range(first_epoch, first_epoch + num_epochs)
    # The next permutation is prepared early: for millions of images it takes seconds.
    permutations = epochs.map(with_order).prefetch(1)
    steps = permutations.flat_map(steps_of_epoch).skip(first_step).take(num_steps)
    return steps.apply(tf.data.experimental.assert_cardinality(num_steps))


def check_steps(
    num_examples: int, batch_size: int, steps_per_epoch: int, first_step: int
) -> None:
    """Refuses steps that an epoch does not have.

    Args:
        num_examples: number of examples.
        batch_size: examples per step.
        steps_per_epoch: at most as many as there are full batches.
        first_step: its index in its epoch, from 0.

    Raises:
        ValueError: an epoch has no such steps.
    """
    if not 0 <= first_step < steps_per_epoch:
        raise InputError(
            f"An epoch has the steps 0 to {steps_per_epoch - 1}. "
            f"Received: first_step={first_step}."
        )
    num_used = steps_per_epoch * batch_size
    if num_used > num_examples:
        raise InputError(
            f"{steps_per_epoch} steps of {batch_size} images need {num_used:,} images. "
            f"There are {num_examples:,}. Reduce batch_size."
        )
