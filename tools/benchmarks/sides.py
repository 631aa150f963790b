"""The sides that are compared: ours, and the installed peers."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.workers import Worker
from benchmarks.works import NETWORKS, Work

# Variables read by TensorFlow and, through OpenMP, by PyTorch.
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")

# Imports the named packages, since what is installed may be broken; prints versions.
_VERSIONS = """
import importlib, importlib.metadata, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


@dataclasses.dataclass(frozen=True)
class Side:
    """A package whose networks a process runs.

    Attributes:
        name: name in the table.
        packages: distributions that are needed.
        module: module that the process runs.
        source: module with the networks' constructors; for timm "compiled" to use
            `torch.compile`, or empty.
        place: position of its name in a row of `NETWORKS`.
        python: interpreter; None: this one.
        precision: `"float32"` or `"mixed_bfloat16"`, as Keras calls them.
    """

    name: str
    packages: tuple[str, ...]
    module: str = "benchmarks.processes.keras_side"
    source: str = ""
    place: int = 0
    python: str | None = None
    precision: str = "float32"

    def start(self, kind: str, works: Sequence[Work], remat: bool = False) -> Worker:
        """Starts a process that builds the network of `works`, and has run each.

        Args:
            kind: `"train"`, `"infer"`, `"memory"` or one of `keras_side.CALLS`.
            works: works of one network.
            remat: whether ours keeps only convolutions' outputs for the gradient.
        """
        (network,) = {work.network for work in works}
        sizes = [f"{work.image_size}x{work.batch_size}" for work in works]
        name = NETWORKS[network][self.place]
        words = [kind, self.precision, self.source, name, str(int(remat))]
        return Worker(self.module, *words, *sizes, python=self.python)

    def in_bfloat16(self) -> "Side":
        """The same side in mixed precision."""
        return dataclasses.replace(
            self, name=f"{self.name} in bfloat16", precision="mixed_bfloat16"
        )

    def versions(self) -> dict[str, str]:
        """Versions of its packages.

        Raises:
            ImportError: one cannot be imported.
        """
        return _versions(self.python or sys.executable, self.packages)


@functools.cache  # Importing takes seconds.
def _versions(python: str, packages: tuple[str, ...]) -> dict[str, str]:
    command = [python, "-c", _VERSIONS, *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reasons = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        needed = " and ".join(packages)
        raise ImportError(f"{python} cannot import {needed}: {reasons[-1]}")
    return json.loads(done.stdout)


OURS = Side("ours", ("keras_effnetv2", "keras", "tensorflow"), source="keras_effnetv2")
KERAS = Side("keras.applications", ("keras",), source="keras.applications")
TF_KERAS = Side("tf_keras.applications", ("tf_keras",), source="tf_keras.applications")
KIMM = Side("kimm", ("kimm",), source="kimm.models")
TIMM = Side(
    "timm", ("timm", "torch"), module="benchmarks.processes.torch_side", place=1
)
COMPILED_TIMM = dataclasses.replace(TIMM, name="timm, compiled", source="compiled")


def installed_peers(
    torch_python: str | None = None, with_compiled: bool = False
) -> list[Side]:
    """The peers that can run; the others are named on standard error, with the reason.

    Args:
        torch_python: interpreter of an environment with torch and timm; None: this one.
        with_compiled: whether to add timm with `torch.compile`.

    Raises:
        ValueError: there is no such interpreter.
    """
    if torch_python and not shutil.which(torch_python):
        raise ValueError(
            "torch_python must be a Python interpreter. Received: "
            f"{torch_python!r}, which is not a program."
        )
    of_torch = [TIMM, COMPILED_TIMM] if with_compiled else [TIMM]
    of_torch = [dataclasses.replace(x, python=torch_python) for x in of_torch]
    peers = []
    for side in (KERAS, TF_KERAS, KIMM, *of_torch):
        try:
            side.versions()
        except ImportError as error:
            print(f"{side.name} is left out: {error}", file=sys.stderr)
        else:
            peers.append(side)
    return peers


def limit_threads(num: int) -> None:
    """Sets the number of threads of all processes that start from now on."""
    os.environ |= dict.fromkeys(_THREADS, str(num))


def num_threads() -> int:
    """Threads that all sides compute with: as set, or the cores of this process."""
    if _THREADS[0] in os.environ:
        return int(os.environ[_THREADS[0]])
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
