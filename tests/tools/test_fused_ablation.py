"""Table 3's tool: counts beside the paper's, ratios of rounds, honest sentences."""

import dataclasses
import json
import pathlib

import pytest

from keras_effnetv2.networks.variants import get_variant

TOOLS = str(pathlib.Path(__file__).parents[2] / "tools")
B4 = get_variant("efficientnet-b4")
TINY = dataclasses.replace(
    B4, blocks=B4.blocks[:3], width_coefficient=0.1, depth_coefficient=0.1
)


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import fused_ablation

    return fused_ablation


def cells(table):
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ][2:]


def test_counts_stand_beside_the_papers(tool, reference):
    table = tool.format_counts(tool.fused_variants(B4), tool.read_reference(reference))
    rows = cells(table)
    assert [row[0] for row in rows] == ["none", "1-3", "1-5", "1-7"]
    assert rows[0] == ["none", "19.34", "19.3", "19.34", "4.39", "4.5", "4.48"]
    for _, params, paper, official, *flops in rows:
        assert float(params) == pytest.approx(float(paper), rel=0.02)
        assert float(official) == pytest.approx(float(paper), rel=0.01)
        ours, published, counted = map(float, flops)
        assert ours == pytest.approx(published, rel=0.09)
        assert counted == pytest.approx(published, rel=0.02)


def test_ratios_are_of_the_rounds_and_not_of_the_medians(tool):
    seconds = {
        "none": [1.0, 2.0, 6.0],
        "1-3": [0.5, 1.0, 1.5],  # Ratios of 2, 2 and 4; of the medians 2.
        "1-5": [2.0, 1.0, 6.0],
        "1-7": [2.0, 4.0, 24.0],
    }
    ratios = tool.speed_ratios(seconds)
    assert ratios["1-3"] == (2, 2, 3)
    assert ratios["1-7"] == (0.375, 0.5, 0.5)
    rows = cells(tool.format_speeds(seconds))
    assert rows[1] == ["1-3", "1.000", "2.00 (2.00 to 3.00)", "1.38", "1.39"]
    assert rows[3][-2:] == ["0.97", "1.33"]
    assert tool.compare(ratios) == [
        "Fused 1-3: faster here, as TPUv3 (faster), as V100 (faster).",
        "Fused 1-5: no different here, unlike TPUv3 (faster), unlike V100 (faster).",
        "Fused 1-7: slower here, as TPUv3 (slower), against V100 (faster).",
    ]


@pytest.mark.long
def test_a_tiny_network_is_measured_in_turn(tool, tmp_path, capsys, monkeypatch):
    rows = {label: tool.PAPER[label] for label in ("none", "1-3")}
    monkeypatch.setattr(tool, "PAPER", rows)
    words = ["--image_size=16", "--batch_size=2", "--rounds=2"]
    tool.main([*words, f"--json={tmp_path / 'seconds.json'}"], TINY)
    printed = capsys.readouterr().out
    assert "cores" in printed and "float32; 2 rounds" in printed
    assert printed.count("\nFused 1-3: ") == 1
    seconds = json.loads((tmp_path / "seconds.json").read_text())
    assert list(seconds) == ["none", "1-3"]
    assert all(len(x) == 2 and min(x) > 0 for x in seconds.values())


def test_one_round_has_no_spread(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse(["--rounds=1"])
    assert "2 or more" in capsys.readouterr().err
