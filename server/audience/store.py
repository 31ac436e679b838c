"""SQL of the audience: claiming dirty contacts, the state they should be in, and what became of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, cast
from uuid import UUID

import msgspec
from asyncpg import Record

from server.audience.marks import FORGET_SQL
from server.audience.rules import Consent, Snapshot
from server.db.engine import DB

# One claim at a time in the whole system, so that no two workers ever hold contacts of one person. It lasts milliseconds.
_CLAIM_LOCK: Final = 0x5265_6741


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """A claimed row, as it was when it was claimed."""

    id: UUID
    customer_id: UUID
    email: str
    state: Literal["live", "closing", "erasing"]
    moved_from: UUID | None
    remote_status: str | None
    dirty_seq: int
    pushed_hash: bytes | None
    pushed_consent: UUID | None
    pushed_at: datetime | None
    attempts: int


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """A contact that a claimed one takes the place of and that is not retired yet."""

    id: UUID
    email: str
    dirty_seq: int


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A former contact that was retired at Mailchimp, with the status it was left in; None if it is not there."""

    former: Former
    remote_status: str | None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a claimed contact that needs nothing more for now."""

    contact: Contact
    state: Literal["live", "closed"] = "live"
    remote_id: str | None = None
    remote_status: str | None = None
    pushed_hash: bytes | None = None
    pushed_consent: UUID | None = None
    refresh_at: datetime | None = None
    was_sent: bool = True
    retired: tuple[Retired, ...] = ()


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """The single row that says how the link is doing. With `retry_at` a pause ends by itself."""

    paused_reason: str | None
    retry_at: datetime | None
    failures: int
    fields_checked_at: datetime | None


# Claiming -------------------------------------------------------------------------------------------------------------

# A closing contact waits for the one that takes its place, since that decides whether it is renamed or retired; so it is
# claimed by itself only if nobody takes its place. Opt-outs and closings go first.
_CLAIM = """
with chosen as (
    select contact.id
    from audience_contact contact
    left join lateral (
        select event.id, event.state from consent_event event
        where event.customer = contact.customer and event.channel = 'email' and event.address_key = contact.email_key
        order by event.at desc, event.id desc limit 1
    ) consent on true
    where contact.is_dirty and contact.parked_reason is null and contact.next_try_at <= $1
      and contact.state in ('live', 'closing', 'erasing')
      and (contact.lease_until is null or contact.lease_until <= $1)
      and not exists (
          select from audience_contact sibling
          where sibling.customer = contact.customer and sibling.id <> contact.id and sibling.lease_until > $1)
      and not (contact.state = 'closing' and exists (
          select from audience_contact successor
          where successor.moved_from = contact.id and successor.state in ('live', 'closing')
            and successor.parked_reason is null and successor.id <> contact.id))
    order by not (contact.state in ('closing', 'erasing')
                  or (consent.state = 'opted_out' and consent.id is distinct from contact.pushed_consent)),
             contact.next_try_at, contact.id
    limit $2
    for update of contact skip locked
)
update audience_contact contact set lease_until = $3
from chosen where contact.id = chosen.id
returning contact.id, customer as customer_id, email, state, moved_from, remote_status, dirty_seq, pushed_hash,
          pushed_consent, pushed_at, attempts
