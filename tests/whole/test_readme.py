"""The README's Python runs as it stands, with random weights behind the names."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

README = pathlib.Path(__file__).parents[2] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture(name="user_files")
def fixture_user_files(tmp_path, monkeypatch):
    """The files that the README's user has."""
    random = np.random.default_rng(0)

    def write(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    write(tmp_path / "photograph.jpg", (300, 400))
    for name in ("daisy", "dandelion", "rose", "sunflower", "tulip"):
        write(tmp_path / "flowers" / name / "1.jpg", (90, 80))
    monkeypatch.chdir(tmp_path)


def test_there_are_snippets():
    assert len(SNIPPETS) >= 3


def marked(snippet):
    """Snippets that train take half a minute each."""
    trains = re.search(r"\b(fit|train|export)\b", snippet)
    return pytest.param(snippet, marks=[pytest.mark.slow] if trains else [])


@pytest.mark.parametrize("snippet", [*map(marked, SNIPPETS)])
def test_snippets_run(snippet, mirror_server, user_files):
    exec(compile(snippet, "README.md", "exec"), {})
