"""SQL that removes what names an erased person from rows that are not theirs: files that were read, what was set aside at the
exchange with tills, mails to others, reasons of acts in which others took part, errors of jobs.

$1 is always the customer with everybody who was merged into them, who are `erased` by then.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB
from server.imports.store import forget_rows
from server.privacy.names import Names

_FORGET_AT_ORDERS = (
    "update orders set pos_customer_id = null where customer = any($1::uuid[]) and pos_customer_id is not null",
    """
    update refund r set resolved_reason = '' from orders o
    where o.customer = any($1::uuid[]) and r."order" = o.id and r.resolved_reason <> ''
    """,
)
# What was set aside was never counted; the sale stands in the till's own books. What one till calls a person may be a number
# of anything at another.
_FORGET_SET_ASIDE = """
delete from pos_staged s
where s.state = 'quarantined'
  and (s.kind = 'order' and exists (
           select from (
               select null::uuid as connection, unnest($1::text[]) as needle
               union all
               select connection, needle from unnest($2::uuid[], $3::text[]) as r(connection, needle)
           ) n
           where coalesce(n.connection, s.connection) = s.connection and position(n.needle in lower(s.payload::text)) > 0)
       or exists (select from unnest($4::text[]) n(needle) where position(n.needle in lower(s.detail)) > 0))
"""
# Those who shared a membership are told by name who came, left or invited them; what a mail says is kept until it has left.
_FORGET_IN_MAILS = (
    """
    update message set parameters = jsonb_set(parameters, '{values,about}', '"Somebody"')
    where state = 'queued' and template in ('sharing_joined', 'sharing_combined', 'sharing_left', 'sharing_undone') and customer in (
        select o.customer from membership_person p join membership_person o on o.membership = p.membership
        where p.customer = any($1::uuid[]) and not o.customer = any($1::uuid[]))
    """,
    """
    update message set parameters = jsonb_set(parameters, '{values,invited_by}', '"A member"')
    where state = 'queued' and template = 'sharing_invitation' and customer in (
        select c.customer from sharing_invitation i join contact_point c on c.kind = 'email' and c.key = i.email_key
        where i.invited_by = any($1::uuid[]))
    """,
)
# One act is told in the history of everybody it concerned, with the same reason, which may speak of any of them.
_NAME_ERASED = "select set_config('regulars.erased', array_to_string($1::uuid[], ','), true)"
_FORGET_REASONS = """
update audit_entry set reason = null
where reason is not null and not coalesce(customer_id = any($1::uuid[]), false)
  and subject_id in (select subject_id from audit_entry where customer_id = any($1::uuid[]))
"""
_FORGET_ERRORS = """
delete from pgqueuer_log
where traceback is not null
  and exists (select from unnest($1::text[]) n(needle) where position(n.needle in lower(traceback::text)) > 0)
"""


async def forget_elsewhere(ctx: Context, customer_ids: Sequence[UUID], names: Names) -> None:
    """Remove a person's traces from rows of others and of the machinery; before their invitations are emptied."""
    ids = list(customer_ids)
    for sql in (*_FORGET_AT_ORDERS, *_FORGET_IN_MAILS):
        await DB.fetch(sql, ids)
    await forget_rows(ctx, ids, names.identifiers)
    addresses = sorted({text.lower() for text in (*names.keys, *names.values)})
    # A short id of a till is told from other numbers by standing alone, between quotes.
    anywhere = sorted({_quoted(text) for text in (*names.keys, *names.values, *names.cards)})
    tills = [row["connection"] for row in names.records]
    called = [_quoted(external_id) for external_id in names.external_ids]
    await DB.fetch(_FORGET_SET_ASIDE, anywhere, tills, called, addresses)
    await DB.fetch(_FORGET_ERRORS, addresses)
    await DB.fetch(_NAME_ERASED, ids)
    await DB.fetch(_FORGET_REASONS, ids)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text.lower()).decode()
