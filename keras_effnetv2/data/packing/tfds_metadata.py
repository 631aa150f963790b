"""The files by which TensorFlow Datasets knows what is in shards."""

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
# The one that says that a dataset is there.
_LAST = "dataset_info.json"


def identity(folder: str) -> tuple[str, str]:
    """The name and the version of the dataset in a folder, by the folder's name.

    Of `DIRECTORY/flowers/1.0.0` as TensorFlow Datasets has them, `"flowers"` and
    `"1.0.0"`; else the version is 1.0.0.
    """
    above, last = os.path.split(folder.rstrip("/"))
    version = _VERSION
    if re.fullmatch(r"\d+\.\d+\.\d+", last):
        last, version = os.path.basename(above), last
    name = re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")
    return (name if name[:1].isalpha() else f"images_{name}".strip("_")), version


def shard_name(dataset: str, split: str, number: int, num_shards: int) -> str:
    """Of a file, as TensorFlow Datasets has it."""
    return f"{dataset}-{split}.tfrecord-{number:05}-of-{num_shards:05}"


def write(
    folder: str,
    class_names: Sequence[str],
    splits: Mapping[str, Sequence[WrittenShard]],
) -> None:
    """Writes `features.json`, the names of the classes, and at last the rest.

    Args:
        folder: of the shards.
        class_names: a name for each class.
        splits: shards of each, in order.
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
    # Elsewhere first: whole files come of it, in buckets too.
    with tempfile.TemporaryDirectory() as scratch:
        for shards in splits.values():  # It looks at the names of the files.
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
    """Takes away what says that a dataset is there, before its shards change."""
    as_path(os.path.join(folder, _LAST)).unlink(missing_ok=True)
