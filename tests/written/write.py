"""Writes a file of every kind that users keep, for later versions to read.

    python -m tests.written.write FOLDER

Each folder here is named after the version that wrote it.
"""

import pathlib
import shutil
import sys

import keras
import numpy as np
import optuna

from keras_effnetv2 import (
    BlockSpec,
    Variant,
    create_model,
    export,
    name_classes,
    optimizers,
    search,
    training,
    write_variant,
)
from keras_effnetv2.search.studies.workers import run_worker
from tests.training import run_processes

CLASS_NAMES = ("bus", "car", "train")
WORKDIR_SETTINGS = ("loop.checkpoint_steps=5", "model.width_coefficient=0.1")
VARIANT = Variant(
    "small",
    (
        BlockSpec("fused_mbconv", 3, 1, 1, 8, 1),
        BlockSpec("fused_mbconv", 3, 2, 4, 8, 1),
        BlockSpec("mbconv", 5, 2, 4, 16, 2, 0.25),
    ),
    stem_filters=8,
    top_filters=16,
    train_size=32,
    eval_size=32,
    dropout_rate=0.2,
    drop_path_rate=0.2,
)


def images() -> np.ndarray:
    """Two images of noise, float32 `(2, 32, 32, 3)`, 0 to 255."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (2, 32, 32, 3)).astype("float32")


def trained_model() -> keras.Model:
    """A classifier after three steps of an optimizer that a recipe makes."""
    keras.utils.set_random_seed(0)
    model = create_model(VARIANT, classes=3)
    name_classes(model, CLASS_NAMES)
    decay = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    optimizer = optimizers.Adam(decay, clipnorm=1.0)
    training.sum_before_clipping(optimizer)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(images(), np.array([0, 2]))
    return model


def remove(path: pathlib.Path) -> None:
    """What takes much room, and no later version needs."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def write_models(folder: pathlib.Path) -> None:
    """Keras's files and exports of one classifier, and what it says of `images()`."""
    model = trained_model()
    model.save(folder / "classifier.keras")
    model.save_weights(folder / "classifier.weights.h5")
    write_variant(VARIANT, folder / "variant.json")
    export.fold_batch_norm(model).save(folder / "folded.keras")
    export.hub(model, folder / "hub")
    for name in ("classification", "feature_vector", "feature_vector.tar.gz"):
        remove(folder / "hub" / name)
    export.serving(model, folder / "serving")
    remove(folder / "serving" / "1" / "assets.extra")  # 0.8 MB of images.
    np.savez(
        folder / "expected.npz",
        images=images(),
        probabilities=model.predict(images(), verbose=0),
    )


def write_workdir(folder: pathlib.Path) -> None:
    """A training that was killed on its way."""
    process = run_processes.start(folder, *WORKDIR_SETTINGS)
    while run_processes.steps_saved(folder) < 25:
        if process.poll() is not None:
            raise RuntimeError("The training ended before it was killed.")
    process.kill()
    process.wait()
    pathlib.Path(f"{folder}.log").unlink()
    *older, _ = sorted((folder / "checkpoints").glob("step_*"))
    for path in (folder / "tensorboard", *folder.glob("*.png"), *older):
        remove(path)


def write_study(path: pathlib.Path) -> None:
    """A search that stopped after three trials, which made up what they measured."""

    def measure(trial: optuna.Trial, point: dict) -> float:
        accuracy = 0.5 + 0.1 * trial.number
        trial.set_user_attr("accuracy", accuracy)
        trial.set_user_attr("step_seconds", 0.01)
        trial.set_user_attr("parameters", 10_000)
        return accuracy

    study = search.open_search(search.get_search("digits-search"), path)
    run_worker(study, measure, num_trials=5, most=3)


def main(folder: pathlib.Path) -> None:
    """Everything, in a folder that is made."""
    folder.mkdir(parents=True)
    write_models(folder)
    write_workdir(folder / "workdir")
    write_study(folder / "study.journal")
    for lock in folder.rglob("*.lock"):
        remove(lock)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
