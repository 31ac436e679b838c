"""The page of a copy: what people read of it, and what they are spared."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from server.db.tables import Customer
from server.privacy.export_store import SECTIONS, Section
from server.privacy.readable import write_page

ID = "01a202a5-eeac-7794-b577-cd88e55a5b68"
NO_TIMES = ("2026-02-30T10:00:00Z", "0001-01-01T00:00:00+00:00", "2026-07-01T10:00:00 by the door")
ROWS: dict[str, dict[str, object]] = {
    "profile": {
        "id": ID,
        "given_name": "<b>Zoë",
        "family_name": NO_TIMES[0],
        "post_code": NO_TIMES[1],
        "postal_address": NO_TIMES[2],
        "notes": "likes_this.much",
        "birth_year": None,
        "locale": "",
    },
    "orders": {
        "number": "R-1",
        "currency": "JPY",
        "net_minor": 1200,
        "completed_at": "2026-07-01T22:05:00.12345+00:00",
        "skipped_reason": "before_start",
        "lines": [
            {"sku": "", "net_minor": 700, "description": "Tea & cake", "quantity": 2.0},
            {"sku": "", "net_minor": 500, "description": "", "quantity": 123456.125},
        ],
    },
    "audit": {"action": "email_change.corrected", "details": {"order": ID, "points": -3}, "reason": "a_b"},
}


async def _rows(section: Section) -> AsyncIterator[bytes]:
    if section.name in ROWS:
        yield msgspec.json.encode(ROWS[section.name])


async def _page() -> str:
    pieces = write_page(
        _rows, shop_name="A & B", made_at=datetime(2026, 7, 2, 9, 0, tzinfo=UTC), zone=ZoneInfo("Europe/London")
    )
    return b"".join([piece async for piece in pieces]).decode()


async def test_amounts_times_and_codes_are_in_words_and_texts_as_they_were_written() -> None:
    page = await _page()
    for text in (
        "Your data at A &amp; B",
        "on 2 July 2026, 10:00",
        "<dt>Given name</dt><dd>&lt;b&gt;Zoë</dd>",
        "<dd>likes_this.much</dd>",
        # Somebody's own words may look like a time, and must not keep them from their copy.
        *(f"<dd>{text}</dd>" for text in NO_TIMES),
        "<dd>1,200 JPY</dd>",
        "<dt>Completed</dt><dd>1 July 2026, 23:05</dd>",
        "<dd>before start</dd>",
        "<td>Tea &amp; cake</td>",
        "<td>700 JPY</td>",
        "<td>2</td>",
        "<td>123456.125</td>",
        "<dd>email change: corrected</dd>",
        "<dd>Points: -3</dd>",
        "<dt>Reason</dt><dd>a_b</dd>",
    ):
        assert text in page, text


async def test_ids_and_empty_fields_and_columns_are_left_out() -> None:
    page = await _page()
    assert ID not in page
    for label in ("Birth year", "Locale", "Sku", "Currency"):
        assert label not in page
    assert page.count("<p>Nothing.</p>") == len(SECTIONS) - len(ROWS)


def test_a_copy_has_every_column_of_a_customer() -> None:
    profile = next(section.sql for section in SECTIONS if section.name == "profile")
    # How often a record was written is not about the person.
    columns = {column._meta.name for column in Customer._meta.columns} - {"version"}
    assert [name for name in sorted(columns) if name not in profile] == []
