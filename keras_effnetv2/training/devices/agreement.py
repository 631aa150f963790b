"""What workers that train together must agree on before they continue."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_effnetv2.errors import FileError
from keras_effnetv2.training.devices.strategies import Devices

# float32, which all kinds of devices exchange, holds integers of 24 bits.
_BITS = 16


@contextlib.contextmanager
def together(devices: Devices) -> Iterator[None]:
    """Runs the block on all workers, each for itself; if one fails, all fail.

    Otherwise the others would wait for the failed one in their next step. All workers
    must enter at the same point, and nothing inside may wait for another worker.

    Raises:
        OSError: another worker has failed.
    """
    try:
        yield
    except Exception:
        _gather(devices, (1, 0))
        _wait_for_all(devices)
        raise
    failed = [number for number, (x, _) in enumerate(_gather(devices, (0, 0))) if x]
    if failed:
        _wait_for_all(devices)
        chief = ", the chief," if failed[0] == 0 else ""
        raise FileError(
            f"Worker {failed[0]} of {devices.num_workers}{chief} has failed, and this "
            "one stops with it. The other's output says why."
        )


def from_chief(devices: Devices, number: int) -> int:
    """The chief's integer, below 2^32, on every worker. All workers must call it."""
    high, low = _gather(devices, divmod(number, 1 << _BITS))[0]
    return (high << _BITS) + low


def _wait_for_all(devices: Devices) -> None:
    """Lets all workers hear of a failure: one that ends cuts off what others read."""
    with contextlib.suppress(Exception):  # Then all have heard, and one has ended.
        _gather(devices, (0, 0))


def _gather(devices: Devices, pair: tuple[int, int]) -> list[tuple[int, int]]:
    """The two numbers, each below 2^16, of every worker."""
    if devices.num_workers == 1:
        return [pair]
    table = np.zeros((devices.num_workers, len(pair)), "float32")
    table[devices.worker] = pair
    add = _add_on_jax if devices.strategy is None else _adder(devices.strategy)
    return [(int(first), int(second)) for first, second in add(table)]


def _add_on_jax(table: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.sum(multihost_utils.process_allgather(table), axis=0)


@functools.cache  # Traced once.
def _adder(strategy: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function that sums arrays of one shape over the workers of a strategy."""
    import tensorflow as tf

    def all_reduce(table: tf.Tensor) -> tf.Tensor:
        # The identity places it on the replica's device, where the sum is to go.
        return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(table))

    run = tf.function(lambda table: strategy.run(all_reduce, (table,)))

    def add(table: np.ndarray) -> np.ndarray:
        summed = strategy.experimental_local_results(run(tf.constant(table)))
        # Every replica of a worker has added the same numbers.
        return np.rint(summed[0].numpy() / len(summed))

    return add
