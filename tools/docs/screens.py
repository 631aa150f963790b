"""Writes what every command prints to a file, and counts foreign lines.

    python tools/docs/screens.py examples/screens.md

Each command runs in its own process, without variables that quieten TensorFlow. Lines
of TensorFlow, XLA, oneDNN, CUDA and absl are counted, and Python's warnings about them.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
NANO = ROOT / "tests" / "nano.json"

_FOREIGN = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] "
    r"|^[IWEF]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+\.cc:\d+\]"
    r"|Improper call to JPEG library|^\[\[\{\{function_node"
    r"|absl::InitializeLog|^To enable the following instructions|^fully_quantize: "
    r"|^INFO: Created TensorFlow Lite XNNPACK delegate"
    r"|^\S+\.py:\d+: \w*Warning: "
)
# Variables with which people quieten TensorFlow.
_SILENCERS = ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "PYTHONWARNINGS")

_SMALL = ["--set", "epochs=1", "--set", "progressive.num_stages=1"]
_RUN = ["--workdir", "run"]
# Four blocks, which libtpu compiles much faster than the experiment's own network.
_NANO = [
    *("--set", f"model.variant={NANO.name}", "--set", "model.width_coefficient=1"),
    *("--set", "model.depth_coefficient=1", "--set", "progressive.num_stages=1"),
]
# In this order: `train` makes what others need.
COMMANDS = (
    ["--version"],
    ["--help"],
    ["completion", "bash"],
    ["list", "*v2-b*"],
    ["profile", "--variant", "efficientnetv2-b0"],
    ["train", "--experiment", "digits-smoke", *_RUN, *_SMALL],
    ["plan", "--experiment", "digits-smoke", "--device", "v5e:2x2", "--quick", *_NANO],
    ["finetune", "photographs", "--weights", "none", "--image-size", "32",
     "--epochs", "1"],
    ["pack", "photographs", "packed"],
    ["evaluate", *_RUN],
    ["predict", "picture.png", *_RUN],
    ["embed", "picture.png", *_RUN, "--output", "features.npz"],
    ["similar", "picture.png", "--among", ".", *_RUN],
    ["explain", "picture.png", *_RUN, "--output", "why.png"],
    ["export", "saved_model", *_RUN, "--output", "saved_model"],
    ["export", "serving", *_RUN, "--output", "served"],
    ["export", "hub", *_RUN, "--output", "hub"],
    ["export", "hugging_face", "--variant", "efficientnetv2-b0", "--weights", "none",
     "--output", "repository"],
    ["export", "litert", *_RUN, "--output", "litert"],
    ["export", "onnx", *_RUN, "--output", "onnx"],
    ["export", "web", *_RUN, "--output", "site"],
    ["serve", *_RUN],
    ["data_service"],
    ["convert", "b0.h5", "b0.weights.h5", "--variant", "efficientnetv2-b0",
     "--no-include_top"],
    ["search", "--experiment", "digits-search", "--study", "s.journal", "--trials", "1",
     "--set", "epochs=1"],
)  # fmt: skip
# Commands that do not end -> part of the line after which they are interrupted.
_SERVING = {"serve": " in a browser", "data_service": "Batches for: "}


class Screen(NamedTuple):
    """What a command printed.

    Attributes:
        words: words of the command.
        text: text of both streams, in order.
        code: its exit code.
        seconds: the time it took.
    """

    words: list[str]
    text: str
    code: int
    seconds: float

    @property
    def num_foreign(self) -> int:
        """Lines that are not from this project."""
        return sum(is_foreign(line) for line in self.text.splitlines())


def is_foreign(line: str) -> bool:
    """Whether a line is from TensorFlow or related libraries."""
    return _FOREIGN.search(line) is not None


def run(words: list[str], folder: pathlib.Path) -> Screen:
    """Runs a command; interrupts it if it serves."""
    environment = {x: y for x, y in os.environ.items() if x not in _SILENCERS}
    last, lines = _SERVING.get(words[0]), []
    start = time.monotonic()
    with (
        _interruptible(),
        subprocess.Popen(
            [sys.executable, "-m", "keras_effnetv2", *words],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        for line in process.stdout:
            lines.append(line)
            if last and last in line:
                process.send_signal(signal.SIGINT)
    seconds = time.monotonic() - start
    text = "".join(lines).replace(str(folder), ".")
    return Screen(words, text, process.returncode, seconds)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Within it, programs that are started can be interrupted.

    In the background, shells have them ignore that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def prepare(folder: pathlib.Path) -> None:
    """Writes the files that commands need: pictures, a variant, and weights."""
    import keras

    shutil.copy(NANO, folder)
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), "uint8")
    Image.fromarray(pixels).save(folder / "picture.png")
    for number, path in itertools.product(range(12), ("dark", "light")):
        (folder / "photographs" / path).mkdir(parents=True, exist_ok=True)
        shade = np.roll(pixels, number, axis=0) // 2 + 128 * (path == "light")
        image = Image.fromarray(shade.astype("uint8"))
        image.save(folder / "photographs" / path / f"{number}.png")
    model = keras.applications.EfficientNetV2B0(weights=None, include_top=False)
    model.save_weights(folder / "b0.weights.h5")
    (folder / "b0.weights.h5").rename(folder / "b0.h5")


def run_all() -> list[Screen]:
    """Runs every command; prints progress."""
    screens = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder)
        for words in COMMANDS:
            screens.append(run(words, folder))
            print(" ".join(words), screens[-1].num_foreign, file=sys.stderr)
    return screens


def write(path: pathlib.Path, screens: list[Screen]) -> None:
    """Writes a table of times and counts, then every screen."""
    lines = [
        "# Screens of every command",
        "",
        "Written by `tools/docs/screens.py` on a machine that may have been busy.",
        "Foreign lines are those of TensorFlow and related libraries.",
        "",
        "| Command | Seconds | Foreign lines |",
        "| --- | ---: | ---: |",
    ]
    for screen in screens:
        is_serving = screen.words[0] in _SERVING
        seconds = "until stopped" if is_serving else f"{screen.seconds:.1f}"
        failed = f" (exit {screen.code})" if screen.code else ""
        count = f"{screen.num_foreign}{failed}"
        lines.append(f"| `{_name(screen)}` | {seconds} | {count} |")
    for screen in screens:
        command = " ".join(["python -m keras_effnetv2", *screen.words])
        shown = ["```console", f"$ {command}", screen.text.rstrip(), "```"]
        lines += ["", f"## {_name(screen)}", "", *shown]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _name(screen: Screen) -> str:
    """Of the command, and the format of an export."""
    return " ".join(screen.words[: 2 if screen.words[0] == "export" else 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    args = parser.parse_args()
    write(args.output, run_all())


if __name__ == "__main__":
    main()
