"""The images of a fine-tuning run: photographs or a named dataset, ready to train."""

import contextlib
import dataclasses
import functools
import json
import pathlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.decoding.retrying import OF_DATA, retried
from keras_effnetv2.data.labelled_files import LabelledFile, table_text
from keras_effnetv2.data.printable import shown
from keras_effnetv2.data.sources import Source, hugging_face, open_source
from keras_effnetv2.errors import InputError, require_modules
from keras_effnetv2.files import replace_file
from keras_effnetv2.finetuning.photographs.photograph_folder import find_photographs
from keras_effnetv2.finetuning.photographs.split import split_photographs
from keras_effnetv2.finetuning.photographs.survey import survey_photographs
from keras_effnetv2.finetuning.photographs.work_files import SPLIT, SURVEY
from keras_effnetv2.tables import align
from keras_effnetv2.training.experiments.image_settings import Data

TFDS, HUGGING_FACE = "tfds:", "hf://"
_NUM_LOOKED_AT = 10  # Images that tell whether a split has labels.
_UNLABELLED = "warning: the images of the split test have no labels, and are left out."
_MOST_CACHED = 1 << 30  # Bytes of encoded images that are kept in memory.


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images with their splits.

    Attributes:
        data: settings of the data.
        test_split: split that is evaluated once at the end, if any.
        lines: description for people.
    """

    data: Data
    test_split: str | None
    lines: Sequence[str]


def prepare_photographs(
    folder: str, labels: str | None, workdir: pathlib.Path
) -> Dataset:
    """Surveys and splits the photographs in a folder, and records both.

    Raises:
        ValueError: there is nothing to train on.
    """
    photographs = find_photographs(folder, labels)
    survey = survey_photographs(photographs)
    rows = split_photographs(survey)
    replace_file(workdir / SURVEY, survey.to_json())
    replace_file(workdir / SPLIT, table_text(rows))
    num = {
        part: sum(x.part == part for x in rows)
        for part in ("train", "validation", "test")
    }
    left_out = len(survey.readable) - len(rows)
    parts = ", ".join(f"{n:,} {part}" for part, n in num.items() if n)
    lines = [*survey.lines(), f"split: {parts}, in {workdir / SPLIT}"]
    if left_out:
        lines.append(
            f"warning: {left_out:,} images are copies of images in the validation or "
            "test part, and are left out."
        )
    data = Data(
        "csv",
        name=str((workdir / SPLIT).resolve()),
        directory=str(photographs.root.resolve()),
        num_classes=len({label for row in rows for label in row.labels}),
        num_train_images=num["train"],
        multi_label=photographs.multi_label,
        cache=survey.num_bytes <= _MOST_CACHED,
    )
    return Dataset(data, "test" if num["test"] else None, lines)


def prepare_tfds(name: str, workdir: pathlib.Path) -> Dataset:
    """The splits of a dataset of TensorFlow Datasets, downloaded if necessary.

    Its images are not surveyed: they come with their labels, and those that cannot be
    decoded are left out in training.

    Args:
        name: such as `"tf_flowers"`.
        workdir: work folder of the run.

    Raises:
        ValueError: no such dataset, or no splits to train and evaluate on.
        ImportError: tensorflow-datasets is not installed.
    """
    require_modules("Datasets by name need", "train", "tensorflow_datasets")
    import tensorflow_datasets as tfds

    # Reports a wrong name, and prepares the dataset.
    source = open_source("tfds", "train", name=name)
    found = tfds.builder(name).info.splits
    splits = {part: part for part in ("train", "validation", "test") if part in found}
    has_test = "test" in splits
    if has_test and not _has_labels(open_source("tfds", "test", name=name)):
        del splits["test"]
    if "validation" not in splits:
        splits |= {"train": "train[:80%]", "validation": "train[80%:]"}
        source = open_source("tfds", splits["train"], name=name)
    num_images = {part: found[split].num_examples for part, split in splits.items()}
    return _of_name("tfds", name, source, splits, num_images, workdir, has_test)


def _has_labels(source: Source) -> bool:
    """Whether images of a split have classes; public test sets may have none."""
    # A few, since labels are stored with images: others without are like damaged ones.
    for place in np.linspace(0, source.num_examples - 1, _NUM_LOOKED_AT, dtype=int):
        with contextlib.suppress(*OF_DATA):
            retried(
                functools.partial(source.example, tf.constant(place, tf.int64)),
                source.name_of(int(place)),
            )
            return True
    return False


def prepare_hugging_face(name: str, workdir: pathlib.Path) -> Dataset:
    """The splits of a dataset of the Hugging Face Hub, or of a folder of its library.

    Its images are not surveyed, like those of `prepare_tfds`.

    Args:
        name: `OWNER/NAME`, `OWNER/NAME:CONFIG`, `OWNER/NAME@REVISION`, or a folder.
        workdir: work folder of the run.

    Raises:
        ValueError: no such dataset, or no split to train on.
        ImportError: the library `datasets` is not installed.
    """
    folder = pathlib.Path(name).expanduser()
    name = str(folder.resolve()) if folder.is_dir() else name
    found = hugging_face.load_splits(name)
    if "train" not in found:
        raise InputError(
            f"The dataset {name} has no split 'train', but {shown(found)}. The command "
            "train takes any split, with --set data.source=hugging_face."
        )
    # The library's own name is validation, but some datasets use another.
    held_out = next((x for x in ("validation", "valid", "val") if x in found), None)
    splits = {"train": "train", "validation": held_out or ""}
    if held_out is None:
        splits |= {"train": "train[kept]", "validation": "train[held_out]"}
    multi_label = hugging_face.is_multi_label(found["train"])
    has_test = "test" in found
    if has_test and (multi_label or hugging_face.has_labels(name, found["test"])):
        splits["test"] = "test"
    opened = {
        part: open_source("hugging_face", split, name=name, multi_label=multi_label)
        for part, split in splits.items()
    }
    num_images = {part: source.num_examples for part, source in opened.items()}
    source = opened["train"]
    return _of_name("hugging_face", name, source, splits, num_images, workdir, has_test)


def _of_name(
    kind: Literal["tfds", "hugging_face"],
    name: str,
    source: Source,
    splits: dict[str, str],
    num_images: dict[str, int],
    workdir: pathlib.Path,
    has_test: bool,
) -> Dataset:
    """A named dataset, recorded in the work folder.

    Args:
        kind: kind of source.
        name: name of the dataset.
        source: source of its training images.
        splits: `train`, `validation` and, if it has labels, `test`, as named by the
            source.
        num_images: images of each split.
        workdir: work folder of the run.
        has_test: whether there is a split `test`, with labels or without.
    """
    rows = [("part", "split", "images")]
    rows += [(part, splits[part], f"{n:,}") for part, n in num_images.items()]
    report = {"dataset": name, "num_images": num_images, "classes": source.class_names}
    replace_file(workdir / SURVEY, (json.dumps(report, indent=2) + "\n").encode())
    data = Data(
        kind,
        source.num_classes,
        name,
        train_split=splits["train"],
        eval_split=splits["validation"],
        num_train_images=num_images["train"],
        multi_label=source.multi_label,
    )
    lines = [f"{name}: {source.num_classes:,} classes", *align(rows, num_left=2)]
    if has_test and "test" not in splits:
        lines.append(_UNLABELLED)
    return Dataset(data, splits.get("test"), lines)


def refuse_labels(name: str, labels: str | None) -> None:
    """Refuses a table of labels for a dataset that has its own.

    Raises:
        ValueError: there is one.
    """
    if labels is not None:
        raise InputError(
            f"{name} has labels. Received: labels={labels!r} too. Leave them out."
        )


def names_of(rows: Sequence[LabelledFile], part: str) -> list[str]:
    """Files of a part, in the order of the source."""
    return [row.file for row in rows if row.part == part]
