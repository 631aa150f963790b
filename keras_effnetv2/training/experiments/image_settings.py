"""The settings of an experiment's images: where they are, and how they are augmented.

"Released code" is google/automl, efficientnetv2.
"""

import dataclasses
from typing import Literal

from keras_effnetv2.training.experiments.checked import Amount, Checked, Count, Share


@dataclasses.dataclass(frozen=True)
class Data(Checked):
    """The images.

    Attributes:
        source: `"tfds"`: a TensorFlow Datasets name; `"folder"`: one of class folders;
            `"imagenet_tfrecord"`, `"imagenet21k_tfrecord"`: the official layouts;
            `"idx"`: files in MNIST's format; `"digits"`: scikit-learn's, 8x8 pixels;
            `"csv"`: files listed in a table with labels and splits; `"hugging_face"`: a
            dataset of the Hugging Face Hub, or a folder of its library.
        num_classes: width of the classifier. None: as many as the source has; required
            for TFRecords.
        name: name in TensorFlow Datasets; table of `"csv"`; `OWNER/NAME` or a folder of
            `"hugging_face"`; unused by other sources.
        directory: where the files are. None: the source's default.
        train_split: split to train on, as named by the source.
        eval_split: split to evaluate on.
        num_train_images: images in `train_split`. None: counted when the source is
            opened.
        multi_label: an image may have several classes; labels are rows of 0 and 1.
        cache: whether to read all encoded images into memory before the first epoch.
        on_error: whether an image that cannot be decoded is skipped and counted, or
            raised.
        orientation: `"upright"`: images are rotated as their EXIF says, as in
            prediction and serving; `"stored"`: they are not. `"auto"`: all are except
            those of ImageNet's TFRecords, as in released code.
        order: order of the training images. `"full"`: all are shuffled, and read one by
            one; `"chunks"`: neighbours in a file are read together, and many such
            chunks are shuffled together; `"auto"`: chunks if records are in a bucket or
            take more than 64 GiB.
        chunk_mb: size of a chunk, MiB; above 0.
        window_chunks: chunks that are shuffled together, over all workers.
    """

    source: Literal[
        "tfds", "folder", "imagenet_tfrecord", "imagenet21k_tfrecord", "idx", "digits",
        "csv", "hugging_face",
    ]  # fmt: skip
    num_classes: Count | None = None
    name: str = ""
    directory: str | None = None
    train_split: str = "train"
    eval_split: str = "validation"
    num_train_images: Count | None = None
    multi_label: bool = False
    cache: bool = False
    on_error: Literal["skip", "raise"] = "skip"
    orientation: Literal["auto", "upright", "stored"] = "auto"
    order: Literal["auto", "full", "chunks"] = "auto"
    chunk_mb: Amount = 4.0
    window_chunks: Count = 128

    @property
    def is_held_out(self) -> bool:
        """Whether `eval_split` is held out from training, as far as its name tells."""
        trained = {*self.train_split.split("+")}
        wholes = {split.partition("[")[0] for split in trained}
        return not any(
            split in trained | wholes or split.partition("[")[0] in trained
            for split in self.eval_split.split("+")
        )


@dataclasses.dataclass(frozen=True)
class Augmentation(Checked):
    """The augmentation of training images; its strength is in `Progressive`.

    Attributes:
        policy: `"randaugment"`, `"autoaugment"` (version 0), `"cutout"` or `"none"`.
        num_ops: RandAugment operations per image. Released code: 2.
        min_crop_area: smallest fraction of the image that the random crop keeps, with
            aspect ratios from 3:4 to 4:3. None: the whole image, squeezed into a
            square. Released code: 0.05, 0.08 for B0-B3, none in fine-tuning.
        flip: whether to mirror half of the images left to right.
        interpolation: how images are resized. Released code: bicubic for B0-B3.
    """

    policy: Literal["randaugment", "autoaugment", "cutout", "none"] = "randaugment"
    num_ops: Count = 2
    min_crop_area: Share | None = 0.05
    flip: bool = True
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
