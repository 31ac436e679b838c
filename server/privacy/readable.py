"""An export as a page for people: what programs need is left out of it, and amounts, times and codes are in words."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final

import msgspec
from markupsafe import Markup, escape

from server.privacy.export_store import SECTIONS, Rows
from server.time_words import say_time
from shared.money import money

_STYLE: Final = (
    "body{font:16px/1.5 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "section{margin:2.5rem 0}h2{margin-bottom:.5rem}"
    "dl{border-top:1px solid #ccc;margin:0;padding:.6rem 0;display:grid;gap:.4rem 1.5rem;"
    "grid-template-columns:repeat(auto-fill,minmax(11rem,1fr))}"
    "dt{color:#666;font-size:.8rem}dd{margin:0;overflow-wrap:anywhere}.whole{grid-column:1/-1}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}th{text-align:left;font-weight:normal;color:#666}"
    "th,td{padding:.1rem 1rem .1rem 0;vertical-align:top}"
)
_NAMES: Final = {
    "at": "when", "code_last4": "code ends in", "net_minor": "price without tax", "tax_minor": "tax",
    "to_address": "sent to", "by_role": "by", "order": "purchase",
}  # fmt: skip
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
# Values under these names are words of ours; all others may be somebody's own, which stay as they are.
_CODED: Final = re.compile(
    r"(.*_)?(state|status|kind|action|template|method|mode|source|channel|proof|role)|.+_(code|reason)"
)
_WORD: Final = re.compile(r"[A-Za-z]+([_.][A-Za-z]+)*")
_LONG: Final = 60


async def write_page(rows: Rows, *, shop_name: str, made_at: datetime, zone: tzinfo) -> AsyncIterator[bytes]:
    """Yield the page piece by piece.

    Args:
        rows: Yields the rows of a section as JSON objects.
        zone: Whose times are shown.
    """
    title = escape(f"Your data at {shop_name}")
    yield (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>Everything that was held about you on {say_time(made_at, zone)}. Times are those of {escape(str(zone))}. "
        "What is empty is left out, and so are the numbers by which programs know things; the file data.json beside "
        "this one has them.</p>"
    ).encode()
    for section in SECTIONS:
        yield f"<section><h2>{escape(section.title)}</h2>".encode()
        is_empty = True
        async for row in rows(section):
            is_empty = False
            yield _record(msgspec.json.decode(row), zone).encode()
        yield b"<p>Nothing.</p></section>" if is_empty else b"</section>"
    yield b"</html>\n"


def _record(row: Mapping[str, object], zone: tzinfo) -> Markup:
    terms = Markup("")
    for name, text in _fields(row, row, zone).items():
        is_whole = isinstance(row[name], list | dict) or len(text) > _LONG
        begin = Markup('<div class="whole">') if is_whole else Markup("<div>")
        terms += begin + Markup("<dt>{}</dt><dd>{}</dd></div>").format(_label(name), text)
    return Markup("<dl>{}</dl>").format(terms)


def _fields(row: Mapping[str, object], around: Mapping[str, object], zone: tzinfo) -> dict[str, Markup]:
    """Return what is shown of a row, by name; the currency of amounts is the row's own, or of the one around it."""
    currency = str(row.get("currency") or around.get("currency") or "")
    shown = {name: _value(name, value, currency, row, zone) for name, value in row.items() if name != "currency"}
    return {name: text for name, text in shown.items() if text}


def _value(name: str, value: object, currency: str, row: Mapping[str, object], zone: tzinfo) -> Markup:
    match value:
        case None:
            return Markup("")
        case bool():
            return Markup("yes") if value else Markup("no")
        case int() if name.endswith("_minor") and currency:
            return escape(money(value, currency))
        case float():
            return escape(f"{value:.15g}")
        case list():
            return _list(value, row, zone)
        case dict():
            items = (Markup("{}: {}").format(_label(key), text) for key, text in _fields(value, row, zone).items())
            return Markup("; ").join(items)
        case str() if _ID.fullmatch(value):
            return Markup("")
        case str() if _TIME.fullmatch(value):
            return escape(_find_moment(value, zone) or value)
        case str() if _CODED.fullmatch(name) and _WORD.fullmatch(value):
            return escape(value.replace("_", " ").replace(".", ": ").lower())
        case _:
            return escape(str(value))


def _list(values: Sequence[object], row: Mapping[str, object], zone: tzinfo) -> Markup:
    """Return objects as a table of the columns that have something, anything else with commas between."""
    if not all(isinstance(value, dict) for value in values):
        return Markup(", ").join(text for value in values if (text := _value("", value, "", row, zone)))
    lines = [_fields(value, row, zone) for value in values if isinstance(value, dict)]
    names = list(dict.fromkeys(name for line in lines for name in line))
    if not names:
        return Markup("")
    head = Markup("").join(Markup("<th>{}</th>").format(_label(name)) for name in names)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(line.get(name, "")) for name in names)
        )
        for line in lines
    )
    return Markup("<table><tr>{}</tr>{}</table>").format(head, body)


def _label(name: str) -> str:
    words = _NAMES.get(name) or name.removeprefix("is_").removesuffix("_minor").removesuffix("_at").replace("_", " ")
    return words[:1].upper() + words[1:]


def _find_moment(text: str, zone: tzinfo) -> str | None:
    """Return a time in words; None for somebody's own words that only look like one."""
    try:
        return say_time(datetime.fromisoformat(text), zone)
    except (ValueError, OverflowError):
        return None
