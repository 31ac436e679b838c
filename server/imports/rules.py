"""How a file of opening balances is read, and which of its lines are still to be posted: pure functions."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from server.csv_files import TOO_LONG, FileRow, read_rows
from server.customers.rules import parse_email, parse_phone
from server.errors import Invalid
from shared.codes import normalise_card_number
from shared.limits import ORDER_COMPLETED_FROM

BYTES_MAX: Final = 20_000_000
ROWS_MAX: Final = 200_000
POINTS_MAX: Final = 1_000_000_000
_KEY_LENGTH_MAX: Final = 100
_REFERENCE_LENGTH_MAX: Final = 64
LAPSED: Final = "These points have lapsed."
_PERSON: Final = ("card", "email", "phone", "pos_customer_id")
_COLUMNS: Final = (*_PERSON, "connection", "points", "earned_at", "expires_at", "key")
_NEEDED: Final = ("points", "earned_at")
_POINTS = re.compile("[0-9]{1,10}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Content = tuple[str, str, int, datetime, datetime | None]
"""Whom points are for (how they are named, and the name), how many, and their dates."""


class BalanceLine(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one person with their dates; `line` counts from 1, the header being the first."""

    line: int
    row_key: str
    identified_by: str
    identifier: str
    points: int
    earned_at: datetime
    expires_at: datetime | None

    @property
    def content(self) -> Content:
        """What a line says, wherever in the file it stands."""
        return self.identified_by, self.identifier, self.points, self.earned_at, self.expires_at

    @property
    def has_own_key(self) -> bool:
        """Whether the file itself says what makes this the same line when it comes again."""
        return self.row_key != _number_key(self.line)


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that cannot be brought over, and why."""

    line: int
    row_key: str
    reason: str


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a file: those to post, how many were posted before, and those that contradict what was posted."""

    to_post: tuple[BalanceLine, ...]
    known: int
    refused: tuple[BadLine, ...]


class _Wrong(Exception):
    """What is wrong with the line at hand."""


def sort_lines(
    lines: Sequence[BalanceLine], posted: Mapping[str, Content], *, forgotten: Collection[str] = ()
) -> Sorted:
    """Return what is to be done with the lines of a file that comes again.

    Lines without keys of their own go by their numbers, and those change when lines are added, left out or sorted. So one
    that says the same as a posted line that is no longer in its place is that one.

    Args:
        posted: What was posted, by key.
        forgotten: Keys of lines that were posted for somebody who was erased since.
    """
    in_place = {line.row_key for line in lines if posted.get(line.row_key) == line.content}
    elsewhere = Counter(content for row_key, content in posted.items() if row_key not in in_place)
    to_post: list[BalanceLine] = []
    refused: list[BadLine] = []
    for line in lines:
        if line.row_key in in_place:
            continue
        if not line.has_own_key and elsewhere[line.content]:
            elsewhere[line.content] -= 1
        elif reason := _why_known(line, posted, forgotten):
            refused.append(BadLine(line=line.line, row_key=line.row_key, reason=reason))
        else:
            to_post.append(line)
    return Sorted(to_post=tuple(to_post), known=len(lines) - len(to_post) - len(refused), refused=tuple(refused))


def _why_known(line: BalanceLine, posted: Mapping[str, Content], forgotten: Collection[str]) -> str | None:
    if line.row_key in forgotten:
        return "It was imported before, for somebody who was erased."
    if line.row_key not in posted:
        return None
    if line.has_own_key:
        return "It was imported before, with other content."
    return "It was imported before, with other content, or another line had this number; bring new lines in a new file."


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
    row_key = values.get("key") or _number_key(line)
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
        if earned_at < ORDER_COMPLETED_FROM:
            raise _Wrong("earned_at is too long ago.")
        expires_at = None
        if values.get("expires_at"):
            expires_at = _read_time(values["expires_at"], zone, "expires_at", days_later=1)
            if expires_at <= max(now, earned_at):
                raise _Wrong(LAPSED)
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


def _number_key(line: int) -> str:
    return f"line-{line}"


def _read_person(values: dict[str, str], country: str) -> tuple[str, str]:
    try:
        if card := values.get("card"):
            return "card", normalise_card_number(card)
        if email := values.get("email"):
            return "email", parse_email(email, "email").key
        if phone := values.get("phone"):
            return "phone", parse_phone(phone, country).key
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
    except OverflowError as error:
        raise _Wrong(f"{column} is out of range; points that never lapse have no expires_at.") from error
    except ValueError as error:
        raise _Wrong(f"{column} must be a day such as 2025-03-31, or an instant with an offset.") from error