"""
# Sales mark many contacts at once, in the order of ids, so this takes them in that order too.
_SET_LEASES = """
update audience_contact contact set lease_until = $2
from (select id from audience_contact where id = any($1) and lease_until is not null order by id for update) held
where contact.id = held.id
"""


async def lock_claims() -> None:
    """Let no other worker claim until this transaction ends."""
    await DB.fetch("select pg_advisory_xact_lock($1)", _CLAIM_LOCK)


async def claim_contacts(now: datetime, *, limit: int, lease_until: datetime) -> tuple[Contact, ...]:
    """Lease up to `limit` dirty contacts that are due, opt-outs and closings first."""
    rows = await DB.fetch(_CLAIM, now, limit, lease_until)
    return tuple(msgspec.convert(dict(row), Contact) for row in rows)


async def renew_leases(contact_ids: Sequence[UUID], *, lease_until: datetime) -> None:
    """Keep contacts that are still being worked on."""
    await DB.fetch(_SET_LEASES, list(contact_ids), lease_until)


async def release_contacts(contact_ids: Sequence[UUID]) -> None:
    """Give contacts back untouched."""
    await DB.fetch(_SET_LEASES, list(contact_ids), None)


# Deriving -------------------------------------------------------------------------------------------------------------

# A membership caches its available points until the next instant at which a lot comes in or lapses; from then on they
# are counted from the lots. Orders say when somebody was last seen, the day of joining where there is none.
_SNAPSHOTS = """
select contact.id, customer.status as customer_status, customer.given_name, customer.family_name,
       coalesce(programme.zone, 'UTC') as zone,
       membership.id is not null as has_membership,
       coalesce(membership.tier, '') as tier,
       membership.enrolled_at as member_since_at,
       coalesce(card.code, '') as card_number,
       coalesce(last_order.completed_at, person.joined_at) as last_seen_at,
       case when membership.id is null then 0
            when membership.figures_until is null or membership.figures_until > $2 then membership.available
            else coalesce((select sum(lot.remaining) from lot
                           where lot.membership = membership.id and lot.remaining > 0 and lot.available_at <= $2
                             and (lot.expires_at is null or lot.expires_at > $2)), 0)
       end::bigint as points,
       case when membership.figures_until > $2 then membership.figures_until
            when membership.figures_until is not null then (
                select min(turn.at) from lot
                cross join lateral (values (lot.available_at), (lot.expires_at)) as turn (at)
                where lot.membership = membership.id and lot.remaining > 0 and turn.at > $2)
       end as refresh_at,
       consent.id as consent_id, consent.state as consent_state, consent.source as consent_source
from audience_contact contact
join customer on customer.id = contact.customer
left join programme on programme.is_default
left join membership_person person
    on person.customer = contact.customer and person.programme = programme.id and person.left_at is null
left join membership on membership.id = person.membership and membership.status = 'active'
left join lateral (
    select code from card
    where card.membership = membership.id and card.customer = contact.customer and card.status = 'active'
    order by card.issued_at desc, card.id desc limit 1
) card on true
left join lateral (
    select completed_at from orders
    where orders.customer = contact.customer and orders.state = 'completed'
    order by completed_at desc, id desc limit 1
) last_order on true
left join lateral (
    select event.id, event.state, event.source from consent_event event
    where event.customer = contact.customer and event.channel = 'email' and event.address_key = contact.email_key
    order by event.at desc, event.id desc limit 1
) consent on true
where contact.id = any($1)
"""

# Back along the changes of address; the path ends the walk where somebody went back to an address.
_FORMERS = """
with recursive chain as (
    select contact.id as owner, former.id, former.email, former.state, former.dirty_seq, former.moved_from,
           array[contact.id, former.id] as path
    from audience_contact contact join audience_contact former on former.id = contact.moved_from
    where contact.id = any($1)
    union all
    select chain.owner, former.id, former.email, former.state, former.dirty_seq, former.moved_from,
           chain.path || former.id
    from chain join audience_contact former on former.id = chain.moved_from
    where not former.id = any(chain.path)
)
select owner, id, email, dirty_seq from chain
where state = 'closing' and id <> owner order by owner, cardinality(path)
"""


async def read_snapshots(contact_ids: Sequence[UUID], now: datetime) -> dict[UUID, Snapshot]:
    """Return what is true now of each contact's customer."""
    rows = await DB.fetch(_SNAPSHOTS, list(contact_ids), now)
    return {row["id"]: _snapshot(row) for row in rows}


async def list_formers(contact_ids: Sequence[UUID]) -> dict[UUID, tuple[Former, ...]]:
    """Return the contacts still to be retired behind each contact, the newest first."""
    found: dict[UUID, tuple[Former, ...]] = {}
    for row in await DB.fetch(_FORMERS, list(contact_ids)):
        former = Former(id=row["id"], email=row["email"], dirty_seq=row["dirty_seq"])
        found[row["owner"]] = (*found.get(row["owner"], ()), former)
    return found


def _snapshot(row: Record) -> Snapshot:
    consent = None
    if row["consent_id"] is not None:
        consent = Consent(event_id=row["consent_id"], state=row["consent_state"], source=row["consent_source"])
    plain = {field: row[field] for field in Snapshot.__struct_fields__ if field != "consent"}
    return Snapshot(consent=consent, **plain)


# Settling -------------------------------------------------------------------------------------------------------------

