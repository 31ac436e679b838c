"""Use cases of links: a POS record becomes a customer's, and stops being it. All in the caller's transaction.

Locks are taken in the order customers, records, memberships, orders.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record as audit
from server.context import Context
from server.customers import store as customers
from server.customers.rules import parse_email
from server.db.engine import Row
from server.jobs import enqueue
from server.links import directory_store, store, todo_store, todos
from server.links.directory import CHECK_JOB
from server.links.rules import is_fresh
from server.memberships import service as memberships
from server.memberships import store as membership_store
from server.messages.service import MailToken, queue_mail
from server.orders.attaching import (
    Attached,
    Detached,
    Expected,
    Place,
    attach_orders,
    detach_orders,
    expect_orders,
)
from server.programmes.service import get_shop_zone
from server.sessions.links import Purpose, create_link
from server.time_words import say_moment
from shared.codes import is_card_number
from shared.limits import LINK_HOLD, NOT_ME_LINK_LIFE

_HOLD_REASON: Final = "pos_link"
_COMMIT_LAG: Final = timedelta(minutes=10)
"""After which every sale that was being written when a link ended is there."""
REST_JOB: Final = "links.rest"
UNLINKED: Final = "unlinked"
DISPUTED: Final = "disputed"
"""Why a link is over whose record does not link to the customer by itself again."""


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: a link, whether its orders are taken back or posted, and after which of them the work goes on,
    None for all of them.
    """

    link_id: UUID
    after: Place | None = None
    takes_back: bool = False


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What went along with a merge: links, and matches to decide, those that the merge itself has decided included."""

    link_ids: tuple[UUID, ...] = ()
    review_ids: tuple[UUID, ...] = ()


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was made, what it brought, and until when points are kept from being spent because of it."""

    link_id: UUID
    attached: Attached
    held_until: datetime | None = None


async def ask_check(ctx: Context, customer_id: UUID) -> None:
    """Let a job look for a customer's POS records, as after the proof of an address."""
    await store.ask_check(ctx, customer_id)
    await enqueue(CHECK_JOB)


async def link_record(
    ctx: Context,
    record: Row,
    person: Row,
    *,
    method: str,
    evidence: str = "",
    reason: str = "",
    waiting_link_id: UUID | None = None,
) -> Linked:
    """Make a free record a customer's, with its card and its former orders.

    Args:
        record: As `store.lock_record` returned it.
        person: As `store.find_person` returned it; the customer is locked.
        method: How it is known to be theirs.
        waiting_link_id: The wish that is granted by this.

    Raises:
        LinkTaken: It is another customer's.
    """
    if record["holder"] is not None:
        raise store.LinkTaken(record["holder"])
    if waiting_link_id is not None:
        link_id = waiting_link_id
        if not await store.accept_link(ctx, link_id):
            raise store.LinkTaken
    else:
        link_id = await store.insert_link(
            ctx, record_id=record["id"], customer_id=person["id"], method=method, evidence=evidence, reason=reason
        )
    await store.end_waiting(ctx, record["id"])
    self_made = await _absorb_self_made(ctx, record, person["id"])
    await _adopt_card(ctx, record, person)
    attached = await attach(ctx, record, person, also=self_made)
    await store.add_figures(link_id, found=attached.found, counted=attached.counted, points=attached.points)
    if attached.more_after is not None:
        await enqueue(REST_JOB, Rest(link_id=link_id, after=attached.more_after))
    held_until = await _guard(ctx, record, person, method=method, link_id=link_id)
    await _tell_member(ctx, person, attached, link_id=link_id)
    await store.settle_reviews_of(ctx, record_id=record["id"], customer_id=person["id"])
    await audit(
        ctx,
        "link.made",
        subject_kind="pos_link",
        subject_id=link_id,
        customer_id=person["id"],
        reason=reason or None,
        details={
            "record": record["id"], "method": method, "evidence": evidence, "orders": attached.found,
            "counted": attached.counted, "points": attached.points,
        },
    )  # fmt: skip
    if person["membership"] is not None:
        await mark_membership(ctx, person["membership"])
    return Linked(link_id=link_id, attached=attached, held_until=held_until)


