"""Marking contacts as out of step, in the transaction of the change that made them so.

A mark only counts up `dirty_seq` and sees to it that the worker wakes up; what to send is derived later from the state
that holds by then. So marks are cheap, any number of changes costs one push, and a mark too many costs nothing.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context
from server.customers.suppression import find_suppressed
from server.db.engine import DB
from server.db.ids import new_id
from server.jobs import enqueue

PUSH_JOB: Final = "audience.push"
OPT_OUT_JOB: Final = "audience.opt_out"
_COALESCE_SECONDS: Final = 1


class Unsubscribed(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of `OPT_OUT_JOB`: a contact that has unsubscribed at Mailchimp, and when that was seen."""

    contact_id: UUID
    at: datetime


MARK_MEMBERSHIP_SQL: Final = """
update audience_contact contact
set dirty_seq = contact.dirty_seq + 1,
    dirty_at = case when contact.dirty_seq > contact.pushed_seq then contact.dirty_at else $2 end
from (
    select c.id from membership_person person join audience_contact c on c.customer = person.customer
    where person.membership = $1 and person.left_at is null and c.state = 'live'
    order by c.id for update of c
) chosen
where contact.id = chosen.id
"""
"""Mark everybody in membership $1 at the instant $2; a hot statement may take it in as a CTE.

Rows are locked in the order of their ids, as everywhere in this domain, so that two marks cannot wait for each other.

A contact that is dirty already keeps its older time, so that the age of the oldest is the true delay. A parked contact
stays parked: other points do not make Mailchimp accept an address. Whoever inlines this calls `wake_worker` too.
"""

_MARK_MEMBERSHIPS = MARK_MEMBERSHIP_SQL.replace(
    """
    select c.id from membership_person person join audience_contact c on c.customer = person.customer
    where person.membership = $1 and person.left_at is null and c.state = 'live'
""",
    """
    select c.id from audience_contact c
    where c.state = 'live' and c.customer in (
        select person.customer from membership_person person where person.membership = any($1) and person.left_at is null)
""",
)

# Names and addresses are what Mailchimp may have refused, so such a change is a reason to try a parked contact again; and
# an opt-out waits for nothing, not even for the end of a contact's own backoff.
_MARK_CUSTOMERS = """
update audience_contact contact
set dirty_seq = contact.dirty_seq + 1,
    dirty_at = case when contact.dirty_seq > contact.pushed_seq then contact.dirty_at else $2 end,
    attempts = case when contact.parked_reason is null then contact.attempts else 0 end,
    next_try_at = least(contact.next_try_at, $2), parked_reason = null, parked_field = null
from (
    select id from audience_contact where customer = any($1) and state in ('live', 'closing') order by id for update
) chosen
where contact.id = chosen.id
"""

# One address is one contact. Where two customers name the same address, the one who has proven it has the contact;
# between two who have not, the first keeps it. A forgotten address stays so: only the person can bring it back there.
_UPSERT = """
insert into audience_contact (id, customer, email, email_key, state, moved_from, dirty_seq, pushed_seq, dirty_at,
                              next_try_at, attempts, created_at)
values ($1, $2, $3, $4, 'live', $5, 1, 0, $6, $6, 0, $6)
on conflict (email_key) do update
set customer = excluded.customer, email = excluded.email,
    state = case when audience_contact.state = 'forgotten' then 'forgotten' else 'live' end,
    moved_from = coalesce(excluded.moved_from,
                          case when audience_contact.state in ('live', 'forgotten')
                                    and audience_contact.customer = excluded.customer
                               then audience_contact.moved_from end),
    dirty_seq = audience_contact.dirty_seq + 1,
    dirty_at = case when audience_contact.dirty_seq > audience_contact.pushed_seq
                    then audience_contact.dirty_at else excluded.dirty_at end,
    next_try_at = excluded.next_try_at, attempts = 0, parked_reason = null, parked_field = null
where audience_contact.state <> 'erasing' and (audience_contact.customer = excluded.customer
   or audience_contact.state in ('closing', 'closed')
   or exists (select from contact_point
              where customer = excluded.customer and kind = 'email' and key = excluded.email_key
                and status in ('verified', 'bouncing')))
"""

