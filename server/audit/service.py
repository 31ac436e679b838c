"""Pages of the audit trail."""

from uuid import UUID

import msgspec

from server.audit import store
from server.cursors import cut_page, decode_cursor
from server.customers.service import check_exists
from server.db.engine import Row
from shared.staff import AuditEntryView, AuditPage

# How an actor without a name of its own is called.
_ACTOR_WORDS = {"member": "customer", "staff": "staff", "key": "till", "system": "system"}


async def list_page(
    *, cursor: str, limit: int, customer_id: UUID | None = None, actor_id: UUID | None = None
) -> AuditPage:
    """Return a page of audit entries, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    before = decode_cursor(cursor)
    rows = await store.list_entries(
        before_id=before[1] if before else None, limit=limit + 1, customer_id=customer_id, actor_id=actor_id
    )
    page, next_cursor = cut_page(rows, limit, at="at")
    return AuditPage(items=tuple(_view(row) for row in page), next_cursor=next_cursor)


async def list_customer_page(customer_id: UUID, *, cursor: str, limit: int) -> AuditPage:
    """Return a page of what was done for one customer, newest first.

    Raises:
        NotFound: There is no such customer.
        Invalid: The cursor is not one of ours.
    """
    page = await list_page(cursor=cursor, limit=limit, customer_id=customer_id)
    if not page.items:
        await check_exists(customer_id)
    return page


def _view(row: Row) -> AuditEntryView:
    return AuditEntryView(
        id=row["id"],
        at=row["at"],
        actor=row["actor_name"] or _ACTOR_WORDS[row["actor_kind"]],
        action=row["action"],
        subject_kind=row["subject_kind"],
        subject_id=row["subject_id"],
        customer_id=row["customer_id"],
        reason=row["reason"],
        details=msgspec.json.decode(row["details"], type=dict[str, object]),
    )
