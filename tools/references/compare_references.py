"""Prints differences of our logits from independent implementations'.

    python tools/references/compare_references.py ../shared/reference [--json FILE]

All have equal weights. Needs the folder of reference numbers; keras.applications is run
alongside.
"""

import argparse
import pathlib
import sys
from collections.abc import Iterator

import numpy as np

sys.path += [str(pathlib.Path(__file__).parents[level]) for level in (1, 2)]
from tables.comparison_rows import logit_table  # noqa: E402
from tables.result_files import write_results  # noqa: E402

from tests.networks import test_against_applications as applications  # noqa: E402
from tests.networks import test_against_official as official  # noqa: E402

_MODES = {"inference": False, "training": True}


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference relative to the largest value."""
    return float(np.abs(np.asarray(found) - expected).max() / np.abs(expected).max())


def compare_files(folder: pathlib.Path) -> Iterator[dict]:
    """Differences from the stored outputs for each file of weights."""
    keys = {"inference": "logits", "training": "train_logits"}
    for file, tag, values in official.FILES:
        expected = official.outputs_of(folder, tag)
        differences = {}
        for mode, training in _MODES.items():
            model = official.load(folder / file, tag)
            size = official.sizes(expected)[0]
            logits = model(expected[f"inputs/{size}"], training=training)
            wanted = expected[f"{values}/{size}/{keys[mode]}"]
            differences[mode] = relative(logits, wanted)
        yield {"compared": file, **differences}


def compare_applications() -> Iterator[dict]:
    """Differences from keras.applications, of each network that it has."""
    for name in applications.PEERS:
        theirs, ours, images = applications.equal_models(name)
        differences = {
            mode: relative(
                ours(images, training=training),
                np.asarray(theirs(images, training=training)),
            )
            for mode, training in _MODES.items()
        }
        yield {"compared": f"keras.applications: {name}", **differences}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="of differences"
    )
    arguments = parser.parse_args()
    rows = [*compare_files(arguments.folder), *compare_applications()]
    print(logit_table(rows))
    if arguments.json:
        write_results(arguments.json, rows)


if __name__ == "__main__":
    main()
