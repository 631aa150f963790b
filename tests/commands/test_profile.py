"""`profile`: the flags reach the function, and its table is printed."""

import pytest

from keras_effnetv2.networks import variants
from keras_effnetv2.search.costs import series
from tests.commands.running import run_command
from tests.tiny_networks import NANO


def run(*flags):
    return run_command("profile", *flags)


def test_it_prints_the_table(capsys):
    assert run("--variant", "efficientnetv2-s", "--no-measure") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "efficientnetv2-s, 384x384 pixels"
    assert "21,612,360" in "".join(lines)


def test_flags_reach_the_profile(capsys, monkeypatch):
    monkeypatch.setitem(variants.VARIANTS, "small", NANO)
    flags = ["--image_size", "48", "--batch_size", "2"]
    assert run("--variant", "small", *flags) == 0
    output = capsys.readouterr().out
    assert "48x48 pixels" in output
    assert "Latency of a batch of 2" in output


def test_a_series_is_compared(capsys, monkeypatch):
    assert run("--variant", "efficientnetv2-b0", "--series", "--no-measure") == 0
    counted = capsys.readouterr().out
    assert [line.split()[0] for line in counted.splitlines()] == [
        "variant",
        *(f"efficientnetv2-b0-{suffix}" for suffix in ("s", "m", "l", "xl")),
    ]

    def measure_costs(variants, **workload):
        assert workload == {
            "batch_size": 4, "image_size": 64, "precision": "mixed_bfloat16",
        }  # fmt: skip
        return series.count_costs(variants)

    monkeypatch.setattr(series, "measure_costs", measure_costs)
    flags = ("--batch_size", "4", "--image_size", "64", "--precision", "mixed_bfloat16")
    assert run("--variant", "efficientnetv2-b0", "--series", *flags) == 0
    assert capsys.readouterr().out == counted


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Say what to profile, such as --variant efficientnetv2-s"),
        (["--variant", "efficientnetv3"], "Unknown variant 'efficientnetv3'"),
        (["--variant=efficientnetv2-b0", "--image_size=0"], "image_size must be"),
        (["--variant=efficientnetv2-b0", "--batch_size=-1"], "batch_size must be"),
    ],
)
def test_wrong_flags_end_in_one_line(capsys, flags, message):
    assert run(*flags, "--no-measure") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
