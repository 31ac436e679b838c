"""Looking for the POS records of members who have proven an address, and making known to tills who is not there yet.

Tills are asked outside of every transaction; what they answer goes into the directory first, and only what is there is
matched. All of it may run any time and any number of times.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.errors import Busy
from server.links import cycle_store, directory_store, rules, service, store
from server.links.directory import take_records
from server.links.rules import Candidate, Outcome
from server.logs import get_logger
from server.pos.protocol import Capability, Connector, NewRecord, PosRefused, PosUnavailable
from shared.limits import CYCLE_EVERY, CYCLE_OVERLAP, LINK_CHECK_MONTHLY, LINK_CHECKED_OFTEN
from shared.links import LinkState, PosRecord

log = get_logger()

Connectors = Mapping[UUID, Connector]

_DUE_AT_ONCE: Final = 200
_PUSHED_AT_ONCE: Final = 500
_COMMIT_LAG: Final = timedelta(minutes=10)
"""Sales that were being written while the last look was taken are seen by the next one."""


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a look came to in all till systems together."""

    states: frozenset[LinkState]
    until: datetime | None = None
    review_ids: tuple[UUID, ...] = ()


async def check_due(ctx: Context, connectors: Connectors) -> int:
    """Look at every member who is due, and return how many got a link."""
    while await store.put_off_hopeless(
        ctx.now, often_for=LINK_CHECKED_OFTEN, often=CYCLE_EVERY, later=LINK_CHECK_MONTHLY
    ):
        pass
    linked, seen = 0, set[UUID]()
    while due := [one for one in await store.list_due(ctx.now, _DUE_AT_ONCE) if one not in seen]:
        for customer_id in due:
            seen.add(customer_id)
            try:
                linked += await check_customer(ctx, customer_id, connectors)
            except Busy:
                # Somebody else is at it; the next run looks again.
                log.info("link_check_postponed")
    return linked


async def check_customer(ctx: Context, customer_id: UUID, connectors: Connectors) -> int:
    """Look for a member's records in every till system, link what is theirs beyond doubt, and return how many.

    Raises:
        Busy: The database did not keep up.
    """
    check = await store.find_check(customer_id)
    is_silent = False
    if check is not None and check["state"] == LinkState.CHECKING:
        is_silent = await _ask_tills(ctx, customer_id, connectors)
    async with DB.transaction():
        await lock_customers([customer_id])
        person = await store.find_person(customer_id)
        check = await store.lock_check(customer_id)
        if check is None:
            return 0
        if person is None or person["status"] not in ("active", "stub"):
            await store.retire_check(ctx, customer_id)
            return 0
        linked, found = await _match(ctx, person)
        await store.settle_stale_reviews(ctx, customer_id, but=found.review_ids)
        await _keep(ctx, check, found, is_silent=is_silent)
    return linked


async def _ask_tills(ctx: Context, customer_id: UUID, connectors: Connectors) -> bool:
    """Fetch records with the member's address from the tills that can find them; return whether one did not answer."""
    person = await store.find_person(customer_id)
    is_silent = False
    for connection_id, connector in connectors.items():
        if person is None or Capability.FIND_BY_EMAIL not in connector.capabilities:
            continue
        records: list[PosRecord] = []
        try:
            for email in person["emails"]:
                records += await connector.find_by_email(email)
        except (PosUnavailable, PosRefused) as error:
            log.warning("pos_lookup_failed", connector=connector.name, reason=str(error))
            is_silent = True
            continue
        if records:
            async with DB.transaction():
                await take_records(ctx, connection_id, records)
    return is_silent


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


async def push_buyers(ctx: Context, connection_id: UUID, connector: Connector | None) -> int:
    """Make every member known who bought lately and whom the till system does not know; return how many.

    The built-in directory keeps the record itself; a connector that can is asked to make one. What fails is tried again
    by the next run, as the place up to which members were looked at stays where it was.
    """
    if connector is not None and Capability.CREATE not in connector.capabilities:
        return 0
    started_at, pushed, after = ctx.now, 0, None
    while buyers := await cycle_store.list_unknown_buyers(
        connection_id, lag=_COMMIT_LAG, after=after, limit=_PUSHED_AT_ONCE, always=connector is not None
    ):
        for customer_id in buyers:
            pushed += await push_customer(ctx, connection_id, connector, customer_id)
        after = buyers[-1]
    await cycle_store.set_members_until(connection_id, started_at)
    return pushed


async def push_customer(ctx: Context, connection_id: UUID, connector: Connector | None, customer_id: UUID) -> bool:
    """Make a member known to a till system, once however often it runs; False if that needs a person, or nobody.

    Raises:
        PosUnavailable, PosRefused: The till system did not take it.
    """
    person = await store.find_person(customer_id)
    if person is None or person["status"] not in ("active", "stub"):
        return False
    record = PosRecord(
        external_id=str(customer_id),
        given_name=person["given_name"],
        family_name=person["family_name"],
        email=person["email"],
        phone=person["phone"],
    )
    if connector is not None:
        wish = NewRecord(
            reference=str(customer_id),
            given_name=person["given_name"],
            family_name=person["family_name"],
            email=person["email"],
            phone=person["phone"],
        )
        record = await connector.create(wish)
    async with DB.transaction():
        await lock_customers([customer_id])
        if await store.has_link(customer_id, connection_id):
            return False
        return await _link_pushed(ctx, connection_id, record, customer_id, is_ours=connector is None)


async def _link_pushed(ctx: Context, connection_id: UUID, sent: PosRecord, customer_id: UUID, *, is_ours: bool) -> bool:
    if is_ours:
        facts = rules.read_record(sent, country=ctx.settings.default_country, now=ctx.now, ahead_max=timedelta(0))
        await directory_store.insert_records(ctx, connection_id, [facts], made_here=True)
        known = await directory_store.lock_known(connection_id, [sent.external_id])
        record_id = known[sent.external_id]["id"]
    else:
        (taken,) = await take_records(ctx, connection_id, [sent])
        if taken.record_id is None:
            log.warning("pos_record_unreadable", connection=str(connection_id))
            return False
        record_id = taken.record_id
    record, person = await store.lock_record(record_id), await store.find_person(customer_id)
    assert record is not None
    assert person is not None
    if record["holder"] == customer_id:
        return False
    is_theirs = is_ours or record["email_key"] is None or record["email_key"] in person["emails"]
    if record["holder"] is not None or not is_theirs:
        reason = "taken" if record["holder"] else "ambiguous"
        await store.open_review(
            ctx, customer_id=customer_id, record_id=record_id, reason=reason, other_id=record["holder"]
        )
        return False
    await service.link_pushed(ctx, record, person)
    return True


async def attach_missed(ctx: Context, connection_id: UUID) -> int:
    """Post orders that came in the very moment their record was linked; return how many."""
    count = 0
    for link in await cycle_store.list_links_with_missed_orders(connection_id, ctx.now - CYCLE_OVERLAP):
        async with DB.transaction():
            await lock_customers([link["customer"]])
            record, person = await store.lock_record(link["record"]), await store.find_person(link["customer"])
            if record is not None and person is not None and record["holder"] == person["id"]:
                count += (await service.attach(ctx, record, person)).found
    return count
