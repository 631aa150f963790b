"""What of a dataset is made at the same time."""

import os
from typing import Any

from keras_effnetv2.private_apis import is_op_determinism_enabled


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
