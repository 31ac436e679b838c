"""Use cases of holds: points or a voucher set aside while a sale is paid.

A hold reserves: what is free to spend is what is available less open holds. It counts for nothing once 15 minutes have
gone by without anything happening to its sale (a question, another hold, a change of the cart), whether or not the sweep
has been by. A till that captures later than that, as one that was offline, still gets
its points if they are free, for a day; else it is refused like the loser of a race.
"""

from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record
from server.auth import Key
from server.context import Context, Tools
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Busy, Invalid, NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, once
from server.jobs import enqueue
from server.ledger.movements import Origin, give_back, spend
from server.memberships.store import lock_memberships
from server.programmes.service import get_programme
from server.rewards import hold_store as store
from server.rewards.catalogue_store import get_terms
from server.rewards.presence import text_to
from server.rewards.rules import (
    Sale,
    left_by_card,
    plan_most,
    split_presence_text,
    voucher_amount,
    voucher_valid_until,
)
from server.rewards.service import check_unspent, end_hold, hash_code, prolong_holds, renew_code
from server.rewards.spending import (
    Home,
    Wallet,
    check_by_card,
    check_may_spend,
    check_points,
    count_try,
    insufficient,
    open_wallet,
    use_presence,
)
from shared.codes import is_voucher_code, normalise_card_number, normalise_voucher_code
from shared.enums import OrderState
from shared.limits import HOLD_CAPTURE_LATE_MAX, HOLD_IDLE_MAX
from shared.problems import Code, FieldProblem
from shared.rewards import (
    CaptureHold,
    HoldState,
    HoldView,
    NewHold,
    PresenceText,
    PresenceTexted,
    Quote,
    QuoteRequest,
    RewardKind,
)

LATE_PAYMENT_JOB: Final = "holds.late-payment"
"""Gives back what pays for goods that have come back already."""

_BY_CARD, _PROVEN = "spent_by_card", "spent_as_money"
_TIDY_AT_ONCE = 500


