"""SQL of the audit trail."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

_RECORD = """
insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id, reason, details,
                         request_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
# Ids rise with time, so the primary key is the order of the page; each filter has an index that ends in the id. Every
# filter is a statement of its own, as one with `$1 is null or ...` would be planned without the index.
_PAGE = """
select a.id, a.at, a.actor_kind, a.action, a.subject_kind, a.subject_id, a.customer_id, a.reason, a.details,
       coalesce(s.name, k.name) as actor_name
from (
    select * from audit_entry
    where ($1::uuid is null or id < $1){condition}
    order by id desc limit $2
) a
left join staff_member s on a.actor_kind = 'staff' and s.id = a.actor_id
left join api_key k on a.actor_kind = 'key' and k.id = a.actor_id
order by a.id desc
"""
_ALL = _PAGE.format(condition="")
_OF_CUSTOMER = _PAGE.format(condition=" and customer_id = $3")
_OF_ACTOR = _PAGE.format(condition=" and actor_id = $3")


async def record(
    ctx: Context,
    action: str,
    *,
    subject_kind: str,
    subject_id: UUID | None,
    customer_id: UUID | None = None,
    reason: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Write one entry; call it inside the transaction of the act.

    Args:
        action: `noun.verb_in_past_tense`, as in "email_change.confirmed".
        details: JSON-able facts without personal data; addresses are named by their row's id.
    """
    await DB.fetch(
        _RECORD,
        new_id(),
        ctx.now,
        ctx.actor.kind,
        ctx.actor.id,
        action,
        subject_kind,
        subject_id,
        customer_id,
        reason,
        msgspec.json.encode(details or {}).decode(),
        ctx.request_id,
    )


async def list_entries(
    *, before_id: UUID | None, limit: int, customer_id: UUID | None = None, actor_id: UUID | None = None
) -> list[Row]:
    """Return entries, newest first: of a customer, else of an actor, else all."""
    if customer_id is not None:
        return await DB.fetch(_OF_CUSTOMER, before_id, limit, customer_id)
    if actor_id is not None:
        return await DB.fetch(_OF_ACTOR, before_id, limit, actor_id)
    return await DB.fetch(_ALL, before_id, limit)
