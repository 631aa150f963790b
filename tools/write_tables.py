"""Writes the tables and the map that follow from code and results into their pages.

    python tools/write_tables.py

A block of README.md, CONTRIBUTING.md or a guide that begins with
`<!-- NAME: written by tools/write_tables.py -->` and ends with `<!-- /NAME -->` gets
the contents of that name: one of `BLOCKS`, or `MACHINE/SUITE` for what
`benchmark.py SUITE --json docs/results/MACHINE/SUITE.json` wrote. A test compares.
"""

import functools
import json
import pathlib
from typing import Any

from comparisons.finetuning import format_results
from tables import (
    comparison_rows,
    fused_rows,
    import_map,
    marked_blocks,
    plan_rows,
    result_rows,
    variant_rows,
)

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/guides/*.md")),
)


def read_results(name: str) -> Any:
    """What a tool wrote with `--json`."""
    return json.loads((RESULTS / f"{name}.json").read_bytes())


BLOCKS = {
    "differences": lambda: result_rows.difference_table(read_results("exports")),
    "exports": lambda: result_rows.export_table(read_results("exports")),
    "finetuning": lambda: format_results(read_results("finetuning")),
    "guide": lambda: comparison_rows.guide_table(read_results("guide")),
    "imports": import_map.diagram,
    "orders": lambda: comparison_rows.order_table(read_results("orders")),
    "pages": lambda: comparison_rows.page_table(read_results("pages")),
    "plans": plan_rows.plan_rows,
    "table-3": fused_rows.count_table,
    "tpu_bytes": lambda: comparison_rows.bytes_table(read_results("tpu_bytes")),
    "variants": variant_rows.variant_table,
}


@functools.cache
def contents(name: str) -> str:
    """Of a block."""
    if name in BLOCKS:
        return BLOCKS[name]()
    results = read_results(name)
    return f"{result_rows.benchmark_table(results['rows'])}\n\n{results['caption']}"


def written(page: pathlib.Path) -> str:
    """A page with the contents of today."""
    return marked_blocks.replaced(page.read_text(), contents)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(written(path))
