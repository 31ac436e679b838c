"""SQL of messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.db.engine import DB
from server.messages.rules import QueuedMail

_INSERT = """
insert into message (id, customer, purpose, to_address, template, parameters, state, last_error, created_at)
values ($1, $2, $3, $4, $5, $6, case when $7::text is null then 'queued' else 'failed' end, $7, $8)
"""
# The link is looked at again when the mail is about to leave: a newer one may have replaced it.
_FIND_QUEUED = """
select m.purpose, m.to_address, m.template, m.parameters, m.created_at, t.id as token_id,
       coalesce(t.used_at is not null or t.voided_at is not null or t.expires_at <= $2, false)
       or (t.id is null and m.parameters ? 'token_id') as link_is_void
from message m left join one_time_token t on t.id = (m.parameters->>'token_id')::uuid
where m.id = $1 and m.state = 'queued'
"""
_FINISH = """
update message
set state = $2, last_error = $3, attempts = attempts + 1, parameters = '{}', sent_at = case when $2 = 'sent' then $4::timestamptz end
where id = $1 and state = 'queued'
"""
_REMEMBER = """
insert into hook_event (event_id, received_at) select distinct id, $2::timestamptz from unnest($1::text[]) as n(id)
on conflict do nothing returning event_id
"""
_WITHDRAW = """
update message set state = 'failed', last_error = $3, parameters = '{}'
where state = 'queued' and customer = $1 and to_address = $2
"""
_NOTE_TRY = "update message set attempts = attempts + 1, last_error = $2 where id = $1"


async def insert_message(
    message_id: UUID,
    *,
    customer_id: UUID | None,
    purpose: str,
    to_address: str,
    template: str,
    parameters: Mapping[str, str],
    token_id: UUID | None,
    voucher_ids: Sequence[UUID],
    withheld: str | None,
    now: datetime,
) -> None:
    """Write a mail down; one that is withheld leaves nothing personal behind."""
    content: dict[str, object] = {"values": {} if withheld else parameters}
    if token_id is not None:
        content["token_id"] = token_id
    if voucher_ids:
        content["voucher_ids"] = voucher_ids
    encoded = msgspec.json.encode(content).decode()
    address = "" if withheld else to_address
    await DB.fetch(_INSERT, message_id, customer_id, purpose, address, template, encoded, withheld, now)


async def find_queued(message_id: UUID, now: datetime) -> QueuedMail | None:
    """Return a mail that still has to leave."""
    row = await DB.fetch_row(_FIND_QUEUED, message_id, now)
    if row is None:
        return None
    parameters = msgspec.json.decode(row["parameters"], type=_Parameters)
    return QueuedMail(
        id=message_id,
        purpose=row["purpose"],
        to_address=row["to_address"],
        template=row["template"],
        parameters=parameters.values,
        voucher_ids=parameters.voucher_ids,
        token_id=row["token_id"],
        link_is_void=row["link_is_void"],
        created_at=row["created_at"],
    )


async def finish(message_id: UUID, *, state: str, reason: str | None, now: datetime) -> None:
    """Mark a mail as sent or failed and forget what it was filled with."""
    await DB.fetch(_FINISH, message_id, state, reason, now)


async def withdraw(customer_id: UUID, to_address: str, *, reason: str) -> None:
    """Mark what waits for an address as failed and forget what it was filled with."""
    await DB.fetch(_WITHDRAW, customer_id, to_address, reason)


async def note_try(message_id: UUID, *, reason: str) -> None:
    """Count a try that failed for now."""
    await DB.fetch(_NOTE_TRY, message_id, reason)


async def remember_events(event_ids: Sequence[str], now: datetime) -> set[str]:
    """Keep the ids of events that came from outside and return those that are new."""
    return {row["event_id"] for row in await DB.fetch(_REMEMBER, list(event_ids), now)}


class _Parameters(msgspec.Struct):
    values: dict[str, str] = {}
    voucher_ids: tuple[UUID, ...] = ()
