"""Adjusting a member's points: alone within limits, with a second person above them, and taking it back.

Locks are taken in one order: customer, membership, adjustment, staff, store. What the limits count is read under the
last two, so that neither splitting nor racing helps.
"""

from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec

from server.adjustments import store
from server.adjustments.rules import (
    MAKES_DEFICIT,
    Figures,
    Usage,
    Wish,
    apply_points,
    hash_command,
    hash_request,
    hash_undo,
    left_today,
    list_excesses,
    read_wish,
)
from server.audience.marks import mark_membership
from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.customers import store as customers
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.db.rehearsal import rehearse
from server.errors import NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.ledger.idle import date_idle_lot
from server.ledger.movements import Origin, claw_back, give_back, take
from server.ledger.service import post_credit
from server.ledger.store import list_taken
from server.memberships import store as memberships
from server.memberships.service import check_not_self, list_membership_views
from server.programmes.rules import LotDates, lot_dates
from server.programmes.service import adjustment_limits, get_programme
from server.staff.service import step_up
from shared.adjustments import (
    AdjustmentDecision,
    AdjustmentPage,
    AdjustmentPreview,
    AdjustmentRequest,
    AdjustmentState,
    AdjustmentUndo,
    AdjustmentUndoPreview,
    AdjustmentView,
    AdjustReason,
)
from shared.enums import EntryKind, Permission, Role
from shared.limits import ADJUST_REQUEST_LIFE, ADJUST_RESTORE_GRACE, ADJUST_UNDO, ADJUST_UNDO_OWN
from shared.members import Balance
from shared.permissions import may
from shared.problems import Code
from shared.programmes import AdjustmentLimits

_CLOSED = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}
UNDONE_REASON = "adjust_undone"


