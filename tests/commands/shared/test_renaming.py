"""Flags: one word for one thing; what they were called works, and says the new word."""

import pytest

from keras_effnetv2 import __main__ as command_line

NAMES = [
    ("export onnx --output o", "--model", "a.keras", "weights"),
    ("export serving --output o --weights a.keras", "--name", "a", "model_name"),
    ("export litert --output o --weights a.keras", "--name", "a", "dataset_name"),
    ("search --experiment e --study s", "--name", "a", "study_name"),
]


@pytest.mark.parametrize(("words", "old", "value", "new"), NAMES)
def test_old_names_work_with_a_warning(words, old, value, new, warnings, capsys):
    command = ["", *words.split()]
    args = command_line.parse([*command, old, value])
    assert getattr(args, new) == value
    (line,) = warnings
    assert line.startswith(f"{old} {value} is now --{new} {value};")
    assert args == command_line.parse([*command, f"--{new}", value])
    assert len(warnings) == 1
    with pytest.raises(SystemExit):
        command_line.parse([*command, "--help"])
    printed = capsys.readouterr().out
    assert f" {old} " not in printed and f"--{new}" in printed


def test_a_variant_may_stand_where_it_stood(warnings):
    args = command_line.parse(["", "profile", "efficientnetv2-b1"])
    assert args.variant == "efficientnetv2-b1"
    assert warnings[0].startswith("efficientnetv2-b1 is now --variant")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("--batch-size=3 --image-size 64 --no-measure", (3, 64, False)),
        ("--batch_size 3 --image_size=64 --no-measure", (3, 64, False)),
    ],
)
def test_dashes_are_as_good_as_underscores(given, names):
    args = command_line.parse(["", "profile", "--variant", "x", *given.split()])
    assert (args.batch_size, args.image_size, args.measure) == names


def test_only_the_names_of_flags_may_have_dashes():
    words = ["", "convert", "a-b", "c-d", "--variant=e-f", "--no-include-top"]
    args = command_line.parse(words)
    assert (args.source, args.destination, args.variant) == ("a-b", "c-d", "e-f")
    assert args.include_top is False
