"""Requests and choices, stored in the work folder, so that a run can resume."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import check_writable, replace_file
from keras_effnetv2.finetuning.deadline import Timetable
from keras_effnetv2.finetuning.decisions import Choice, to_values
from keras_effnetv2.finetuning.options import Options
from keras_effnetv2.finetuning.photographs.work_files import CHOICES, SPLIT, SURVEY
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.settings import from_json
from keras_effnetv2.training.runs.workdir import check_encodable

# Files that a call may leave if it is stopped before it has chosen.
_OWN = {SURVEY, SPLIT, "learning_rates.json", "learning_rates.png"}
_NEW = {"find_lr": False}  # Missing in requests of version 0.1.


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The choices of a call: the same call again resumes with them.

    Attributes:
        experiment: the experiment to train.
        test_split: split that is held out besides the validation part, if any.
        choices: choices with their reasons.
        timetable: timetable of the training; None without a deadline.
    """

    experiment: Experiment
    test_split: str | None
    choices: tuple[Choice, ...]
    timetable: Timetable | None


def describe_request(
    photographs: str, labels: str | None, options: Options
) -> dict[str, Any]:
    """A call in JSON's types; equal ones mean the same training."""
    return {
        "photographs": photographs if ":" in photographs else _absolute(photographs),
        "labels": labels and _absolute(labels),
        **options.to_values(),
    }


def read_chosen(workdir: pathlib.Path, request: dict[str, Any]) -> Chosen | None:
    """The choices stored in a work folder; None if there are none yet.

    Raises:
        ValueError: the folder belongs to another call, or to something else.
    """
    path = workdir / CHOICES
    if not path.is_file():
        _check_free(workdir)
        return None
    try:
        # Paths need not be UTF-8.
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        values = json.loads(text)
        found = {**_NEW, **values["request"]}
        chosen = Chosen(
            from_json(json.dumps(values["experiment"])),
            values["test_split"],
            tuple(Choice(**row) for row in values["choices"]),
            _timetable(values.get("timetable")),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}). Choose another --workdir, or remove "
            f"{workdir}."
        ) from error
    differences = [
        f"{name} is {found.get(name)!r} there and {value!r} now"
        for name, value in request.items()
        if found.get(name) != value
    ]
    if differences:
        raise InputError(
            f"{workdir} is the work folder of another fine-tuning run: "
            f"{'; '.join(differences)}. Choose another --workdir, or pass its options."
        )
    return chosen


def write_chosen(
    workdir: pathlib.Path, request: dict[str, Any], chosen: Chosen
) -> None:
    """Stores the choices: from now on the same call resumes with them."""
    values = {
        "request": request,
        "test_split": chosen.test_split,
        **to_values(chosen.experiment, chosen.choices, chosen.timetable),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    replace_file(workdir / CHOICES, text.encode("utf-8", "surrogateescape"))


def _timetable(values: dict[str, Any] | None) -> Timetable | None:
    if values is None:
        return None
    return Timetable(**{**values, "step_seconds": tuple(values["step_seconds"])})


def _check_free(workdir: pathlib.Path) -> None:
    """Refuses a folder of something else, or one that cannot be written to."""
    check_encodable(workdir)
    others = []
    try:
        if workdir.is_dir():
            names = (path.name for path in workdir.iterdir())
            others = [x for x in names if x not in _OWN and not x.startswith(".")]
        if not others:
            check_writable(workdir)
    except OSError as error:
        raise InputError(
            f"The work folder {workdir} cannot be written: {error.strerror}. Choose "
            "another --workdir."
        ) from error
    if others:
        raise InputError(
            f"{workdir} holds other files: {', '.join(sorted(others)[:5])}. "
            "Choose a new folder: --workdir FOLDER."
        )


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
