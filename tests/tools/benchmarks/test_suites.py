"""Rows, charts, exponents and arguments of the benchmarks, and processes in turn."""

import json
import pathlib
import sys

import pytest

TOOLS = str(pathlib.Path(__file__).parents[3] / "tools")
WORK = ("B0", 32, 2)


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)


def make_rows():
    from benchmarks import comparison
    from benchmarks.suites import growth

    pairs = [(1.0, 2.0), (3.0, 4.0), (0.0123, 0.01)]
    return [
        comparison.row("train", "B0@224", "step, s", "timm", pairs, "below 1"),
        comparison.row("train", "B0@224", "GFLOP/s", "limit", pairs, "above 1"),
        *growth.rows_of("batch", "images", [1, 2, 4], [[1, 1], [2, 2], [4, 4.4]]),
    ]


def test_of_one_pair_the_quartiles_are_its_ratio():
    from benchmarks import comparison

    row = comparison.row("memory", "S", "MB", "peer", [(2, 4)], "below 1")
    assert (row["ratio"], row["spread"]) == (0.5, [0.5, 0.5])


def test_all_take_turns_in_every_round(capsys):
    from benchmarks import comparison
    from benchmarks.progress import Progress

    calls = []
    turns = {x: lambda x=x: calls.append(x) or len(calls) for x in ("A", ("B", "b"))}
    found = comparison.take_turns(turns, 2, Progress("train", 4))
    assert calls == ["A", ("B", "b")] * 2
    assert found == {"A": [1, 3], ("B", "b"): [2, 4]}
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "train 1/4  starting  A"
    assert lines[3] == "train 4/4  left 0 s  B b"


def test_the_exponent_of_a_power_is_found():
    from benchmarks.suites import growth

    amounts = [1, 2, 4, 8]
    assert growth.exponent(amounts, [3 * x**0.8 for x in amounts]) == pytest.approx(0.8)


@pytest.mark.parametrize(("amounts", "seconds"), [([2, 2], [1, 1]), ([1, 2], [0, 1])])
def test_an_exponent_needs_different_positive_numbers(amounts, seconds):
    from benchmarks.suites import growth

    with pytest.raises(ValueError, match="two different amounts"):
        growth.exponent(amounts, seconds)


def test_growth_has_the_exponents_of_all_and_of_the_last_points():
    *_, whole, last = make_rows()
    assert last["ratio"] == pytest.approx(1.07, abs=0.01)
    assert 1 < whole["ratio"] < last["ratio"]
    assert whole["points"][0] == [1, 1, 1, 1]


def test_every_series_can_be_fitted():
    from benchmarks.suites import growth

    for unit, works in growth.SERIES.values():
        assert len({growth._amount(work, unit) for work in works}) == len(works) > 2


def test_flops_are_those_that_are_published():
    from benchmarks.works import Work

    assert Work("B0", 224, 8).forward_flops == pytest.approx(2 * 8 * 0.72e9, rel=0.01)
    step = Work("S", 384, 1).training_flops
    assert step == pytest.approx(3 * 2 * 8.4e9, rel=0.01)


def test_the_table_is_markdown():
    from benchmarks import report

    lines = report.table(make_rows()).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| 1 | 2 (timm) | 0.75 | 0.62 to 0.99 | below 1 |" in lines[2]


def test_charts_are_drawn_of_ratios_and_of_growth(tmp_path):
    from benchmarks import report

    files = report.draw(make_rows(), tmp_path / "chart.png", "2 cores")
    assert [x.name for x in files] == ["chart.png", "chart-growth.png"]
    assert all(x.read_bytes().startswith(b"\x89PNG") for x in files)
    figure = report.draw_ratios(make_rows()[:2], "2 cores")
    (axes,) = figure.axes
    assert [x.get_width() for x in axes.patches] == [0.75, 0.75]
    colors = [x.get_facecolor() for x in axes.patches]
    assert colors[0] != colors[1]  # The same ratio, once better and once worse.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "invalid choice: 'nothing'"),
        (["train", "--repeats", "0"], "--repeats must be at least 1. Received: 0"),
        (["train", "--threads", "-1"], "--threads must be at least 1. Received: -1"),
        (["train", "--chart", "bars.pdf"], "--chart must end in .png"),
        (["train", "--json", "absent/rows.json"], "There is no folder absent"),
        (["train", "--torch_python", "no-python"], "is not a program"),
    ],
)
def test_what_cannot_be_measured_is_refused(words, message, capsys):
    import benchmark

    with pytest.raises(SystemExit):
        benchmark.parse(words)
    assert message in capsys.readouterr().err


