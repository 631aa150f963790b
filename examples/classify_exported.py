"""Classifies image files with an exported model. It needs only TensorFlow.

    python examples/classify_exported.py saved_models/digits IMAGE...

SAVED_MODEL is a folder that `python -m keras_effnetv2 export saved_model` wrote, or a
version folder of `export serving`. Prints one line per image: file, best class, its
score.
"""

import argparse

import tensorflow as tf

BATCH_SIZE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model", metavar="SAVED_MODEL")
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    arguments = parser.parse_args()

    model = tf.saved_model.load(arguments.saved_model)
    for start in range(0, len(arguments.images), BATCH_SIZE):
        paths = arguments.images[start : start + BATCH_SIZE]
        encoded = tf.stack([tf.io.read_file(path) for path in paths])
        best = model.signatures["classify"](image_bytes=encoded)
        names = best.get("labels", best["classes"]).numpy()[:, 0]
        scores = best["scores"].numpy()[:, 0]
        for path, name, score in zip(paths, names, scores, strict=True):
            name = name.decode() if isinstance(name, bytes) else name
            print(f"{path}\t{name}\t{score:.3f}")


if __name__ == "__main__":
    main()
