"""Runs exports in the engines that will run them. A program without Keras.

    python engines.py ENGINE PATH INPUTS.pickle OUTPUTS.pickle

`roundtrip.run_engine` starts it as a separate process, so that only the export can have
made the outputs. Inputs and outputs: signature -> name -> array.
"""

import os
import pathlib
import pickle
import sys
import time
from typing import Any

import numpy as np

Arrays = dict[str, dict[str, np.ndarray]]

# Runs of a LiteRT model, for the median time.
_MIN_RUNS = 20


def run_saved_model(path: str, inputs: Arrays) -> Arrays:
    """Signatures of a SavedModel, as TF Serving calls them."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path, tags=["serve"])
    outputs = {}
    for name, arrays in inputs.items():
        tensors = {
            key: tf.constant(value.tolist() if value.dtype == object else value)
            for key, value in arrays.items()
        }
        results = loaded.signatures[name](**tensors)
        outputs[name] = {key: value.numpy() for key, value in results.items()}
    return outputs


def run_hub(path: str, inputs: Arrays) -> Arrays:
    """Modules in the folders of a TF Hub export, called as `hub.KerasLayer` does."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Otherwise TF Hub imports Keras 3.
    import tensorflow as tf
    import tensorflow_hub as hub

    outputs = {}
    for name, arrays in inputs.items():
        module = hub.load(os.path.join(path, name))
        (key,) = module.signatures["serving_default"].structured_outputs
        called = module(tf.constant(arrays["images"]), training=False)
        outputs[name] = {key: called.numpy()}
    return outputs


def run_onnx(path: str, inputs: Arrays) -> Arrays:
    """An ONNX file in ONNX Runtime on the CPU; signatures may have any names."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return {
        name: dict(zip(names, map(np.asarray, session.run(None, arrays)), strict=True))
        for name, arrays in inputs.items()
    }


def run_openvino(path: str, inputs: Arrays) -> Arrays:
    """An ONNX file, or a SavedModel's default signature, in OpenVINO on the CPU.

    In float32: by default it computes in bfloat16 if the CPU supports that.
    """
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", hints)
    outputs = {}
    for name, arrays in inputs.items():
        results = model(arrays)
        outputs[name] = {x.get_any_name(): np.array(results[x]) for x in model.outputs}
    return outputs


def run_litert(path: str, inputs: Arrays) -> Arrays:
    """LiteRT models `NAME.tflite` in a folder, image by image, on one thread.

    The models take turns, so that a busy machine slows all alike. Besides its outputs,
    each returns the `seconds` of its runs, `(runs,)`.
    """
    models = {
        name: litert_interpreter(os.path.join(path, f"{name}.tflite"), num_threads=1)
        for name in inputs
    }
    rows: dict[str, list] = {name: [] for name in inputs}
    seconds: dict[str, list] = {name: [] for name in inputs}
    num_images = len(next(iter(inputs.values()))["images"])
    for turn in range(max(num_images, _MIN_RUNS)):
        for name, model in models.items():
            images = inputs[name]["images"]
            result, duration = run_litert_model(model, images[turn % num_images])
            rows[name].append(result)
            seconds[name].append(duration)
    outputs = {}
    for name, results in rows.items():
        results = results[:num_images]
        outputs[name] = {key: np.stack([x[key] for x in results]) for key in results[0]}
        outputs[name]["seconds"] = np.array(seconds[name])
    return outputs


def litert_interpreter(path: str, num_threads: int) -> Any:
    """An interpreter of LiteRT, or of TensorFlow's copy, for a model file."""
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        from tensorflow import lite
    interpreter = lite.Interpreter(model_path=path, num_threads=num_threads)
    interpreter.allocate_tensors()
    return interpreter


def run_litert_model(model: Any, image: np.ndarray) -> tuple[dict, float]:
    """Dequantized numbers `(classes,)` of each output, and seconds."""
    runner = model.get_signature_runner()
    details = runner.get_input_details()["images"]
    dtype = details["dtype"]
    if np.issubdtype(dtype, np.integer):
        scale, zero = details["quantization"]
        limits = np.iinfo(dtype)
        image = np.clip(np.round(image / scale + zero), limits.min, limits.max)
    images = image[None].astype(dtype)
    start = time.perf_counter()
    results = runner(images=images)
    duration = time.perf_counter() - start
    outputs = {}
    for name, details in runner.get_output_details().items():
        (result,) = results[name]
        if np.issubdtype(details["dtype"], np.integer):
            scale, zero = details["quantization"]
            result = (result.astype("float32") - zero) * scale
        outputs[name] = result
    return outputs, duration


ENGINES: dict[str, Any] = {
    "hub": run_hub,
    "litert": run_litert,
    "onnx": run_onnx,
    "openvino": run_openvino,
    "saved_model": run_saved_model,
}


def main(engine: str, path: str, inputs: str, outputs: str) -> None:
    """Runs an export on the inputs in one file, and writes the outputs to another."""
    arrays = pickle.loads(pathlib.Path(inputs).read_bytes())
    results = ENGINES[engine](path, arrays)
    pathlib.Path(outputs).write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