async def attach(
    ctx: Context, record: Row, person: Row, *, also: Sequence[str] = (), after: Place | None = None
) -> Attached:
    """Let the orders of a record that count for nobody count for its customer, as many as one step takes.

    Args:
        also: Ids of records that have just become aliases of it.
        after: Where the step before ended.
    """
    return await attach_orders(
        ctx,
        connection_id=record["connection"],
        pos_customer_ids=[record["external_id"], *record["aliases"], *also],
        customer_id=person["id"],
        membership_id=person["membership"],
        after=after,
    )


async def expect(ctx: Context, record: Row, person: Row) -> Expected:
    """Return which orders linking a record would bring, and about how many points; both are locked."""
    return await expect_orders(
        ctx,
        connection_id=record["connection"],
        pos_customer_ids=[record["external_id"], *record["aliases"]],
        customer_id=person["id"],
        membership_id=person["membership"],
    )


async def link_pushed(ctx: Context, record: Row, person: Row) -> UUID:
    """Make the record that was made for a customer theirs; there is nothing to bring over and nobody to tell."""
    link_id = await store.insert_link(
        ctx, record_id=record["id"], customer_id=person["id"], method="pushed", evidence="", reason=""
    )
    await audit(
        ctx,
        "link.pushed",
        subject_kind="pos_link",
        subject_id=link_id,
        customer_id=person["id"],
        details={"record": record["id"]},
    )
    return link_id


async def end_link(
    ctx: Context, link: Row, *, take_back_orders: bool, reason: str, ended_reason: str = UNLINKED
) -> Detached:
    """End a link and return what was taken back with it, as far as one step goes; customer and record are locked.

    Raises:
        Refused: POINTS_SPENT, the programme refuses to take points that were spent.
    """
    detached = await detach(ctx, link, after=None) if take_back_orders else Detached()
    if detached.more_after is not None:
        await enqueue(REST_JOB, Rest(link_id=link["id"], after=detached.more_after, takes_back=True))
    if take_back_orders:
        # A sale that waited for this, or was being written, has seen the link in force.
        await enqueue(REST_JOB, Rest(link_id=link["id"], takes_back=True), delay=_COMMIT_LAG)
    await store.end_link(ctx, link["id"], reason=ended_reason)
    await todo_store.drop_stale(ctx, link["record"])
    await audit(
        ctx,
        "link.ended",
        subject_kind="pos_link",
        subject_id=link["id"],
        customer_id=link["customer"],
        reason=reason,
        details={
            "record": link["record"], "ended_reason": ended_reason, "orders_taken_back": detached.orders,
            "points_taken": detached.points,
        },
    )  # fmt: skip
    person = await store.find_person(link["customer"])
    if person is not None and person["membership"] is not None and detached.orders:
        await mark_membership(ctx, person["membership"])
    return detached


async def detach(ctx: Context, link: Row, *, after: Place | None) -> Detached:
    """Take back orders that count for a customer by a link alone, as many as one step takes."""
    return await detach_orders(
        ctx,
        connection_id=link["connection_id"],
        pos_customer_ids=[link["external_id"], *link["aliases"]],
        customer_id=link["customer"],
        after=after,
    )


async def move_links(ctx: Context, *, from_customer: UUID, to_customer: UUID) -> Moved:
    """Let all of a customer's POS records, and what a person has to decide about them, be another's; return what moved.

    For a merge: it runs in the caller's transaction with both customers locked. Orders do not move with the links; the
    merge moves them. `move_back` takes what moved to return it when the merge is undone.
    """
    moved = await store.move_links_to_customer(from_customer, to_customer)
    await store.end_wishes(ctx, from_customer)
    await todo_store.follow(from_customer, to_customer)
    await todos.note_doubles(ctx, to_customer, moved)
    await store.retire_check(ctx, from_customer)
    # What a look finds is found again for who is left; what somebody said, or the till did, is told once.
    await store.settle_stale_reviews(ctx, from_customer, but=())
    reviews = await store.settle_merged_reviews(ctx, from_customer, to_customer)
    reviews += await store.move_reviews(from_customer, to_customer)
    await store.ask_check(ctx, to_customer)
    return Moved(link_ids=tuple(moved), review_ids=tuple(reviews))


