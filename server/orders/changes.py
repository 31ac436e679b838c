"""Orders that come again: retries, other content, completion of an open sale, voids. In the caller's transaction."""

from collections.abc import Collection
from decimal import Decimal
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record as audit
from server.context import Context
from server.customers.rules import parse_email
from server.db.engine import Row
from server.errors import Busy, NotPermitted, Refused
from server.ledger import store as ledger_store
from server.ledger.rules import Debt, plan_fills
from server.memberships.store import lock_memberships
from server.orders import change_store, differences, payments, return_store, rules, sales, store
from server.orders.fitting import fit_to_member, follow_up, keep_counting, note_promotions
from server.orders.postings import Posting, earn, take_back, take_bonuses_back
from server.orders.returns import SoldLine, points_returned
from server.orders.sales import Sale, Target
from server.orders.visits import visit_under
from server.rewards.service import prolong_holds
from shared.codes import normalise_card_number
from shared.enums import EntryKind, OrderState, SkippedReason
from shared.pos import LinePoints, PosCustomer, PosOrderResult
from shared.problems import Code

EXPLICIT = differences.EXPLICIT


class OrderMoved(Busy):
    """Somebody else changed the order between the look and the lock; the next try sees it as it is."""


async def post_order(ctx: Context, connection_id: UUID, sale: Sale, *, stores: Collection[str] = ()) -> PosOrderResult:
    """Post a sale, or what is different about it if it was sent before.

    Args:
        stores: Whose orders may be changed; none for all.

    Raises:
        NotPermitted: It was sent before for a store that is none of these.
        Refused: ORDER_CONFLICT, it was sent before with other content and this is no later revision; REWARD_USED, it names
            another customer or none, and the one before paid with points or a voucher: a person has to decide on these.
        OrderMoved: The order was changed by somebody else just now.
    """
    existing = await change_store.find_by_external_id(connection_id, sale.order.external_id)
    if existing is None:
        sale, target = await fit_to_member(sale, await sales.find_target(sale, connection_id))
        ((kept, _),) = await sales.drop_erased_names(ctx, connection_id, [(sale, target)])
        if await record_new(ctx, connection_id, kept, target):
            return sales.result_of(sale, target)
        existing = await change_store.find_by_external_id(connection_id, sale.order.external_id)
        assert existing is not None, "the insert conflicted with this order, and orders are never deleted"
        if fate_of(existing, sale) in ("replaced", "voided"):
            # The membership is locked already, so another one could not be locked in order.
            raise OrderMoved
    if stores and existing["store_code"] not in stores:
        raise NotPermitted("This order is of a store that this key is not for.")
    return await follow(ctx, existing, sale)


async def follow(ctx: Context, existing: Row, sale: Sale) -> PosOrderResult:
    """Do what the new sending of a known order asks for, and answer with what counts now."""
    target = None
    await differences.hold_people(existing, sale.order.customer)
    match fate_of(existing, sale):
        case "replaced":
            sale, target = await _replace(ctx, existing, msgspec.structs.replace(sale, order_id=existing["id"]))
        case "voided":
            await void(ctx, existing, revision=sale.order.revision)
        case "refused":
            raise Refused(Code.ORDER_CONFLICT, _refusal(existing, sale))
        case "stands":
            sale, target = await _look_again(existing, sale)
    await differences.note(ctx, existing["connection"], [(existing, sale.order.customer)])
    changed = await change_store.find_order(existing["id"])
    assert changed is not None
    if changed["state"] == OrderState.OPEN:
        await prolong_holds(ctx, changed["connection"], changed["external_id"])
    result = await result_of_order(changed)
    expected = sales.expected_points(sale, target) if target is not None else 0
    return msgspec.structs.replace(result, points_expected=expected)


async def result_of_order(order: Row) -> PosOrderResult:
    """Return the answer for an order as it stands."""
    rows = await store.list_line_points(order["id"])
    lines = tuple(LinePoints(line_id=row["line_id"], points=row["points"], rule=row["rule"]) for row in rows)
    return result_as_it_stands(order, lines)


def result_as_it_stands(order: Row, lines: tuple[LinePoints, ...]) -> PosOrderResult:
    """Return the answer for an order with its lines."""
    return PosOrderResult(
        order_id=order["id"],
        points=order["points"],
        lines=lines,
        skipped_reason=SkippedReason(order["skipped_reason"]) if order["skipped_reason"] else None,
        state=OrderState(order["state"]),
        revision=order["revision"],
    )


