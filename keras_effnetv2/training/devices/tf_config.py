"""Workers on TensorFlow, as the environment variable TF_CONFIG lists them."""

import json
import os
from typing import Any

from keras_effnetv2.errors import InputError

_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def find_worker() -> tuple[int, int]:
    """The number of this process and of all, from TF_CONFIG; a chief is number 0.

    Raises:
        ValueError: TF_CONFIG is not valid for TensorFlow.
    """
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        cluster, task = config["cluster"], config["task"]
        addresses = {job: cluster.get(job, []) for job in ("chief", "worker")}
        job, index = task["type"], task["index"]
    except json.JSONDecodeError as error:
        raise _bad(f"it is not JSON: {error}") from None
    except (KeyError, TypeError, AttributeError):
        raise _bad(
            "it needs the cluster's addresses, and the task's type and index"
        ) from None
    if not all(_are_addresses(x) for x in addresses.values()):
        raise _bad(f"cluster must have lists of addresses, not {cluster!r}")
    if len(addresses["chief"]) > 1:
        raise _bad("there is at most one chief")
    if job not in ("chief", "worker"):
        raise _bad(f"the task's type is chief or worker, not {job!r}")
    if type(index) is not int or not 0 <= index < len(addresses[job]):
        raise _bad(
            f"the task's index must be a whole number from 0 on and less than "
            f"{len(addresses[job])}, the number of addresses of {job}, not {index!r}"
        )
    before = len(addresses["chief"]) if job == "worker" else 0
    return before + index, sum(map(len, addresses.values()))


def _are_addresses(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(x, str) for x in values)


def _bad(problem: str) -> ValueError:
    received = os.environ.get("TF_CONFIG")
    return InputError(
        f"TF_CONFIG must be like {_EXAMPLE}: {problem}. Received: "
        f"{received!r}. Unset it to train only on this machine."
    )
