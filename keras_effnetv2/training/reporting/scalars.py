"""Records for TensorBoard, as event files.

TensorFlow itself writes them: the package `tensorboard` is only needed to view them,
and runs do without it. They are not written by `tf.summary`, which cannot mark where a
run resumed: TensorBoard drops the values of earlier files from the step of a session
start on. (Its fast loader ignores that, and keeps an old value until the same tag is
written again.)
"""

import time
import uuid
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.paths import AnyPathLike, as_path

# Groups in TensorBoard of the entries of a record; everything else is "other".
_GROUPS = {
    "train": ("loss", "accuracy"),
    "schedule": ("epoch", "stage", "learning_rate"),
    "stage": (
        "image_size", "batch_size", "randaugment_magnitude", "mixup_alpha",
        "cutmix_alpha", "dropout_rate", "drop_path_rate",
    ),
    "speed": ("seconds", "images_per_second"),
}  # fmt: skip
_TAGS = {name: f"{group}/{name}" for group, names in _GROUPS.items() for name in names}

_Event = tf.compat.v1.Event
_Summary = tf.compat.v1.Summary
_SessionLog = tf.compat.v1.SessionLog


class Scalars:
    """An event file of a run.

    Args:
        folder: the folder for `tensorboard --logdir`; made if need be.
        step: optimizer steps done. Later values in earlier files of the folder are
            dropped.
    """

    def __init__(self, folder: AnyPathLike, step: int = 0) -> None:
        as_path(folder).mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{uuid.uuid4().hex}"
        self._file = tf.io.TFRecordWriter(str(as_path(folder) / name))
        # TensorBoard respects session starts from version 2 on.
        self._write(file_version="brain.Event:2")
        start = _SessionLog(status=_SessionLog.START)
        self._write(session_log=start, step=step + 1)
        self._file.flush()

    def write(self, record: dict[str, Any]) -> None:
        """Writes every number of a record, at its `step`; see `Records`."""
        values = [
            _Summary.Value(tag=tag(name), simple_value=value)
            for name, value in record.items()
            if name != "step" and isinstance(value, int | float)
        ]
        self._write(summary=_Summary(value=values), step=record["step"])
        self._file.flush()  # For those watching. In a bucket the file is written again.

    def write_images(self, name: str, images: np.ndarray, step: int) -> None:
        """Writes uint8 images `(n, height, width, 3)` under one name."""
        _, height, width, _ = images.shape
        pngs = [tf.io.encode_png(image).numpy() for image in images]
        # TensorBoard's own layout: width and height as text, then the images.
        tensor = tf.make_tensor_proto([str(width), str(height), *pngs], tf.string)
        metadata = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "images"})
        value = _Summary.Value(tag=name, metadata=metadata, tensor=tensor)
        self._write(summary=_Summary(value=[value]), step=step)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, **fields: Any) -> None:
        event = _Event(wall_time=time.time(), **fields)
        self._file.write(event.SerializeToString())


def tag(name: str) -> str:
    """The tag in TensorBoard of a number of a record."""
    if name.startswith("eval_"):
        return f"eval/{name.removeprefix('eval_')}"
    return _TAGS.get(name, f"other/{name}")
