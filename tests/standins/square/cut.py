"""Cuts Square's published API description down to the calls that the connector makes: `cut.py WHOLE.json > CALLS.json`.

Shapes only stay: what a field is, which values it takes, how long it may be. See NOTICE.md for where it comes from.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

CALLS: Final = {
    "/v2/customers": ("post",),
    "/v2/customers/search": ("post",),
    "/v2/customers/{customer_id}": ("get", "put"),
    "/v2/orders/search": ("post",),
}
_WORDS: Final = ("description", "summary", "tags", "example", "security", "externalDocs")

Json = dict[str, Any]


def cut(whole: Json) -> Json:
    """Return the description of the calls, with every shape that they refer to."""
    paths = {path: {method: whole["paths"][path][method] for method in methods} for path, methods in CALLS.items()}
    names: set[str] = set()
    waiting = list(_names(paths))
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _names(whole["components"]["schemas"][name])
    schemas = {name: whole["components"]["schemas"][name] for name in sorted(names)}
    bare = _without_words({"paths": paths, "components": {"schemas": schemas}})
    licence = whole["info"]["license"]
    info = {"title": "Square, cut to the calls of a connector", "version": whole["info"]["version"], "license": licence}
    return {"openapi": whole["openapi"], "info": info, **bare}


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for part in value.values():
            yield from _names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _names(part)


def _without_words(value: Any, *, is_names: bool = False) -> Any:  # noqa: ANN401 - JSON
    """Leave out what is for readers only; the names of fields are kept, whatever they are."""
    if isinstance(value, list):
        return [_without_words(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _without_words(part, is_names=name == "properties" and not is_names)
        for name, part in value.items()
        if is_names or not (name in _WORDS or name.startswith("x-"))
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(cut(json.loads(Path(sys.argv[1]).read_text("utf-8"))), indent=1) + "\n")