class _Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides what a wish leads to; read again, under locks, by the command."""

    membership: Row
    staff: Row
    allowed: AdjustmentLimits
    balance: Balance
    usage: Usage
    needs: tuple[str, ...]

    @property
    def figures(self) -> Figures:
        return _figures(self.balance)


async def preview(ctx: Context, staff: Staff, customer_id: UUID, form: AdjustmentRequest) -> AdjustmentPreview:
    """Return what an adjustment would do.

    Raises:
        Invalid: ADJUST_ABSOLUTE_REFUSED, no points, or no note where one is needed.
        Refused: SELF_DEALING, MEMBERSHIP_CLOSED, NOT_FOUND, or the customer is no more.
    """
    wish = read_wish(form)
    async with DB.transaction():
        situation = await _get_situation(ctx, staff, customer_id, form.membership_id, wish)
        expires_at = await _preview_end(ctx, situation.membership) if wish.points > 0 else None
    membership_id, figures = situation.membership["id"], situation.figures
    after = apply_points(figures, wish.points)
    return AdjustmentPreview(
        customer_id=customer_id,
        membership_id=membership_id,
        points=wish.points,
        balance=situation.balance,
        available_after=after.available,
        pending_after=after.pending,
        deficit_after=after.deficit,
        expires_at=expires_at,
        needs_second_person=situation.needs,
        today_left=left_today(situation.allowed, situation.usage),
        each_max=situation.allowed.each,
        preview_hash=hash_command(membership_id, wish, figures, needs_second_person=bool(situation.needs)),
    )


async def adjust(ctx: Context, staff: Staff, customer_id: UUID, form: AdjustmentRequest) -> AdjustmentView:
    """Adjust at once, or ask for a second person where the limits say so; in the caller's transaction.

    Raises:
        Invalid: As in `preview`.
        Refused: PREVIEW_STALE, or as in `preview`.
    """
    wish = read_wish(form)
    situation = await _get_situation(ctx, staff, customer_id, form.membership_id, wish)
    membership_id, needs = situation.membership["id"], situation.needs
    if form.preview_hash != hash_command(membership_id, wish, situation.figures, needs_second_person=bool(needs)):
        raise Refused(Code.PREVIEW_STALE)
    adjustment_id, entry_id = new_id(), None
    if not needs:
        entry_id = await _post(ctx, adjustment_id, customer_id, situation.membership, wish)
    await store.insert_adjustment(
        ctx,
        wish,
        adjustment_id=adjustment_id,
        customer_id=customer_id,
        membership_id=membership_id,
        staff=situation.staff,
        each_max=situation.allowed.each,
        needs=needs,
        lapses_at=ctx.now + ADJUST_REQUEST_LIFE if needs else None,
        entry_id=entry_id,
    )
    await _record(ctx, "requested" if needs else "posted", adjustment_id, customer_id, wish)
    view = await _get_view(ctx, adjustment_id)
    if entry_id is not None:
        await mark_membership(ctx, membership_id)
    return view


async def approve(
    ctx: Context, staff: Staff, call: IdempotentCall, *, adjustment_id: UUID, form: AdjustmentDecision
) -> StoredReply:
    """Post what somebody else asked for, once.

    Both must hold their roles now, and neither may be the one who profits. The approver proves who they are.

    Raises:
        Throttled: Too many wrong passwords.
        Refused: REAUTH_REQUIRED, or as in `_approve`.
    """
    if await find_reply(call) is None:
        await step_up(ctx, staff, form.password)
    work = partial(_approve, ctx, staff, adjustment_id, preview_hash=form.preview_hash, note=form.note)
    return await once(ctx, call, 200, work)


async def _approve(ctx: Context, staff: Staff, adjustment_id: UUID, *, preview_hash: str, note: str) -> AdjustmentView:
    """Post a request, in the caller's transaction.

    Raises:
        NotPermitted: One of the two has lost the role.
        Refused: NOT_FOUND, APPROVAL_REQUIRED (it is one's own), REQUEST_CLOSED, PREVIEW_STALE, SELF_DEALING, or the
            customer or membership is no more.
    """
    row, membership = await _lock_waiting(ctx, staff, adjustment_id)
    wish = _wish(row)
    balance = await _get_balance(ctx, row["customer"], row["membership"])
    if preview_hash != hash_request(adjustment_id, wish, _figures(balance)):
        raise Refused(Code.PREVIEW_STALE)
    entry_id = await _post(ctx, adjustment_id, row["customer"], membership, wish)
    await store.decide(ctx, adjustment_id, staff_id=staff.staff_id, note=note, entry_id=entry_id)
    await _record(ctx, "approved", adjustment_id, row["customer"], wish, reason=note or None)
    view = await _get_view(ctx, adjustment_id)
    await mark_membership(ctx, row["membership"])
    return view


async def refuse(ctx: Context, staff: Staff, adjustment_id: UUID, reason: str) -> AdjustmentView:
    """Refuse a request of somebody else.

    Raises:
        Refused: NOT_FOUND, REQUEST_CLOSED, APPROVAL_REQUIRED where it is one's own, or SELF_DEALING.
    """
    async with DB.transaction():
        if await store.find_owner(adjustment_id) is None:
            raise NotFound
        row = await store.lock_adjustment(adjustment_id)
        _check_waiting(ctx, row)
        if row["requested_by"] == staff.staff_id:
            raise Refused(Code.APPROVAL_REQUIRED)
        # Whoever would lose by a request does not decide on it either.
        person = (await store.lock_staff([staff.staff_id]))[staff.staff_id]
        await check_not_self(person["customer"], row["customer"])
        await store.decide(ctx, adjustment_id, staff_id=staff.staff_id, note=reason, entry_id=None)
        await _record(ctx, "refused", adjustment_id, row["customer"], _wish(row), reason=reason)
        return await _get_view(ctx, adjustment_id)


async def preview_undo(ctx: Context, staff: Staff, adjustment_id: UUID) -> AdjustmentUndoPreview:
    """Return what taking an adjustment back would do: the same steps, of which nothing stays.

    Raises:
        Refused: As in `undo`, but for PREVIEW_STALE.
    """
    return await rehearse(_take_it_back(ctx, staff, adjustment_id, reason=""))


async def undo(ctx: Context, staff: Staff, adjustment_id: UUID, form: AdjustmentUndo) -> AdjustmentView:
    """Take an adjustment back by entries the other way round, in the caller's transaction.

    Whoever made it may within 60 seconds, a manager within 24 hours. Points that were taken come back with the dates
    they had; points that were given and are spent become a deficit, which takes a manager.

    Raises:
        Refused: NOT_FOUND, UNDO_EXPIRED, PREVIEW_STALE, SELF_DEALING, INSUFFICIENT_POINTS, or the customer or membership
            is no more.
    """
    done = await _take_it_back(ctx, staff, adjustment_id, reason=form.reason)
    if form.preview_hash != done.preview_hash:
        raise Refused(Code.PREVIEW_STALE)
    view = await _get_view(ctx, adjustment_id)
    await mark_membership(ctx, view.membership_id)
    return view


async def _take_it_back(ctx: Context, staff: Staff, adjustment_id: UUID, *, reason: str) -> AdjustmentUndoPreview:
    row, membership = await _lock(adjustment_id)
    person = (await store.lock_staff([staff.staff_id]))[staff.staff_id]
    _check_undoable(ctx, row, person)
    await check_not_self(person["customer"], row["customer"])
    before = await _get_view(ctx, adjustment_id)
    if row["points"] > 0:
        points = -await _take_back(ctx, row, membership, person)
    else:
        points = await _give_back(ctx, row, membership)
    await store.mark_undone(ctx, adjustment_id, staff_id=staff.staff_id, note=reason)
    await _record(ctx, "undone", adjustment_id, row["customer"], _wish(row), reason=reason)
    after = await _get_view(ctx, adjustment_id)
    return AdjustmentUndoPreview(
        adjustment=before,
        points=points,
        points_exempt=abs(row["points"] + points),
        available_after=after.available,
        pending_after=after.pending,
        deficit_after=after.deficit,
        preview_hash=hash_undo(adjustment_id, _shown_figures(before), _shown_figures(after)),
    )


async def list_page(
    ctx: Context, staff: Staff, *, cursor: str, limit: int, state: AdjustmentState | None, customer_id: UUID | None
) -> AdjustmentPage:
    """Return a page of adjustments, newest first; who may not approve sees the own ones only.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    sees_all = may(staff.role, Permission.REPORT_READ)
    rows = await store.list_views(
        ctx.now,
        before=decode_cursor(cursor),
        limit=limit + 1,
        state=state,
        requested_by=None if sees_all else staff.staff_id,
        customer_id=customer_id,
    )
    page, next_cursor = cut_page(rows, limit, at="requested_at")
    return AdjustmentPage(items=tuple(_view(row) for row in page), next_cursor=next_cursor)


async def _get_situation(
    ctx: Context, staff: Staff, customer_id: UUID, membership_id: UUID | None, wish: Wish
) -> _Situation:
    customer, membership = await _lock_target(customer_id, membership_id)
    person = (await store.lock_staff([staff.staff_id]))[staff.staff_id]
    await store.lock_store(person["store"])
    _check_role(person, Permission.POINTS_ADJUST)
    await check_not_self(person["customer"], customer_id)
    _check_alive(customer, membership)
    balance = await _get_balance(ctx, customer_id, membership["id"])
    usage = await store.get_usage(
        ctx,
        staff_id=staff.staff_id,
        role=person["role"],
        store_id=person["store"],
        customer_id=customer_id,
        membership_id=membership["id"],
    )
    role = Role(person["role"])
    allowed = adjustment_limits(await get_programme(membership["programme"], fresh=True), role)
    assert allowed is not None, "whoever may adjust has limits"
    needs = list_excesses(role, allowed, wish.points, usage=usage, figures=_figures(balance))
    return _Situation(membership=membership, staff=person, allowed=allowed, balance=balance, usage=usage, needs=needs)


async def _lock_target(customer_id: UUID, membership_id: UUID | None) -> tuple[Row, Row]:
    locked = await customers.lock_customers([customer_id])
    if not locked:
        raise NotFound
    found = await store.find_membership(customer_id, membership_id)
    if found is None:
        raise NotFound("The customer has no such membership.")
    (membership,) = await memberships.lock_memberships([found])
    return locked[0], membership


async def _lock(adjustment_id: UUID) -> tuple[Row, Row]:
    """Return an adjustment and its membership, locked."""
    owner = await store.find_owner(adjustment_id)
    if owner is None:
        raise NotFound
    (customer,) = await customers.lock_customers([owner["customer"]])
    (membership,) = await memberships.lock_memberships([owner["membership"]])
    _check_alive(customer, membership)
    return await store.lock_adjustment(adjustment_id), membership


async def _lock_waiting(ctx: Context, staff: Staff, adjustment_id: UUID) -> tuple[Row, Row]:
    """Return a request that this person may approve now, and its membership, locked."""
    row, membership = await _lock(adjustment_id)
    if row["requested_by"] == staff.staff_id:
        raise Refused(Code.APPROVAL_REQUIRED)
    _check_waiting(ctx, row)
    people = await store.lock_staff([row["requested_by"], staff.staff_id])
    _check_role(people[row["requested_by"]], Permission.POINTS_ADJUST)
    _check_role(people[staff.staff_id], Permission.POINTS_APPROVE)
    for person in people.values():
        await check_not_self(person["customer"], row["customer"])
    return row, membership


def _check_waiting(ctx: Context, row: Row) -> None:
    if row["state"] != "waiting" or row["lapses_at"] <= ctx.now:
        raise Refused(Code.REQUEST_CLOSED)


def _check_role(person: Row, permission: Permission) -> None:
    if person["status"] != "active" or not may(Role(person["role"]), permission):
        raise NotPermitted(f"The role '{person['role']}' may not do this.")


def _check_alive(customer: Row, membership: Row) -> None:
    if customer["status"] in _CLOSED:
        raise Refused(_CLOSED[customer["status"]])
    if membership["status"] != "active":
        raise Refused(Code.MEMBERSHIP_CLOSED)


def _check_undoable(ctx: Context, row: Row, person: Row) -> None:
    if row["state"] != "posted":
        raise Refused(Code.UNDO_EXPIRED, "This adjustment is not in force.")
    _check_role(person, Permission.POINTS_ADJUST)
    is_manager = may(Role(person["role"]), Permission.POINTS_APPROVE)
    is_own = row["requested_by"] == person["id"]
    if not (is_manager or is_own):
        raise NotPermitted("A manager can take this back.")
    if ctx.now > row["posted_at"] + (ADJUST_UNDO if is_manager else ADJUST_UNDO_OWN):
        raise Refused(Code.UNDO_EXPIRED)


async def _post(ctx: Context, adjustment_id: UUID, customer_id: UUID, membership: Row, wish: Wish) -> UUID:
    """Post the entry of an adjustment; the member reads the note only where that is wanted."""
    key, reason = f"adjustment:{adjustment_id}", f"adjust_{wish.reason_code}"
    note = wish.note if wish.visible else ""
    origin = Origin(source_key=key, customer_id=customer_id, reason_code=reason, note=note)
    if wish.points < 0:
        return await take(ctx, membership, -wish.points, origin, kind=EntryKind.ADJUST)
    return await _credit(ctx, membership, wish.points, origin)


async def _credit(ctx: Context, membership: Row, points: int, origin: Origin) -> UUID:
    """Give points that last as those of a sale made now would."""
    dates = await _get_dates(ctx, membership)
    entry_id = await post_credit(
        ctx,
        membership_id=membership["id"],
        deficit=membership["deficit"],
        kind=EntryKind.ADJUST,
        points=points,
        source_key=origin.source_key,
        occurred_at=ctx.now,
        available_at=ctx.now,
        expires_at=dates.expires_at,
        idle_days=dates.idle_days,
        customer_id=origin.customer_id,
        reason_code=origin.reason_code,
        note=origin.note,
    )
    assert entry_id is not None, "an adjustment is posted once, and taken back once, under its lock"
    return entry_id


async def _get_dates(ctx: Context, membership: Row) -> LotDates:
    """Return when points given now lapse: as those of a sale made now would."""
    # Another process may have published rules since this one looked.
    programme = await get_programme(membership["programme"], fresh=True)
    version = programme.rules_at(ctx.now)
    if version is None:
        return LotDates(available_at=ctx.now, expires_at=None)
    return lot_dates(ctx.now, version.rules, programme.zone)


async def _preview_end(ctx: Context, membership: Row) -> datetime | None:
    dates = await _get_dates(ctx, membership)
    if dates.idle_days is None or dates.expires_at is None:
        return dates.expires_at
    return await date_idle_lot(membership["id"], dates.idle_days, dates.expires_at)


async def _take_back(ctx: Context, row: Row, membership: Row, person: Row) -> int:
    """Take given points back and return how many: not those that have lapsed since."""
    balance = await _get_balance(ctx, row["customer"], row["membership"])
    if Role(person["role"]) not in MAKES_DEFICIT and row["points"] > balance.available + balance.pending:
        raise Refused(Code.INSUFFICIENT_POINTS, data={"available": balance.available})
    back = await claw_back(
        ctx, membership["id"], row["points"], _undo_origin(row), own_entry_id=row["entry"], kind=EntryKind.ADJUST
    )
    return back.points


async def _give_back(ctx: Context, row: Row, membership: Row) -> int:
    """Give back what is still owed, which pays the debt, and then what was taken from lots, with its dates; all of it."""
    taken = await list_taken(row["entry"])
    origin = _undo_origin(row)
    owed: int = -row["points"] - sum(lot["points"] for lot in taken)
    if owed:
        await _credit(ctx, membership, owed, origin)
        (membership,) = await memberships.lock_memberships([row["membership"]])
    given = await give_back(
        ctx,
        membership,
        -row["points"] - owed,
        origin,
        spent_entry_id=row["entry"],
        grace=ADJUST_RESTORE_GRACE,
        taken=taken,
    )
    return owed + given


def _undo_origin(row: Row) -> Origin:
    return Origin(
        source_key=f"adjustment-undo:{row['id']}",
        customer_id=row["customer"],
        related_entry_id=row["entry"],
        reason_code=UNDONE_REASON,
    )


async def _get_balance(ctx: Context, customer_id: UUID, membership_id: UUID) -> Balance:
    views = await list_membership_views(customer_id, ctx.now)
    found = next((view.balance for view in views if view.id == membership_id), None)
    if found is None:
        raise NotFound("The customer is no longer in this membership.")
    return found


def _shown_figures(view: AdjustmentView) -> Figures:
    return Figures(available=view.available, pending=view.pending, deficit=view.deficit)


def _figures(balance: Balance) -> Figures:
    return Figures(available=balance.available, pending=balance.pending, deficit=balance.deficit)


def _wish(row: Row) -> Wish:
    return Wish(
        points=row["points"],
        reason_code=AdjustReason(row["reason_code"]),
        note=row["note"],
        visible=row["visible"],
    )


async def _record(
    ctx: Context, done: str, adjustment_id: UUID, customer_id: UUID, wish: Wish, *, reason: str | None = None
) -> None:
    await record(
        ctx,
        f"adjustment.{done}",
        subject_kind="adjustment",
        subject_id=adjustment_id,
        customer_id=customer_id,
        reason=reason or wish.note or None,
        details={"points": wish.points, "reason_code": wish.reason_code, "visible": wish.visible},
    )


async def _get_view(ctx: Context, adjustment_id: UUID) -> AdjustmentView:
    return _view(await store.get_view(adjustment_id, ctx.now))


def _view(row: Row) -> AdjustmentView:
    figures = Figures(available=row["available"], pending=row["pending"], deficit=row["deficit"])
    state = AdjustmentState(row["shown_state"])
    is_waiting = state is AdjustmentState.WAITING
    return AdjustmentView(
        id=row["id"],
        state=state,
        customer_id=row["customer"],
        customer_name=row["customer_name"],
        membership_id=row["membership"],
        points=row["points"],
        reason_code=AdjustReason(row["reason_code"]),
        note=row["note"],
        visible=row["visible"],
        requested_by=row["requester_name"],
        requested_at=row["requested_at"],
        needs_second_person=tuple(row["needs"]),
        lapses_at=row["lapses_at"],
        decided_by=row["decider_name"],
        decided_at=row["decided_at"],
        decision_note=row["decision_note"],
        undo_until=row["posted_at"] + ADJUST_UNDO if state is AdjustmentState.POSTED else None,
        undone_by=row["undoer_name"],
        undone_at=row["undone_at"],
        available=figures.available,
        pending=figures.pending,
        deficit=figures.deficit,
        preview_hash=hash_request(row["id"], _wish(row), figures) if is_waiting else None,
    )
