"""Which part of the package imports which, for CONTRIBUTING.md.

The diagram is Mermaid's, which GitHub renders. Arrows that follow from others are left
out: if a part imports two, and one of these imports the other.
"""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parents[2] / "keras_effnetv2"
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
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])
