"""`list`: every variant, counted and published, without building a network."""

import pytest

import keras_effnetv2
from keras_effnetv2.networks import variants
from tests.commands.running import run_command


def test_every_variant_has_a_line(capsys):
    assert run_command("list") == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1 : 1 + len(variants.list_variants())]]
    assert names == variants.list_variants()


def test_counted_figures_stand_beside_the_published_ones(capsys):
    run_command("list")
    lines = {line.split(" ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["efficientnetv2-s"].split()[1:] == [
        *("300", "384"),
        *("21.61", "21.46", "22", "21.5"),
        *("8.37", "8.8", "8.4"),
        "83.9",
    ]
    assert "-" in lines["efficientnetv2-xl"].split()


def listed(capsys, *words):
    assert run_command("list", *words) == 0
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[0] for line in lines[1 : lines.index("")]]


def test_a_pattern_and_weights_choose(capsys):
    assert listed(capsys, "*v2-b*", "--weights", "imagenet21k") == [
        f"efficientnetv2-b{i}" for i in range(4)
    ]
    assert listed(capsys, "*-xl") == ["efficientnetv2-xl"]
    assert listed(capsys, "*v2-?", "--weights", "imagenet") == [
        *("efficientnetv2-s", "efficientnetv2-m", "efficientnetv2-l")
    ]


def test_what_fits_nothing_says_so(capsys):
    assert run_command("list", "b9*") == 2
    assert "No variant has a name like 'b9*'" in capsys.readouterr().err


def test_python_lists_the_same():
    found = keras_effnetv2.list_variants("*v2-b*", weights="imagenet21k")
    assert found == [f"efficientnetv2-b{i}" for i in range(4)]
    assert keras_effnetv2.list_variants() == variants.list_variants()
    with pytest.raises(ValueError, match="weights must be one of"):
        keras_effnetv2.list_variants(weights="imagenet22k")
