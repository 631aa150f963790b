"""What README and guides show: Python that runs, commands that exist, links that work.

Python runs as it stands, with random weights behind the names of releases. What needs
more than tests have is marked as `py` instead of `python`.
"""

import importlib.util
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import __main__ as command_line
from tests.conftest import ROOT

DOCS = ROOT / "docs"
GUIDES = sorted(DOCS.glob("guides/*.md"))
PAGES = [ROOT / "README.md", DOCS / "index.md", DOCS / "gallery.md", *GUIDES]
LINKED = [*PAGES, ROOT / "CONTRIBUTING.md", DOCS / "reference/index.md"]
# Pages of the site that are files of the repository: what they link to is there.
INCLUDED = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
WITHOUT_BLOCKS = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, language):
    """Fenced blocks of a page, in order."""
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, path.read_text(), flags=re.DOTALL | re.MULTILINE)


def snippets():
    """Python of README and guides; what trains takes half a minute each."""
    for path in PAGES:
        for number, snippet in enumerate(blocks(path, "python"), 1):
            trains = re.search(r"\b(fit|train|export)\b", snippet)
            marks = [pytest.mark.slow] if trains else []
            yield pytest.param(snippet, id=f"{name(path)}-{number}", marks=marks)


def commands():
    """Lines after `$`, continued or not, without comments."""
    for path in PAGES:
        for block in blocks(path, "console"):
            for line in re.sub(r"\\\n\s*", "", block).splitlines():
                if line.startswith("$ "):
                    yield name(path), line[2:].strip()


@pytest.fixture(name="user_files")
def fixture_user_files(tmp_path, monkeypatch):
    """The files that the README's user has."""
    random = np.random.default_rng(0)

    def write(path, size):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    write(tmp_path / "photograph.jpg", (300, 400))
    for class_name in ("daisy", "dandelion", "rose", "sunflower", "tulip"):
        write(tmp_path / "flowers" / class_name / "1.jpg", (90, 80))
    monkeypatch.chdir(tmp_path)


def test_there_are_snippets_and_commands():
    assert len([*snippets()]) >= 10
    assert len([*commands()]) >= 40


@pytest.mark.parametrize("snippet", [*snippets()])
def test_snippets_run(snippet, mirror_server, user_files):
    exec(compile(snippet, "a page", "exec"), {})


def problem(command):
    """What is wrong with a shell command that a page shows, or None."""
    words = shlex.split(command, comments=True)
    if words[:3] == ["python", "-m", "keras_effnetv2"]:
        try:
            return None if command_line.parse(words[2:]).run else "no command"
        except SystemExit:
            return "flags that the command does not have"
    if words[:2] == ["python", "-m"]:
        return None if importlib.util.find_spec(words[2]) else f"no {words[2]}"
    if words[0] == "python":
        return None if (ROOT / words[1]).is_file() else f"no {words[1]}"
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        found = re.search(rf"^{words[1]}:", makefile, re.MULTILINE)
        return None if found else f"no target {words[1]}"
    if words[:2] == ["pip", "install"]:
        names = set(re.findall(r"\w+", words[2].partition("[")[2]))
        setup = (ROOT / "setup.py").read_text()
        extras = set(re.findall(r'^        "(\w+)": ', setup, re.MULTILINE))
        return f"no extras {names - extras}" if names - extras else None
    return None if words[0] == "eval" else "a program that pages do not show"


def test_commands_parse():
    wrong = [(page, line, problem(line)) for page, line in commands() if problem(line)]
    assert not wrong


def anchors(path):
    """Of a page's headings, as GitHub and MkDocs make them."""
    text = WITHOUT_BLOCKS.sub("", path.read_text())
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", x).strip().lower() for x in headings)
    return {re.sub(r"\s", "-", x) for x in plain}


def broken_links(text, path):
    """Links of a page to files and headings of the repository that are not there."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", WITHOUT_BLOCKS.sub("", text)):
        if re.match(r"https?://", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if (
            not target.is_relative_to(ROOT)
            or not target.exists()
            or anchor
            and anchor not in anchors(target)
        ):
            broken.append(link)
    return broken


@pytest.mark.parametrize("path", LINKED, ids=name)
def test_links_work(path):
    assert not broken_links(path.read_text(), path)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=name)
def test_included_files_are_there(path):
    for file in INCLUDED.findall(path.read_text()):
        assert (ROOT / file).is_file()


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))
    notebooks = {x for x in listed if x.startswith("notebooks/")}  # Made by a hook.
    written = {x.relative_to(DOCS).as_posix() for x in DOCS.rglob("*.md")}
    assert listed - notebooks == written
