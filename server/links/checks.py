"""Looking for the POS records of members who have proven an address, and making known to tills who is not there yet.

Tills are asked outside of every transaction; what they answer goes into the directory first, and only what is there is
matched. All of it may run any time and any number of times.
"""

from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context, Tools, system_context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.errors import Busy
from server.links import cycle_store, rules, service, store
from server.links.rules import Candidate, Outcome
from server.links.tills import Tills, keep, open_tills
from server.logs import get_logger
from server.pos.protocol import AlreadyThere, Capability, Connector, NewRecord, PosRefused, PosUnavailable
from shared.limits import CYCLE_EVERY, CYCLE_OVERLAP, LINK_CHECK_MONTHLY, LINK_CHECKED_OFTEN, LINK_PROBE_EVERY
from shared.links import LinkState, PosRecord

log = get_logger()

PUSH_BUYER_JOB: Final = "links.push_buyer"
_DUE_AT_ONCE: Final = 200
_PUSHED_AT_ONCE: Final = 500
_COMMIT_LAG: Final = timedelta(minutes=10)
"""Sales that were being written while the last look was taken are seen by the next one."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look came to in all till systems together."""

    states: frozenset[LinkState]
    until: datetime | None = None
    review_ids: tuple[UUID, ...] = ()


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at one member came to. `has_asked` says that tills were asked and that all of them answered."""

    linked: int = 0
    has_asked: bool = False


async def check_due(ctx: Context, tills: Tills) -> int:
    """Look at every member who is due, and return how many got a link.

    While a till system is silent, one member who waits for it is looked at every few minutes, whatever their own time; as
    soon as it answers anybody, all who wait for it are due.
    """
    while await store.put_off_hopeless(
        ctx.now, often_for=LINK_CHECKED_OFTEN, often=CYCLE_EVERY, later=LINK_CHECK_MONTHLY
    ):
        pass
    await store.probe_silent(ctx.now, every=LINK_PROBE_EVERY)
    linked, seen, silent, is_back = 0, set[UUID](), set[UUID](), False
    while due := [one for one in await store.list_due(ctx.now, _DUE_AT_ONCE) if one not in seen]:
        for customer_id in due:
            seen.add(customer_id)
            try:
                look = await check_customer(ctx, customer_id, tills, silent=silent)
            except (Busy, store.LinkTaken):
                # Somebody else is at it, or was quicker; the next run looks again.
                log.info("link_check_postponed")
                continue
            linked += look.linked
            if look.has_asked and not is_back:
                is_back = True
                await store.wake_silent(ctx.now)
    return linked


async def check_customer(ctx: Context, customer_id: UUID, tills: Tills, *, silent: set[UUID]) -> _Look:
    """Look for a member's records in every till system, and link what is theirs beyond doubt.

    Args:
        silent: Till systems that did not answer in this run and are not asked again; those that do not are added.

    Raises:
        Busy: The database did not keep up.
    """
    seen = await store.find_check(customer_id)
    is_asking = seen is not None and (seen["checked_at"] is None or seen["checked_at"] <= seen["asked_at"])
    is_silent = has_asked = False
    if seen is not None and (is_asking or seen["state"] == LinkState.CHECKING):
        has_asked, is_silent = await _ask_tills(ctx, customer_id, tills, silent=silent)
    async with DB.transaction():
        await store.lock_with_holders(customer_id)
        person = await store.find_person(customer_id)
        check = await store.lock_check(customer_id)
        if seen is None or check is None or check["asked_at"] != seen["asked_at"]:
            # Something was proven while tills were asked: the customer is due again.
            return _Look()
        if person is None or person["status"] not in ("active", "stub"):
            await store.retire_check(ctx, customer_id)
            return _Look()
        linked, found = await _match(ctx, person)
        await store.settle_stale_reviews(ctx, customer_id, but=found.review_ids)
        await _keep(ctx, check, found, is_silent=is_silent)
    return _Look(linked=linked, has_asked=has_asked and not is_silent)


async def _ask_tills(ctx: Context, customer_id: UUID, tills: Tills, *, silent: set[UUID]) -> tuple[bool, bool]:
    """Fetch records with the member's addresses from the tills that can find them.

    Returns whether one that is elsewhere was asked, and whether one did not answer.
    """
    person = await store.find_person(customer_id)
    has_asked = is_silent = False
    for connection_id, connector in tills.items():
        if person is None or not person["emails"] or Capability.FIND_BY_EMAIL not in connector.capabilities:
            continue
        has_asked = has_asked or connector.is_remote
        if connection_id in silent:
            is_silent = True
            continue
        records: list[PosRecord] = []
        try:
            for email in person["emails"]:
                records += await connector.find_by_email(email)
        except (PosUnavailable, PosRefused) as error:
            log.warning("pos_lookup_failed", connector=connector.name, reason=str(error))
            if isinstance(error, PosUnavailable):
                # A refusal is about this address, and says nothing about anybody else's.
                silent.add(connection_id)
            is_silent = True
            continue
        if records:
            async with DB.transaction():
                await keep(ctx, connection_id, connector, records)
    return has_asked, is_silent


async def _match(ctx: Context, person: Row) -> tuple[int, _Found]:
    """Decide about each till system by itself; the customer is locked."""
    rows = await store.list_candidates(person["emails"], person["id"])
    linked, states, reviews, until = 0, set[LinkState](), list[UUID](), list[datetime]()
    for _, group in groupby(rows, key=lambda row: row["connection"]):
        match = rules.plan_match(
            [_candidate(row) for row in group],
            customer_id=person["id"],
            cards=person["cards"],
            phones=person["phones"],
            now=ctx.now,
        )
        match match.outcome:
            case Outcome.LINK:
                linked += await _link(ctx, match.record_ids[0], person, match.method)
                states.add(LinkState.LINKED)
            case Outcome.LINKED:
                states.add(LinkState.LINKED)
            case Outcome.WAIT:
                states.add(LinkState.WAITING)
                assert match.until is not None
                until.append(match.until)
            case Outcome.TAKEN | Outcome.AMBIGUOUS:
                states.add(LinkState.NEEDS_HELP)
                reviews += match.record_ids
                for record_id in match.record_ids:
                    await store.open_review(
                        ctx, customer_id=person["id"], record_id=record_id, reason=match.outcome,
                        other_id=match.holder_id,
                    )  # fmt: skip
            case Outcome.NONE:
                pass
    if await store.has_link(person["id"]):
        states.add(LinkState.LINKED)
    return linked, _Found(states=frozenset(states), until=min(until, default=None), review_ids=tuple(reviews))


def _candidate(row: Row) -> Candidate:
    return Candidate(
        record_id=row["id"],
        email_since_at=row["email_since_at"],
        card_number=row["card_number"],
        phone_key=row["phone_key"],
        holder_id=row["holder"],
        made_here=row["made_here"],
    )


async def _link(ctx: Context, record_id: UUID, person: Row, method: str) -> int:
    record = await store.lock_record(record_id)
    is_same = (
        record is not None
        and record["email_key"] in person["emails"]
        and record["merged_into"] is None
        and record["holder"] is None
    )
    if record is None or not is_same:
        # Somebody was quicker; the change has woken the member again, or the next run looks.
        return 0
    await service.link_record(ctx, record, person, method=method)
    return 1


async def _keep(ctx: Context, check: Row, found: _Found, *, is_silent: bool) -> None:
    """Write down where the search stands and when it goes on: what needs a person or time comes before what is well."""
    customer_id = check["customer"]
    if is_silent and LinkState.LINKED not in found.states:
        at = rules.retry_at(check["tries"], ctx.now)
        await store.set_check(
            ctx, customer_id, state=LinkState.CHECKING, next_check_at=at, tries=min(check["tries"] + 1, 100)
        )
        return
    order = (LinkState.NEEDS_HELP, LinkState.WAITING, LinkState.LINKED)
    state = next((one for one in order if one in found.states), LinkState.UNLINKED)
    next_check_at = found.until
    if state is LinkState.UNLINKED:
        next_check_at = rules.next_look(check["asked_at"], ctx.now)
    await store.set_check(ctx, customer_id, state=state, next_check_at=next_check_at)


# Making members known to tills ----------------------------------------------------------------------------------------


class PushBuyer(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload, as the statement that posts a sale writes it: a member who bought, and in which till system."""

    connection_id: UUID
    customer_id: UUID