# `pushed_seq` becomes what was derived from, not what is there now: a change made meanwhile leaves the contact dirty.
# A contact that was moved or taken over meanwhile keeps its new state and owner.
_SETTLE = """
update audience_contact contact
set pushed_seq = greatest(contact.pushed_seq, done.seq),
    state = case when done.state = 'closed' and contact.dirty_seq = done.seq then 'closed' else contact.state end,
    remote_id = case when done.was_sent then done.remote_id else contact.remote_id end,
    remote_status = case when done.was_sent then done.remote_status else contact.remote_status end,
    pushed_hash = done.pushed_hash, pushed_consent = done.pushed_consent, refresh_at = done.refresh_at,
    pushed_at = case when done.was_sent then $2 else contact.pushed_at end,
    attempts = 0, lease_until = null
from (
    select settled.* from unnest($1::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::uuid[],
                                 $9::timestamptz[], $10::boolean[])
         as settled (id, seq, state, remote_id, remote_status, pushed_hash, pushed_consent, refresh_at, was_sent)
    join (select id from audience_contact where id = any($1) order by id for update) locked using (id)
) done
where contact.id = done.id
"""

_CLOSE_FORMERS = """
update audience_contact contact
set state = 'closed', pushed_seq = contact.dirty_seq, pushed_hash = null, refresh_at = null,
    remote_status = done.status, pushed_at = case when done.status is null then contact.pushed_at else $4 end
from (
    select former.id, former.status from unnest($1::uuid[], $2::bigint[], $3::text[]) as former (id, seq, status)
    join (select id, dirty_seq from audience_contact where id = any($1) order by id for update) locked using (id)
    where locked.dirty_seq = former.seq
) done
where contact.id = done.id and contact.state = 'closing'
"""


async def settle(settled: Sequence[Settled], now: datetime) -> None:
    """Record contacts as pushed, and retire those whose place they took."""
    await DB.fetch(
        _SETTLE,
        [one.contact.id for one in settled],
        now,
        [one.contact.dirty_seq for one in settled],
        [one.state for one in settled],
        [one.remote_id for one in settled],
        [one.remote_status for one in settled],
        [one.pushed_hash for one in settled],
        [one.pushed_consent for one in settled],
        [one.refresh_at for one in settled],
        [one.was_sent for one in settled],
    )
    await close_formers([retired for one in settled for retired in one.retired], now)


async def close_formers(retired: Sequence[Retired], now: datetime) -> None:
    """Record former contacts as retired; one that is wanted again meanwhile stays open."""
    if retired:
        ids, seqs = [one.former.id for one in retired], [one.former.dirty_seq for one in retired]
        await DB.fetch(_CLOSE_FORMERS, ids, seqs, [one.remote_status for one in retired], now)


async def forget(contact_id: UUID) -> None:
    """Record that an erased person's address was deleted at Mailchimp: nothing of it stays here."""
    await DB.fetch(FORGET_SQL, [contact_id])


_PARK = """
update audience_contact
set parked_reason = $3, parked_field = $4, lease_until = null, attempts = attempts + 1,
    remote_status = coalesce($6, remote_status),
    state = case when $5 and state = 'live' then 'forgotten' else state end
where id = $1 and dirty_seq = $2
"""


async def park(
    contact: Contact, *, reason: str, field: str | None, is_forgotten: bool, remote_status: str | None
) -> None:
    """Set a contact aside with the reason; if it changed meanwhile it is only given back."""
    await DB.fetch(_PARK, contact.id, contact.dirty_seq, reason, field, is_forgotten, remote_status)
    await release_contacts([contact.id])


async def postpone(contact: Contact, *, next_try_at: datetime) -> None:
    """Try a contact again later, after a failure of its own."""
    await DB.fetch(
        "update audience_contact set next_try_at = $2, attempts = attempts + 1, lease_until = null where id = $1",
        contact.id,
        next_try_at,
    )


async def mark_due_refreshes(now: datetime) -> int:
    """Mark contacts whose points have changed by time alone since they were pushed; return how many."""
    rows = await DB.fetch(
        """
        update audience_contact contact
        set dirty_seq = contact.dirty_seq + 1, refresh_at = null,
            dirty_at = case when contact.dirty_seq > contact.pushed_seq then contact.dirty_at else $1 end
        from (select id from audience_contact where refresh_at <= $1 order by id limit 5000 for update) due
        where contact.id = due.id returning contact.id
        """,
        now,
    )
    return len(rows)


# The queue as a whole -------------------------------------------------------------------------------------------------


