"""The tool's table and figure."""

import json
import pathlib

import pytest

from keras_effnetv2.search.costs.screening import Validation
from tests.search.costs.test_table import BACKBONE, SPACE
from tests.search.points import point_of

TOOLS = str(pathlib.Path(__file__).parents[2] / "tools")
POINT = point_of(BACKBONE)
SLOW = SPACE.variant(POINT | {"stage2/num_repeats": 3}, "candidate-1")
FAST = SPACE.variant(POINT, "candidate-2")
RESULT = Validation((SLOW, FAST), (2.2, 0.95), (2.0, 1.0), (0.1, 0.2))


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import validate_step_times

    return validate_step_times


def test_a_row_a_network_the_fastest_first(tool):
    lines = tool.format_rows(RESULT).splitlines()
    assert lines[0].split() == [
        *("network", "layers", "predicted", "(ms)", "measured", "(ms)"),
        *("error", "backbone"),
    ]
    assert lines[1].split() == ["candidate-2", "1-2-2", "190.0", "200.0", "-5.0%",
                                "200.0"]  # fmt: skip
    assert lines[2].split() == ["candidate-1", "1-3-2", "220.0", "200.0", "+10.0%",
                                "100.0"]  # fmt: skip
    assert lines[-1].startswith(
        "Median relative error 7.5%, Spearman rank correlation 1.000, of 2 networks."
    )


def test_figure_and_file_are_written(tool, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tool, "run", lambda args: RESULT)
    figure, file = tmp_path / "scatter.png", tmp_path / "ratios.json"
    tool.main(["--figure", str(figure), "--json", str(file)])
    assert "candidate-1" in capsys.readouterr().out
    assert figure.read_bytes().startswith(b"\x89PNG")
    contents = json.loads(file.read_text())
    assert contents["predicted"] == [2.2, 0.95]
    assert contents["median_relative_error"] == pytest.approx(0.075)


def test_the_space_is_that_of_the_experiment(tool, monkeypatch):
    made = {}

    def of(space, **options):
        made.update(options)
        return "table"

    monkeypatch.setattr(tool.CostTable, "of", of)
    args = tool.parse(["--kernels", "3", "--max_layers", "2", "--image_size", "40"])
    space, table = tool.make_table(args)
    assert table == "table"
    assert space.kernels == (3,)
    assert set(space.layers) == {(1, 2)}
    assert (made["image_size"], made["batch_size"]) == (40, 64)
    assert made["optimizer"].name == "adam"