async def lock_whole(order: Row, *other_membership_ids: UUID | None) -> Row:
    """Lock what an order's points can be in or move to, and who paid for it, then the order, and return it.

    Raises:
        OrderMoved: It is no longer the order that was read.
    """
    ids = [one for one in {order["heir"], *order["away"], *other_membership_ids} if one is not None]
    for membership in await lock_memberships(ids):
        if membership["successor"] is not None:
            raise OrderMoved
    locked = await change_store.lock_order(order["id"])
    names = ("revision", "state", "assignment_version", "heir", "away")
    if any(locked[name] != order[name] for name in names):
        raise OrderMoved
    return locked


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back when an order moved, and earned; in a shared membership it is earned there again at once.

    `bonus_taken` are points of bonuses that the order had set off.
    """

    earned: int = 0
    bonus_taken: int = 0
    taken: int = 0
    exempt: int = 0
    owed: int = 0
    written_off: int = 0
    is_shared: bool = False


async def settle(ctx: Context, order: Row, sale: Sale, target: Target, *, reason_code: str) -> Settled:
    """Move a locked order's points from where they are to its target, and write the order anew.

    Within one membership and person only the difference is posted; else all is taken back there and earned here.

    Raises:
        Refused: POINTS_SPENT, staff want to move what was spent, and the programme refuses that.
    """
    settled = Settled()
    is_moved = (order["customer"], order["heir"]) != (target.customer_id, target.membership_id)
    version = order["assignment_version"] + is_moved
    record = sales.record_of(sale, target, sales.result_of(sale, target))
    returned = await _points_returned(order, record, sale, target)
    difference = record.points - returned - (order["points"] - order["points_returned"])
    if is_moved:
        is_shared = target.membership_id is not None and target.membership_id == order["heir"]
        settled = await take_all_back(
            ctx,
            order,
            reason_code=reason_code,
            may_owe=target.reason != "staff",
            comes_back=record.points - returned if is_shared else None,
        )
        await change_store.archive_assignment(ctx, order["id"])
        difference = record.points - returned
    if difference and target.membership_id is not None:
        await _post_difference(ctx, order, sale, target, difference=difference, version=version)
    await change_store.change_order(
        order["id"],
        record,
        customer_id=target.customer_id,
        membership_id=target.membership_id,
        assignment_version=version,
        points_returned=returned,
    )
    earned = record.points - returned if target.membership_id is not None else 0
    if earned:
        await follow_up(ctx, sale, target, order_id=order["id"], assignment_version=version)
    elif order["points"] and not is_moved:
        # All of it came back, and what is left may come from other promotions than before.
        await note_promotions(sale, target, order_id=order["id"], assignment_version=version)
        await take_bonuses_of_gone(ctx, order, source_key=f"order:{order['id']}:{version}:{sale.order.revision}")
    return msgspec.structs.replace(settled, earned=earned)


async def take_bonuses_of_gone(ctx: Context, order: Row, *, source_key: str) -> None:
    """Take back the bonuses that a locked order set off, of which nothing is left where it counts."""
    if order["heir"] is None:
        return
    posting = Posting(
        order_id=order["id"], customer_id=order["customer"], kind=EntryKind.CLAWBACK, source_key=source_key
    )
    await take_bonuses_back(ctx, order["heir"], posting, is_gone=True)


async def _points_returned(order: Row, record: store.OrderRecord, sale: Sale, target: Target) -> int:
    """Return how many points of an order, as it is to be written, go with what came back of it."""
    back = await return_store.list_returned(order["id"])
    if not back:
        return 0
    sold = [
        SoldLine(
            line_id=line.line_id,
            quantity=Decimal(line.quantity),
            net_minor=line.net_minor,
            gross_minor=line.net_minor + line.tax_minor,
            points=line.points,
        )
        for line in record.lines
    ]
    completed_at = sale.order.completed_at
    visit = await visit_under(sale.programme, sale.version, target.membership_id, completed_at, sold)
    return sum(points_returned(sold, back, visit).values())


async def take_all_back(
    ctx: Context,
    order: Row,
    *,
    reason_code: str,
    may_owe: bool = True,
    comes_back: int | None = None,
    is_gone: bool = False,
) -> Settled:
    """Take back all that a locked order has in its membership, and the bonuses that it set off.

    Args:
        comes_back: Points that are earned in the same membership again right after; None if it goes elsewhere.
        is_gone: It goes to nobody, which leaves the bonuses to whoever has bought something else.
    """
    if order["heir"] is None:
        return Settled()
    posting = Posting(
        order_id=order["id"],
        customer_id=order["customer"],
        kind=EntryKind.CLAWBACK,
        source_key=f"order:{order['id']}:{order['assignment_version']}",
        reason_code=reason_code,
        may_owe=may_owe,
        comes_back=comes_back or 0,
    )
    # Bonuses first: until what comes back has come, the membership may look as if it owed.
    bonus = await take_bonuses_back(ctx, order["heir"], posting, is_gone=is_gone)
    back = await take_back(ctx, order["heir"], None, posting)
    return Settled(
        bonus_taken=bonus.points,
        taken=back.points,
        exempt=back.exempt + bonus.exempt,
        owed=back.owed + bonus.owed,
        written_off=back.written_off + bonus.written_off,
        is_shared=comes_back is not None,
    )


async def mark_memberships(ctx: Context, *membership_ids: UUID | None) -> None:
    """Mark everybody's audience contacts, in one order; last in a transaction."""
    for membership_id in sorted({one for one in membership_ids if one is not None}):
        await mark_membership(ctx, membership_id)


