"""Nothing from outside reaches the terminal as anything but visible text of the promised width."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.safe import SHOWN_INSTEAD, fit, join, plain, safe

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
