"""Fails on functions that are too long to be read at once, docstrings and decorators not counted."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

LINES_MAX = 60
"""Aim for under 30; past 60 a function no longer fits on a screen."""
FOLDERS = ("server", "shared", "tui", "tests", "scripts")


def main() -> int:
    found = [
        f"{path}:{function.lineno}: {function.name} has {length} lines, over {LINES_MAX}"
        for folder in FOLDERS
        for path in sorted(Path(folder).rglob("*.py"))
        # A migration is a list of statements, read once from top to bottom.
        if "migrations" not in path.parts
        for function, length in _lengths(path)
        if length > LINES_MAX
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def _lengths(path: Path) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            assert node.end_lineno is not None
            first = body[0].lineno if body else node.end_lineno
            yield node, node.end_lineno - first + 1


if __name__ == "__main__":
    sys.exit(main())
