"""The paper's Table 3: EfficientNet-B4 with more and more stages of Fused-MBConv.

    python tools/fused_ablation.py [--image_size 128] [--batch_size 8] [--rounds 15]
    python tools/fused_ablation.py --no-measure --reference ../shared/reference

Parameters and FLOPs are counted at 380 pixels and compared with the paper's; training
throughput is measured on this machine. The four networks alternate, a few steps each,
so that other work on the machine slows all alike; ratios are taken within a round, and
the median of the rounds is printed with its quartiles. The paper states neither image
size nor batch size, so only its ratios can be compared. Below 100 pixels the weight
update, whose time does not depend on the size, takes most of a step. On 2 CPU cores:
about 10 minutes, and 7 GB of memory.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
from tables.result_files import write_results

from keras_effnetv2.models import create_model
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variants import fuse_stages, get_variant
from keras_effnetv2.profiling import profile

BACKBONE = "efficientnet-b4"
COUNTED_SIZE = 380  # Pixels. B4's size, which gives the FLOPs of the first row.
NUM_CLASSES = 1000


class Row(NamedTuple):
    """The paper's figures: millions, billions, images/s on a TPUv3 core and a V100."""

    num_fused: int
    params: float
    flops: float
    tpu: float
    v100: float


# Tan and Le 2021, https://arxiv.org/abs/2104.00298, Table 3. Stages without the stem.
# fmt: off
PAPER = {
    "none": Row(0,  19.3,  4.5, 262, 155),
    "1-3":  Row(3,  20.0,  7.5, 362, 216),
    "1-5":  Row(5,  43.4, 21.3, 327, 223),
    "1-7":  Row(7, 132.0, 34.4, 254, 206),
}
# fmt: on


class Spread(NamedTuple):
    """Quartiles over the rounds."""

    low: float
    median: float
    high: float


def fused_variants(backbone: Variant) -> dict[str, Variant]:
    """The networks of the table's rows."""
    return {
        label: fuse_stages(backbone, range(1, row.num_fused + 1))
        for label, row in PAPER.items()
    }


def read_reference(folder: pathlib.Path) -> dict[str, tuple[float, float]]:
    """Row -> millions and billions by the official code for the nearest rule."""
    contents = json.loads((folder / "table3_fused_ablation.json").read_text())
    nearest: dict[str, tuple[float, float]] = {}
    for run in contents["closest"]:
        counts = run["trainable_params"] / 1e6, run["official_flops"] / 1e9
        nearest.setdefault(run["label"], counts)
    return nearest


def measure_steps(
    variants: Mapping[str, Variant],
    image_size: int,
    batch_size: int,
    rounds: int,
    steps: int,
    xla: bool = False,
) -> dict[str, list[float]]:
    """Seconds of a training step of every network, in every round.

    A step is forward, backward and update (RMSProp), on random pixels and labels.
    """
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (batch_size, image_size, image_size, 3))
    images = keras.ops.convert_to_tensor(pixels.astype("float32"))
    labels = keras.ops.convert_to_tensor(rng.integers(NUM_CLASSES, size=batch_size))
    models = {}
    for label, variant in variants.items():
        model = create_model(variant, classes=NUM_CLASSES)
        model.compile("rmsprop", "sparse_categorical_crossentropy", jit_compile=xla)
        print(f"tracing {label}", file=sys.stderr, flush=True)
        for _ in range(2):  # The first step traces, the second fills caches.
            model.train_on_batch(images, labels)
        models[label] = model
    seconds: dict[str, list[float]] = {label: [] for label in variants}
    for number in range(1, rounds + 1):
        print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
        for label, model in models.items():
            start = time.perf_counter()
            for _ in range(steps):
                model.train_on_batch(images, labels)  # Waits for the loss.
            seconds[label].append((time.perf_counter() - start) / steps)
    print(file=sys.stderr)
    return seconds


def speed_ratios(seconds: Mapping[str, list[float]]) -> dict[str, Spread]:
    """Row -> throughput relative to that without fused stages."""
    return {
        label: spread([a / b for a, b in zip(seconds["none"], own, strict=True)])
        for label, own in seconds.items()
    }


