"""A process of `benchmark_storage.py`: reads an epoch, without decoding.

    python -m benchmarks.processes.storage_side WAY FOLDER NUM_IMAGES BATCH_SIZE SECONDS

Writes one line of JSON. Libraries are imported before the clock starts.
"""

import json
import os
import sys
import time
from collections.abc import Iterator


def main() -> None:
    """Reads for at most the given seconds after the first batch."""
    way, folder, num_images, batch_size, seconds = sys.argv[1:]
    if way != "before":
        # As the commands do, before TensorFlow is imported.
        os.environ["GCS_READAHEAD_BUFFER_SIZE_BYTES"] = "0"
    from keras_effnetv2.data import pipeline  # noqa: F401  With all that it needs.

    start = time.perf_counter()
    if way == "before":
        batches, about = _one_by_one(folder, int(batch_size))
    else:
        num = int(num_images) if way == "stream" else None
        batches, about = _in_chunks(folder, int(batch_size), num)
    next(batches)
    first = time.perf_counter() - start
    num_read, start = 0, time.perf_counter()
    while time.perf_counter() < start + float(seconds):
        batch = next(batches, None)
        if batch is None:
            break
        num_read += len(batch)
    elapsed = time.perf_counter() - start
    report = {"first": first, "images_per_second": num_read / elapsed}
    print(json.dumps(report | about | {"images": num_read + int(batch_size)}))
    sys.stdout.flush()
    os._exit(0)  # Does not wait for reading ahead or in the background.


def _parse(record):
    import tensorflow as tf

    features = {
        "image/encoded": tf.io.FixedLenFeature((), tf.string),
        "image/class/label": tf.io.FixedLenFeature((), tf.int64),
    }
    parsed = tf.io.parse_single_example(record, features)
    return parsed["image/encoded"], parsed["image/class/label"] - 1


def _paths(folder: str) -> list[str]:
    import tensorflow as tf

    return [f"{folder}/{name}" for name in sorted(tf.io.gfile.listdir(folder))
            if name.startswith("train-")]  # fmt: skip


def _rows(source, indices, records=None):
    """Encoded images in the order of batches, read as the pipeline does."""
    from keras_effnetv2.data import rows
    from keras_effnetv2.data.decode_errors import DecodeErrors

    decode_errors = DecodeErrors("train", source.num_examples)
    _, (images, _) = rows.make_rows(
        indices,
        lambda _, image: image,
        source,
        decode_errors,
        at_least=1,
        records=records,
    )
    return images[:-1]


def _one_by_one(folder: str, batch_size: int) -> tuple[Iterator, dict]:
    """Reads as before chunks existed: all headers first, then a read for each image."""
    from keras_effnetv2.data.order import training_steps
    from keras_effnetv2.data.parallelism import parallel
    from keras_effnetv2.data.records.record_files import find_records
    from keras_effnetv2.data.source import Source

    records = find_records(_paths(folder))
    read = records.reader()
    source = Source(
        len(records), 1000, False, lambda x: _parse(read(x)), records.name_of
    )
    steps = training_steps(
        len(records),
        batch_size,
        steps_per_epoch=len(records) // batch_size,
        first_epoch=0,
        first_step=0,
        num_steps=len(records) // batch_size,
        seed=0,
    )
    batches = steps.map(lambda *step: _rows(source, step[-1]), **parallel(2))
    return iter(batches.prefetch(2)), {"chunks": 0}


def _in_chunks(
    folder: str, batch_size: int, num_images: int | None
) -> tuple[Iterator, dict]:
    from keras_effnetv2.data import rows
    from keras_effnetv2.data.chunks.steps import Steps, training_records
    from keras_effnetv2.data.decode_errors import DecodeErrors
    from keras_effnetv2.data.parallelism import parallel
    from keras_effnetv2.data.records.record_opening import Reading, open_records

    source = open_records(
        _paths(folder),
        _parse,
        Reading(num_records=num_images),
        num_classes=1000,
        multi_label=False,
    )
    num_steps = source.num_examples // batch_size
    records = training_records(
        source.chunks,
        Steps(batch_size, num_steps, 0, 0, num_steps, 0),
        range(batch_size),
        DecodeErrors("train", source.num_examples),
    )
    batches = records.map(
        lambda *step: _rows(source, step[2], rows.Records(step[3], _parse)),
        **parallel(2),
    )
    return iter(batches.prefetch(2)), {"chunks": source.chunks.store.num_chunks}


if __name__ == "__main__":
    main()
