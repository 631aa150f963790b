"""The tool that shows screens shows all of them, and tells whose lines they are."""

import sys

import pytest

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.commands import export
from tests.commands import test_screens
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import screens


def test_every_command_has_a_screen():
    first = {words[0] for words in screens.COMMANDS}
    without = {"completion", "data_service", "serve"}  # The last two do not end.
    assert set(command_line.COMMANDS) - without <= first
    exports = {words[1] for words in screens.COMMANDS if words[0] == "export"}
    assert exports == set(export.FORMATS)
    for words in screens.COMMANDS:
        if not words[0].startswith("--"):
            assert command_line.parse(["", *words]).run


@pytest.mark.parametrize("line", test_screens.NOISE)
def test_noise_counts(line):
    assert screens.is_foreign(line)


def test_counts_stand_before_the_screens(tmp_path):
    text = "epoch 1/3\n" + "\n".join(test_screens.NOISE)
    before = [screens.Screen(["list"], text, 0, 3.0)]
    after = [screens.Screen(["list"], "epoch 1/3", 0, 1.0)]
    screens.write(tmp_path / "screens.md", after, before)
    written = (tmp_path / "screens.md").read_text()
    assert f"| `list` | 1.0 | 0 | {len(test_screens.NOISE)} |" in written
    assert "$ python -m keras_effnetv2 list\nepoch 1/3\n```" in written
