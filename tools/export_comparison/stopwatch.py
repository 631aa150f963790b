"""Times a model or its export in a process of its own.

    python stopwatch.py ENGINE PATH IMAGES.npy

Ready, and after each line that it reads, it writes a line: first "ready", then the
median of the seconds of some runs. So several can take turns, each with its model
loaded. Each has one thread: several would wait for each other on a busy machine, some
engines more than others.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

# TensorFlow's threads; other engines have arguments for it.
_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}

# Of each turn, whichever takes longer.
_MIN_RUNS = 5
_MIN_SECONDS = 0.3

Run = Callable[[], object]


class Stopwatch:
    """The process, from outside."""

    def __init__(self, engine: str, path: pathlib.Path, images: pathlib.Path) -> None:
        self.name = f"{engine} {path}"
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  Until `close`.
        self.process = subprocess.Popen(
            [sys.executable, __file__, engine, str(path), str(images)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **_ONE_THREAD},
        )
        self._read()

    def seconds(self) -> float:
        """Of one run, now.

        Raises:
            RuntimeError: the process has failed.
        """
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()
        self.errors.close()

    def _read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError(f"{self.name} failed:\n{self.errors.read()}")
        return line


def load_keras(path: str, images: np.ndarray) -> Run:
    """The compiled function of `predict`, without the pipeline around it."""
    import keras

    import keras_effnetv2  # noqa: F401  Its layers.

    model = keras.saving.load_model(path)
    return lambda: model.predict_on_batch(images)


def load_saved_model(path: str, images: np.ndarray) -> Run:
    """The default signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    # Looked up in each run: a signature does not keep alive what it is of.
    return lambda: loaded.signatures["serving_default"](images=tf.constant(images))[
        "logits"
    ].numpy()


def load_hub(path: str, images: np.ndarray) -> Run:
    """The module, called."""
    import tensorflow as tf

    module = tf.saved_model.load(path)
    return lambda: module(tf.constant(images / 255), training=False).numpy()


def load_onnx(path: str, images: np.ndarray) -> Run:
    """ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    return lambda: session.run(["logits"], {"images": images})


def load_openvino(path: str, images: np.ndarray) -> Run:
    """OpenVINO, in float32 as `engines.run_openvino`."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = openvino.Core().compile_model(path, "CPU", hints)
    return lambda: model({"images": images})


def load_litert(path: str, images: np.ndarray) -> Run:
    """LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(path, num_threads=1)
    runner = model.get_signature_runner()
    return lambda: runner(images=images)


LOADERS = {
    "hub": load_hub,
    "keras": load_keras,
    "litert": load_litert,
    "onnx": load_onnx,
    "openvino": load_openvino,
    "saved_model": load_saved_model,
}


def main(engine: str, path: str, images: str) -> None:
    """Answers until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What engines print is no answer.
    run = LOADERS[engine](path, np.load(images))
    _median_seconds(run)  # Traces, compiles, allocates.
    print("ready", file=answers, flush=True)
    for _ in sys.stdin:
        print(_median_seconds(run), file=answers, flush=True)


def _median_seconds(run: Run) -> float:
    durations: list[float] = []
    while len(durations) < _MIN_RUNS or sum(durations) < _MIN_SECONDS:
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


if __name__ == "__main__":
    main(*sys.argv[1:])
