"""What of a dataset is made at the same time, and beside everything else."""

import concurrent.futures
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from keras_effnetv2.private_apis import is_op_determinism_enabled

_Result = TypeVar("_Result")


def parallel(num_calls: int | None = None) -> dict[str, Any]:
    """Arguments of a dataset's `map` that keeps the order.

    Where ops are deterministic, TensorFlow takes back what is parallel and has ops with
    a state, such as those that read files, and prints a line for each dataset. There
    it is not asked for.

    Args:
        num_calls: at the same time. None: as many as there are processors.
    """
    if is_op_determinism_enabled():
        return {}
    num_calls = num_calls or os.cpu_count()
    return {"num_parallel_calls": num_calls, "deterministic": True}


def in_background(task: Callable[[], _Result]) -> "concurrent.futures.Future[_Result]":
    """What a task will give; it ends with the process, finished or not."""
    future: concurrent.futures.Future[_Result] = concurrent.futures.Future()

    def run():
        try:
            future.set_result(task())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return future