def spread(values: list[float]) -> Spread:
    """Quartiles of two values or more."""
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def format_counts(
    variants: Mapping[str, Variant], reference: Mapping[str, tuple[float, float]]
) -> str:
    """Parameters and FLOPs, one row per network, as Markdown."""
    lines = [
        "| fused | params (M) | paper | official code | FLOPs (B) | paper | official |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, variant in variants.items():
        counted = profile(variant, COUNTED_SIZE, measure=False)
        other = [f"{x:.2f}" for x in reference.get(label, ())] or ["-", "-"]
        paper = PAPER[label]
        cells = (
            *(label, f"{counted.num_trainable_params / 1e6:.2f}", f"{paper.params}"),
            *(other[0], f"{counted.multiply_adds / 1e9:.2f}", f"{paper.flops}"),
            other[1],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_speeds(seconds: Mapping[str, list[float]]) -> str:
    """Throughput relative to no fused stages, measured and the paper's, as Markdown."""
    lines = ["| Fused stages | Step, s | Here (quartiles) | TPUv3 | V100 |"]
    lines.append("| --- | ---: | --- | --- | --- |")
    for label, ratio in speed_ratios(seconds).items():
        cells = (
            *(label, f"{statistics.median(seconds[label]):.3f}"),
            f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
            *(f"{paper_ratio(label, device):.2f}" for device in ("tpu", "v100")),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def paper_ratio(label: str, device: str) -> float:
    """Throughput in the paper relative to that without fused stages."""
    return getattr(PAPER[label], device) / getattr(PAPER["none"], device)


def compare(ratios: Mapping[str, Spread]) -> list[str]:
    """One sentence per row: whether this machine gains where the paper's devices do."""
    sentences = []
    for label, ratio in ratios.items():
        if label == "none":
            continue
        here = _verdict(ratio)
        words = []
        for device, name in (("tpu", "TPUv3"), ("v100", "V100")):
            theirs = "faster" if paper_ratio(label, device) > 1 else "slower"
            agrees = {theirs: "as", "no different": "unlike"}.get(here, "against")
            words.append(f"{agrees} {name} ({theirs})")
        sentences.append(f"Fused {label}: {here} here, {', '.join(words)}.")
    return sentences


def _verdict(ratio: Spread) -> str:
    """The comparison that holds in at least three quarters of the rounds."""
    if ratio.low > 1:
        return "faster"
    return "slower" if ratio.high < 1 else "no different"


def describe_machine() -> str:
    """The device, in words."""
    devices = [f"{platform.machine()}, {os.cpu_count()} cores"]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        devices += [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    policy = keras.config.dtype_policy().name
    return f"{' and '.join(devices)}; Keras {keras.__version__}, {policy}"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image_size", type=int, default=128, help="pixels")
    parser.add_argument("--batch_size", type=int, default=8, help="images per step")
    parser.add_argument("--rounds", type=int, default=15, help="2 or more")
    parser.add_argument(
        "--steps", type=int, default=1, help="steps of a network per round"
    )
    parser.add_argument("--precision", default="float32", help="e.g. mixed_bfloat16")
    parser.add_argument("--xla", action="store_true", help="compile with XLA")
    parser.add_argument(
        "--measure", action=argparse.BooleanOptionalAction, default=True,
        help="also measure training, not only count",
    )  # fmt: skip
    parser.add_argument(
        "--reference", type=pathlib.Path, metavar="FOLDER",
        help="folder of reference numbers: adds the official code's counts",
    )  # fmt: skip
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of seconds")
    args = parser.parse_args(words)
    if args.rounds < 2:
        parser.error("--rounds must be 2 or more: a spread needs them.")
    return args


def main(words: list[str] | None = None, backbone: str | Variant = BACKBONE) -> None:
    args = parse(words)
    keras.config.set_dtype_policy(args.precision)
    variants = fused_variants(get_variant(backbone))
    reference = read_reference(args.reference) if args.reference else {}
    print(f"Counted at {COUNTED_SIZE} pixels, {NUM_CLASSES:,} classes:\n")
    print(format_counts(variants, reference))
    if not args.measure:
        return
    sizes = args.image_size, args.batch_size, args.rounds, args.steps
    seconds = measure_steps(variants, *sizes, args.xla)
    print(f"\nTraining step, batch of {args.batch_size}, {args.image_size} pixels:")
    print(f"{describe_machine()}; {args.rounds} rounds\n")
    print(format_speeds(seconds))
    print("\n" + "\n".join(compare(speed_ratios(seconds))))
    if args.json:
        write_results(args.json, seconds)


if __name__ == "__main__":
    main()
