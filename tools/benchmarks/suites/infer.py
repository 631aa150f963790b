"""Inference of exported, folded networks, against every peer.

Ours is the `serving_default` signature of the SavedModel, and also the exports in
LiteRT and OpenVINO; a Keras peer is a `tf.function` of its network, timm an eager call
in channels_last. From NumPy to NumPy, on all cores.
"""

import functools
import pathlib
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import comparison
from benchmarks.crews import MATRIX, Crew, crew
from benchmarks.progress import Progress
from benchmarks.sides import KERAS, Side, num_threads
from benchmarks.suites.train import limit_row
from benchmarks.works import NETWORKS, Work

# One row per network and size, which are exported once.
WORKS = ((Work("B0", 224, 1), Work("B0", 224, 8)), (Work("S", 384, 1),))

# Name -> engine of `stopwatch`, file in the export's folder, whether it takes any
# batch.
ENGINES = {
    "SavedModel": ("saved_model", "saved_model", True),
    "OpenVINO float32": ("openvino", "saved_model", True),
    "LiteRT float32": ("litert", "litert/float32.tflite", False),
    "LiteRT int8": ("litert", "litert/int8.tflite", False),
}
_NUM_CALIBRATION = 4  # Images. Speed does not depend on their ranges.


def measure(
    repeats: int, peers: Sequence[Side], works: Sequence[Sequence[Work]] = WORKS
) -> list[dict]:
    """Measures seconds per call, and the share of matrix multiplication's rate."""
    num_turns = sum(1 + len(_names(work, peers)) for group in works for work in group)
    num_starts = len(works) + num_turns
    progress = Progress("infer", num_starts + repeats * num_turns)
    rows = []
    for group in works:
        with tempfile.TemporaryDirectory() as folder:
            progress.begin(f"exporting {group[0].network}@{group[0].image_size}")
            export(group[0], pathlib.Path(folder))
            for work in group:
                rows += _measure_work(repeats, peers, work, folder, progress)
    return rows


def export(work: Work, folder: pathlib.Path) -> None:
    """Writes a network with random weights as SavedModel and LiteRT, folded."""
    import keras_effnetv2
    from keras_effnetv2 import export as exports

    size = work.image_size
    constructor = getattr(keras_effnetv2, NETWORKS[work.network][0])
    model = constructor(weights=None)
    exports.saved_model(model, folder / "saved_model", image_size=size)
    exports.litert(
        model,
        folder / "litert",
        formats=("float32", "int8"),
        representative=list(pixels(size, _NUM_CALIBRATION).astype("uint8")),
        image_size=size,
    )


def pixels(image_size: int, num: int) -> np.ndarray:
    """float32 0..255, `(num, image_size, image_size, 3)`."""
    shape = (num, image_size, image_size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def _names(work: Work, peers: Sequence[Side]) -> list[str]:
    """Names of all that take turns."""
    engines = [x for x, row in ENGINES.items() if row[2] or work.batch_size == 1]
    return [*engines, *(peer.name for peer in peers)]


def _measure_work(
    repeats: int,
    peers: Sequence[Side],
    work: Work,
    folder: str,
    progress: Progress,
) -> list[dict]:
    with crew(progress) as members:
        turns = _start(members, peers, work, pathlib.Path(folder))
        found = comparison.take_turns(turns, repeats, progress)
    ours = found[work, "SavedModel"]
    rows = [
        _row(work, "SavedModel", peer.name, ours, found[work, peer.name])
        for peer in peers
    ]
    if (work, KERAS.name) in found:
        rows += [
            _row(work, name, KERAS.name, found[work, name], found[work, KERAS.name])
            for name in _names(work, ())[1:]
        ]
    return [*rows, limit_row("infer", work, work.forward_flops, ours, found)]


def _start(
    members: Crew, peers: Sequence[Side], work: Work, folder: pathlib.Path
) -> dict[tuple, Callable[[], float]]:
    """Starts a process for each; functions that ask for the seconds of a call."""
    from export_comparison.stopwatch import Stopwatch

    images = folder / f"batch{work.batch_size}.npy"
    np.save(images, pixels(work.image_size, work.batch_size))
    turns: dict[tuple, Callable[[], float]] = {}
    for name in _names(work, ()):
        engine, path, _ = ENGINES[name]
        words = engine, folder / path, images, num_threads()
        watch = members.add(name, functools.partial(Stopwatch, *words))
        turns[work, name] = watch.seconds
    for peer in peers:
        start = functools.partial(peer.start, "infer", [work])
        worker = members.add(peer.name, start)
        turns[work, peer.name] = functools.partial(worker.ask, "seconds", 0)
    matrices = members.add_matrices()
    return {**turns, (MATRIX,): functools.partial(matrices.ask, "gflops")}


def _row(
    work: Work, format_name: str, peer: str, ours: list[float], others: list[float]
) -> dict:
    return comparison.row(
        "infer",
        str(work),
        f"{format_name}, s",
        peer,
        comparison.pairs(ours, others),
        "below 1",
    )
