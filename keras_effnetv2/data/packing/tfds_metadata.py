"""The files that tell TensorFlow Datasets what shards contain."""

import os
import pathlib
import re
import tempfile
from collections.abc import Mapping, Sequence

from keras_effnetv2.data.packing.shards import FILE, IMAGE, LABEL, WrittenShard
from keras_effnetv2.files import replace_file
from keras_effnetv2.paths import as_path

_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_VERSION = "1.0.0"
# The file that marks a dataset as complete.
_LAST = "dataset_info.json"


def identity(folder: str) -> tuple[str, str]:
    """The name and the version of a dataset, from the name of its folder.

    For `DIRECTORY/flowers/1.0.0`, the layout of TensorFlow Datasets, these are
    `"flowers"` and `"1.0.0"`; otherwise the version is 1.0.0.
    """
    above, last = os.path.split(folder.rstrip("/"))
    version = _VERSION
    if re.fullmatch(r"\d+\.\d+\.\d+", last):
        last, version = os.path.basename(above), last
    name = re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")
    return (name if name[:1].isalpha() else f"images_{name}".strip("_")), version


def shard_name(dataset: str, split: str, number: int, num_shards: int) -> str:
    """The name of a shard's file, as in TensorFlow Datasets."""
    return f"{dataset}-{split}.tfrecord-{number:05}-of-{num_shards:05}"


def write(
    folder: str,
    class_names: Sequence[str],
    splits: Mapping[str, Sequence[WrittenShard]],
) -> None:
    """Writes `features.json`, the names of the classes, and finally the rest.

    Args:
        folder: the folder of the shards.
        class_names: a name for each class.
        splits: shards of each split, in order.
    """
    import tensorflow_datasets as tfds

    name, version = identity(folder)
    template = tfds.core.ShardedFileTemplate(
        data_dir=pathlib.Path(folder),  # pyright: ignore[reportArgumentType]
        template=_TEMPLATE,
        dataset_name=name,
        filetype_suffix="tfrecord",
    )
    infos = [
        tfds.core.SplitInfo(
            name=split,
            shard_lengths=[shard.num_records for shard in shards],
            num_bytes=sum(shard.num_bytes for shard in shards),
            filename_template=template.replace(split=split),
        )
        for split, shards in splits.items()
    ]
    features = tfds.features.FeaturesDict(
        {
            IMAGE: tfds.features.Image(),
            FILE: tfds.features.Text(),
            LABEL: tfds.features.ClassLabel(names=[*class_names]),
        }
    )
    # To a temporary folder first, so that files are complete, in buckets too.
    with tempfile.TemporaryDirectory() as scratch:
        for shards in splits.values():  # TFDS reads the names of the files.
            open(os.path.join(scratch, shards[0].name), "w").close()
        tfds.folder_dataset.write_metadata(
            data_dir=scratch,
            features=features,
            split_infos=infos,
            version=version,
            check_data=False,
            supervised_keys=(IMAGE, LABEL),
            description="Images of folders, packed by keras_effnetv2.",
        )
        written = {*os.listdir(scratch)} - {x[0].name for x in splits.values()}
        for file in sorted(written, key=lambda file: (file == _LAST, file)):
            contents = pathlib.Path(scratch, file).read_bytes()
            replace_file(os.path.join(folder, file), contents)


def remove(folder: str) -> None:
    """Removes the mark of a complete dataset, before its shards change."""
    as_path(os.path.join(folder, _LAST)).unlink(missing_ok=True)
