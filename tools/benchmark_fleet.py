"""Packs and scores many images in one process, in several and on a Ray cluster.

    python tools/benchmark_fleet.py [--images 20000] [--nodes 3] [--json FILE]

The cluster has several nodes on this machine, one of which is killed during each job.
The output must have the same bytes each time.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

import keras
import numpy as np
from PIL import Image
from tables.result_files import write_results

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.data import pack
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.preprocessing import Preprocessing
from tests.fleet import clusters

_CLASSES = 10
_SIDE = 64
_SHARDS = 100


def write_images(folder: pathlib.Path, num: int) -> None:
    """Writes JPEGs of smoothed noise, about 2 kB each, in folders of classes."""
    generator = np.random.default_rng(0)
    for number in range(num):
        path = folder / f"class{number % _CLASSES}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (8, 8, 3), "uint8"))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(path)


def write_network(path: pathlib.Path) -> None:
    """Writes a classifier that takes less time than reading its images."""
    record = Preprocessing((128,), (128,), "bilinear", "center", _SIDE)
    images = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(16, 3, 2, activation="relu")(
        PixelNormalization(record)(images)
    )
    x = keras.layers.GlobalAveragePooling2D()(x)
    scores = keras.layers.Dense(_CLASSES, activation="softmax")(x)
    keras.Model(images, scores).save(path)


def contents(path: pathlib.Path) -> dict[str, bytes]:
    """The file, or the folder's files except hidden ones, by their names in it."""
    paths = [path] if path.is_file() else sorted(path.glob("[!.]*"))
    return {x.name.removeprefix(path.name): x.read_bytes() for x in paths}


def timed(name: str, num: int, work: Callable[[], object]) -> float:
    """Does the work and prints its times; returns images/s."""
    start, times = time.perf_counter(), os.times()
    work()
    seconds, now = time.perf_counter() - start, os.times()
    of_processor = sum(now[:4]) - sum(times[:4])
    rate = f"{num / seconds:,.0f} images/s"
    print(f"{name:30} {seconds:8.1f} s {rate:>18} {of_processor:8.1f} s of processor")
    return num / seconds


def run(folder: pathlib.Path, num: int, num_nodes: int) -> dict[str, dict[str, float]]:
    """Images/s of each command, by how it ran."""
    os.chdir(folder)
    write_images(folder / "images", num)
    write_network(folder / "network.keras")

    def packed(name: str, **options: object) -> Callable[[], object]:
        return lambda: pack("images", f"{name}/many", num_shards=_SHARDS, **options)

    def scored(name: str, engine: str) -> Callable[[], object]:
        words = ["", "predict", "images", "--model", "network.keras", "--top", "3"]
        words += ["--output", f"{name}.parquet", "--engine", engine]
        return lambda: command_line.main(command_line.parse(words))

    def notes() -> int:
        where = folder / "ray" / "many" / ".shards"
        return len(os.listdir(where)) if where.exists() else 0

    def rows() -> int:
        where = folder / ".ray.parquet.part"
        return where.read_bytes().count(b"\n") if where.exists() else 0

    rates: dict[str, dict[str, float]] = {"pack": {}, "predict": {}}
    for name, count in (("one", 1), ("two", 2)):
        work = packed(name, processes=count)
        rates["pack"][name] = timed(f"pack, processes: {name}", num, work)
    title = f"{num_nodes} nodes, one lost"
    with (
        clusters.running(num_nodes) as cluster,
        clusters.losing_a_node(cluster, lambda: notes() > _SHARDS // 3),
    ):
        work = packed("ray", engine="ray")
        rates["pack"]["ray"] = timed(f"pack, {title}", num, work)
    work = scored("one", "local")
    rates["predict"]["one"] = timed("predict, processes: one", num, work)
    with (
        clusters.running(num_nodes) as cluster,
        clusters.losing_a_node(cluster, lambda: rows() > num // 3),
    ):
        work = scored("ray", "ray")
        rates["predict"]["ray"] = timed(f"predict, {title}", num, work)
    for one, others in (("one/many", ("two/many", "ray/many")), ("one", ("ray",))):
        suffix = "" if "/" in one else ".parquet"
        first = contents(folder / f"{one}{suffix}")
        for other in others:
            is_same = contents(folder / f"{other}{suffix}") == first
            print(f"{other}{suffix}: {'the same bytes' if is_same else 'OTHER BYTES'}")
    return rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of images/s")
    args = parser.parse_args()
    output = args.json and args.json.resolve()
    with tempfile.TemporaryDirectory() as name:
        found = run(pathlib.Path(name), args.images, args.nodes)
    if output:
        write_results(output, found)
