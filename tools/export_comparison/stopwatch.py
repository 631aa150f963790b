"""Times a model or its export in a separate process.

    python -m export_comparison.stopwatch ENGINE PATH IMAGES.npy THREADS

So several can take turns, each with its model loaded. By default each has one thread:
several threads would wait for each other on a busy machine, more in some engines than
in others.
"""

import pathlib
import sys

import numpy as np
from benchmarks.workers import Run, Worker, answer, median_seconds


class Stopwatch(Worker):
    """The process, from outside.

    Args:
        engine: a name of `LOADERS`.
        path: path of the model.
        images: file of an array `(batch, height, width, 3)`.
        num_threads: number of threads.
    """

    def __init__(
        self,
        engine: str,
        path: pathlib.Path,
        images: pathlib.Path,
        num_threads: int = 1,
    ) -> None:
        # TensorFlow's threads; other engines have arguments for it.
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        super().__init__(
            "export_comparison.stopwatch",
            *(engine, str(path), str(images), str(num_threads)),
            environment=dict.fromkeys(names, str(num_threads)),
        )
        self.ready()

    def seconds(self) -> float:
        """Seconds of one run, now: the median of several.

        Raises:
            RuntimeError: the process has failed.
        """
        return self.ask("seconds")


def load_keras(path: str, images: np.ndarray, num_threads: int) -> Run:
    """The compiled function of `predict`, without its pipeline."""
    import keras

    import keras_effnetv2  # noqa: F401  Its layers.

    model = keras.saving.load_model(path)
    return lambda: model.predict_on_batch(images)


def load_saved_model(path: str, images: np.ndarray, num_threads: int) -> Run:
    """The default signature."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    # Looked up in each run: a signature does not keep its model alive.
    return lambda: loaded.signatures["serving_default"](images=tf.constant(images))[
        "logits"
    ].numpy()


def load_hub(path: str, images: np.ndarray, num_threads: int) -> Run:
    """The module, called."""
    import tensorflow as tf

    module = tf.saved_model.load(path)
    return lambda: module(tf.constant(images / 255), training=False).numpy()


def load_onnx(path: str, images: np.ndarray, num_threads: int) -> Run:
    """ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    return lambda: session.run(["logits"], {"images": images})


def load_openvino(path: str, images: np.ndarray, num_threads: int) -> Run:
    """OpenVINO, in float32 as `engines.run_openvino`."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": num_threads}
    model = openvino.Core().compile_model(path, "CPU", hints)
    return lambda: model({"images": images})


def load_litert(path: str, images: np.ndarray, num_threads: int) -> Run:
    """LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(path, num_threads=num_threads)
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


def main(engine: str, path: str, images: str, num_threads: str) -> None:
    """Answers requests for the time of a run, until input ends."""

    def prepare() -> tuple:
        run = LOADERS[engine](path, np.load(images), int(num_threads))
        median_seconds(run)  # Traces, compiles, allocates.
        return {}, {"seconds": lambda: median_seconds(run)}

    answer(prepare)


if __name__ == "__main__":
    main(*sys.argv[1:])
