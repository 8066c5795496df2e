"""The house: rooms on floors, imports that only go down. `python tests/test_house.py` draws it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "fer_lightning"
FLOORS = (
    ("cli",),
    ("serving",),
    ("export", "audit", "training"),
    ("inference", "reports"),
    ("checkpoints", "evaluation"),
    ("model",),
    ("data",),
    ("networks",),
    ("values",),
    ("storage",),
    ("files", "locks", "names", "cores", "processes", "seeding", "program"),
    ("errors", "screen", "version", "deprecations"),
)
"""From the top down; a room uses only what is on floors below."""

MOST_LINES = 300


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, without the package's own."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        if name and name != "__main__":
            found[name] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The package's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fer_lightning."):
            module = (node.module or "").removeprefix("fer_lightning.")
            inner = {f"{module}.{item.name}" for item in node.names} & set(known)
            found |= inner or {module}
        elif isinstance(node, ast.Import):
            found |= {n.name.removeprefix("fer_lightning.") for n in node.names if n.name.startswith("fer_lightning.")}
    return found


def arrows() -> dict[str, set[str]]:
    """What each module imports of the package."""
    known = modules()
    return {name: imports_of(path, known) for name, path in known.items()}


def floor_of(module: str) -> int:
    """The floor of a module's room, 0 at the top."""
    room = module.partition(".")[0]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_has_a_floor_and_imports_only_go_down():
    wrong = [
        f"{module} -> {other}"
        for module, others in arrows().items()
        for other in others
        if module.partition(".")[0] != other.partition(".")[0] and floor_of(other) <= floor_of(module)
    ]
    assert wrong == []


def test_there_are_no_circles():
    left = {module: set(others) - {module} for module, others in arrows().items()}
    while free := [module for module, others in left.items() if not others & set(left)]:
        for module in free:
            del left[module]
    assert left == {}


def test_no_file_is_too_long_to_read():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {path.name: length for path, length in lengths.items() if length > MOST_LINES} == {}


if __name__ == "__main__":
    lines: dict[str, int] = defaultdict(int)
    uses: dict[str, set[str]] = defaultdict(set)
    for module, path in modules().items():
        room = module.partition(".")[0]
        lines[room] += len(path.read_text(encoding="utf-8").splitlines())
        uses[room] |= {other.partition(".")[0] for other in arrows()[module]} - {room}
    for rooms in FLOORS:
        for room in rooms:
            print(f"{room:12}{lines[room]:6} lines   uses {', '.join(sorted(uses[room]))}")
        print()
    print(f"{sum(lines.values()):,} lines")
