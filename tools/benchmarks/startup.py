"""Import to first prediction, and building: ours against keras.applications."""

import subprocess
import sys

from benchmarks import comparison

# Printed by each measured process: seconds of every part.
_FIRST_PREDICTION = """
import time
start = time.perf_counter()
{imports}
imported = time.perf_counter()
model = {model}
built = time.perf_counter()
import numpy as np
model.predict(np.zeros((1, 224, 224, 3), "float32"), verbose=0)
end = time.perf_counter()
print(imported - start, built - imported, end - built, end - start)
"""
_BUILD = """
import time
{imports}
{warm_up}
start = time.perf_counter()
model = {model}
print(time.perf_counter() - start)
"""


def measure(repeats: int) -> list[dict]:
    """Import to first prediction of B0, and building S: seconds."""
    first = _in_turn(
        repeats,
        _FIRST_PREDICTION,
        model="models.EfficientNetV2B0(weights=None)",
    )
    parts = ("import", "build", "first prediction", "import to first prediction")
    rows = [
        _row("B0@224 batch 1", part, [(o[i], p[i]) for o, p in first])
        for i, part in enumerate(parts)
    ]
    built = _in_turn(
        repeats,
        _BUILD,
        model="models.EfficientNetV2S(weights=None)",
        warm_up="models.EfficientNetV2B0(weights=None)",
    )
    rows.append(_row("S", "build", [(o[0], p[0]) for o, p in built]))
    return rows


def _row(work: str, part: str, pairs: list[tuple[float, float]]) -> dict:
    return comparison.row(
        "startup", work, f"{part}, s", "keras.applications", pairs, "below 1"
    )


def _in_turn(repeats: int, template: str, **values: str) -> list[tuple]:
    """Seconds printed by fresh processes of ours and the peer, in pairs."""
    imports = ("import keras_effnetv2 as models", "import keras.applications as models")
    scripts = [template.format(imports=line, **values) for line in imports]
    pairs = []
    for number in range(repeats + 1):
        pair = tuple(_seconds(script) for script in scripts)
        print(f"\rrun {number} of {repeats}", end="", file=sys.stderr, flush=True)
        if number:  # The first run fills the disk's cache.
            pairs.append(pair)
    print(file=sys.stderr)
    return pairs


def _seconds(script: str) -> list[float]:
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return [float(word) for word in output.split()]
