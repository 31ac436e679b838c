"""What staff type about points, money and days is read as they mean it, or refused."""

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.members import DatedPoints
from shared.reports import ExpiryMonth, ExpirySchedule
from shared.staff import StaffQueue
from tui.actions import ACTIONS
from tui.screens.membership_tab import Membership, membership_rows
from tui.value_words import parse_day, parse_moment, parse_money, parse_points, queue_words

TODAY = date(2026, 3, 14)
LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 3, 14, 10, 30, tzinfo=LONDON)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("+50", 50),
        ("50", 50),
        ("-20", -20),
        ("−20", -20),
        ("1,000", 1000),
        ("=3300", 51),
        ("= 3,200", -49),
        ("=0", -3249),
    ],
)
def test_points_are_signed_or_a_wanted_balance(text: str, points: int) -> None:
    assert parse_points(text, available=3249) == points


@pytest.mark.parametrize(
    ("text", "digits", "minor"),
    [
        ("42.10", 2, 4210), ("42,1", 2, 4210), ("42", 2, 4200), (".5", 2, 50), ("1.234,56", 2, 123456),
        ("1,234.56", 2, 123456), ("1.234", 2, 123400), ("1 234", 0, 1234), ("1,234", 0, 1234), ("1.234", 3, 1234),
        ("1,234,567", 0, 1234567), ("1\u00a0234,50", 2, 123450),
    ],
)  # fmt: skip
def test_amounts_are_read_with_point_or_comma(text: str, digits: int, minor: int) -> None:
    assert parse_money(text, digits) == minor


@pytest.mark.parametrize(
    "text",
    ["", "abc", "-5", "1.2.3x", "4.1055", "12.3456", "٤٢", "1e5", "--", ".", "+5", "0.500", "1234.567", "1.23.45"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # Whichever it is, the field says what is wanted.
        parse_money(text, 2)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("", TODAY), ("today", TODAY), ("Yesterday", date(2026, 3, 13)), ("13.3.", date(2026, 3, 13)),
        ("13 Mar", date(2026, 3, 13)), ("24.12.", date(2025, 12, 24)), ("2026-03-01", date(2026, 3, 1)),
        ("1/2/2025", date(2025, 2, 1)), ("1.2.25", date(2025, 2, 1)),
    ],
)  # fmt: skip
def test_a_day_without_a_year_is_the_last_such_day(text: str, day: date) -> None:
    assert parse_day(text, today=TODAY) == day


@pytest.mark.parametrize(
    "text", ["R-2050", "31.2.", "13", "13.3.26.1", "0.0.", "000123", "29 xyz", "1.1.0000", "01-05", "7-2025"]
)
def test_a_receipt_number_is_no_day(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # Whichever it is, the field says what is wanted.
        parse_day(text, today=TODAY)


def test_a_moment_is_in_the_shops_time_and_nothing_is_now() -> None:
    assert parse_moment("", now=NOW, zone=LONDON) is None
    assert parse_moment("9:05", now=NOW, zone=LONDON) == datetime(2026, 3, 14, 9, 5, tzinfo=LONDON)
    assert parse_moment("yesterday 17:30", now=NOW, zone=LONDON) == datetime(2026, 3, 13, 17, 30, tzinfo=LONDON)
    assert parse_moment("1.7.2025 8:00", now=NOW, zone=LONDON) == datetime(2025, 7, 1, 8, 0, tzinfo=LONDON)
    for wrong in ("25:00", "9", "9:61", "soon", "13.3. at 9"):
        with pytest.raises(ValueError):  # noqa: PT011  # Whichever it is, the field says what is wanted.
            parse_moment(wrong, now=NOW, zone=LONDON)


def test_what_the_counters_say_to_type_after_ctrl_p_is_found_there() -> None:
    told = queue_words(StaffQueue(**dict.fromkeys(StaffQueue.__struct_fields__, 1)))
    words = set(re.findall(r"\(\^P (\w+)\)", told))
    everywhere = [action.sentence.lower() for action in ACTIONS if action.in_palette and not action.pages]
    assert words == {"privacy", "email", "tills"}
    assert all(any(word in sentence for sentence in everywhere) for word in words)


def test_a_schedule_of_what_lapses_that_goes_on_says_so() -> None:
    lots = tuple(DatedPoints(points=5, at=datetime(2030, 1, last, tzinfo=LONDON)) for last in (3, 3, 9))
    months = (ExpiryMonth(month=date(2030, 1, 1), points=15, lots=lots),)
    schedule = ExpirySchedule(zone="Europe/London", never=0, items=months, as_of=NOW, next_cursor="more")
    found = Membership(view=None, others=(), tier=None, schedule=schedule, vouchers=())
    rows = [[cell.text for cell in row.cells] for row in membership_rows(found, now=NOW, zone=LONDON)]
    assert rows == [["Lapses", "January 2030", "15", "on 2 days"], ["Lapses", "more, after January 2030", "–", ""]]
