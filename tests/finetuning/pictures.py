"""Small folders of pictures that tests of fine-tuning share."""

import numpy as np
from PIL import Image

from tests.tiny_networks import NANO_FILE

# Of a call that takes seconds.
QUICK = {
    "variant": str(NANO_FILE),
    "weights": "none",
    "image_size": 32,
    "epochs": 2,
    "batch_size": 4,
    "strategy": "cpu",
}


def write(folder, counts, seed=0):
    """Noise in the colour of its class, JPEGs; each class has its own colour."""
    random = np.random.default_rng(seed)
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            coarse = random.uniform(0, 90, (6, 6, 3)) + 80 * np.eye(3)[number % 3]
            image = Image.fromarray(coarse.astype("uint8")).resize((48, 40))
            image.save(folder / name / f"{index:02}.jpg", quality=95)
    return folder
