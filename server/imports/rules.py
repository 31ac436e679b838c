"""How a file of opening balances is read: pure functions over its text."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from server.csv_files import TOO_LONG, FileRow, read_rows
from server.customers.rules import parse_email, parse_phone
from server.errors import Invalid
from shared.codes import normalise_card_number

BYTES_MAX: Final = 20_000_000
ROWS_MAX: Final = 200_000
POINTS_MAX: Final = 1_000_000_000
_KEY_LENGTH_MAX: Final = 100
_REFERENCE_LENGTH_MAX: Final = 64
_PERSON: Final = ("card", "email", "phone", "pos_customer_id")
_COLUMNS: Final = (*_PERSON, "connection", "points", "earned_at", "expires_at", "key")
_NEEDED: Final = ("points", "earned_at")
_POINTS = re.compile("[0-9]{1,10}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class BalanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one person with their dates; `line` counts from 1, the header being the first."""

    line: int
    row_key: str
    identified_by: str
    identifier: str
    points: int
    earned_at: datetime
    expires_at: datetime | None


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot be brought over, and why."""

    line: int
    row_key: str
    reason: str


class _Wrong(Exception):
    """What is wrong with the line at hand."""


def read_balances(text: str, *, zone: str, country: str, now: datetime) -> Iterator[BalanceLine | BadLine]:
    """Yield the lines of a file.

    A header names the columns: `points` and `earned_at`, one of `card`, `email`, `phone` and `pos_customer_id` (the first
    that is filled counts; the last is a till system's own id, and `connection` the code of that system), and, if wanted,
    `expires_at` and `key`. Dates are days of the shop or instants with an offset; a last day
    counts to its end, and points without one never lapse. A line's key is what makes it the same line when the file
    comes again: the column `key`, or else its number.

    Args:
        zone: Time zone of the programme.
        country: Where phone numbers without a country belong.
        now: Nothing was earned later than this.

    Raises:
        WrongFile: No header, unknown columns, too many lines, or broken quoting.
    """
    seen: set[str] = set()
    for row in read_rows(text, columns=_COLUMNS, needed=_NEEDED, one_of=_PERSON, rows_max=ROWS_MAX):
        yield _read_line(row, seen, zone, country, now)


def _read_line(row: FileRow, seen: set[str], zone: str, country: str, now: datetime) -> BalanceLine | BadLine:
    line, values = row.line, row.values
    row_key = values.get("key") or f"line-{line}"
    try:
        if row.is_too_long:
            raise _Wrong(TOO_LONG)
        if row_key in seen or len(row_key) > _KEY_LENGTH_MAX or not row_key.isprintable():
            raise _Wrong("Its key is there twice, too long, or not printable.")
        seen.add(row_key)
        identified_by, identifier = _read_person(values, country)
        earned_at = _read_time(values.get("earned_at", ""), zone, "earned_at")
        if earned_at > now:
            raise _Wrong("earned_at lies in the future.")
        expires_at = None
        if values.get("expires_at"):
            expires_at = _read_time(values["expires_at"], zone, "expires_at", days_later=1)
            if expires_at <= max(now, earned_at):
                raise _Wrong("These points have lapsed.")
        return BalanceLine(
            line=line,
            row_key=row_key,
            identified_by=identified_by,
            identifier=identifier,
            points=_read_points(values.get("points", "")),
            earned_at=earned_at,
            expires_at=expires_at,
        )
    except _Wrong as wrong:
        return BadLine(line=line, row_key=row_key, reason=str(wrong))


def _read_person(values: dict[str, str], country: str) -> tuple[str, str]:
    try:
        if card := values.get("card"):
            return "card", normalise_card_number(card)
        if email := values.get("email"):
            return "email", parse_email(email, "email").key
        if phone := values.get("phone"):
            return "phone", parse_phone(phone, country, "phone").key
        if reference := values.get("pos_customer_id"):
            return "pos", _read_reference(values.get("connection", ""), reference)
    except Invalid as error:
        raise _Wrong(error.fields[0].detail) from error
    raise _Wrong("It names nobody: card, email, phone and pos_customer_id are empty.")


def _read_reference(connection: str, reference: str) -> str:
    if not connection or ":" in connection:
        raise _Wrong("A pos_customer_id needs the connection, the code of the till system that it is of.")
    if len(reference) > _REFERENCE_LENGTH_MAX or not reference.isprintable():
        raise _Wrong("Its pos_customer_id is too long, or not printable.")
    return f"{connection}:{reference}"


def _read_points(text: str) -> int:
    if not _POINTS.fullmatch(text) or not 0 < int(text) <= POINTS_MAX:
        raise _Wrong(f"points must be a whole number from 1 to {POINTS_MAX:,}.")
    return int(text)


def _read_time(text: str, zone: str, column: str, *, days_later: int = 0) -> datetime:
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text) + timedelta(days=days_later)
            return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError("an instant without an offset could be any of 26")
        return at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _Wrong(f"{column} must be a day such as 2025-03-31, or an instant with an offset.") from error
