"""A process that classifies the files of a folder, or does only one part of it.

python -m benchmarks.processes.predict_side FOLDER MODEL BATCH_SIZE
"""

import functools
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from benchmarks.workers import answer, resident
from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.classification.inputs import items
from keras_effnetv2.classification.preparation import Preparation, prepared
from keras_effnetv2.commands.results import image_runs, result_files, score_rows


def seconds(run: Callable[[], object]) -> float:
    """Seconds that a run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def classify(classifier: Classifier, folder: str, megabytes: list[float]) -> None:
    """Files to rows of a CSV file, as the command writes them."""
    paths = sorted(pathlib.Path(folder).rglob("*.jpg"))
    quarter = -(-len(paths) // 4)
    task = score_rows.task_of(5, classifier)
    megabytes.clear()
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch, "predictions.csv")
        unfinished = result_files.UnfinishedRows(path, {})
        for start in range(0, len(paths), quarter):
            part = paths[start : start + quarter]
            image_runs.write_rows(classifier, part, task, unfinished)
            megabytes.append(resident("VmRSS") / 1e6)
        result_files.finish(unfinished, path, "csv", task.write)


def decode(classifier: Classifier, folder: str) -> None:
    """Files to crops."""
    prepare = Preparation(classifier.preprocessing)
    for _ in prepared(items(folder), prepare, 2 * classifier.batch_size):
        pass


def compute(classifier: Classifier, num: int) -> None:
    """Crops to scores."""
    size, batch = classifier.preprocessing.image_size, classifier.batch_size
    crops = np.random.default_rng(0).uniform(0, 255, (batch, size, size, 3))
    crops = crops.astype("float32")
    for _ in range(num // batch):
        classifier.engine.scores(crops)


def prepare(folder: str, model: str, batch_size: str) -> tuple:
    """The process's description of itself, and the functions it answers with."""
    classifier = Classifier(model, batch_size=int(batch_size))
    num = len([*items(folder)])
    compute(classifier, 2 * classifier.batch_size)  # Traces.
    megabytes: list[float] = []
    runs = {
        "predict": functools.partial(classify, classifier, folder, megabytes),
        "decoding": functools.partial(decode, classifier, folder),
        "network": functools.partial(compute, classifier, num),
    }
    questions = {name: functools.partial(seconds, run) for name, run in runs.items()}
    return {}, {**questions, "megabytes": lambda: megabytes}


if __name__ == "__main__":
    answer(functools.partial(prepare, *sys.argv[1:]))
