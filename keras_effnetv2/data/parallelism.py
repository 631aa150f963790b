"""Parallel and background work for datasets."""

import concurrent.futures
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from keras_effnetv2.private_apis import is_op_determinism_enabled

_Result = TypeVar("_Result")


def parallel(num_calls: int | None = None) -> dict[str, Any]:
    """Arguments of a dataset's `map` that keeps the order.

    With deterministic ops, TensorFlow makes parallel maps with stateful ops, such as
    reading files, sequential, and prints a line for each dataset. Then no parallelism
    is requested.

    Args:
        num_calls: number of parallel calls. None: as many as there are processors.
    """
    if is_op_determinism_enabled():
        return {}
    num_calls = num_calls or os.cpu_count()
    return {"num_parallel_calls": num_calls, "deterministic": True}


def in_background(task: Callable[[], _Result]) -> "concurrent.futures.Future[_Result]":
    """Runs a task in the background; it ends with the process, finished or not."""
    future: concurrent.futures.Future[_Result] = concurrent.futures.Future()

    def run():
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future
