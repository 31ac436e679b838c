"""Orders that a person gave to somebody, and whose till still names somebody else. The person's word holds; both are listed."""

from collections.abc import Sequence
from uuid import UUID

from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.customers.rules import parse_email
from server.db.engine import Row
from server.orders import batch_store
from server.orders import difference_store as store
from shared.codes import normalise_card_number
from shared.enums import OrderState, SkippedReason
from shared.orders import OrderDifference, OrderDifferencePage, StaffOrder
from shared.pos import PosCustomer

# Assignments that a person made; what a till says later does not undo them.
EXPLICIT = frozenset({"staff", "claim"})


async def hold_people(order: Row, customer: PosCustomer | None) -> None:
    """Keep whom a till names, and who has the order, as they are until the end, if a person gave it to somebody.

    Customers come before the order, as in every act that locks both.
    """
    if customer is not None and order["assignment_reason"] in EXPLICIT:
        people = (order["customer"], *await resolve(order["connection"], [customer]))
        await batch_store.hold_people({one for one in people if one is not None}, ())


async def note(ctx: Context, connection_id: UUID, sent: Sequence[tuple[Row, PosCustomer | None]]) -> None:
    """Note whom a till names, now that it has sent orders again that persons gave to somebody; in its transaction.

    Args:
        sent: Orders as they were before, with the customer of the message.
    """
    named = [
        (order, customer) for order, customer in sent if customer is not None and order["assignment_reason"] in EXPLICIT
    ]
    if not named:
        return
    found = await resolve(connection_id, [customer for _, customer in named])
    different = [
        (order["id"], customer_id, order["assignment_version"])
        for (order, _), customer_id in zip(named, found, strict=True)
        if customer_id is not None and customer_id != order["customer"]
    ]
    still = {order_id for order_id, _, _ in different}
    await store.note(different, ctx.now)
    await store.forget([order["id"] for order, _ in named if order["id"] not in still])


async def list_page(*, cursor: str, limit: int) -> OrderDifferencePage:
    """Return a page of orders on which a till and a person differ, the one seen last first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_differences(decode_cursor(cursor), limit + 1)
    page, next_cursor = cut_page(rows, limit, at="last_seen_at", identity="order")
    return OrderDifferencePage(
        items=tuple(_view(row) for row in page),
        next_cursor=next_cursor,
    )


async def resolve(connection_id: UUID, customers: Sequence[PosCustomer]) -> list[UUID | None]:
    """Return whom a till means, in one statement for all cards, one for all addresses and one for all ids of its own."""
    cards = await batch_store.resolve_cards(
        {normalise_card_number(one.card_number) for one in customers if one.card_number}
    )
    emails = await batch_store.resolve_emails(
        {parse_email(one.email, "customer.email").key for one in customers if one.email}
    )
    ids = {one.pos_customer_id for one in customers if one.pos_customer_id}
    records = await batch_store.resolve_records(connection_id, ids)
    found: list[UUID | None] = []
    for one in customers:
        if one.card_number:
            row = cards.get(normalise_card_number(one.card_number))
        elif one.email:
            row = emails.get(parse_email(one.email, "customer.email").key)
        else:
            row = records.get(one.pos_customer_id or "")
        found.append(row["customer"] if row else None)
    return found


def _view(row: Row) -> OrderDifference:
    values = {name: row[name] for name in StaffOrder.__struct_fields__}
    skipped = row["skipped_reason"]
    order = StaffOrder(
        **values | {"state": OrderState(row["state"]), "skipped_reason": SkippedReason(skipped) if skipped else None}
    )
    return OrderDifference(
        order=order,
        named_customer_id=row["named_id"],
        named_customer_name=row["named_name"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
    )
