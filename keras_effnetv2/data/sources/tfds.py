"""Datasets of TensorFlow Datasets, without decoding their images."""

import dataclasses
import os
import textwrap
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.records.array_records import open_array_records
from keras_effnetv2.data.records.record_opening import Reading, open_records
from keras_effnetv2.data.sources.source import Source, check_num_classes
from keras_effnetv2.errors import InputError, require_modules

_LONGEST_REASON = 400  # Characters: with the instructions for a manual download.


def open_tfds(
    name: str,
    split: str,
    num_classes: int | None,
    directory: str | None,
    multi_label: bool,
    reading: Reading | None = None,
) -> Source:
    """A split of a dataset, which is downloaded and prepared where it is not yet.

    Args:
        name: such as `"cifar10"` or `"imagenet2012:5.1.0"`. Empty: the dataset that is
            right in `directory`, as `pack` writes them.
        split: such as `"train"`, `"train[:98%]"` or `"train+validation"`.
        num_classes: how many the dataset has. None: it says so.
        directory: of TensorFlow Datasets. None: its default.
        multi_label: labels are sequences of classes.
        reading: how. None: as `Reading` has it.

    Raises:
        ValueError: no such dataset or split, or not one of images and classes.
        ImportError: tensorflow-datasets is not installed, or array_record is not.
    """
    require_modules("Datasets by name need", "train", "tensorflow_datasets")
    import tensorflow_datasets as tfds

    builder = _prepared(tfds, name, directory)
    image_key, label_key = _keys(tfds, builder, multi_label)
    label_feature = builder.info.features[label_key]
    class_feature = label_feature.feature if multi_label else label_feature
    check_num_classes(num_classes, class_feature.num_classes, f"The dataset {name}")
    found: int = class_feature.num_classes
    # Only what is used of an example is parsed.
    features = tfds.features.FeaturesDict(
        {key: builder.info.features[key] for key in (image_key, label_key)}
    )
    decoders = {image_key: tfds.decode.SkipDecoding()}

    def parse(record):
        example = features.deserialize_example(record, decoders=decoders)
        label = tf.cast(example[label_key], tf.int64)
        if multi_label:
            label = tf.reduce_max(tf.one_hot(label, found), axis=0)
            label = tf.maximum(label, 0)  # Of no class, the maximum is minus infinity.
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


# Of files, and what opens them.
_FORMATS = {"tfrecord": open_records, "array_record": open_array_records}


def _prepared(tfds: Any, name: str, directory: str | None) -> Any:
    """The builder of a dataset that is there."""
    try:
        if not name and directory:
            builder = tfds.builder_from_directory(os.path.expanduser(directory))
        else:
            builder = tfds.builder(name, data_dir=directory)
        builder.download_and_prepare()  # Does nothing where the dataset is there.
    except Exception as error:  # It raises anything, from many libraries.
        # Of an unknown name, it lists the thousands that there are.
        reason = textwrap.shorten(str(error), _LONGEST_REASON, placeholder=" ...")
        raise InputError(
            f"The dataset {name!r} of TensorFlow Datasets cannot be prepared in "
            f"{directory or 'its default folder'}: {reason}"
        ) from error
    file_format = builder.info.file_format.value
    if file_format not in _FORMATS:
        raise InputError(
            f"The dataset {name!r} is stored as {file_format}, expected is "
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
            f"The dataset {info.full_name} is none of images, each with {wanted}: its "
            f"supervised_keys are {keys}, its features {[*info.features]}."
        )
    return keys


def _shards(builder: Any, split: str) -> tuple[list[str], list[slice], int]:
    """Files of a split, which records of each, and how many these are in all."""
    try:
        instructions = builder.info.splits[split].file_instructions
    except Exception as error:  # Which one depends on what is wrong with the split.
        raise InputError(
            f"The dataset {builder.info.full_name} has no split {split!r}. It has "
            f"{', '.join(builder.info.splits)}, and parts of them as train[:98%]."
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
