"""Writes tables, charts and the map that follow from code and results.

    python tools/write_tables.py

A block of README.md, CONTRIBUTING.md or a guide that begins with
`<!-- NAME: written by tools/write_tables.py -->` and ends with `<!-- /NAME -->` gets
the contents of that name: one of `BLOCKS` or `TABLES`, or `MACHINE/SUITE` for what
`benchmark.py SUITE --json docs/results/MACHINE/SUITE.json` wrote. A test compares.
`CHARTS` are drawn of the same files into docs/figures.
"""

import functools
import json
import pathlib
from typing import Any

import profile_ops
from benchmarks import report
from comparisons.finetuning import format_results
from fused_ablation import format_speeds
from tables import (
    comparison_rows,
    fused_rows,
    import_map,
    marked_blocks,
    plan_rows,
    result_rows,
    throughput_rows,
    variant_rows,
)

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
MACHINE = "xeon-2-cores"  # Whose speed the README states.
FIGURES = ROOT / "docs" / "figures"
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/guides/*.md")),
)


def read_results(name: str) -> Any:
    """What a tool wrote with `--json`."""
    return json.loads((RESULTS / f"{name}.json").read_bytes())


# Contents that follow from the code, or from another file of results.
BLOCKS = {
    "differences": lambda: result_rows.difference_table(read_results("exports")),
    "imports": import_map.diagram,
    "plans": plan_rows.plan_rows,
    "speed": lambda: result_rows.speed_table(
        [
            row
            for suite in ("train", "bfloat16", "infer", "calls")
            for row in read_results(f"{MACHINE}/{suite}")["rows"]
        ]
    ),
    "table-3": fused_rows.count_table,
    "variants": variant_rows.variant_table,
}
# Files of results, in docs/results, and what makes a table of each.
TABLES = {
    "exports": result_rows.export_table,
    "finetuning": format_results,
    "fleet": throughput_rows.fleet_table,
    "fused": format_speeds,
    "guide": comparison_rows.guide_table,
    "logits": comparison_rows.logit_table,
    "operations": profile_ops.read_table,
    "orders": comparison_rows.order_table,
    "pages": comparison_rows.page_table,
    "predict": throughput_rows.predict_table,
    "storage": throughput_rows.storage_table,
    "tpu_bytes": comparison_rows.bytes_table,
}
# Charts, each of a benchmark's rows.
CHARTS = {
    "growth": (f"{MACHINE}/growth", report.draw_growth),
    "inference": (f"{MACHINE}/infer", report.draw_ratios),
    "training": (f"{MACHINE}/train", report.draw_ratios),
}


@functools.cache
def contents(name: str) -> str:
    """Of a block."""
    if name in BLOCKS:
        return BLOCKS[name]()
    results = read_results(name)
    if name in TABLES:
        return TABLES[name](results)
    return f"{result_rows.benchmark_table(results['rows'])}\n\n{results['caption']}"


def written(page: pathlib.Path) -> str:
    """A page with the contents of today."""
    return marked_blocks.replaced(page.read_text(), contents)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(written(path))
    for figure, (name, draw) in CHARTS.items():
        results = read_results(name)
        drawn = draw(results["rows"], results["caption"])
        drawn.savefig(FIGURES / f"{figure}.png")
