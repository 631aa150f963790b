"""Prints differences of our logits from independent implementations'.

    python tools/references/compare_references.py ../shared/reference

All have equal weights. Needs the folder of reference numbers; keras.applications is run
alongside.
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parents[2]))
from tests.networks import test_against_applications as applications  # noqa: E402
from tests.networks import test_against_official as official  # noqa: E402


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest value."""
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def compare_files(folder: pathlib.Path) -> None:
    print("| file | inference | training mode |\n|---|---|---|")
    for file, tag, values in official.FILES:
        expected = official.outputs_of(folder, tag)
        differences = []
        for training, key in ((False, "logits"), (True, "train_logits")):
            model = official.load(folder / file, tag)
            size = official.sizes(expected)[0]
            logits = model(expected[f"inputs/{size}"], training=training)
            differences.append(relative(logits, expected[f"{values}/{size}/{key}"]))
        print(f"| {file} | {differences[0]:.1e} | {differences[1]:.1e} |")


def compare_applications() -> None:
    print("\n| keras.applications | inference | training mode |\n|---|---|---|")
    for name in applications.PEERS:
        theirs, ours, images = applications.equal_models(name)
        row = [
            relative(
                ours(images, training=training),
                np.asarray(theirs(images, training=training)),
            )
            for training in (False, True)
        ]
        print(f"| {name} | {row[0]:.1e} | {row[1]:.1e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    compare_files(arguments.folder)
    compare_applications()


if __name__ == "__main__":
    main()
