"""Nothing from outside reaches the terminal as anything but visible text of the promised width."""

import ast
import unicodedata
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

import tui
from tui.safe import SHOWN_INSTEAD, fit, join, plain, safe, wrapped

HOSTILE_NAMES = (
    "O[/]Brien",
    "[@click=app.quit()]Ben[/]",
    "[bold red]Ann[/bold red] \\[x]",
    "\x1b]0;owned\x07\x1b[2JEve",
    "\x9b31mZoë",
    "\u202egnp.exe\u202c Mal",
    "A\u0301\u0302\u0303\u0304\u0305\u0306\u0307 Zalgo",
    "山田 太郎 🧑‍🤝‍🧑",
    "عمر بن الخطاب",
    "x" * 300,
    "tab\there\nand there\r\x00",
    "\ud83d lone",
)


@given(st.text())
def test_no_control_and_no_bidi_override_is_left(text: str) -> None:
    shown = plain(text)
    assert all(unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f") & set(shown)


@given(st.text(), st.integers(0, 120), st.booleans())
def test_fitted_text_has_exactly_the_asked_width(text: str, cells: int, right: bool) -> None:
    assert cell_len(fit(text, cells, right=right)) == cells


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert plain(text) == text


@given(st.sampled_from(HOSTILE_NAMES) | st.text(), st.integers(2, 40))
def test_wrapped_text_is_whole_and_no_line_is_too_long(text: str, cells: int) -> None:
    told = wrapped(text, cells)
    assert all(cell_len(line) <= cells for line in told)
    assert "".join("".join(told).split()) == "".join(plain(text).split())


def test_controls_become_a_visible_dot_and_joiners_stay() -> None:
    assert plain("a\x1bb\u202ec") == f"a{SHOWN_INSTEAD}b{SHOWN_INSTEAD}c"
    assert plain("می\u200cخواهم") == "می\u200cخواهم"


def test_a_pile_of_accents_is_cut() -> None:
    assert len(plain("e" + "\u0301" * 50)) == 5


@given(st.sampled_from(HOSTILE_NAMES) | st.text())
def test_content_is_never_read_as_markup(text: str) -> None:
    for content in (safe(text), join(text), join((text, "bold"))):
        assert content.plain == plain(text)
    assert not safe(text).spans


def test_no_title_of_a_box_is_read_as_markup() -> None:
    """The library reads markup in every title that is plain text: what is put together goes through `safe`."""
    wrong = [
        f"{path}:{node.lineno}"
        for path in Path(tui.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and any(map(_is_title, node.targets)) and not _is_harmless(node.value)
    ]
    assert wrong == []


def _is_title(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr in {"border_title", "border_subtitle"}


def _is_harmless(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return _is_harmless(value.body) and _is_harmless(value.orelse)
    is_safe = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "safe"
    return is_safe or isinstance(value, ast.Constant)
