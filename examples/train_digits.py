"""Trains EfficientNetV2-B0 progressively on digits, exports it, and tests the export.

    python examples/train_digits.py [--workdir runs/digits]

The images are scikit-learn's 1,797 digits of 8x8 pixels, which need no download; every
fifth is held out. Three stages of growing images take about four minutes on two CPU
cores. Stopped and started again, it resumes.

At the end the trained network is exported for TF Serving. Another process, which
imports only TensorFlow, loads the export and classifies the held-out digits from PNG
files. The last export is a page that classifies them in a browser.
"""

import argparse
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import sklearn.datasets
from PIL import Image

from keras_effnetv2 import drop_noise, export, training
from keras_effnetv2.errors import DownloadError

if TYPE_CHECKING:  # TensorFlow logs as soon as it is imported: after `drop_noise()`.
    import keras

WANTED_ACCURACY = 0.97
CLASSIFY = pathlib.Path(__file__).with_name("classify_exported.py")


def write_digits(folder: pathlib.Path) -> tuple[list[pathlib.Path], np.ndarray]:
    """Writes the held-out digits as PNG files; returns the files and their labels."""
    folder.mkdir(exist_ok=True)
    digits = sklearn.datasets.load_digits()
    held_out = np.arange(0, len(digits.target), 5)
    paths = []
    for index in held_out:
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        paths.append(folder / f"digit_{digits.target[index]}_{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths, digits.target[held_out]


def classify(version: pathlib.Path, paths: list[pathlib.Path]) -> np.ndarray:
    """Predictions of the exported network, in another process."""
    command = [sys.executable, str(CLASSIFY), str(version)]
    shown = ["$ python", *command[1:], *map(str, paths[:5]), "..."]
    print("\n" + " ".join(shown), flush=True)
    output = subprocess.run(
        [*command, *map(str, paths)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    lines = output.splitlines()
    print("\n".join([*lines[:5], "..."]))
    return np.array([int(line.split("\t")[1]) for line in lines])


def write_page(
    model: "keras.Model", folder: pathlib.Path, examples: list[pathlib.Path]
) -> None:
    """Writes the page, and prints how to open it, or why its engine is missing."""
    try:
        export.web(model, folder, title="Handwritten digits", examples=examples)
    except DownloadError as error:
        print(f"\nNo page: {error}")
        return
    print(
        f"\nA page that reads digits in your browser: {folder}. To open it:\n"
        f"python -m http.server --bind 127.0.0.1 --directory {folder}\n"
        "and then http://127.0.0.1:8000 in a browser.",
        flush=True,
    )


def main() -> None:
    drop_noise()  # Useless log lines of TensorFlow's libraries.
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workdir", type=pathlib.Path, default="runs/digits")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SETTING=VALUE", dest="settings"
    )
    arguments = parser.parse_args()

    experiment = training.get_experiment("digits")
    experiment = training.override(experiment, arguments.settings)
    *_, last = training.train(experiment, arguments.workdir)
    print(f"Curves: {arguments.workdir / 'curves.png'}", flush=True)

    model = training.load_run(arguments.workdir)
    served = export.serving(model, arguments.workdir / "serving" / "digits")
    difference = max(served.manifest.contents["differences"].values())
    print(
        f"\nExported for TF Serving: {served.path}\nIts outputs differ from the "
        f"network's by at most {difference:.1e} of the largest."
    )

    paths, digits = write_digits(arguments.workdir / "held_out")
    found = classify(served.path, paths)
    accuracy = np.mean(found == digits)
    print(
        f"\nAccuracy on {len(digits)} held-out digits, from PNG files by the export: "
        f"{accuracy:.1%}; by the network in training: {last['eval_accuracy']:.1%}"
    )
    if accuracy < WANTED_ACCURACY:
        sys.exit(f"error: the accuracy is below {WANTED_ACCURACY:.0%}")
    write_page(model, arguments.workdir / "page", paths[:10])


if __name__ == "__main__":
    main()
