"""Text from outside, made harmless: the only way by which data reaches a widget.

A terminal obeys control characters, and Textual reads markup in every plain string, even actions that a click
runs. So data is cleaned here and handed on as `Content`, which is never parsed.
"""

import re
import unicodedata
from textwrap import wrap

from rich.cells import cell_len, chop_cells, set_cell_size
from textual.content import Content

SHOWN_INSTEAD = "·"
_MARKS_MAX = 4  # No script stacks more accents on one letter; a pile of them paints over other rows.
_JOINERS = frozenset("\u200c\u200d")  # Needed in Persian names and in emoji; they move no cursor.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # Controls, bidi overrides, lone surrogates, line separators.
_ORDINARY = re.compile(r"[\x20-\x7e\xa1-\xac\xae-\u02ff]*")


def plain(text: str) -> str:
    """Return one line of text without anything that could drive a terminal.

    White space becomes a blank; control characters, bidi overrides and lone surrogates become a visible dot.
    """
    if _ORDINARY.fullmatch(text):
        return text
    shown: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks <= _MARKS_MAX:
            shown.append(_shown(character, category))
    return "".join(shown)


def _shown(character: str, category: str) -> str:
    if character.isspace():
        return " "
    if category in _UNSAFE and character not in _JOINERS:
        return SHOWN_INSTEAD
    return character


def safe(text: str, style: str = "") -> Content:
    """Return text as content in one style (a theme role such as `$error`), with no markup read in it."""
    return Content.styled(plain(text), style)


def join(*parts: str | tuple[str, str] | Content) -> Content:
    """Return parts, each text or (text, style), as one content; every text is cleaned."""
    return Content.assemble(*(part if isinstance(part, Content) else _part(part) for part in parts))


def _part(part: str | tuple[str, str]) -> Content:
    return safe(part) if isinstance(part, str) else safe(*part)


def lines(*contents: Content) -> Content:
    """Return contents under each other."""
    return Content("\n").join(contents)


def wrapped(text: str, cells: int) -> list[str]:
    """Return cleaned text in lines of at most `cells` terminal cells, broken at blanks unless its letters are wide."""
    shown = plain(text)
    if any(cell_len(character) != 1 for character in shown):
        return chop_cells(shown, cells)
    # What goes on in the next line stands under its beginning.
    indent = min(len(shown) - len(shown.lstrip()), cells // 4)
    return wrap(shown, cells, subsequent_indent=" " * indent)


def fit(text: str, cells: int, *, right: bool = False) -> str:
    """Return cleaned text cut or padded to exactly `cells` terminal cells, with an ellipsis where it was cut."""
    if cells <= 0:
        return ""
    shown = plain(text)
    width = cell_len(shown)
    if width > cells:
        shown = set_cell_size(shown, cells - 1).rstrip() + "…"
        width = cell_len(shown)
    padding = " " * (cells - width)
    return padding + shown if right else shown + padding
