"""Time to the first batch and images/s from a bucket, with and without chunk order.

    python tools/benchmark_storage.py [--images 200000] [--files 160] [--kb 4]
        [--batch_size 256] [--seconds 60] [--json FILE]

TFRecord files like ImageNet's, with random bytes instead of photographs, are put into a
bucket on this machine (`tests/buckets`): 50 ms until a read begins, then 100 MB/s per
stream. For each way, a separate process reads an epoch with TensorFlow's own client, or
as much of it as the time allows, without decoding:

- before: every file is first scanned for its records, then each image is one read;
- index: chunks, without an existing index, and with an unknown number of images;
- indexed: chunks, with the index that the previous way has left;
- stream: chunks, without an existing index, which is made while the first images are
  read.

The server and its encryption use the same machine's processors, so results are a lower
bound for a real network.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from tables.result_files import write_results

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT))
from tests.buckets.bucket_server import BucketServer  # noqa: E402

WAYS = ("before", "index", "indexed", "stream")
_COLUMNS = ("way", "first batch", "images/s", "bytes read", "opens per chunk")


def write_files(folder: pathlib.Path, images: int, files: int, kb: float) -> None:
    """Writes files like ImageNet's, with images of 0.5 to 1.5 times `kb`."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    for file in range(files):
        path = folder / f"train-{file:05}-of-{files:05}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number in range(file, images, files):
                size = int(generator.uniform(0.5, 1.5) * 1000 * kb)
                writer.write(_record(generator.bytes(size), 1 + number % 1000))


def _record(contents: bytes, label: int) -> bytes:
    import tensorflow as tf

    feature = {
        "image/encoded": tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[contents])
        ),
        "image/class/label": tf.train.Feature(
            int64_list=tf.train.Int64List(value=[label])
        ),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString()


def measure(way: str, server: BucketServer, arguments: argparse.Namespace) -> dict:
    """A process's report on one way, and the server's on its requests."""
    server.reset_counts()
    command = [sys.executable, "-m", "benchmarks.processes.storage_side", way]
    command += ["gs://benchmark", *map(str, (arguments.images, arguments.batch_size))]
    paths = [str(ROOT), str(ROOT / "tools")]
    environment = os.environ | server.environment | {
        "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3",
    }  # fmt: skip
    result = subprocess.run(
        [*command, str(arguments.seconds)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    counts = server.counts()
    report = json.loads(result.stdout.splitlines()[-1])
    of_data = {x: n for x, n in counts.bytes_read.items() if "/train-" in x}
    opens = sum(n for x, n in counts.opens.items() if x in of_data)
    return report | {"way": way, "bytes": sum(of_data.values()), "opens": opens}


def result(report: dict, num_images: int, num_bytes: int) -> dict:
    """Of a report; bytes are relative to the bytes of the images read."""
    share = report["images"] / num_images
    opens = report["opens"] / (report["chunks"] * share) if report["chunks"] else None
    return {
        "way": report["way"],
        "first_seconds": report["first"],
        "images_per_second": report["images_per_second"],
        "bytes_ratio": report["bytes"] / (num_bytes * share),
        "opens_per_chunk": opens,
    }


def row(found: dict) -> tuple[str, ...]:
    """A row of what is printed."""
    opens = found["opens_per_chunk"]
    return (
        found["way"],
        f"{found['first_seconds']:.1f} s",
        f"{found['images_per_second']:,.0f}",
        f"{found['bytes_ratio']:.2f}",
        f"{opens:.2f}" if opens else "-",
    )


def main() -> None:
    """Prints a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--files", type=int, default=160)
    parser.add_argument("--kb", type=float, default=4, help="mean size of an image, kB")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument(
        "--seconds", type=float, default=60, help="most seconds of reading"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of results")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        write_files(
            pathlib.Path(folder), arguments.images, arguments.files, arguments.kb
        )
        num_bytes = sum(x.stat().st_size for x in pathlib.Path(folder).iterdir())
        print(*_COLUMNS, sep="\t", flush=True)
        with BucketServer({"benchmark": folder}) as server:
            for way in WAYS:
                if way == "stream":
                    for name in server.names("benchmark"):
                        if name.endswith(".records"):
                            server.remove("benchmark", name)
                report = measure(way, server, arguments)
                results.append(result(report, arguments.images, num_bytes))
                print(*row(results[-1]), sep="\t", flush=True)
    if arguments.json:
        write_results(arguments.json, results)


if __name__ == "__main__":
    main()
