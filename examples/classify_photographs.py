"""Classifies photographs with real weights, and shows where it sees what.

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
from keras_effnetv2.data import evaluation_image
from keras_effnetv2.explanation import class_activation_maps, draw_heat_maps

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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/photographs")
    workdir = parser.parse_args().workdir
    workdir.mkdir(parents=True, exist_ok=True)

    model = keras_effnetv2.create_model("efficientnet-lite0", weights="imagenet")
    images = photographs()
    crops = {
        name: evaluation_image(pixels, model.preprocessing).numpy()
        for name, pixels in images.items()
    }
    scores = model.predict(np.stack([*crops.values()]), verbose=0)
    print("EfficientNet-Lite0 on ImageNet: the five best of 1,000 classes")
    for name, best in zip(
        crops, keras_effnetv2.decode_predictions(scores, top=5), strict=True
    ):
        classes = (f"{label.replace('_', ' ')} {score:.0%}" for _, label, score in best)
        print(f"{name:15}  {', '.join(classes)}")

    picture = workdir / "cat.png"
    explain(model, crops[CAT], picture)
    print(f"Where it sees the cat: {picture}\n", flush=True)


def explain(model, image: np.ndarray, picture: pathlib.Path) -> None:
    """Draws where in `image` the model sees its best classes."""
    scores = model.predict(image[None], verbose=0)
    best = scores[0].argsort()[::-1][:NUM_EXPLAINED]
    maps = class_activation_maps(model, image[None], best)[0]
    names = keras_effnetv2.decode_predictions(scores, top=NUM_EXPLAINED)[0]
    titles = [f"{name.replace('_', ' ')}\n{score:.0%}" for _, name, score in names]
    draw_heat_maps(image, maps, ["photograph\n224 px", *titles], picture)


if __name__ == "__main__":
    main()
