"""The price of chunk order: accuracy compared with a full shuffle, on Fashion-MNIST.

    apt-get install dataset-fashion-mnist
    python tools/comparisons/orders.py [--images 10000] [--epochs 8] [--seeds 3]
        [--workdir DIR] [--json FILE]

The images are written as ImageNet's TFRecord files, and a small network of the recipe
`fashion-mnist` trains on them. As on ImageNet with the defaults (chunks of about 36 of
1.28 million images, 128 of them mixed, batches of 4,096), the mixed chunks hold
slightly more images than a batch, and less than a hundredth of all.

- full: all images shuffled;
- chunks: in chunk order, from files whose images are in random order, as usual;
- sorted: in chunk order, from files whose images are sorted by class, which the window
  cannot mix and nobody should write.

Every run has its own process. The last column is the expected share of a batch that
comes from the chunk of one of its images (`keras_effnetv2.data.chunks.spread`).
"""

import argparse
import io
import itertools
import pathlib
import sys
from collections.abc import Iterable

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from tables.comparison_rows import ORDERS, order_table  # noqa: E402
from tables.result_files import write_results  # noqa: E402

from comparisons.progressive import accuracy, run_one  # noqa: E402

_NUM_FILES = 20
_BATCH_SIZE = 64
_CHUNK_MB, _WINDOW = 0.0025, 16
_SETTINGS = (
    "data.source=imagenet_tfrecord",
    "data.num_classes=10",
    "data.cache=false",
    "data.train_split=train+minival",
    "data.eval_split=validation",
    "loop.evaluate_steps=100000",
    f"data.chunk_mb={_CHUNK_MB}",
    f"data.window_chunks={_WINDOW}",
    f"batch_size={_BATCH_SIZE}",
    "model.width_coefficient=0.25",
    "model.depth_coefficient=0.5",
    "model.eval_size=32",
    "progressive.num_stages=1",
    "progressive.image_size=32",
)


def write_records(folder: pathlib.Path, num: int, *, is_sorted: bool) -> None:
    """Fashion-MNIST as ImageNet's files, the first `num` images to train on."""
    from keras_effnetv2.data import open_source

    for split, ours in ((f"train[:{num}]", "train"), ("test", "validation")):
        source = open_source("idx", split)
        labels = [int(source.read(index)[1]) for index in range(source.num_examples)]
        numbers = np.arange(source.num_examples)
        if is_sorted:
            numbers = np.argsort(labels, kind="stable")
        for file, part in enumerate(np.array_split(numbers, _NUM_FILES)):
            path = folder / f"{ours}-{file:05}-of-{_NUM_FILES:05}"
            _write(path, (source.read(index) for index in part))


def _write(path: pathlib.Path, examples: Iterable) -> None:
    import tensorflow as tf
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for pixels, label in examples:
            stream = io.BytesIO()
            Image.fromarray(pixels.numpy()[..., 0]).save(stream, "PNG")
            image = tf.train.BytesList(value=[stream.getvalue()])
            feature = {
                "image/encoded": tf.train.Feature(bytes_list=image),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[int(label) + 1])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def measured_share(folder: pathlib.Path, arm: str) -> float:
    """The share of a batch of the first epoch from the chunk of one of its images."""
    from keras_effnetv2.data import open_source
    from keras_effnetv2.data.chunks.spread import chunk_share, order_of_chunks
    from keras_effnetv2.data.sources import Reading

    source = open_source(
        "imagenet_tfrecord",
        "train+minival",
        num_classes=10,
        directory=str(folder),
        reading=Reading("chunks", _CHUNK_MB, _WINDOW),
    )
    if arm != "full":
        return chunk_share(order_of_chunks(source.chunks, _BATCH_SIZE, 0, 0))
    sizes = np.diff(source.chunks.store.starts())
    chunks = np.repeat(np.arange(len(sizes)), sizes)
    chunks = np.random.default_rng(0).permutation(chunks)
    num_steps = len(chunks) // _BATCH_SIZE
    return chunk_share(chunks[: num_steps * _BATCH_SIZE].reshape(num_steps, -1))


def main() -> None:
    """Trains the missing networks, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=10_000, help="images to train on")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each arm")
    parser.add_argument(
        "--workdir", type=pathlib.Path, default=pathlib.Path("runs/compare_orders")
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of results")
    args = parser.parse_args()
    folders = {x: args.workdir / f"data-{args.images}-{x}" for x in ("mixed", "sorted")}
    for kind, folder in folders.items():
        if not folder.exists():
            write_records(folder, args.images, is_sorted=kind == "sorted")
    results = {arm: {"accuracies": []} for arm in ORDERS}
    for seed, arm in itertools.product(range(args.seeds), ORDERS):
        folder = folders["sorted" if arm == "sorted" else "mixed"]
        order = "full" if arm == "full" else "chunks"
        own = [*_SETTINGS, f"data.directory={folder}", f"data.order={order}"]
        own += [f"epochs={args.epochs}", f"seed={seed}"]
        records = run_one(own, args.workdir / f"{arm}-{seed}")
        results[arm]["accuracies"].append(accuracy(records))
    for arm, result in results.items():
        folder = folders["sorted" if arm == "sorted" else "mixed"]
        result["share"] = measured_share(folder, arm)
    if args.json:
        write_results(args.json, results)
    print(f"\n{order_table(results)}")


if __name__ == "__main__":
    main()
