"""SQL of the audit trail."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id

_RECORD = """
insert into audit_entry (id, at, actor_kind, actor_id, action, subject_kind, subject_id, customer_id, reason, details,
                         request_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


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
