"""A folder as people have it, of crops of scikit-image's and scikit-learn's pictures.

    python -m tests.finetuning.crops FOLDER

Six classes, uneven; copies, wrong labels and damaged files among them; and, in a folder
of their own, clean crops that are none of these.
"""

import dataclasses
import pathlib
import shutil
import sys

import numpy as np
from PIL import Image

# Class -> crops of it.
COUNTS = {
    "cat": 90, "coffee": 75, "palace": 60, "flower": 45, "rocket": 35, "astronaut": 25
}  # fmt: skip
NUM_COPIES, NUM_WRONG, NUM_DAMAGED, NUM_CLEAN = 20, 10, 5, 20


@dataclasses.dataclass(frozen=True)
class Crops:
    """What is in a folder, and what is wrong there.

    Attributes:
        folder: of class folders.
        clean: folder of other crops, rightly labelled.
        copies: pairs of names of an image and its copy, every other one saved anew,
            smaller and at another quality.
        wrong: names of files in the folder of another class.
        damaged: names of files that end in the middle.
    """

    folder: pathlib.Path
    clean: pathlib.Path
    copies: list[tuple[str, str]]
    wrong: list[str]
    damaged: list[str]


def pictures() -> dict[str, np.ndarray]:
    """A picture for each class, uint8 `(height, width, 3)`."""
    import sklearn.datasets
    from skimage import data

    palace, flower = sklearn.datasets.load_sample_images().images
    found = {"cat": data.chelsea(), "coffee": data.coffee(), "palace": palace}
    found |= {"flower": flower, "rocket": data.rocket(), "astronaut": data.astronaut()}
    return found


def write(folder: pathlib.Path, seed: int = 0) -> Crops:
    """Writes the folder `photographs` and the folder `clean` into a folder."""
    random, found = np.random.default_rng(seed), pictures()
    top, clean = folder / "photographs", folder / "clean"
    files = []
    for name, count in COUNTS.items():
        for place, number in ((top, count), (clean, NUM_CLEAN)):
            (place / name).mkdir(parents=True)
            for index in range(number):
                path = place / name / f"{index:03}.jpg"
                _crop(found[name], random).save(path, quality=92)
                files += [path] if place == top else []
    files = [files[x] for x in random.permutation(len(files))]
    wrong = [_move(path, random) for path in files[:NUM_WRONG]]
    files = files[NUM_WRONG:]
    copies = [_copy(path, index) for index, path in enumerate(files[:NUM_COPIES])]
    damaged = [_damage(path) for path in files[NUM_COPIES:][:NUM_DAMAGED]]
    names = [_name(x) for x in wrong], [_name(x) for x in damaged]
    pairs = [(_name(one), _name(other)) for one, other in copies]
    return Crops(top, clean, pairs, *names)


def _crop(pixels: np.ndarray, random: np.random.Generator) -> Image.Image:
    """From a third to two thirds of a picture's shorter side, brighter or darker."""
    height, width = pixels.shape[:2]
    side = int(random.uniform(0.33, 0.67) * min(height, width))
    top, left = random.integers(height - side), random.integers(width - side)
    crop = pixels[top : top + side, left : left + side].astype("float32")
    crop = np.clip(crop * random.uniform(0.8, 1.2), 0, 255).astype("uint8")
    return Image.fromarray(crop[:, ::-1] if random.random() < 0.5 else crop)


def _move(path: pathlib.Path, random: np.random.Generator) -> pathlib.Path:
    others = [name for name in COUNTS if name != path.parent.name]
    target = (
        path.parents[1]
        / random.choice(others)
        / f"moved_{path.parent.name}_{path.name}"
    )
    return path.rename(target)


def _copy(path: pathlib.Path, index: int) -> tuple[pathlib.Path, pathlib.Path]:
    target = path.with_name(f"copy_of_{path.name}")
    if index % 2:
        image = Image.open(path)
        small = image.resize([round(0.9 * side) for side in image.size])
        small.save(target, quality=70)
    else:
        shutil.copy(path, target)
    return path, target


def _damage(path: pathlib.Path) -> pathlib.Path:
    target = path.with_name(f"damaged_{path.name}")
    contents = path.read_bytes()
    target.write_bytes(contents[: len(contents) // 2])
    return target


def _name(path: pathlib.Path) -> str:
    return f"{path.parent.name}/{path.name}"


if __name__ == "__main__":
    print(write(pathlib.Path(sys.argv[1])))