async def get_state() -> QueueState:
    """Return how the link is doing."""
    row = await DB.fetch_row(
        "select paused_reason, retry_at, failures, fields_checked_at from audience_state where id = 1"
    )
    assert row is not None, "the migration made the row"
    return msgspec.convert(dict(row), QueueState)


async def pause(reason: str, now: datetime, *, retry_at: datetime | None) -> None:
    """Stop the queue until `retry_at`, or until somebody resumes it. A stop by hand is not shortened by an outage."""
    await DB.fetch(
        """
        update audience_state
        set paused_reason = $1, paused_at = coalesce(paused_at, $2), retry_at = $3, failures = failures + 1
        where id = 1 and (paused_reason is null or retry_at is not null or $3::timestamptz is null)
        """,
        reason,
        now,
        retry_at,
    )


async def note_success() -> None:
    """End an outage. A stop for a wrong configuration stays."""
    await DB.fetch(
        """
        update audience_state set paused_reason = null, paused_at = null, retry_at = null, failures = 0
        where id = 1 and failures > 0 and (paused_reason is null or retry_at is not null)
        """
    )


async def note_fields_checked(now: datetime | None) -> None:
    """Remember that the audience's fields are right, or with None that they must be looked at again."""
    await DB.fetch("update audience_state set fields_checked_at = $1 where id = 1", now)


async def resume() -> None:
    """Let the queue run again from the start: fields are checked anew."""
    await DB.fetch(
        """
        update audience_state
        set paused_reason = null, paused_at = null, retry_at = null, failures = 0, fields_checked_at = null
        where id = 1
        """
    )


# What people look at --------------------------------------------------------------------------------------------------

_VIEW = """
select id, customer as customer_id, email, state, remote_status, attempts, pushed_at, parked_reason, parked_field,
       dirty_seq > pushed_seq and state in ('live', 'closing') and parked_reason is null as waiting,
       case when dirty_seq > pushed_seq and state in ('live', 'closing') and parked_reason is null
            then next_try_at end as next_try_at
from audience_contact
"""

_FIGURES = """
select count(*) filter (where waits) as waiting,
       count(*) filter (where parked_reason is not null) as parked,
       min(dirty_at) filter (where waits) as oldest_at
from (
    select parked_reason, dirty_at,
           dirty_seq > pushed_seq and parked_reason is null and state in ('live', 'closing') as waits
    from audience_contact where dirty_seq > pushed_seq or parked_reason is not null
) contact
"""

_PUSHED_TODAY = """
select count(*) from audience_contact
where pushed_at >= date_trunc('day', $1::timestamptz,
                              coalesce((select zone from programme where is_default), 'UTC'))
"""

_RETRY = """
update audience_contact
set parked_reason = null, parked_field = null, attempts = 0, next_try_at = $2, dirty_seq = dirty_seq + 1,
    dirty_at = case when dirty_seq > pushed_seq then dirty_at else $2 end,
    state = case when state = 'forgotten' then 'live' else state end
where id = $1 and state <> 'closed' returning id
"""


async def get_figures() -> Record:
    """Return `waiting`, `parked` and `oldest_at`, when the contact that waits longest became dirty."""
    row = await DB.fetch_row(_FIGURES)
    assert row is not None
    return row


async def count_pushed_today(now: datetime) -> int:
    """Return how many contacts were last pushed on the shop's present day."""
    return cast(int, await DB.fetch_value(_PUSHED_TODAY, now))


async def list_troubled(*, limit: int) -> list[Record]:
    """Return contacts for a person to look at: those set aside first, then those that wait longest."""
    return await DB.fetch(
        _VIEW
        + "where parked_reason is not null or (dirty_seq > pushed_seq and state in ('live', 'closing', 'erasing')) "
        "order by parked_reason is null, dirty_at, id limit $1",
        limit,
    )


async def list_by_customer(customer_id: UUID) -> list[Record]:
    """Return a customer's contacts, the present one first."""
    return await DB.fetch(
        _VIEW + "where customer = $1 order by state = 'closed', created_at desc, id limit 50", customer_id
    )


async def find_view(contact_id: UUID) -> Record | None:
    """Return one contact as people see it."""
    return await DB.fetch_row(_VIEW + "where id = $1", contact_id)


async def retry(contact_id: UUID, now: datetime) -> None:
    """Take a contact back into the queue. A closed one stays closed."""
    await DB.fetch(_RETRY, contact_id, now)
