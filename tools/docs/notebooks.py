"""Makes pages of the site from the notebooks; a hook of mkdocs.yml.

A page shows the copy in runs/notebooks, which `make notebooks` has executed, if its
cells are still those of examples/notebooks; else the notebook without outputs.
"""

import pathlib
import re
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

_ROOT = pathlib.Path(__file__).parents[2]
_STRIPPED, _EXECUTED = _ROOT / "examples" / "notebooks", _ROOT / "runs" / "notebooks"
_FOLDER = "notebooks"  # Of the site.
_LINK = re.compile(r"\]\((?:\.\./)+examples/notebooks/(\w+)\.ipynb\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs with all files of the site."""
    for path in sorted(_STRIPPED.glob("*.ipynb")):
        text, pictures = _page(path)
        contents = {f"{path.stem}.md": text, path.name: path.read_bytes(), **pictures}
        for name, content in contents.items():
            file = File.generated(config, f"{_FOLDER}/{name}", content=content)
            files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **kwargs: Any) -> str:
    """Called by MkDocs with each page: what links to a notebook links to its page."""
    up = "../" * page.file.src_uri.count("/")
    return _LINK.sub(rf"]({up}{_FOLDER}/\1.md)", markdown)


def _page(path: pathlib.Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and the pictures of its outputs by their names."""
    notebook = nbformat.read(path, as_version=4)
    executed = _EXECUTED / path.name
    if executed.exists():
        copy = nbformat.read(executed, as_version=4)
        if _sources(copy) == _sources(notebook):
            notebook = copy
    resources = {"output_files_dir": path.stem, "unique_key": "output"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, resources)
    title, _, rest = text.lstrip().partition("\n")
    download = f"[Download this notebook]({path.name})"
    return _with_links(f"{title}\n\n{download}\n{rest}"), resources["outputs"]


def _sources(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


def _with_links(text: str) -> str:
    """Links of the repository as links of the site."""
    text = text.replace("](../../docs/", "](../")
    return re.sub(r"\]\((?!\w+\.ipynb\)\n)(\w+)\.ipynb\)", r"](\1.md)", text)
