"""Import to first prediction, training step and model, against other Keras packages."""

import subprocess
import sys
from collections.abc import Sequence

from benchmarks import comparison
from benchmarks.progress import Progress
from benchmarks.sides import KERAS, KIMM, OURS, Side
from benchmarks.works import NETWORKS, Work

# Each measured process prints seconds of every part. Processes are fresh, as for users:
# with the imports of the first build, and the trace of the first call.
_SCRIPT = """
import time
start = time.perf_counter()
{imports}
imported = time.perf_counter()
model = models.{constructor}(weights=None, input_shape=({size}, {size}, 3))
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
    "model": "",
}
# The import of each side, and the optimizer of its first training step.
_SIDES = {
    OURS.name: (
        "import keras_effnetv2 as models; models.create_model",
        "models.optimizers.Adam",
    ),
    KERAS.name: (
        "import keras, keras.applications as models",
        "keras.optimizers.Adam",
    ),
    KIMM.name: ("import keras, kimm.models as models", "keras.optimizers.Adam"),
}

# First action in a process, its work, and the peer to compare with: keras.applications
# has no XL.
FIRSTS = (
    ("prediction", Work("B0", 224, 1), KERAS),
    ("prediction", Work("S", 384, 1), KERAS),
    ("training step", Work("B0", 224, 8), KERAS),
    ("training step", Work("S", 300, 8), KERAS),
    ("model", Work("XL", 512, 1), KIMM),
)


def measure(
    repeats: int,
    peers: Sequence[Side],
    firsts: Sequence[tuple[str, Work, Side]] = FIRSTS,
) -> list[dict]:
    """Measures seconds of import, build, first prediction or step, and the total."""
    firsts = [x for x in firsts if x[2].name in {peer.name for peer in peers}]
    progress = Progress("startup", 1 + repeats * len(firsts))
    progress.begin("filling the disk's cache")
    rows = []
    for first, work, peer in firsts[:1]:
        _pair(first, work, peer.name)
    for first, work, peer in firsts:
        pairs = []
        for _ in range(repeats):
            progress.begin(f"{work}: first {first}")
            pairs.append(_pair(first, work, peer.name))
        rows += _rows(first, work, peer.name, pairs)
    return rows


def _rows(first: str, work: Work, peer: str, pairs: Sequence[tuple]) -> list[dict]:
    parts = ("import", "build", f"first {first}", f"import to first {first}")
    return [
        comparison.row(
            "startup",
            str(work),
            f"{part}, s",
            peer,
            [(ours[place], peers[place]) for ours, peers in pairs],
            "below 1",
        )
        for place, part in enumerate(parts)
        if part != "first model"  # The build itself.
    ]


def _pair(first: str, work: Work, peer: str) -> tuple[list[float], list[float]]:
    """Seconds of the parts, of ours and the peer."""
    ours, peers = (
        _seconds(
            _SCRIPT.format(
                imports=imports,
                constructor=NETWORKS[work.network][0],
                batch=work.batch_size,
                size=work.image_size,
                first=_FIRST[first].format(adam=adam),
            )
        )
        for imports, adam in (_SIDES[OURS.name], _SIDES[peer])
    )
    return ours, peers


def _seconds(script: str) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"A measured process failed: {done.stderr[-2000:]}")
    return [float(word) for word in done.stdout.split()]
