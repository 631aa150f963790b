"""The tool that shows screens shows all of them, and tells whose lines they are."""

import sys

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.commands import export
from tests.commands.shared import test_screens
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tools" / "docs"))

import screens


def test_every_command_has_a_screen():
    first = {words[0] for words in screens.COMMANDS}
    assert {*command_line.COMMANDS} <= first
    exports = {words[1] for words in screens.COMMANDS if words[0] == "export"}
    assert exports == set(export.FORMATS)
    for words in screens.COMMANDS:
        if not words[0].startswith("--"):
            assert command_line.parse(["", *words]).run


@pytest.mark.long
def test_a_command_that_serves_is_interrupted(tmp_path):
    words = ["data_service", "--port", "15050"]
    screen = screens.run(words, tmp_path)
    assert screen.text.startswith("Batches for: train --data_service localhost:15050")
    assert "Traceback" not in screen.text and screen.num_foreign == 0


@pytest.mark.parametrize("line", test_screens.NOISE)
def test_noise_counts(line):
    assert screens.is_foreign(line)


def test_counts_stand_before_the_screens(tmp_path):
    text = "epoch 1/3\n" + "\n".join(test_screens.NOISE)
    found = [screens.Screen(["list"], text, 0, 3.0)]
    found.append(screens.Screen(["export", "onnx"], "epoch 1/3", 2, 1.0))
    screens.write(tmp_path / "screens.md", found)
    written = (tmp_path / "screens.md").read_text()
    assert f"| `list` | 3.0 | {len(test_screens.NOISE)} |" in written
    assert "| `export onnx` | 1.0 | 0 (exit 2) |" in written
    screen = "$ python -m keras_effnetv2 export onnx\nepoch 1/3\n```"
    assert f"## export onnx\n\n```console\n{screen}" in written