async def move_back(ctx: Context, *, moved: Moved, from_customer: UUID, to_customer: UUID) -> None:
    """Return what `move_links` moved, what has ended meanwhile left alone; for undoing a merge."""
    await todo_store.give_back(ctx, to_customer, list(moved.link_ids))
    await store.return_links(list(moved.link_ids), to_customer)
    await store.return_reviews(moved.review_ids, from_customer=from_customer, to_customer=to_customer)
    await store.ask_check(ctx, to_customer)


async def _absorb_self_made(ctx: Context, record: Row, customer_id: UUID) -> list[str]:
    """Make the record that we made for a customer an alias of the till's own; return the ids it went by."""
    names = []
    for row in await store.list_self_made(record["connection"], customer_id, but=record["id"]):
        await store.end_link(ctx, row["link"], reason="merged_in_pos")
        await directory_store.make_alias(ctx, row["id"], of=record["id"])
        names.append(row["external_id"])
    return names


async def _adopt_card(ctx: Context, record: Row, person: Row) -> None:
    """Let the card on the record scan for its customer, if it is nobody's."""
    code = record["card_number"]
    if code is None or person["membership"] is None:
        return
    await membership_store.lock_memberships([person["membership"]])
    card = await membership_store.lock_card(code)
    if card is not None:
        if card["status"] == "issued":
            await memberships.adopt_card(ctx, code, membership_id=person["membership"], customer_id=person["id"])
    elif not is_card_number(code):
        # A number of our own make that we never issued is a typing error.
        await membership_store.issue_card(
            code, membership_id=person["membership"], customer_id=person["id"], now=ctx.now
        )


async def _guard(ctx: Context, record: Row, person: Row, *, method: str, link_id: UUID) -> datetime | None:
    """Hold points, and tell whom else the record names, where a link rests on an address that is new or on nobody's."""
    since = record["email_since_at"]
    is_matched = record["email_key"] in person["emails"]
    if method != "staff_attest" and not (is_matched and since is not None and is_fresh(since, ctx.now)):
        return None
    others = [*record["former_emails"], *([record["email"]] if record["email"] and not is_matched else [])]
    for address in others:
        await queue_mail(
            ctx,
            to=address,
            template="pos_record_linked",
            customer_id=None,
            token=await _not_me(ctx, link_id, address),
            parameters={"at": say_moment(ctx.now, await get_shop_zone())},
        )
    held_until = ctx.now + LINK_HOLD
    await customers.hold_redemption(ctx, person["id"], until=held_until, reason=_HOLD_REASON)
    return held_until


async def _tell_member(ctx: Context, person: Row, attached: Attached, *, link_id: UUID) -> None:
    if person["email"] is None:
        return
    counted = "No purchase from before counts." if not attached.counted else f"Points: {attached.points}."
    if attached.more_after is not None:
        # The oldest come first, and may be from before the membership began.
        counted = f"Points so far: {attached.points}."
    orders = str(attached.found) if attached.more_after is None else f"more than {attached.found}, and still counting"
    await queue_mail(
        ctx,
        to=person["email"],
        template="purchases_linked",
        customer_id=person["id"],
        token=await _not_me(ctx, link_id, person["email"]),
        parameters={"given_name": person["given_name"], "orders": orders, "counted": counted},
    )


async def _not_me(ctx: Context, link_id: UUID, address: str) -> MailToken:
    """Return the link with which whoever reads a mail says that the record is not theirs to be linked so."""
    return await create_link(
        ctx,
        purpose=Purpose.LINK_NOT_ME,
        customer_id=None,
        email_key=parse_email(address, "email").key,
        subject=link_id,
        life=NOT_ME_LINK_LIFE,
    )
