"""Benchmarks against peers: each figure is a ratio measured in one run.

    python tools/benchmark.py startup [--repeats 7] [--json FILE]

Machines are noisy, so ours and the peer's run in turn (A B A B), each in a fresh
process where start-up is measured, and the median of the ratios is what counts.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys

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


def measure_startup(repeats: int) -> list[dict]:
    """Import to first prediction of B0, and building S: ours against Keras's."""
    first = _in_turn(
        repeats,
        _FIRST_PREDICTION,
        model="models.EfficientNetV2B0(weights=None)",
    )
    parts = ("import", "build", "first prediction", "import to first prediction")
    rows = [
        _row("startup", "B0@224 batch 1", part, [(o[i], p[i]) for o, p in first])
        for i, part in enumerate(parts)
    ]
    built = _in_turn(
        repeats,
        _BUILD,
        model="models.EfficientNetV2S(weights=None)",
        warm_up="models.EfficientNetV2B0(weights=None)",
    )
    rows.append(_row("startup", "S", "build", [(o[0], p[0]) for o, p in built]))
    return rows


SUITES = {"startup": measure_startup}


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


def _row(suite: str, work: str, metric: str, pairs: list[tuple]) -> dict:
    """One line of the table: medians, ratio of ours to the peer's, its spread."""
    ratios = sorted(ours / peer for ours, peer in pairs)
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "suite": suite,
        "work": work,
        "metric": f"{metric}, s",
        "ours": statistics.median(ours for ours, _ in pairs),
        "peer": statistics.median(peer for _, peer in pairs),
        "peer_name": "keras.applications",
        "ratio": statistics.median(ratios),
        "spread": [quartiles[0], quartiles[2]],
    }


def _print_table(rows: list[dict]) -> None:
    import keras
    import tensorflow as tf

    print(
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}; ratio below 1: ours is "
        "faster; spread: quartiles of the ratio."
    )
    print("| work | what | ours | peer | ratio | spread |\n|---|---|---|---|---|---|")
    for row in rows:
        low, high = row["spread"]
        print(
            f"| {row['work']} | {row['metric']} | {row['ours']:.2f} | "
            f"{row['peer']:.2f} ({row['peer_name']}) | {row['ratio']:.2f} | "
            f"{low:.2f} to {high:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--repeats", type=int, default=7, help="pairs of runs")
    parser.add_argument("--json", metavar="FILE", help="also write the rows there")
    arguments = parser.parse_args()
    rows = SUITES[arguments.suite](arguments.repeats)
    _print_table(rows)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
