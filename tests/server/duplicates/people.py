"""Customers as tests of the duplicate queue put them on file, without the front door."""

from collections.abc import Sequence
from uuid import UUID

from server.context import Context
from server.customers import store as customers
from server.customers.rules import parse_email, parse_phone
from server.db.engine import DB
from server.duplicates.search import compare_marked
from shared.base import Birthday
from tests.app import World
from tests.server.duplicates.records import Known


async def add(ctx: Context, known: Known) -> UUID:
    """Put somebody on file."""
    birthday = Birthday(year=known.born[0], month=known.born[1], day=known.born[2]) if known.born else None
    customer_id = await customers.insert_customer(
        ctx, given_name=known.given, family_name=known.family, source="till", birthday=birthday
    )
    for number, text in enumerate(known.emails):
        email = parse_email(text, "email")
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="email", value=email.value, key=email.key, verified=False,
            is_primary=number == 0,
        )  # fmt: skip
    for number, text in enumerate(known.phones):
        phone = parse_phone(text, "GB")
        await customers.insert_contact_point(
            ctx, customer_id=customer_id, kind="phone", value=phone.value, key=phone.key, verified=False,
            is_primary=number == 0,
        )  # fmt: skip
    if known.post_code:
        sql = "update customer set post_code = $2, postal_address = $3 where id = $1"
        await DB.fetch(sql, customer_id, known.post_code, known.street)
    return customer_id


async def fill(ctx: Context, people: Sequence[Known]) -> list[UUID]:
    """Put many people on file at once and return their ids in the same order."""
    return [await add(ctx, known) for known in people]


async def compare(world: World) -> None:
    """Let the worker's sweep compare who changed."""
    await compare_marked(world.tools)
    assert await DB.fetch("select 1 from duplicate_mark") == []


async def open_pairs() -> set[frozenset[UUID]]:
    """Return the pairs that wait for staff."""
    rows = await DB.fetch("select one, other from duplicate_candidate where state = 'open'")
    return {frozenset((row["one"], row["other"])) for row in rows}
