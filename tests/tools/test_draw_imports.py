"""The map in CONTRIBUTING.md is that of today's imports."""

import re
import sys

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import draw_imports

TEXT = draw_imports.CONTRIBUTING.read_text()


def test_the_map_is_true():
    assert draw_imports.drawn(TEXT) == TEXT, "python tools/draw_imports.py"


def test_every_path_that_is_named_is_there():
    names = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", TEXT))
    assert len(names) > 20
    found = {
        str(path.relative_to(base)) + "/" * path.is_dir()
        for base in (ROOT, draw_imports.PACKAGE)
        for path in base.rglob("*")
        if "/." not in str(path)
    }
    absent = [x for x in names if not any(f"/{y}".endswith(f"/{x}") for y in found)]
    assert not absent


def test_every_room_is_described():
    described = re.findall(r"`([a-z_]+)(?:/|\.py)`", TEXT.partition("## Where do")[0])
    assert set(draw_imports.rooms()) <= set(described)
