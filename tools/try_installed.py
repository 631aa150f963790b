"""Tries the installed package, as a new user would: import, list, a network, a report.

    python -P tools/try_installed.py

`make package` runs it where only the wheel is installed. It fails if the package comes
from this repository, or lacks a file that it reads.
"""

import pathlib
import subprocess
import sys

import numpy as np

import keras_effnetv2
from keras_effnetv2 import export, training

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    found = pathlib.Path(keras_effnetv2.__file__).resolve().parent
    if found == ROOT / "keras_effnetv2":
        sys.exit(f"error: {found} is the repository's. Install the wheel.")
    for file in ("py.typed", "reports/templates/report.html"):
        if not (found / file).is_file():
            sys.exit(f"error: the wheel lacks {file}.")

    command = [sys.executable, "-P", "-m", "keras_effnetv2", "list", "*v2-b0"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print("\n".join(listed.splitlines()[:2]))

    model = keras_effnetv2.EfficientNetV2B0(weights=None)
    scores = model.predict(np.zeros((1, 64, 64, 3), np.uint8), verbose=0)
    ((_, name, score),) = keras_effnetv2.decode_predictions(scores, top=1)[0]
    print(f"{model!r}: {score:.3f} {name}")
    # Training packages are separate extras; importing exports needs no engine.
    print(training.train, training.load_run, export.fold_batch_norm(model).name)
    print(f"keras_effnetv2 {keras_effnetv2.__version__} works from {found}")


if __name__ == "__main__":
    main()
