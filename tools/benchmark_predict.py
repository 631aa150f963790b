"""Throughput of `predict` on many photographs, against its parts alone and timm.

    python tools/benchmark_predict.py [--images 2000] [--model efficientnet-lite0]
        [--batch_size 32] [--repeats 3] [--torch_python PYTHON] [--json FILE]

JPEGs of many sizes are made from scikit-image's, scikit-learn's and foolbox's
photographs in a temporary folder. Each kind of work runs in its own process, and they
take turns:

- predict: files to a CSV file as the command does it, with an open model;
- decoding: only files to crops, as `predict` makes them;
- network: only crops to scores;
- timm: its own dataset, loader and network on PyTorch, if it is installed.

On one processor, `predict` cannot be faster than either part alone; the target is 0.9
of the slower one. If both use all cores, the limit is the rate of the two one after the
other.
"""

import argparse
import os
import pathlib
import statistics
import tempfile

import numpy as np
from benchmarks.workers import Worker
from export_comparison import photographs
from PIL import Image
from tables.result_files import write_results

# Longer sides of the photographs, in pixels, and JPEG qualities as in cameras and on
# the web.
_SIDES = (320, 500, 640, 800, 1024)
_QUALITIES = (75, 85, 92)
_PARTS = ("predict", "decoding", "network")
_OURS, _TIMM = (
    "benchmarks.processes.predict_side",
    "benchmarks.processes.timm_predict_side",
)


def write_photographs(folder: pathlib.Path, num: int) -> None:
    """Writes windows of photographs as JPEGs of many sizes."""
    labelled, _ = photographs.labelled()
    pictures = [*photographs.pieces(60), *labelled]
    random = np.random.default_rng(0)
    for number in range(num):
        picture = Image.fromarray(pictures[number % len(pictures)])
        scale = random.choice(_SIDES) / max(picture.size)
        size = [max(round(side * scale), 1) for side in picture.size]
        path = folder / f"{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        quality = int(random.choice(_QUALITIES))
        picture.resize(size).save(path, quality=quality)


def measure(arguments: argparse.Namespace, folder: pathlib.Path) -> None:
    """Prints images/s of each kind of work, and memory."""
    num = arguments.images
    words = (str(folder), arguments.model, str(arguments.batch_size))
    workers = {
        name: Worker(_OURS, *words) for name in ("predict", "decoding", "network")
    }
    if arguments.torch_python:
        workers["timm"] = Worker(_TIMM, *words, python=arguments.torch_python)
    for worker in workers.values():
        worker.ready()
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(arguments.repeats):
        for name, worker in workers.items():
            rates[name].append(num / worker.ask(name))
            print(
                f"round {turn + 1}: {name} {rates[name][-1]:.1f} images/s", flush=True
            )
    report(rates, workers["predict"].ask("megabytes"))
    if arguments.json:
        write_results(arguments.json, rates)
    for worker in workers.values():
        worker.close()


def report(rates: dict[str, list[float]], megabytes: list[float]) -> None:
    """Prints medians, ratios within rounds, and how memory grew."""
    print()
    for name, values in rates.items():
        print(f"{name:10} {statistics.median(values):8.1f} images/s")
    rounds = zip(*(rates[x] for x in _PARTS), strict=True)
    slower, both = [], []
    for predict, decoding, network in rounds:
        slower.append(predict / min(decoding, network))
        both.append(predict * (1 / decoding + 1 / network))
    print(f"predict / the slower alone: {statistics.median(slower):.2f}")
    print(f"predict / both, one after the other: {statistics.median(both):.2f}")
    if "timm" in rates:
        pairs = zip(rates["predict"], rates["timm"], strict=True)
        print(f"predict / timm: {statistics.median(x / y for x, y in pairs):.2f}")
    quarters = ", ".join(f"{x:,.0f}" for x in megabytes)
    print(f"predict's memory after each quarter of the images, MB: {quarters}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--torch_python", metavar="PYTHON", help="interpreter with torch and timm"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="of images/s, by round"
    )
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(pathlib.Path(folder), arguments.images)
        measure(arguments, pathlib.Path(folder))


if __name__ == "__main__":
    main()