async def push_asked(tools: Tools, payload: bytes) -> None:
    """Make a member known to the till system in which they just bought; the worker's handler of `PUSH_BUYER_JOB`.

    Raises:
        PosUnavailable: The till system does not answer; try again later.
    """
    asked = msgspec.json.decode(payload, type=PushBuyer)
    async with open_tills(tools) as tills:
        connector = tills.get(asked.connection_id)
        if connector is None or Capability.CREATE not in connector.capabilities:
            return
        await _push(system_context(tools), asked.connection_id, connector, asked.customer_id)


async def push_buyers(ctx: Context, connection_id: UUID, connector: Connector) -> int:
    """Make every member known who bought lately and whom the till system does not know; return how many.

    Each sale asks for it at once; this finds whom that missed. What fails for want of an answer is tried again by the next
    run, as the place up to which members were looked at stays where it was.
    """
    can_create = Capability.CREATE in connector.capabilities
    # A directory that nobody sends records to is not in use: members need not be known there.
    if not await cycle_store.set_knows_members(connection_id, can_create=can_create, is_remote=connector.is_remote):
        return 0
    started_at, pushed, after = ctx.now, 0, None
    while buyers := await cycle_store.list_unknown_buyers(
        connection_id, lag=_COMMIT_LAG, after=after, limit=_PUSHED_AT_ONCE
    ):
        for customer_id in buyers:
            pushed += await _push(ctx, connection_id, connector, customer_id)
        after = buyers[-1]
    await cycle_store.set_members_until(connection_id, started_at)
    return pushed


