"""Datasets of TensorFlow Datasets, without decoding their images."""

import dataclasses
import os
import textwrap
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.records.array_records import open_array_records
from keras_effnetv2.data.records.record_opening import Reading, open_records
from keras_effnetv2.data.source import Source, check_num_classes
from keras_effnetv2.errors import InputError, require_modules

_LONGEST_REASON = 400  # Characters: fits the instructions for a manual download.


def open_tfds(
    name: str,
    split: str,
    num_classes: int | None,
    directory: str | None,
    multi_label: bool,
    reading: Reading | None = None,
) -> Source:
    """Opens a split of a dataset, and downloads and prepares it if necessary.

    Args:
        name: such as `"cifar10"` or `"imagenet2012:5.1.0"`. Empty: the dataset in
            `directory` itself, as `pack` writes it.
        split: such as `"train"`, `"train[:98%]"` or `"train+validation"`.
        num_classes: number of classes. None: that of the dataset.
        directory: data folder of TensorFlow Datasets. None: its default.
        multi_label: labels are sequences of classes.
        reading: how to read. None: the defaults of `Reading`.

    Raises:
        ValueError: no such dataset or split, or one without images and classes.
        ImportError: tensorflow-datasets or array_record is not installed.
    """
    require_modules("Datasets by name need", "train", "tensorflow_datasets")
    import tensorflow_datasets as tfds

    builder = _prepared(tfds, name, directory)
    image_key, label_key = _keys(tfds, builder, multi_label)
    label_feature = builder.info.features[label_key]
    class_feature = label_feature.feature if multi_label else label_feature
    check_num_classes(num_classes, class_feature.num_classes, f"The dataset {name}")
    found: int = class_feature.num_classes
    # Only the features used are parsed.
    features = tfds.features.FeaturesDict(
        {key: builder.info.features[key] for key in (image_key, label_key)}
    )
    decoders = {image_key: tfds.decode.SkipDecoding()}

    def parse(record):
        example = features.deserialize_example(record, decoders=decoders)
        label = tf.cast(example[label_key], tf.int64)
        if multi_label:
            label = tf.reduce_max(tf.one_hot(label, found), axis=0)
            label = tf.maximum(label, 0)  # Of an empty list, it is the smallest number.
        return example[image_key], label

    paths, parts, num = _shards(builder, split)
    open_files = _FORMATS[builder.info.file_format.value]
    return open_files(
        paths,
        parse,
        dataclasses.replace(reading or Reading(), num_records=num),
        parts=parts,
        num_classes=found,
        multi_label=multi_label,
        class_names=tuple(class_feature.names),
    )


# Formats of files, and the functions that open them.
_FORMATS = {"tfrecord": open_records, "array_record": open_array_records}


def _prepared(tfds: Any, name: str, directory: str | None) -> Any:
    """The builder of a prepared dataset."""
    try:
        if not name and directory:
            builder = tfds.builder_from_directory(os.path.expanduser(directory))
        else:
            builder = tfds.builder(name, data_dir=directory)
        builder.download_and_prepare()  # Does nothing if the dataset exists.
    except Exception as error:  # It raises errors of many libraries.
        # For an unknown name, it lists thousands of names.
        reason = textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" ...")
        raise InputError(
            f"The dataset {name!r} of TensorFlow Datasets cannot be prepared in "
            f"{directory or 'its default folder'}: {reason}"
        ) from error
    file_format = builder.info.file_format.value
    if file_format not in _FORMATS:
        raise InputError(
            f"The dataset {name!r} is stored as {file_format}, expected "
            f"{' or '.join(_FORMATS)}. Prepare it again: tfds.builder({name!r}, "
            "file_format='tfrecord').download_and_prepare()."
        )
    return builder


def _keys(tfds: Any, builder: Any, multi_label: bool) -> tuple[str, str]:
    """Names of the image and of its label."""
    info = builder.info
    keys = info.supervised_keys
    is_simple = keys and len(keys) == 2 and all(isinstance(key, str) for key in keys)
    features = [info.features[key] for key in keys] if is_simple else [None, None]
    if multi_label:
        features[1] = getattr(features[1], "feature", None)
    expected = (tfds.features.Image, tfds.features.ClassLabel)
    if not all(map(isinstance, features, expected)):
        wanted = "a sequence of classes" if multi_label else "one class"
        raise InputError(
            f"The dataset {info.full_name} does not consist of images, each with "
            f"{wanted}: its supervised_keys are {keys}, its features "
            f"{[*info.features]}."
        )
    return keys


def _shards(builder: Any, split: str) -> tuple[list[str], list[slice], int]:
    """Files of a split, the records of each to use, and their total number."""
    try:
        instructions = builder.info.splits[split].file_instructions
    except Exception as error:  # Its type depends on what is wrong with the split.
        raise InputError(
            f"The dataset {builder.info.full_name} has no split {split!r}. It has "
            f"{', '.join(builder.info.splits)}, and parts of them, such as train[:98%]."
        ) from error
    paths, parts, num = [], [], 0
    for instruction in instructions:
        skip, end = instruction.skip, instruction.skip + instruction.take
        is_whole = skip == 0 and end == instruction.examples_in_shard
        paths.append(os.fspath(instruction.filename))
        parts.append(slice(None) if is_whole else slice(skip, end))
        num += instruction.take
    if not num:
        raise InputError(
            f"The split {split!r} of {builder.info.full_name} holds no images. Choose "
            "another."
        )
    return paths, parts, num
