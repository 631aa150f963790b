"""The work folder of a run: its contents, and the check of its experiment."""

import dataclasses
import shlex
from typing import Any

from keras_effnetv2.data.printable import printable
from keras_effnetv2.errors import InputError
from keras_effnetv2.files import (
    check_writable,
    remove_unfinished,
    replace_file,
)
from keras_effnetv2.networks.variant_files import is_variant_file, write_variant
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.paths import AnyPath, AnyPathLike, as_path
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import (
    from_json,
    list_settings,
    to_json,
)
from keras_effnetv2.training.reporting.trackers import TRACKING
from keras_effnetv2.training.runs.checkpoints import BEST, Checkpoints
from keras_effnetv2.training.runs.length import LENGTH, check_images, check_length


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths in the work folder of a run, local or in a bucket."""

    path: AnyPath

    @property
    def config(self) -> AnyPath:
        """The resolved experiment, JSON."""
        return self.path / "config.json"

    @property
    def variant(self) -> AnyPath:
        """The run's own copy of the experiment's variant, if that is a file."""
        return self.path / "variant.json"

    @property
    def checkpoints(self) -> AnyPath:
        """Folder of complete states."""
        return self.path / "checkpoints"

    @property
    def metrics(self) -> AnyPath:
        """Metrics of every epoch, one JSON object per line."""
        return self.path / "metrics.jsonl"

    @property
    def curves(self) -> AnyPath:
        """Picture of the metrics."""
        return self.path / "curves.png"

    @property
    def rates(self) -> AnyPath:
        """Sweep that determined the run's learning rate, if any; JSON."""
        return self.path / "learning_rates.json"

    @property
    def scalars(self) -> AnyPath:
        """Folder for TensorBoard."""
        return self.path / "tensorboard"

    @property
    def tracking(self) -> AnyPath:
        """IDs of the run in MLflow and other trackers, by name; JSON."""
        return self.path / TRACKING

    @property
    def weights(self) -> AnyPath:
        """Weights of the run's end, moving averages if it has them."""
        return self.path / "final.weights.h5"

    @property
    def best_weights(self) -> AnyPath:
        """Weights of the best evaluation so far: exactly the network it measured."""
        return self.checkpoints / BEST

    @property
    def calibration(self) -> AnyPath:
        """Temperatures of the weights that reports have evaluated; JSON."""
        return self.path / "calibration.json"

    @property
    def report(self) -> AnyPath:
        """Report on the run and its network, HTML."""
        return self.path / "report.html"

    def samples(self, stage: int) -> AnyPath:
        """Picture of a few training images of a stage; stages count from 1."""
        return self.path / f"stage{stage}.png"

    def has_begun(self) -> bool:
        """Whether a run has left more than its configuration."""
        return any(
            # Hidden files are left by a process that was killed while writing.
            x not in (self.config, self.variant, self.tracking)
            and not x.name.startswith(".")
            for x in self.path.iterdir()
        )


def open_workdir(
    path: AnyPathLike,
    experiment: Experiment,
    is_chief: bool = True,
    num_images: int | None = None,
) -> Workdir:
    """Opens the folder, made if need be, with the experiment written into it.

    Args:
        path: path of the folder.
        experiment: the experiment that is trained there.
        is_chief: whether this is the chief; other workers only read the folder.
        num_images: number of training images, if the run may change its length. None:
            it may not.

    Raises:
        ValueError: the folder cannot be written to, or belongs to another experiment.
    """
    workdir = Workdir(as_path(path))
    if is_chief:
        check_workdir(workdir.path)
    if workdir.config.exists() and workdir.has_begun():
        _check_same(experiment, read_experiment(path), workdir, num_images)
    if not is_chief:
        return workdir
    remove_unfinished(workdir.path)
    if is_variant_file(experiment.model.variant):
        write_variant(get_variant(experiment.model.variant), workdir.variant)
    replace_file(workdir.config, to_json(experiment).encode())
    return workdir


def check_workdir(path: AnyPathLike) -> None:
    """Makes a work folder, if need be.

    Raises:
        ValueError: there is no such bucket or file system, it cannot be written to, or
            its name is not UTF-8.
    """
    folder = as_path(path)
    check_encodable(folder)
    try:
        check_writable(folder)
    except OSError as error:
        raise InputError(
            f"The work folder {folder} cannot be written: {error.strerror}. "
            "Choose another --workdir."
        ) from error


def check_encodable(folder: AnyPath) -> None:
    """Refuses a work folder in which TensorFlow cannot write, since of its name.

    Raises:
        ValueError: the name is not UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"The name of the work folder {printable(str(folder))} is not UTF-8, which "
            "TensorFlow does not take. Choose another --workdir."
        ) from error


def read_experiment(path: AnyPathLike) -> Experiment:
    """The experiment of the run in a work folder.

    Its variant is the run's own copy if the run was started with a variant file.

    Raises:
        ValueError: there is no run, or its configuration is damaged.
    """
    workdir = Workdir(as_path(path))
    config = workdir.config
    try:
        text = config.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not the work folder of a run: {config.name} cannot be read "
            f"({error})."
        ) from error
    try:
        return from_json(text, variant_copy=str(workdir.variant))
    except ValueError as error:
        raise InputError(f"{config}: {error}") from error


def train_command(path: AnyPathLike, *options: str) -> str:
    """The shell command that resumes the run in a work folder."""
    words = ["train", "--workdir", str(path), *options]
    return shlex.join(["python", "-m", "keras_effnetv2", *words])


def _check_same(
    wanted: Experiment, found: Experiment, workdir: Workdir, num_images: int | None
) -> None:
    """Allows changes of how a run proceeds and its length, not of what it computes."""
    path = workdir.path
    if wanted.name != found.name:
        raise InputError(
            f"{path} is the work folder of the experiment {found.name!r}. Received: "
            f"experiment {wanted.name!r}. Choose another --workdir."
        )
    wanted_settings, found_settings = list_settings(wanted), list_settings(found)
    # The number of images is only checked against the actual number.
    can_change = ("data.num_train_images", *(LENGTH if num_images else ()))
    differences = [
        f"{name} is {found_settings[name]!r} there and {value!r} now"
        for name, value in wanted_settings.items()
        if not _is_same(name, value, found_settings[name], can_change)
    ]
    if differences:
        raise InputError(
            f"{path} is the work folder of another run of {found.name!r}: "
            f"{'; '.join(differences)}. Choose another --workdir, or the same settings."
        )
    if num_images is not None:
        position = Checkpoints(workdir.checkpoints, wanted.loop.keep).position()
        check_length(wanted, found, position, num_images, path)
        check_images(found, position, num_images, path)


def _is_same(name: str, wanted: Any, found: Any, can_change: tuple[str, ...]) -> bool:
    """Whether a setting is the same, or only decides how a run proceeds."""
    if name == "model.variant":  # A file may have moved.
        return get_variant(wanted) == get_variant(found)
    if name == "data.order":  # If it still is "auto", no chunks are read.
        return wanted == found or "chunks" not in (wanted, found)
    return wanted == found or name.startswith("loop.") or name in can_change