async def _push(ctx: Context, connection_id: UUID, connector: Connector, customer_id: UUID) -> bool:
    try:
        return await push_customer(ctx, connection_id, connector, customer_id)
    except (PosRefused, store.LinkTaken) as error:
        # It would be refused again; what cannot be told of one member keeps nobody else from being told of.
        log.warning("pos_push_refused", connector=connector.name, reason=str(error))
        return False


async def push_customer(ctx: Context, connection_id: UUID, connector: Connector, customer_id: UUID) -> bool:
    """Make a member known to a till system, once however often it runs; False if that needs a person, or nobody.

    Raises:
        PosUnavailable, PosRefused: The till system did not take it.
    """
    person = await store.find_person(customer_id)
    if person is None or not await cycle_store.is_unknown(connection_id, customer_id):
        return False
    wish = NewRecord(
        reference=str(customer_id),
        given_name=person["given_name"],
        family_name=person["family_name"],
        email=person["email"],
        phone=person["phone"],
    )
    try:
        record, is_made = await connector.create(wish), True
    except AlreadyThere as there:
        record, is_made = there.record, False
    async with DB.transaction():
        await store.lock_with_holders(customer_id, connection_id=connection_id, external_id=record.external_id)
        if await store.has_link(customer_id, connection_id):
            return False
        ids = await keep(ctx, connection_id, connector, [record])
        if record.external_id not in ids:
            log.warning("pos_record_unreadable", connection=str(connection_id))
            return False
        return await _link_pushed(ctx, ids[record.external_id], customer_id, is_made=is_made)


async def _link_pushed(ctx: Context, record_id: UUID, customer_id: UUID, *, is_made: bool) -> bool:
    record, person = await store.lock_record(record_id), await store.find_person(customer_id)
    assert record is not None
    assert person is not None
    if record["merged_into"] is not None or record["holder"] == customer_id:
        # A record of the till took the place of ours; whose that one is, is decided there.
        return False
    if await store.was_taken_away(record_id, customer_id):
        return False
    is_same = record["email_key"] in person["emails"]
    if is_made and record["holder"] is None and (is_same or record["made_here"] or record["email_key"] is None):
        await service.link_pushed(ctx, record, person)
        return True
    if is_same and not is_made:
        # It was there before us: whose it is, is decided as for any other record with a proven address.
        await service.ask_check(ctx, customer_id)
        return False
    reason = "taken" if record["holder"] else "ambiguous"
    await store.open_review(ctx, customer_id=customer_id, record_id=record_id, reason=reason, other_id=record["holder"])
    return False


async def attach_missed(ctx: Context, connection_id: UUID) -> int:
    """Post orders that came in the very moment their record was linked; return how many."""
    count = 0
    for link in await cycle_store.list_links_with_missed_orders(connection_id, ctx.now - CYCLE_OVERLAP):
        async with DB.transaction():
            await lock_customers([link["customer"]])
            record, person = await store.lock_record(link["record"]), await store.find_person(link["customer"])
            if record is not None and person is not None and record["holder"] == person["id"]:
                attached = await service.attach(ctx, record, person)
                count += attached.found - attached.left
    return count