def test_peers_that_cannot_be_imported_are_left_out_and_named(
    tmp_path, capsys, monkeypatch
):
    from benchmarks import sides

    for name in ("keras", "tf_keras", "kimm", "timm"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('no such operator')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sides._versions.cache_clear()
    assert sides.installed_peers(sys.executable) == []
    python = sys.executable
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" is left out")[0] for line in lines] == [
        "keras.applications", "tf_keras.applications", "kimm", "timm",
    ]  # fmt: skip
    assert lines[3] == (
        f"timm is left out: {python} cannot import timm and torch: "
        "RuntimeError: no such operator"
    )


def test_versions_are_those_of_what_is_imported():
    from benchmarks.sides import Side

    (version,) = Side("numbers", ("numpy",)).versions().values()
    assert version.split(".")[0].isdigit()
    with pytest.raises(ImportError, match="cannot import no_such_package: Module"):
        Side("nothing", ("no_such_package",)).versions()


def test_all_suites_are_printed_and_written(tmp_path, monkeypatch, capsys):
    import benchmark

    rows = make_rows()
    suites = {"train": lambda *_: rows[:2], "growth": lambda *_: rows[2:]}
    monkeypatch.setattr(benchmark, "SUITES", suites)
    monkeypatch.setattr(benchmark.sides, "installed_peers", lambda *_: [])
    file, chart = tmp_path / "rows.json", tmp_path / "chart.png"
    benchmark.main(["all", "--json", str(file), "--chart", str(chart)])
    assert json.loads(file.read_text())["rows"] == rows
    printed = capsys.readouterr().out
    assert "keras " in printed and "tensorflow " in printed and chart.is_file()
    assert printed.count("\n| ") == 1 + len(rows)


def test_a_process_answers_what_it_is_asked(tmp_path, monkeypatch):
    from benchmarks.workers import Worker

    (tmp_path / "echo.py").write_text(
        "from benchmarks.workers import answer\n"
        "def prepare():\n"
        "    print('no answer')\n"
        "    return {'added_bytes': 1}, {'sum': lambda *x: sum(x)}\n"
        "answer(prepare)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = Worker("echo")
    assert worker.ready() == worker.ready() == {"added_bytes": 1}
    assert (worker.ask("sum", 1, 2), worker.ask("sum")) == (3, 0)
    with pytest.raises(RuntimeError, match="(?s)echo failed.*KeyError: 'product'"):
        worker.ask("product")
    worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_that_a_run_adds_is_seen_at_its_peak():
    from benchmarks import workers

    added = workers.added_memory(lambda: len(b"1" * 50_000_000))
    assert added == pytest.approx(50e6, rel=0.2)


def test_kinds_of_operations_are_counted_by_step():
    import profile_ops

    events = [("a:Mul", 1.0), ("b:Mul", 2.0), ("Thread::Stop", 9.0), ("c:Conv2D", 8.0)]
    kinds = profile_ops.count(events, num_steps=2)
    assert kinds == [("Conv2D", 0.5, 4.0), ("Mul", 1.0, 1.5)]
    lines = profile_ops.table(kinds, top=1).splitlines()
    assert lines[2] == "| convolutions and matrices | 0.5 | 4000.0 | 72.7% |"
    assert lines[-1].startswith("| Conv2D |") and len(lines) == 8


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("_MklNativeFusedBatchNormGradV3", "batch norm"),
        ("_MklNativeDepthwiseConv2dNative", "depthwise convolutions"),
        ("_MklNativeConv2DBackpropFilterWithBias", "convolutions and matrices"),
        ("AssignSubVariableOp", "optimizer's variables"),
        ("_MklSwish", "activations"),
        ("AddV2", "elementwise"),
        ("Unheard", "other"),
    ],
)
def test_operations_have_purposes(name, purpose):
    import profile_ops

    assert profile_ops.purpose(name) == purpose


def test_what_cannot_be_profiled_is_refused(capsys):
    import profile_ops

    with pytest.raises(SystemExit):
        profile_ops.parse(["--batch_size", "0"])
    assert "--batch_size must be at least 1. Received: 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        profile_ops.parse(["--remat", "--side", "keras.applications"])


@pytest.mark.slow
def test_every_suite_measures_every_peer():
    from benchmarks import sides
    from benchmarks.suites import growth, infer, memory, train
    from benchmarks.works import Work

    work, peers = Work(*WORK), [sides.KERAS]
    rows = [
        *train.measure(1, peers, [[work]]),
        *infer.measure(1, peers, [[work]]),
        *memory.measure(1, peers, work),
    ]
    assert all(row["ours"] > 0 and row["peer"] > 0 for row in rows)
    names = [(row["suite"], row["peer_name"]) for row in rows]
    for suite in ("train", "infer", "memory"):
        assert (suite, "keras.applications") in names
    assert ("memory", "ours") in names
    works = work, Work("B0", 32, 4)
    (row, _) = growth.measure(1, {"b": ("images per batch", works)})
    assert row["peer_name"] == "linear"  # Exponents of a busy machine may be anything.
    assert [amount for amount, *_ in row["points"]] == [2, 4]
    assert all(min(seconds) > 0 for _, *seconds in row["points"])
