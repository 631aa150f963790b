"""Tables and the map of imports in README and guides are those of code and results."""

import importlib
import re

import pytest

from tests.conftest import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
BLOCK = "<!-- {0}: written by tools/write_tables.py -->\n\n{1}\n\n<!-- /{0} -->\n"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return lambda name: importlib.import_module(name)


def test_every_block_is_true(tool):
    write_tables, marked_blocks = tool("write_tables"), tool("tables.marked_blocks")
    names = set()
    for page in write_tables.PAGES:
        text = page.read_text()
        assert write_tables.written(page) == text, "python tools/write_tables.py"
        found = marked_blocks.names(text)
        assert len(found) == text.count("written by tools/write_tables.py -->")
        names |= {*found}
    assert {*write_tables.BLOCKS, *write_tables.TABLES} <= names
    results = write_tables.RESULTS
    kept = {x.relative_to(results) for x in results.rglob("*.json")}
    assert kept == {x.relative_to(results) for x in used(results, names)}


def used(results, names):
    """Files that blocks are named after."""
    return [x for name in names if (x := results / f"{name}.json").is_file()]


def test_a_block_is_replaced_and_nothing_else(tool):
    marked_blocks = tool("tables.marked_blocks")
    page = "before\n" + BLOCK.format("a", "old") + "between\n" + BLOCK.format("b/c", "")
    assert marked_blocks.names(page) == ["a", "b/c"]
    found = marked_blocks.replaced(page, lambda name: f"new {name}")
    new = BLOCK.format("a", "new a") + "between\n" + BLOCK.format("b/c", "new b/c")
    assert found == "before\n" + new
    assert marked_blocks.replaced(found, lambda name: f"new {name}") == found


def test_a_benchmark_has_a_line_a_work_and_a_column_a_peer(tool):
    comparison, result_rows = tool("benchmarks.comparison"), tool("tables.result_rows")

    def row(peer, ours, work="B0 at 224, batch 8"):
        pairs = [(ours, 2.0), (2 * ours, 2.0), (3 * ours, 2.0)]
        return comparison.row("train", work, "step, s", peer, pairs, "below 1")

    limit = comparison.row(
        "train", "B0 at 224, batch 8", "GFLOP/s", "limit: matrices", [(35, 100)],
        "nearer 1",
    )  # fmt: skip
    rows = [row("timm", 0.5), row("kimm", 0.25), limit, row("timm", 12, "S at 300")]
    assert result_rows.benchmark_table(rows).splitlines() == [
        "| Work | Measured | Ours | timm | kimm | Share of the limit |",
        "| --- | --- | ---: | --- | --- | --- |",
        "| B0 at 224, batch 8 | step, s | 1 "
        "| 0.50 (0.38 to 0.62) | 0.25 (0.19 to 0.31) | 35% |",
        "| S at 300 | step, s | 24 | 12.0 (9.0 to 15.0) |  |  |",
    ]


def test_the_readme_has_every_v2_variant(tool):
    table = tool("tables.variant_rows").variant_table()
    assert table.count("`efficientnetv2-") == 8


def test_every_path_that_is_named_is_there(tool):
    package = tool("tables.import_map").PACKAGE
    names = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", CONTRIBUTING))
    assert len(names) > 20
    environments = set(ROOT.glob(".*/"))  # They take seconds to look through.
    found = {
        str(path.relative_to(base)) + "/" * path.is_dir()
        for base in (ROOT, package)
        for top in set(base.iterdir()) - environments
        for path in (top, *top.rglob("*"))
    }
    absent = [x for x in names if not any(f"/{y}".endswith(f"/{x}") for y in found)]
    assert not absent


def test_every_room_is_described(tool):
    text = CONTRIBUTING.partition("## Where do")[0]
    described = re.findall(r"`([a-z_]+)(?:/|\.py)`", text)
    assert set(tool("tables.import_map").rooms()) <= set(described)
