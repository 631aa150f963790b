"""TFRecord files in the layouts of ImageNet and ImageNet-21k."""

import io

import tensorflow as tf

from tests.data import image_folders


def jpeg(number):
    stream = io.BytesIO()
    image_folders.picture(number).save(stream, "JPEG")
    return stream.getvalue()


def write_records(path, examples):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for features in examples:
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return str(path)


def of_bytes(value):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def of_ints(values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def imagenet(number, label):
    """A record as imagenet_to_gcs.py writes them, some features left out."""
    return {
        "image/encoded": of_bytes(jpeg(number)),
        "image/class/label": of_ints([label]),
        "image/filename": of_bytes(b"n.JPEG"),
    }


def imagenet21k(number, classes, num_classes=6):
    return {
        "id": of_bytes(b"n"),
        "image": of_bytes(jpeg(number)),
        "labels": of_ints([int(x in classes) for x in range(num_classes)]),
    }


def write_imagenet(root, num_files=51, sub_folders=False):
    """Files of two records each, whose labels are 1 to 5."""
    for kind, num in (("train", num_files), ("validation", 3)):
        folder = root / kind if sub_folders else root
        for file in range(num):
            numbers = (2 * file, 2 * file + 1)
            write_records(
                folder / f"{kind}-{file:05}-of-{num:05}",
                [imagenet(number, 1 + number % 5) for number in numbers],
            )
    return root
