"""Import to first prediction and to first training step, against keras.applications."""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks import comparison
from benchmarks.progress import Progress
from benchmarks.works import NETWORKS, Work

# Printed by each measured process: seconds of every part. Fresh processes, as users
# have them: with the imports of the first build, and the trace of the first call.
_SCRIPT = """
import time
start = time.perf_counter()
{imports}
imported = time.perf_counter()
model = models.{constructor}(weights=None)
built = time.perf_counter()
import numpy as np
images = np.zeros(({batch}, {size}, {size}, 3), "float32")
{first}
end = time.perf_counter()
print(imported - start, built - imported, end - built, end - start)
"""
_FIRST = {
    "prediction": "model.predict(images, verbose=0)",
    "training step": """
model.compile({adam}(), "sparse_categorical_crossentropy")
model.train_on_batch(images, np.zeros(len(images), "int32"))
""",
}
# Ours and the peer's: the import, and the optimizer of the first training step.
_SIDES = (
    ("import keras_effnetv2 as models; models.create_model", "models.optimizers.Adam"),
    ("import keras, keras.applications as models", "keras.optimizers.Adam"),
)

# What is done first in a process, and with what.
FIRSTS = (
    ("prediction", Work("B0", 224, 1)),
    ("prediction", Work("S", 384, 1)),
    ("training step", Work("B0", 224, 8)),
)


def measure(repeats: int, firsts: Sequence[tuple[str, Work]] = FIRSTS) -> list[dict]:
    """Seconds of import, build, first prediction or step, and all of it."""
    progress = Progress("startup", 1 + repeats * len(firsts))
    progress.begin("filling the disk's cache")
    _pair(*firsts[0])
    rows = []
    for first, work in firsts:
        pairs = []
        for _ in range(repeats):
            progress.begin(f"{work}: first {first}")
            pairs.append(_pair(first, work))
        rows += _rows(first, work, pairs)
    return rows


def _rows(first: str, work: Work, pairs: Sequence[tuple]) -> list[dict]:
    parts = ("import", "build", f"first {first}", f"import to first {first}")
    return [
        comparison.row(
            "startup",
            str(work),
            f"{part}, s",
            "keras.applications",
            [(ours[place], peers[place]) for ours, peers in pairs],
            "below 1",
        )
        for place, part in enumerate(parts)
    ]


def _pair(first: str, work: Work) -> tuple[list[float], list[float]]:
    """Seconds of the parts, of ours and the peer."""
    ours, peers = (
        _seconds(
            _SCRIPT.format(
                imports=line,
                constructor=NETWORKS[work.network][0],
                batch=work.batch_size,
                size=work.image_size,
                first=_FIRST[first].format(adam=adam),
            )
        )
        for line, adam in _SIDES
    )
    return ours, peers


def _seconds(script: str) -> list[float]:
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return [float(word) for word in output.split()]
