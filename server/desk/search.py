"""The customer search behind the console's one box."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from server.context import Context
from server.customers.rules import mask_email
from server.db.engine import Row
from server.desk import search_store as store
from server.desk.rules import CardQuery, DigitsQuery, EmailQuery, NameQuery, Reading, TooShort, read_query
from server.errors import Invalid
from shared.limits import SEARCH_LENGTH_MAX, SEARCH_ROWS_MAX
from shared.problems import FieldProblem
from shared.staff import CustomerHit, SearchResult

_ENDING_DIGITS = 4
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


async def search_customers(ctx: Context, text: str) -> SearchResult:
    """Return at most SEARCH_ROWS_MAX masked rows for a search text, exact hits first.

    Raises:
        Invalid: The text is longer than SEARCH_LENGTH_MAX.
    """
    if len(text) > SEARCH_LENGTH_MAX:
        raise Invalid(FieldProblem(field="q", detail=f"At most {SEARCH_LENGTH_MAX} characters."))
    read_as, hint, rows = await _find(ctx, read_query(text, ctx.settings.default_country))
    return SearchResult(
        query=text, read_as=read_as, hint=hint, items=tuple(_hit(row) for row in rows), more=_has_more(rows)
    )


async def _find(ctx: Context, reading: Reading) -> tuple[str, str | None, list[Row]]:
    """Return how the text was read, a hint, and the rows."""
    match reading:
        case TooShort():
            return reading.read_as, reading.hint, []
        case EmailQuery():
            return "email", None, await store.search_email(reading.prefix, ctx.now)
        case NameQuery():
            return "name", None, await store.search_name(reading.prefix, ctx.now)
        case CardQuery():
            if rows := await store.search_card(reading.card, ctx.now):
                return "card", await _card_hint(reading.card), rows
            return "name", None, await store.search_name(reading.name_prefix, ctx.now)
        case DigitsQuery():
            rows = await store.search_digits(
                reading.card, phone_prefix=reading.phone_prefix, phone_reversed=reading.phone_reversed, now=ctx.now
            )
            is_card = bool(rows) and rows[0]["rank"] == 0
            return "phone or card", await _card_hint(reading.card) if is_card else None, rows


async def _card_hint(card: str) -> str | None:
    successor = await store.find_successor(card)
    return f"This card was replaced by {successor}." if successor else None


def _has_more(rows: list[Row]) -> bool:
    return bool(rows) and (rows[0]["customers"] > SEARCH_ROWS_MAX or rows[0]["found"] >= store.BRANCH_ROWS)


def mask_hit(row: Row) -> dict[str, str | None]:
    """Return what a list shows of a customer's addresses, card and birthday."""
    return {
        "email_masked": mask_email(row["email"]) if row["email"] else None,
        "phone_ending": row["phone"][-_ENDING_DIGITS:] if row["phone"] else None,
        "card_ending": row["card_code"][-_ENDING_DIGITS:] if row["card_code"] else None,
        "birthday": f"{row['birth_day']} {_MONTHS[row['birth_month'] - 1]}" if row["birth_month"] else None,
    }


def _hit(row: Row) -> CustomerHit:
    return CustomerHit(
        id=row["id"],
        name=f"{row['given_name']} {row['family_name']}".strip(),
        status=row["status"],
        **mask_hit(row),
        available=row["available"],
        last_order_on=_local_date(row),
        exact=row["rank"] == 0,
        email_bouncing=row["email_bouncing"],
    )


def _local_date(row: Row) -> date | None:
    at: datetime | None = row["last_order_at"]
    if at is None:
        return None
    return at.astimezone(ZoneInfo(row["zone"]) if row["zone"] else UTC).date()
