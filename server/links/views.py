"""How staff see records, links and matches to decide; contact data of records is masked."""

from collections.abc import Sequence
from datetime import datetime

from server.customers.rules import mask_email
from server.db.engine import Row
from server.links import directory_store
from server.orders.attaching import Attached
from shared.links import LinkEffect, LinkReviewView, LinkView, RecordHit, SkippedOrders


def hit_of(row: Row) -> RecordHit:
    """Return a record as lists show it."""
    return RecordHit(
        id=row["id"],
        connection=row["connection"],
        external_id=row["external_id"],
        name=row["name"],
        email_masked=mask_email(row["email"]) if row["email"] else None,
        phone_ending=row["phone_key"][-4:] if row["phone_key"] else None,
        card_ending=row["card_number"][-4:] if row["card_number"] else None,
        last_order_at=row["last_order_at"],
        orders=row["orders"],
        customer_id=row["customer_id"],
        customer_name=row["customer_name"] or None,
        linked_at=row["linked_at"],
    )


def link_view(row: Row) -> LinkView:
    """Return a link as staff see it."""
    values = {name: row[name] for name in LinkView.__struct_fields__ if name not in ("record_id", "aliases")}
    return LinkView(**values, record_id=row["record"], aliases=tuple(row["aliases"]))


def effect_view(attached: Attached, *, held_until: datetime | None) -> LinkEffect:
    """Return what a link brought."""
    return LinkEffect(
        orders_found=attached.found,
        orders_counted=attached.counted,
        points=attached.points,
        skipped=tuple(SkippedOrders(reason=reason, orders=count) for reason, count in attached.skipped.items()),
        held_until=held_until,
    )


async def review_views(rows: Sequence[Row]) -> tuple[LinkReviewView, ...]:
    """Return matches to decide as staff see them."""
    hits = {row["id"]: row for row in await directory_store.list_hits([row["record"] for row in rows])}
    return tuple(
        LinkReviewView(
            id=row["id"],
            customer_id=row["customer"],
            customer_name=row["name"],
            reason=row["reason"],
            record=hit_of(hits[row["record"]]),
            other_customer_id=row["other_customer"],
            created_at=row["created_at"],
        )
        for row in rows
    )