async def record_new(ctx: Context, connection_id: UUID, sale: Sale, target: Target) -> bool:
    """Write a sale that was not sent before, with its points and all that they set off; False if it was."""
    record = sales.record_of(sale, target, sales.result_of(sale, target))
    fills = plan_fills(record.points, await _debts_of(target)) if record.points else ()
    recorded = await store.record(
        msgspec.structs.replace(record, filled=sum(fill.points for fill in fills)),
        connection_id=connection_id,
        customer_id=target.customer_id,
        membership_id=target.membership_id,
        now=ctx.now,
        request_id=ctx.request_id,
        actor=ctx.actor,
    )
    if recorded and target.membership_id:
        if fills:
            await ledger_store.insert_fills(target.membership_id, record.entry_id, fills, ctx.now)
        # The cached figures may have been out of date, so they are summed anew.
        await ledger_store.refresh_figures(target.membership_id, ctx.now)
        await follow_up(ctx, sale, target, order_id=sale.order_id, assignment_version=1)
    return recorded


async def _debts_of(target: Target) -> list[Debt]:
    if not target.deficit or target.membership_id is None:
        return []
    return await ledger_store.list_debts(target.membership_id)


async def _look_again(existing: Row, sale: Sale) -> tuple[Sale, Target | None]:
    """Return whom an open sale that comes again unchanged counts for, to say what it will earn; else nobody."""
    if existing["state"] != OrderState.OPEN or existing["customer"] is None:
        return sale, None
    customer_id, membership_id, reason = await _find_claimant(existing, sale)
    return await fit_to_member(sale, await _target_of(existing, sale, customer_id, membership_id, reason))


async def _replace(ctx: Context, existing: Row, sale: Sale) -> tuple[Sale, Target]:
    customer_id, membership_id, reason = await _find_claimant(existing, sale)
    is_left = existing["customer"] not in (None, customer_id)
    paid = await payments.list_payments(ctx, existing) if is_left else ()
    order = await lock_whole(existing, membership_id, *(one.membership_id for one in paid))
    if is_left:
        locked = await payments.list_locked(ctx, order, paid)
        by_others = payments.by_others(locked, customer_id=customer_id, membership_id=membership_id)
        if order["state"] != OrderState.OPEN or not all(one.is_open for one in by_others):
            payments.check_none(by_others)
        # The cart is no longer theirs, so nothing of theirs stays set aside for it.
        theirs = [one for one in locked if one.is_open and one.customer_id == order["customer"]]
        await payments.give_back(ctx, theirs, source_key=f"order:{order['id']}")
    target = await _target_of(order, sale, customer_id, membership_id, reason)
    sale, target = await fit_to_member(sale, target)
    if order["heir"] == target.membership_id and order["skipped_reason"] is None:
        target = keep_counting(sale, target)
    await settle(ctx, order, sale, target, reason_code="reassigned")
    ((kept, _),) = await sales.drop_erased_names(ctx, order["connection"], [(sale, target)])
    named = kept.order.customer
    await change_store.keep_pos_customer(order["id"], named.pos_customer_id if named else None)
    await audit(
        ctx,
        "order.completed" if order["state"] == OrderState.OPEN else "order.changed",
        subject_kind="order",
        subject_id=order["id"],
        customer_id=target.customer_id,
        details={"revision": sale.order.revision, "points_before": order["points"]},
    )
    await mark_memberships(ctx, order["heir"], *order["away"], target.membership_id)
    return sale, target


