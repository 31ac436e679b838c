"""How points, money, times and states are put into words."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.base import Birthday
from shared.members import Balance
from shared.money import money
from tests.tui.fake import NOW, make_customer, parked_contact
from tui.formatting import (
    audience_row,
    balance_words,
    birthday,
    can_undo,
    header_facts,
    last_day,
    main_membership,
    moment,
    notices,
    parse_birthday,
    points,
    signed,
    span,
)

LONDON = ZoneInfo("Europe/London")


def test_points_carry_their_sign_and_thousands() -> None:
    assert (points(3249), signed(50), signed(-1290)) == ("3,249", "+50", "-1,290")


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [
        (1740, "GBP", "17.40 GBP"),
        (-5, "EUR", "-0.05 EUR"),
        (1200, "JPY", "1,200 JPY"),
        (1234567, "KWD", "1,234.567 KWD"),
        (0, "GBP", "0.00 GBP"),
    ],
)
def test_money_is_written_with_the_digits_of_its_currency(minor: int, currency: str, words: str) -> None:
    assert money(minor, currency) == words


def test_times_are_the_shops_and_say_only_what_is_needed() -> None:
    summer = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert moment(summer, now=summer, zone=LONDON) == "00:30 today"
    assert moment(datetime(2026, 1, 28, 10, 5, tzinfo=UTC), now=NOW, zone=LONDON) == "28 Jan 10:05"
    assert moment(datetime(2024, 1, 28, 10, 5, tzinfo=UTC), now=NOW, zone=LONDON) == "28 Jan 2024"


def test_points_that_lapse_at_midnight_are_good_through_the_day_before() -> None:
    assert last_day(datetime(2026, 7, 1, tzinfo=LONDON), now=NOW, zone=LONDON) == "through 30 Jun"
    assert last_day(datetime(2027, 1, 1, tzinfo=LONDON), now=NOW, zone=LONDON) == "through 31 Dec"
    assert last_day(datetime(2026, 7, 1, 9, tzinfo=LONDON), now=NOW, zone=LONDON) == "until 1 Jul 09:00"


def test_spans_use_their_largest_fitting_unit() -> None:
    assert [span(timedelta(seconds=s)) for s in (0, 42, 120, 7200, 200_000)] == [
        "0 s",
        "42 s",
        "2 min",
        "2 h",
        "2 days",
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2.5.1961", Birthday(day=2, month=5, year=1961)),
        ("2/5", Birthday(day=2, month=5)),
        ("2 May 1961", Birthday(day=2, month=5, year=1961)),
        ("1961-05-02", Birthday(day=2, month=5, year=1961)),
        ("29 feb", Birthday(day=29, month=2)),
        ("  ", None),
    ],
)
def test_birthdays_are_read_as_people_write_them(text: str, read: Birthday | None) -> None:
    assert parse_birthday(text) == read


@pytest.mark.parametrize(
    "text", ["31.2.1990", "1", "2.13.1990", "2.5.61", "soon", "1 2 3 4", "29.2.2023", "²/5", "2.5.99999", "0.1.2000"]
)
def test_what_is_no_birthday_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_birthday(text)


@given(st.dates(date(1900, 1, 1), date(2100, 12, 31)), st.booleans())
def test_a_shown_birthday_can_be_read_back(on: date, with_year: bool) -> None:
    value = Birthday(day=on.day, month=on.month, year=on.year if with_year else None)
    assert parse_birthday(birthday(value)) == value


@given(st.text(max_size=25))
def test_any_text_is_a_birthday_or_refused(text: str) -> None:
    try:
        parse_birthday(text)
    except ValueError:
        return


def test_a_balance_names_what_is_pending_and_owed() -> None:
    balance = Balance(available=10, pending=5, deficit=3, lifetime=18, as_of=NOW)
    assert balance_words(balance) == "10 (5 pending, 3 owed)"


def test_the_header_always_says_whether_an_address_is_proven() -> None:
    ben = make_customer(1, "Ben", email_status="unverified")
    facts = header_facts(ben, main_membership(ben), now=NOW, zone=LONDON)
    assert next(fact for fact in facts if fact.label == "Email").tail.text == "not proven"


def test_a_hold_a_pending_change_and_an_undo_are_told() -> None:
    from tests.tui.test_customer import an_email_change

    pending = an_email_change("pending", undo_until=None)
    done = an_email_change("confirmed", undo_until=NOW + timedelta(days=7))
    customer = make_customer(1, "Ben", redemption_held_until=NOW + timedelta(hours=5), email_changes=(pending, done))
    told = " ".join(cell.text for cell in notices(customer, now=NOW, zone=LONDON))
    assert "cannot be spent" in told
    assert "waits for proof" in told
    assert "takes the change back" in told


def test_an_undo_ends_with_its_deadline() -> None:
    from tests.tui.test_customer import an_email_change

    change = an_email_change("confirmed", undo_until=NOW)
    assert not can_undo(change, now=NOW)
    assert can_undo(replace(change, undo_until=NOW + timedelta(seconds=1)), now=NOW)
    assert not can_undo(replace(change, state="undone", undo_until=NOW + timedelta(days=1)), now=NOW)


def test_a_parked_contact_says_why() -> None:
    row = audience_row(parked_contact(1, "exists elsewhere"), now=NOW, zone=LONDON)
    assert [row.cells[0].text, row.cells[-1].text] == ["needs a look", "exists elsewhere (field BIRTHDAY)"]
