"""The README's table of variants is that of `list`."""

import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import write_variants_table


def test_the_table_is_true():
    text = write_variants_table.README.read_text()
    written = write_variants_table.written(text)
    assert written == text, "python tools/write_variants_table.py"


def test_the_table_has_every_v2_variant():
    assert write_variants_table.table().count("`efficientnetv2-") == 8
