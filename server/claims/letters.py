"""Letters with a claim code, as PDF for a folded sheet in an envelope with a window (ISO A4, DIN 5008 form B)."""

import unicodedata
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import segno
from anyascii import anyascii
from fpdf import FPDF

_MARGIN_MM = 25.0
_ADDRESS_TOP_MM = 50.0
_TEXT_TOP_MM = 105.0
_QR_MM = 42.0
_LINE_MM = 6.0
_FONT = "letter"
_ADDRESS_LINES_MAX = 6


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One letter: to whom, with which code. `check` says in words what is asked for beside it, "" for nothing.

    The parts of the address stand between commas.
    """

    name: str
    given_name: str
    address: str
    post_code: str
    code: str
    link: str
    page: str
    check: str
    valid_until: date


def render_letters(letters: Sequence[Letter], *, shop_name: str, font: Path | None) -> bytes:
    """Return the letters as one PDF, a page each.

    Args:
        font: A TrueType font; without one, letters beyond Western Europe's are written in those of English.
    """
    pdf = FPDF(format="A4")
    pdf.set_auto_page_break(False)
    pdf.set_title(f"{shop_name}: claim codes")
    if font is not None:
        pdf.add_font(_FONT, fname=font)
    for letter in letters:
        _write_page(pdf, letter, shop_name=shop_name, is_unicode=font is not None)
    return bytes(pdf.output())


def _write_page(pdf: FPDF, letter: Letter, *, shop_name: str, is_unicode: bool) -> None:
    pdf.add_page()
    family = _FONT if is_unicode else "helvetica"
    pdf.set_font(family, size=11)

    def write(text: str, top: float) -> float:
        pdf.set_xy(_MARGIN_MM, top)
        pdf.multi_cell(pdf.w - 2 * _MARGIN_MM, _LINE_MM, text if is_unicode else _western(text), align="L")
        return float(pdf.get_y())

    write(shop_name, 20)
    write("\n".join(_address_lines(letter)), _ADDRESS_TOP_MM)
    top = write(_body(letter, shop_name), _TEXT_TOP_MM) + _LINE_MM
    pdf.set_font("courier", size=20)
    pdf.set_xy(_MARGIN_MM, top)
    pdf.cell(text=letter.code)
    pdf.set_font(family, size=11)
    _draw_code(pdf, letter.link, left=_MARGIN_MM, top=top + 2 * _LINE_MM)


def _address_lines(letter: Letter) -> list[str]:
    lines = [letter.name, *(line.strip() for line in letter.address.split(","))]
    if letter.post_code and not any(letter.post_code in line for line in lines):
        lines.append(letter.post_code)
    return [line for line in lines if line][:_ADDRESS_LINES_MAX]


def _body(letter: Letter, shop_name: str) -> str:
    check = f" You will also be asked for {letter.check}." if letter.check else ""
    return (
        f"Hello {letter.given_name or letter.name},\n\n"
        f"you collect points at {shop_name}, and we have no email address of yours. With the code below your points, "
        "cards and purchases come into an account of your own, where you can see and spend them.\n\n"
        f"Scan the square with your telephone, or open {letter.page} and enter the code. You choose a password there "
        f"that only you know. If you have an account already, enter the code in the app.{check}\n\n"
        f"The code works once, until {letter.valid_until.day} {letter.valid_until:%B %Y}. If this letter is not for you, "
        "please throw it away."
    )


def _draw_code(pdf: FPDF, text: str, *, left: float, top: float) -> None:
    """Draw a QR code as rectangles, one for each run of dark squares in a row."""
    rows = segno.make_qr(text, error="m").matrix
    size = _QR_MM / len(rows)
    pdf.set_fill_color(0)
    for number, row in enumerate(rows):
        start = None
        for column, is_dark in enumerate([*row, 0]):
            if is_dark and start is None:
                start = column
            elif not is_dark and start is not None:
                pdf.rect(left + start * size, top + number * size, (column - start) * size, size, style="F")
                start = None


def _western(text: str) -> str:
    """Return a text with the characters that the built-in fonts have; others are written as they sound or look."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(character if _is_western(character) else anyascii(character) for character in composed)


def _is_western(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
