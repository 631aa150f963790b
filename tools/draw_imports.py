"""Draws which part of the package imports which, into CONTRIBUTING.md.

    python tools/draw_imports.py

The diagram is Mermaid's, which GitHub renders. Arrows that follow from others are left
out: if a part imports two, and one of these imports the other.
"""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_effnetv2"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
# Imported everywhere, or nowhere: arrows would mean nothing.
LEFT_OUT = {
    "__init__",
    "__main__",
    "errors",
    "lazy",
    "paths",
    "private_apis",
    "progress",
    "registration",
    "tables",
    "version",
}
BEGIN, END = "```mermaid\n", "```\n"


def rooms() -> list[str]:
    """Folders and modules at the package's root."""
    found = [*PACKAGE.glob("*.py"), *(x.parent for x in PACKAGE.glob("*/__init__.py"))]
    return sorted({path.stem for path in found} - LEFT_OUT)


def imported(room: str) -> set[str]:
    """Parts that any file of a part imports."""
    files = (PACKAGE / room).rglob("*.py") if (PACKAGE / room).is_dir() else ()
    found = set()
    for path in files or [PACKAGE / f"{room}.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                parts = [name.split(".") for name in names]
                found |= {x[1] for x in parts if x[0] == PACKAGE.name}
    return found & set(rooms()) - {room}


def arrows() -> list[tuple[str, str]]:
    """Pairs of a part and one that it imports, without those implied by others."""
    direct = {room: imported(room) for room in rooms()}

    def reached(room: str) -> set[str]:
        return direct[room].union(*(reached(x) for x in direct[room]))

    return [
        (room, target)
        for room in rooms()
        for target in sorted(direct[room])
        if not any(target in reached(x) for x in direct[room] - {target})
    ]


def diagram() -> str:
    """The block of Markdown."""
    lines = [f"    {room} --> {target}" for room, target in arrows()]
    return BEGIN + "\n".join(["flowchart TD", *lines]) + "\n" + END


def drawn(text: str) -> str:
    """CONTRIBUTING.md's text with the current diagram."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + diagram() + after


if __name__ == "__main__":
    CONTRIBUTING.write_text(drawn(CONTRIBUTING.read_text()))
