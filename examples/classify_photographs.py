"""Classifies photographs with real weights, and draws heat maps.

    python examples/classify_photographs.py [--workdir runs/photographs]

EfficientNet-Lite0 and its ImageNet weights come with the extra `offline`, the
photographs with scikit-image and scikit-learn: nothing is downloaded. It takes a few
seconds, and writes a picture of the photograph of a cat and its three best classes.
"""

import argparse
import pathlib

import numpy as np
import sklearn.datasets
from skimage import data

import keras_effnetv2

CAT = "cat (chelsea)"
NUM_EXPLAINED = 3


def photographs() -> dict[str, np.ndarray]:
    """uint8 `(height, width, 3)` by name."""
    found = {
        CAT: data.chelsea(),
        "cup of coffee": data.coffee(),
        "rocket": data.rocket(),
    }
    samples = sklearn.datasets.load_sample_images()
    for name, pixels in zip(samples.filenames, samples.images, strict=True):
        found[pathlib.Path(name).stem] = pixels
    return found


def main() -> None:
    keras_effnetv2.drop_noise()  # Useless log lines of TensorFlow's libraries.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/photographs")
    workdir = parser.parse_args().workdir
    workdir.mkdir(parents=True, exist_ok=True)

    classify = keras_effnetv2.Classifier("efficientnet-lite0")
    images = photographs()
    print("EfficientNet-Lite0 on ImageNet: the five best of 1,000 classes")
    for name, prediction in zip(images, classify.stream(images.values()), strict=True):
        best = (f"{x.name.replace('_', ' ')} {x.score:.0%}" for x in prediction.top(5))
        print(f"{name:15}  {', '.join(best)}")

    picture = workdir / "cat.png"
    classify.explain(images[CAT], top=NUM_EXPLAINED).save(picture)
    print(f"Where it sees the cat: {picture}\n", flush=True)


if __name__ == "__main__":
    main()
