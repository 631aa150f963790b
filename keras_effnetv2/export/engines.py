"""Runs exports with the engines that are to run them. A program without Keras.

    python engines.py ENGINE PATH INPUTS.pickle OUTPUTS.pickle

`roundtrip.run_engine` starts it as a process of its own, so that nothing but the
export can have made the outputs. Inputs and outputs: signature -> name -> array.
"""

import pathlib
import pickle
import sys
from typing import Any

import numpy as np

Arrays = dict[str, dict[str, np.ndarray]]


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


ENGINES: dict[str, Any] = {"saved_model": run_saved_model}


def main(engine: str, path: str, inputs: str, outputs: str) -> None:
    """Runs an export on the inputs in one file, and writes the outputs to another."""
    arrays = pickle.loads(pathlib.Path(inputs).read_bytes())
    results = ENGINES[engine](path, arrays)
    pathlib.Path(outputs).write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