async def void(ctx: Context, existing: Row, *, revision: int) -> None:
    """Take all back that the sale earned, and give all back that paid for it."""
    paid = await payments.list_payments(ctx, existing)
    order = await lock_whole(existing, *(one.membership_id for one in paid))
    # What came back is spendable first, so that it can make up for points that were spent meanwhile.
    locked = await payments.list_locked(ctx, order, paid)
    back = await payments.give_back(ctx, locked, source_key=f"void:{order['id']}")
    await take_all_back(ctx, order, reason_code="voided", is_gone=True)
    await change_store.void_order(order["id"], revision=revision, rule=rules.skipped_line_words(SkippedReason.VOIDED))
    await audit(
        ctx,
        "order.voided",
        subject_kind="order",
        subject_id=order["id"],
        customer_id=order["customer"],
        details={"points_before": order["points"], "points_restored": back.points, "vouchers": back.vouchers},
    )
    await mark_memberships(ctx, order["heir"], *order["away"], *(one.membership_id for one in paid))


async def _find_claimant(order: Row, sale: Sale) -> tuple[UUID | None, UUID | None, str]:
    """Return customer, membership and reason of whom the order counts for from now on."""
    present = (order["customer"], order["heir"], order["assignment_reason"])
    if order["assignment_reason"] in differences.EXPLICIT:
        return present
    named = sale.order.customer
    if named is None:
        return None, None, "none"
    found, reason = await sales.resolve_customer(named, order["connection"])
    if found is None:
        # A card may have been replaced since the sale; that takes nothing from its owner.
        return present if order["customer"] is None or await _still_means(order, named) else (None, None, "none")
    if found["customer"] == order["customer"] and await _stays(order, found["membership"]):
        return order["customer"], order["heir"], reason
    return found["customer"], found["membership"], reason


async def _still_means(order: Row, named: PosCustomer) -> bool:
    return await change_store.is_named(
        order["id"],
        card=normalise_card_number(named.card_number) if named.card_number else None,
        email_key=parse_email(named.email, "customer.email").key if named.email else None,
        pos_customer_id=named.pos_customer_id,
    )


async def _stays(order: Row, membership_id: UUID | None) -> bool:
    """Return whether an order stays in its membership though its customer has another one by now.

    What was bought in a shared membership stays there when its buyer leaves: how the points were divided was agreed then.
    """
    if order["heir"] is None or membership_id is None:
        return order["heir"] is not None
    return await change_store.are_of_one_programme(order["heir"], membership_id)


async def _target_of(
    order: Row, sale: Sale, customer_id: UUID | None, membership_id: UUID | None, reason: str
) -> Target:
    if customer_id is None:
        unknown = SkippedReason.NO_CUSTOMER if sale.order.customer is None else SkippedReason.CUSTOMER_UNKNOWN
        return Target(reason=reason, skipped=sale.skipped or unknown)
    if membership_id is not None and (customer_id, membership_id) == (order["customer"], order["heir"]):
        locked = await change_store.lock_kept(membership_id, customer_id)
        if locked["status"] == "forfeited":
            # Nobody is left who could have points there; what the order had there goes with the others that were given up.
            return Target(customer_id=customer_id, reason=reason, skipped=sale.skipped or SkippedReason.NOT_MEMBER)
        if locked["eligible_from"] is not None:
            return sales.target_of(sale, locked, customer_id, reason, eligible_from=locked["eligible_from"])
    return await sales.lock_target(sale, customer_id, membership_id, reason)


async def _post_difference(
    ctx: Context, order: Row, sale: Sale, target: Target, *, difference: int, version: int
) -> None:
    assert target.membership_id is not None
    key = f"order:{order['id']}:{version}"
    is_first = difference > 0 and not await change_store.has_earned(order["id"], key)
    posting = Posting(
        order_id=order["id"],
        customer_id=target.customer_id,
        kind=EntryKind.EARN if is_first else EntryKind.CORRECTION,
        source_key=key if is_first else f"{key}:{sale.order.revision}",
        reason_code="" if is_first else "order_changed",
    )
    if difference > 0:
        await earn(ctx, target.membership_id, difference, posting, sale=sale)
    else:
        await take_back(ctx, target.membership_id, -difference, posting)


def fate_of(existing: Row, sale: Sale) -> rules.Fate:
    """Return what becomes of a known order that is sent again."""
    known = rules.KnownOrder(
        state=OrderState(existing["state"]), revision=existing["revision"], content_hash=existing["content_hash"]
    )
    sent = rules.KnownOrder(state=sale.order.state, revision=sale.order.revision, content_hash=sale.content_hash)
    return rules.decide_fate(known, sent)


def _refusal(existing: Row, sale: Sale) -> str:
    if existing["state"] == OrderState.VOIDED:
        return "This order was voided."
    if sale.order.state is OrderState.OPEN:
        return "This order was completed; it cannot be opened again."
    return "This external_id was sent before with other content; send a higher revision to change the order."
