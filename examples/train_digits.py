"""Trains EfficientNetV2-B0 progressively on digits, and names some it has not seen.

    python examples/train_digits.py [--workdir runs/digits]

The images are scikit-learn's 1,797 digits of 8x8 pixels, which need no download; every
fifth is held out. Three stages of growing images take about four minutes on two CPU
cores. Stopped and started again, it goes on where it was.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np
import sklearn.datasets
from PIL import Image

from keras_effnetv2 import training

WANTED_ACCURACY = 0.97


def write_digits(folder: pathlib.Path) -> list[pathlib.Path]:
    """Writes five digits that were held out as PNG files."""
    digits = sklearn.datasets.load_digits()
    paths = []
    for index in np.arange(0, len(digits.target), 5)[:5]:
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        paths.append(folder / f"digit_{digits.target[index]}_{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def classify(workdir: pathlib.Path) -> None:
    """Has another process name digits that the network has not seen."""
    command = [sys.executable, "-m", "keras_effnetv2", "predict"]
    command += [*map(str, write_digits(workdir)), "--workdir", str(workdir)]
    command += ["--top", "2"]
    print("\n$ python", " ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/digits")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", dest="settings"
    )
    arguments = parser.parse_args()

    experiment = training.get_experiment("digits")
    experiment = training.override(experiment, arguments.settings)
    training.train(experiment, arguments.workdir)
    accuracy = training.evaluate_run(arguments.workdir)["accuracy"]
    print(f"\nAccuracy on 360 held-out digits, reloaded: {accuracy:.1%}")
    print(f"Curves: {arguments.workdir / 'curves.png'}", flush=True)
    classify(arguments.workdir)
    if accuracy < WANTED_ACCURACY:
        sys.exit(f"error: the accuracy is below {WANTED_ACCURACY:.0%}")


if __name__ == "__main__":
    main()