class LatePayment(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that was captured for a sale of which goods had come back before: the till told it in the wrong order."""

    order_id: UUID
    hold_id: UUID


async def quote(ctx: Context, key: Key, form: QuoteRequest) -> Quote:
    """Return how many points may go towards a sale; sets nothing aside, but what is set aside for it lasts on.

    Raises:
        Invalid: CARD_UNKNOWN, STORE_UNKNOWN or CURRENCY_MISMATCH.
        Refused: MEMBERSHIP_CLOSED.
    """
    await _check_store(key, form.store)
    card, _ = split_presence_text(form.card_number)
    wallet = await open_wallet(ctx, await _home_of_card(card))
    _check_currency(form.currency, wallet.programme.currency)
    await prolong_holds(ctx, key.connection_id, form.order_reference)
    sale = await store.get_sale(key.connection_id, form.order_reference, form.order_total_minor, ctx.now)
    terms, standing = wallet.terms, wallet.standing
    free = standing.spendable if standing.left_today is None else min(standing.spendable, standing.left_today)
    most = 0 if standing.is_held_at(ctx.now) else plan_most(terms, sale, free)
    by_card = plan_most(terms, sale, min(most, left_by_card(terms, standing)))
    return Quote(
        max_points=most,
        max_minor=terms.money_for(most),
        default_points=most,
        default_minor=terms.money_for(most),
        card_points=by_card,
        card_minor=terms.money_for(by_card),
        step_points=terms.step_points,
        step_minor=terms.step_minor,
        minimum_points=terms.minimum_points,
        available=standing.available,
        held=standing.held,
        held_until=standing.redemption_held_until if standing.is_held_at(ctx.now) else None,
        left_today=standing.left_today,
    )


async def text_code(ctx: Context, key: Key, form: PresenceText) -> PresenceTexted:
    """Text a code to the customer of a card, which proves at the till that they are there.

    Raises:
        NotPermitted: The key is not for this store.
        Invalid: CARD_UNKNOWN or STORE_UNKNOWN.
        Refused: PHONE_NOT_PROVEN.
        Throttled: Too many texts to this member.
    """
    await _check_store(key, form.store)
    card, _ = split_presence_text(form.card_number)
    return await text_to(ctx, (await _home_of_card(card)).customer_id)


async def open_hold(ctx: Context, key: Key, call: IdempotentCall, form: NewHold) -> StoredReply:
    """Set points or a voucher aside for a sale, once, and answer with the hold.

    Raises:
        Invalid: A field is wrong; it is named.
        Throttled: Too many tries at a member's digits.
        Refused: INSUFFICIENT_POINTS and REDEMPTION_LIMIT with fresh figures; REDEMPTION_CAP, REDEMPTION_HELD,
            PRESENCE_NEEDED, PRESENCE_WRONG, VOUCHER_UNKNOWN, VOUCHER_USED, MEMBERSHIP_CLOSED.
    """
    if (form.points is None) == (form.voucher_code is None):
        raise Invalid(FieldProblem(field="points", detail="Give exactly one of points and voucher_code."))
    store_id = await _check_store(key, form.store)
    if form.voucher_code is not None:
        return await once(ctx, call, 201, partial(_hold_voucher, ctx, key, store_id, form, form.voucher_code))
    if form.card_number is None:
        raise Invalid(FieldProblem(field="card_number", detail="Points need the customer's card or app."))
    card, scanned_code = split_presence_text(form.card_number)
    home = await _home_of_card(card)
    code = scanned_code or form.presence_code
    if code is not None:
        await count_try(ctx, home.customer_id, call, code)
    return await once(ctx, call, 201, partial(_hold_points, ctx, key, store_id, form, home, code))


async def capture_hold(ctx: Context, key: Key, hold_id: UUID, form: CaptureHold) -> HoldView:
    """Spend what a hold set aside, in the caller's transaction; one that was captured before answers the same.

    Raises:
        NotFound: This till system has no such hold.
        Refused: HOLD_OVER, it was released, undone or is a day late, it has paid for another sale, or the sale was
            voided; INSUFFICIENT_POINTS with fresh figures, VOUCHER_USED, REDEMPTION_HELD, REDEMPTION_LIMIT,
            PRESENCE_NEEDED or MEMBERSHIP_CLOSED, where it is late and what it held may not be spent any more.
    """
    reference = form.order_reference
    hold = await _lock_hold(key, hold_id)
    if hold["state"] == HoldState.CAPTURED:
        if hold["order_reference"] != reference:
            raise Refused(Code.HOLD_OVER, f"It has paid for sale {hold['order_reference']}.")
        return _view(hold)
    is_late = hold["expires_at"] <= ctx.now
    if hold["state"] not in (HoldState.OPEN, HoldState.LAPSED) or ctx.now - hold["expires_at"] > HOLD_CAPTURE_LATE_MAX:
        raise Refused(Code.HOLD_OVER)
    sale = await store.lock_paid(key.connection_id, reference)
    if sale is not None and sale["state"] == OrderState.VOIDED:
        raise Refused(Code.HOLD_OVER, f"Sale {reference} was voided.")
    wallet = await open_wallet(ctx, _home_of(hold))
    if is_late:
        check_may_spend(wallet.standing, ctx.now)
    entry_id = None
    if hold["voucher"] is None:
        entry_id = await _spend_held(ctx, hold, wallet, is_late=is_late)
    else:
        await _redeem_voucher(ctx, hold)
    await store.end_hold(hold_id, HoldState.CAPTURED, ctx.now, entry_id=entry_id, order_reference=reference)
    await _record(ctx, "hold.captured", hold, {"points": hold["points"], "late": is_late})
    if sale is not None and await store.has_returns(sale["id"]):
        await enqueue(LATE_PAYMENT_JOB, LatePayment(order_id=sale["id"], hold_id=hold_id))
    await mark_membership(ctx, hold["membership"])
    return await _get_view(hold_id)


async def release_hold(ctx: Context, key: Key, hold_id: UUID) -> HoldView:
    """Free what a hold set aside; one that is over already answers the same.

    Raises:
        NotFound: This till system has no such hold.
        Refused: HOLD_OVER, it was captured; only a refund takes that back.
    """
    async with DB.transaction():
        hold = await _lock_hold(key, hold_id)
        if hold["state"] in (HoldState.CAPTURED, HoldState.UNDONE):
            raise Refused(Code.HOLD_OVER)
        if hold["state"] == HoldState.OPEN:
            await end_hold(ctx, hold, HoldState.RELEASED)
            await _record(ctx, "hold.released", hold, {})
        elif hold["state"] == HoldState.LAPSED:
            # As without the sweep: what a till gave up is not captured later.
            await store.end_hold(hold_id, HoldState.RELEASED, ctx.now)
        return await _get_view(hold_id)


async def undo_capture(ctx: Context, membership: Row, hold_id: UUID, *, source_key: str, points: int = 0) -> int:
    """Give back what a captured hold of a refunded sale took; in the caller's transaction with the membership locked.

    Points return with the dates of the lots they came from, lapsed ones with the programme's grace. A voucher is good
    again, if it is over for the same grace; under a new code where its owner's codes were renewed meanwhile. Nothing
    returns to somebody who was forgotten since.

    Args:
        membership: Where they go, as `hold_store.list_of_sales` says: for points the hold's own membership or the one
            that it became, for a voucher the one in which its owner is now.
        source_key: The refund; the same one gives back once.
        points: How many of the held points; those of a voucher stay spent.

    Returns:
        The points given back.

    Raises:
        Busy: The voucher's owner left the membership, or joined another one, just now.
    """
    if membership["status"] == "forfeited":
        return 0
    hold = await store.find_hold(hold_id)
    assert hold is not None
    if hold["voucher"] is not None:
        await _undo_voucher(ctx, membership, hold, source_key)
        return 0
    hold = await store.lock_hold(hold_id)
    assert hold["entry"] is not None, "only captured holds are undone"
    terms = await get_terms(membership["programme"])
    origin = Origin(source_key=source_key, customer_id=hold["customer"], related_entry_id=hold["entry"])
    given = await give_back(ctx, membership, points, origin, spent_entry_id=hold["entry"], grace=terms.grace)
    await _record(ctx, "hold.undone", hold, {"source": source_key, "points": given})
    return given


async def _undo_voucher(ctx: Context, membership: Row, hold: Row, source_key: str) -> None:
    await store.lock_voucher(hold["voucher"])
    hold = await store.lock_hold(hold["id"])
    home_id = await store.find_voucher_home(hold["voucher"])
    if hold["state"] != HoldState.CAPTURED or home_id is None:
        return
    if home_id != membership["id"]:
        raise Busy
    terms, programme = await get_terms(membership["programme"]), await get_programme(membership["programme"])
    good_until = voucher_valid_until(ctx.now, terms.restore_grace_days, programme.zone)
    await store.give_voucher_back(hold["voucher"], home_id, ctx.now, good_until=good_until)
    await renew_code(ctx, hold["voucher"], home_id)
    await store.end_hold(hold["id"], HoldState.UNDONE, ctx.now)
    await _record(ctx, "hold.undone", hold, {"source": source_key})


async def tidy(tools: Tools) -> None:
    """End holds and vouchers whose time is over, batch by batch. Nothing depends on when this runs."""
    now = tools.clock.now()
    for step in (store.lapse_holds, store.expire_vouchers):
        while await step(now, _TIDY_AT_ONCE):
            pass


async def _hold_points(
    ctx: Context, key: Key, store_id: UUID, form: NewHold, home: Home, presence_code: str | None
) -> HoldView:
    points = form.points
    assert points is not None
    await store.lock_sale(key.connection_id, form.order_reference)
    await lock_memberships([home.membership_id])
    wallet = await open_wallet(ctx, home)
    _check_currency(form.currency, wallet.programme.currency)
    check_may_spend(wallet.standing, ctx.now)
    sale = await store.get_sale(key.connection_id, form.order_reference, form.order_total_minor, ctx.now)
    _check_amount(wallet, sale, points)
    check_points(wallet.standing, points)
    if presence_code is None:
        check_by_card(wallet, points)
    else:
        await use_presence(ctx, home.customer_id, presence_code)
    hold = store.NewHoldRow(
        id=new_id(),
        membership_id=home.membership_id,
        customer_id=home.customer_id,
        points=points,
        amount_minor=wallet.terms.money_for(points),
        currency=form.currency,
        connection_id=key.connection_id,
        store_id=store_id,
        order_reference=form.order_reference,
        proof="card" if presence_code is None else "presence",
        expires_at=ctx.now + HOLD_IDLE_MAX,
    )
    return await _insert(ctx, hold)


async def _hold_voucher(ctx: Context, key: Key, store_id: UUID, form: NewHold, code: str) -> HoldView:
    normalised = normalise_voucher_code(code)
    found = await store.find_voucher(hash_code(ctx, normalised)) if is_voucher_code(normalised) else None
    if found is None:
        raise Invalid(FieldProblem(field="voucher_code", detail="Check the code."), code=Code.VOUCHER_UNKNOWN)
    _check_currency(form.currency, found["currency"])
    await store.lock_sale(key.connection_id, form.order_reference)
    home = _home_of(found)
    await lock_memberships([home.membership_id])
    # The voucher comes first: one that was taken back may lie in a membership that is closed, which would puzzle a cashier.
    voucher = await store.lock_voucher(found["id"])
    await check_unspent(ctx, voucher)
    check_may_spend((await open_wallet(ctx, home)).standing, ctx.now)
    sale = await store.get_sale(key.connection_id, form.order_reference, form.order_total_minor, ctx.now)
    amount = voucher_amount(RewardKind(voucher["kind"]), voucher["value_minor"], voucher["percent"], sale)
    if not amount:
        raise Refused(Code.REDEMPTION_CAP, "Nothing is left of the sale that this voucher could pay.")
    await store.move_voucher(found["id"], status="issued", to="held", now=ctx.now)
    hold = store.NewHoldRow(
        id=new_id(),
        membership_id=home.membership_id,
        customer_id=home.customer_id,
        voucher_id=found["id"],
        amount_minor=amount,
        currency=form.currency,
        connection_id=key.connection_id,
        store_id=store_id,
        order_reference=form.order_reference,
        proof="voucher",
        expires_at=ctx.now + HOLD_IDLE_MAX,
    )
    return await _insert(ctx, hold)


async def _insert(ctx: Context, hold: store.NewHoldRow) -> HoldView:
    await prolong_holds(ctx, hold.connection_id, hold.order_reference)
    await store.insert_hold(hold, ctx.now)
    await record(
        ctx,
        "hold.opened",
        subject_kind="hold",
        subject_id=hold.id,
        customer_id=hold.customer_id,
        details={"points": hold.points, "amount_minor": hold.amount_minor, "proof": hold.proof},
    )
    return await _get_view(hold.id)


async def _check_store(key: Key, store_code: str) -> UUID:
    if key.stores and store_code not in key.stores:
        raise NotPermitted("This key is not for this store.")
    store_id = await store.find_store(store_code)
    if store_id is None:
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)
    return store_id


def _check_currency(currency: str, counted: str) -> None:
    if currency != counted:
        field = FieldProblem(field="currency", detail=f"The programme counts {counted}.")
        raise Invalid(field, code=Code.CURRENCY_MISMATCH)


async def _home_of_card(card: str) -> Home:
    row = await store.find_card(normalise_card_number(card))
    if row is None:
        raise Invalid(FieldProblem(field="card_number", detail="Check the card."), code=Code.CARD_UNKNOWN)
    return _home_of(row)


def _home_of(row: Row) -> Home:
    """Return where a card, a voucher or a hold spends from."""
    return Home(customer_id=row["customer"], membership_id=row["membership"], programme_id=row["programme"])


def _check_amount(wallet: Wallet, sale: Sale, points: int) -> None:
    terms = wallet.terms
    if points % terms.step_points:
        raise Invalid(FieldProblem(field="points", detail=f"Points are spent in steps of {terms.step_points}."))
    if points < terms.minimum_points:
        raise Invalid(
            FieldProblem(field="points", detail=f"At least {terms.minimum_points} points are spent at a time.")
        )
    most = plan_most(terms, sale, points)
    if points > most:
        raise Refused(Code.REDEMPTION_CAP, data={"max_points": most})


async def _lock_hold(key: Key, hold_id: UUID) -> Row:
    """Lock membership, voucher and hold in this order, and return the hold as it is under the locks."""
    hold = await store.find_hold(hold_id)
    if hold is None or hold["connection"] != key.connection_id:
        raise NotFound
    await lock_memberships([hold["membership"]])
    if hold["voucher"] is not None:
        await store.lock_voucher(hold["voucher"])
    return await store.lock_hold(hold_id)


async def _spend_held(ctx: Context, hold: Row, wallet: Wallet, *, is_late: bool) -> UUID:
    if is_late:
        # Nothing has been set aside for it, nor counted for the day, since it lapsed: it is as good as a new one.
        check_points(wallet.standing, hold["points"])
        if hold["proof"] == "card":
            check_by_card(wallet, hold["points"])
    elif hold["points"] > wallet.standing.available:
        # Its own points are among those held, and other sales have theirs set aside as well.
        raise insufficient(wallet.standing)
    origin = Origin(
        source_key=f"hold:{hold['id']}",
        customer_id=hold["customer"],
        reason_code=_BY_CARD if hold["proof"] == "card" else _PROVEN,
    )
    (membership,) = await lock_memberships([hold["membership"]])
    return await spend(ctx, membership, hold["points"], origin)


async def _redeem_voucher(ctx: Context, hold: Row) -> None:
    """Move the voucher on; a late one must be free still and good at the time of the sale, which was in time."""
    if hold["state"] == HoldState.LAPSED:
        # Another sale may have had it since, whose time is over, too.
        await store.lapse_holds_of_voucher(hold["voucher"], ctx.now)
    # The sweep may have freed it, and ended it since.
    for status in ("held",) if hold["state"] == HoldState.OPEN else ("issued", "expired"):
        if await store.move_voucher(hold["voucher"], status=status, to="redeemed", now=ctx.now):
            return
    raise Refused(Code.VOUCHER_USED, "Another sale has it, or it was taken back.")


async def _record(ctx: Context, action: str, hold: Row, details: dict[str, object]) -> None:
    await record(ctx, action, subject_kind="hold", subject_id=hold["id"], customer_id=hold["customer"], details=details)


async def _get_view(hold_id: UUID) -> HoldView:
    hold = await store.find_hold(hold_id)
    assert hold is not None
    return _view(hold)


def _view(hold: Row) -> HoldView:
    return HoldView(
        id=hold["id"],
        state=HoldState(hold["state"]),
        points=hold["points"],
        amount_minor=hold["amount_minor"],
        currency=hold["currency"],
        order_reference=hold["order_reference"],
        expires_at=hold["expires_at"],
        voucher_ending=hold["code_last4"],
        kind=RewardKind(hold["kind"]) if hold["kind"] else None,
        sku=hold["sku"] or "",
    )
