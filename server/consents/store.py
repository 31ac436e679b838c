"""SQL of consents."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.consents.wordings import list_wordings
from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id

_SEED = """
insert into consent_wording (version, channel, language, wording, created_at)
select w.version, w.channel, w.language, w.wording, $5
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as w(version, channel, language, wording)
on conflict (version) do nothing
"""
# A yes given or changed by staff for an address nobody has proved yet waits for its owner's own yes.
_INSERT = """
insert into consent_event (id, customer, channel, address_key, state, source, wording_version, actor_kind, actor_id, store,
                           network, at)
select $1, $2, $3, $4,
       case when not $5 then 'opted_out'
            when $6 in ('till', 'correction', 'email_change') and $3 = 'email' and not exists (
                select 1 from contact_point where kind = 'email' and key = $4 and status in ('verified', 'bouncing'))
            then 'pending'
            else 'opted_in' end,
       $6, $7, $8, $9, $10, $11, $12
"""
# Consent belongs to an address: what was said about a former one says nothing about the present one.
_CURRENT = """
select p.kind, p.key, e.state, e.at, e.source
from contact_point p
left join lateral (
    select state, at, source from consent_event
    where customer = p.customer and channel = case p.kind when 'phone' then 'sms' else 'email' end and address_key = p.key
    order by at desc, id desc limit 1
) e on true
where p.customer = $1 and p.is_primary
"""


# Former addresses too: a mail that was on its way when the address changed has a link to say no.
_AT = """
select distinct p.customer from contact_point p join customer c on c.id = p.customer
where p.kind = 'email' and p.key = $1 and c.status in ('stub', 'active', 'blocked')
"""
_OPT_OUT = """
insert into consent_event (id, customer, channel, address_key, state, source, actor_kind, actor_id, at)
select regulars_new_id(), c.id, 'email', $2, 'opted_out', $3, $4, $5, $6
from unnest($1::uuid[]) as c(id)
left join lateral (
    select state, at from consent_event where customer = c.id and channel = 'email' and address_key = $2
    order by at desc, id desc limit 1
) e on true
where e.state is distinct from 'opted_out' and coalesce(e.at <= $6, true)
returning customer
"""


async def seed_wordings(now: datetime) -> None:
    """Store today's wordings unless they are there."""
    wordings = list_wordings()
    await DB.fetch(
        _SEED,
        [version for version, _ in wordings],
        [str(wording.channel) for _, wording in wordings],
        [wording.language for _, wording in wordings],
        [wording.text for _, wording in wordings],
        now,
    )


async def insert_event(
    ctx: Context,
    *,
    customer_id: UUID,
    channel: str,
    address_key: str,
    opted_in: bool,
    source: str,
    wording_version: str | None,
    store_id: UUID | None,
) -> None:
    """Add a consent event."""
    await DB.fetch(
        _INSERT,
        new_id(),
        customer_id,
        channel,
        address_key,
        opted_in,
        source,
        wording_version,
        ctx.actor.kind,
        ctx.actor.id,
        store_id,
        ctx.network or None,
        ctx.now,
    )


async def list_customers_at(email_key: str) -> list[UUID]:
    """Return who has, or had, an address."""
    return [row["customer"] for row in await DB.fetch(_AT, email_key)]


async def insert_opt_outs(
    ctx: Context, customer_ids: Sequence[UUID], email_key: str, *, at: datetime, source: str
) -> list[UUID]:
    """Add a no at an instant for each who has not said no, nor anything later, and return whom it was added for."""
    rows = await DB.fetch(_OPT_OUT, list(customer_ids), email_key, source, ctx.actor.kind, ctx.actor.id, at)
    return [row["customer"] for row in rows]


async def list_current(customer_id: UUID) -> list[Row]:
    """Return kind and key of a customer's primary addresses, with state, time and source of the latest event about each."""
    return await DB.fetch(_CURRENT, customer_id)
