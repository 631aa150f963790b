"""Which room of the package imports which, for CONTRIBUTING.md.

The diagram is Mermaid's, which GitHub shows as a picture. An arrow that follows from
others is left out: where a room imports two, and one of these imports the other.
"""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parents[2] / "keras_effnetv2"
# Imported from everywhere, or nowhere: arrows would say nothing.
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
    """Rooms that any file of a room imports, anywhere in it."""
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
    """Pairs of a room and one that it imports, without those that others imply."""
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