_CLOSE = """
update audience_contact
set state = 'closing', dirty_seq = dirty_seq + 1,
    dirty_at = case when dirty_seq > pushed_seq then dirty_at else $3 end,
    next_try_at = $3, attempts = 0, parked_reason = null, parked_field = null
where email_key = $2 and customer = $1 and state <> 'closed'
returning id
"""
# What Mailchimp may hold is deleted there for good by the worker, whatever stood against it before; a row without an
# audience, or of an address that it deleted, says nothing any more. An address is named by its row's id from then on.
_ERASE = """
update audience_contact
set state = 'erasing', dirty_seq = dirty_seq + 1, dirty_at = case when dirty_seq > pushed_seq then dirty_at else $2 end,
    customer = $3, moved_from = null, refresh_at = null, next_try_at = $2, attempts = 0, parked_reason = null, parked_field = null
where customer = any($1::uuid[]) and email <> ''
returning id
"""
FORGET_SQL: Final = """
update audience_contact
set email = '', email_key = 'erased:' || id, state = 'closed', remote_id = null, remote_status = null, pushed_hash = null,
    pushed_consent = null, pushed_seq = dirty_seq, lease_until = null, refresh_at = null, parked_reason = null,
    parked_field = null
where id = any($1::uuid[])
"""


async def mark_customers(ctx: Context, customer_ids: Sequence[UUID]) -> None:
    """Mark the contacts of customers whose name, consent, card or status changed."""
    await DB.fetch(_MARK_CUSTOMERS, list(customer_ids), ctx.now)
    await wake_worker(ctx)


async def mark_membership(ctx: Context, membership_id: UUID) -> None:
    """Mark the contacts of everybody in a membership, as after a movement of points."""
    await DB.fetch(MARK_MEMBERSHIP_SQL, membership_id, ctx.now)
    await wake_worker(ctx)


async def mark_memberships(ctx: Context, membership_ids: Sequence[UUID]) -> None:
    """Mark the contacts of everybody in several memberships."""
    await DB.fetch(_MARK_MEMBERSHIPS, list(membership_ids), ctx.now)
    await wake_worker(ctx)


async def ensure_contact(ctx: Context, *, customer_id: UUID, email: str, email_key: str) -> None:
    """Let a customer's address have a contact, and mark it.

    Nothing happens if the address is somebody else's contact, or of a person who was erased and has not come back.
    """
    if await find_suppressed(ctx, [("email", email_key)]):
        return
    await DB.fetch(_UPSERT, new_id(), customer_id, email, email_key, None, ctx.now)
    await wake_worker(ctx)


async def move_contact(
    ctx: Context, *, customer_id: UUID, old_email_key: str, new_email: str, new_email_key: str
) -> None:
    """Make the new address the customer's contact and let the worker retire the old one.

    Consent belongs to an address, so the caller records what holds for the new one. Called again, or back and forth,
    only the ends count.
    """
    old_id = None
    if old_email_key != new_email_key:
        old_id = await DB.fetch_value(_CLOSE, customer_id, old_email_key, ctx.now)
    await DB.fetch(_UPSERT, new_id(), customer_id, new_email, new_email_key, old_id, ctx.now)
    await wake_worker(ctx)


async def close_contact(ctx: Context, *, customer_id: UUID, email_key: str) -> None:
    """Let the worker retire an address that has no successor, as after a merge that kept another address."""
    await DB.fetch(_CLOSE, customer_id, email_key, ctx.now)
    await wake_worker(ctx)


async def erase_contacts(ctx: Context, customer_ids: Sequence[UUID], *, heir_id: UUID) -> None:
    """Let the worker delete for good what Mailchimp holds of customers who are erased; `heir_id` is the one of them that
    the others were merged into.
    """
    rows = await DB.fetch(_ERASE, list(customer_ids), ctx.now, heir_id)
    if ctx.settings.audience == "none":
        await DB.fetch(FORGET_SQL, [row["id"] for row in rows])
    await wake_worker(ctx)


async def wake_worker(ctx: Context) -> None:
    """Add the job that pushes what is marked, in the same transaction as the marks.

    All changes of one second share one job: its key is the second, and it starts about a second later, so that ten
    tills posting at once wake the worker once. A change made while that job runs is of a later second and gets a job of its
    own, which a key that never changes would not allow. Real time is meant, whatever clock the service is given: it is the
    database that decides when a job is due. Should a wake-up get lost all the same, the sweep of each minute finds the mark.

    The first of a second makes the others wait until it commits, so call this last in a transaction.
    """
    if ctx.settings.audience == "none":
        return
    second = int(time.time()) // _COALESCE_SECONDS
    await enqueue(PUSH_JOB, dedupe_key=f"{PUSH_JOB}:{second}", delay=timedelta(seconds=_COALESCE_SECONDS))
