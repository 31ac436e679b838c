"""Merging by staff and by claims: previews, the second person, the way back, and the "not me" of whoever is told.

A preview is the execution, taken back: both run the same steps, so that what was shown is what happens.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.customers.store import find_heir, hold_redemption, lock_customers
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Busy, NotFound, NotPermitted, Refused
from server.memberships.service import list_membership_views
from server.merges import mails, store
from server.merges.checks import Pair, check_not_self, check_pair, list_needs, load_pair
from server.merges.effects import Effects
from server.merges.merging import Wish, carry_out, lock_everything
from server.merges.rules import Person
from server.merges.store import NewMerge
from server.merges.undoing import DISPUTED, carry_back
from server.sessions.links import Purpose, find_link, use_link
from server.sharing.commands import try_out
from server.sharing.store import find_operation
from shared.enums import Permission, Role
from shared.limits import MERGE_DISPUTE_HOLD, MERGE_REQUEST_LIFE, MERGE_UNDO
from shared.merges import (
    MergeChoices,
    MergeDecision,
    MergeDisputed,
    MergeEffect,
    MergeNeed,
    MergePage,
    MergePreview,
    MergeRequest,
    MergeSide,
    MergeState,
    MergeUndo,
    MergeUndoEffect,
    MergeUndone,
    MergeUndoPreview,
    MergeView,
)
from shared.permissions import may
from shared.problems import Code
from shared.sharing import Account

_BLOCKED_HASH = hashlib.sha256(b"blocked").hexdigest()  # No execution has it.


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A merge that was carried out."""

    merge_id: UUID
    survivor_id: UUID
    effect: MergeEffect
    undo_until: datetime


async def merge_customers(
    ctx: Context, *, survivor_id: UUID, absorbed_id: UUID, method: str, choices: MergeChoices, reason: str
) -> Merged:
    """Make one customer a part of another, in the caller's transaction, who says that nobody else has to approve it.

    Args:
        method: "claim", or "staff".

    Raises:
        NotFound: One of the two does not exist.
        Invalid: A choice that does not fit.
        Refused: MERGE_SAME, CUSTOMER_MERGED, CUSTOMER_ERASED, MERGE_STAFF_LINKED, OPEN_HOLD, EMAIL_CHANGE_PENDING,
            MERGE_KIND_MISMATCH, MERGE_SHARED, REDEMPTION_HELD.
        Busy: Somebody joined or left a membership just now.
    """
    pair = await _lock_pair(survivor_id, absorbed_id)
    if pair.staff_ids:
        raise Refused(Code.MERGE_STAFF_LINKED)
    await check_pair(ctx, pair, choices)
    wish = Wish(merge_id=new_id(), choices=choices, reason=reason, method=method)
    effects = await carry_out(ctx, pair, wish)
    merge = _done(ctx, pair, wish, method=method, effects=effects)
    await store.insert_merge(ctx, merge)
    await _finish(ctx, pair, wish, effects)
    assert merge.undo_until is not None
    return Merged(merge_id=wish.merge_id, survivor_id=survivor_id, effect=effects.shown, undo_until=merge.undo_until)


async def preview(ctx: Context, staff: Staff, form: MergeRequest) -> MergePreview:
    """Return both side by side, whose fields stay, and what a merge would do.

    Raises:
        NotFound: One of the two does not exist.
        Invalid: A choice that does not fit.
        Refused: MERGE_SAME, CUSTOMER_MERGED, CUSTOMER_ERASED, SELF_DEALING.
    """
    async with DB.transaction():
        pair = await _lock_pair(form.survivor_id, form.absorbed_id)
        await check_not_self(staff.customer_id, pair)
        needs = await list_needs(pair)
        sides = [await _side(ctx, person) for person in (pair.survivor, pair.absorbed)]
    effect, blockers = await _try(ctx, form.survivor_id, form.absorbed_id, form.choices)
    return MergePreview(
        survivor=sides[0],
        absorbed=sides[1],
        effect=effect,
        blockers=blockers,
        warnings=_list_warnings(pair, effect, needs),
        needs_second_person=needs,
        preview_hash=_hash(pair, form.choices, effect) if effect else _BLOCKED_HASH,
    )


async def merge(ctx: Context, staff: Staff, form: MergeRequest) -> MergeView:
    """Merge at once, or ask for a second person where one is needed; in the caller's transaction.

    Raises:
        NotFound: One of the two does not exist.
        Invalid: A choice that does not fit.
        Refused: PREVIEW_STALE, SELF_DEALING, or what the preview listed as a blocker.
    """
    pair = await _lock_pair(form.survivor_id, form.absorbed_id)
    await check_not_self(staff.customer_id, pair)
    await check_pair(ctx, pair, form.choices)
    needs = await list_needs(pair)
    wish = Wish(merge_id=new_id(), choices=form.choices, reason=form.reason)
    if needs:
        return await _get_view(await _ask(ctx, staff, pair, wish, needs, form.preview_hash or ""))
    effects = await carry_out(ctx, pair, wish)
    if form.preview_hash != _hash(pair, form.choices, effects.shown):
        raise Refused(Code.PREVIEW_STALE)
    merge = _done(ctx, pair, wish, method="staff", effects=effects, staff_id=staff.staff_id)
    await store.insert_merge(ctx, merge)
    await _finish(ctx, pair, wish, effects)
    return await _get_view(wish.merge_id)


async def get_merge(ctx: Context, merge_id: UUID) -> MergeView:
    """Return a merge; of one that waits, what it would do now, with the hash that its approval must present.

    Raises:
        NotFound: There is no such merge.
    """
    row = await store.find_merge(merge_id)
    if row is None:
        raise NotFound
    view = await _get_view(merge_id)
    if view.state is not MergeState.WAITING:
        return view
    try:
        async with DB.transaction():
            pair = await _lock_pair(row["survivor"], row["absorbed"])
        effect, _ = await _try(ctx, row["survivor"], row["absorbed"], view.choices)
    except Refused:
        return view
    preview_hash = _hash(pair, view.choices, effect) if effect else _BLOCKED_HASH
    return msgspec.structs.replace(view, effect=effect, preview_hash=preview_hash)


async def list_merges(state: str, customer_id: UUID | None, *, cursor: str, limit: int) -> MergePage:
    """Return a page of merges, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_views(state=state, customer_id=customer_id, before=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="requested_at")
    return MergePage(
        items=tuple(_view(row) for row in page),
        next_cursor=next_cursor,
    )


async def approve(ctx: Context, staff: Staff, merge_id: UUID, form: MergeDecision) -> MergeView:
    """Carry out what somebody else asked for, in the caller's transaction; both must hold their roles now.

    Raises:
        NotFound: There is no such merge.
        NotPermitted: One of the two has lost the role.
        Invalid: A choice does not fit any more.
        Refused: REQUEST_CLOSED, APPROVAL_REQUIRED (it is one's own), MERGE_STAFF_LINKED (it takes an administrator),
            PREVIEW_STALE, SELF_DEALING, or what a preview lists as a blocker.
    """
    found = await store.find_merge(merge_id)
    if found is None:
        raise NotFound
    pair = await _lock_pair(found["survivor"], found["absorbed"])
    row = await store.lock_merge(merge_id)
    await _check_decision(ctx, staff, row, pair)
    choices = msgspec.json.decode(row["choices"], type=MergeChoices)
    await check_pair(ctx, pair, choices)
    if set(await list_needs(pair)) - set(row["needs"]):
        raise Refused(Code.PREVIEW_STALE)
    wish = Wish(merge_id=merge_id, choices=choices, reason=row["reason"])
    effects = await carry_out(ctx, pair, wish)
    if form.preview_hash != _hash(pair, choices, effects.shown):
        raise Refused(Code.PREVIEW_STALE)
    await store.finish_waiting(
        ctx, merge_id, staff_id=staff.staff_id, note=form.note, undo_until=ctx.now + MERGE_UNDO, effects=effects
    )
    await _finish(ctx, pair, wish, effects)
    return await _get_view(merge_id)


async def refuse(ctx: Context, staff: Staff, merge_id: UUID, reason: str) -> MergeView:
    """Refuse what somebody else asked for.

    Raises:
        NotFound: There is no such merge.
        Refused: REQUEST_CLOSED; APPROVAL_REQUIRED, it is one's own.
    """
    async with DB.transaction():
        if await store.find_merge(merge_id) is None:
            raise NotFound
        row = await store.lock_merge(merge_id)
        _check_waiting(ctx, row)
        if row["requested_by"] == staff.staff_id:
            raise Refused(Code.APPROVAL_REQUIRED)
        await store.refuse_waiting(ctx, merge_id, staff_id=staff.staff_id, note=reason)
        await _record(ctx, "customer.merge_refused", merge_id, (row["survivor"], row["absorbed"]), reason, {})
        return await _get_view(merge_id)


async def preview_undo(ctx: Context, staff: Staff, merge_id: UUID, form: MergeUndo) -> MergeUndoPreview:
    """Return what taking a merge back would do, with what does not come back.

    Raises:
        NotFound: There is no such merge.
        Refused: SELF_DEALING.
    """
    if await store.find_merge(merge_id) is None:
        raise NotFound
    undone, blockers = await try_out(lambda: _undo(ctx, staff, merge_id, form.reason))
    warnings = []
    if undone:
        if undone.shortfall:
            warnings.append(f"{undone.shortfall} of the points have been used since and do not come back.")
        if undone.orders_staying:
            warnings.append(f"{undone.orders_staying} purchases since the merge stay with the survivor.")
        warnings.append("Signed-in devices stay signed out; both are told.")
    return MergeUndoPreview(
        effect=undone,
        blockers=blockers,
        warnings=tuple(warnings),
        preview_hash=_hash_undo(merge_id, undone) if undone else _BLOCKED_HASH,
    )


async def undo(ctx: Context, staff: Staff, merge_id: UUID, form: MergeUndo) -> MergeUndone:
    """Make two customers of one again, in the caller's transaction.

    Raises:
        NotFound: There is no such merge.
        Refused: PREVIEW_STALE, SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST, CUSTOMER_ERASED, OPEN_HOLD.
    """
    effect = await _undo(ctx, staff, merge_id, form.reason)
    if form.preview_hash != _hash_undo(merge_id, effect):
        raise Refused(Code.PREVIEW_STALE)
    row = await store.find_merge(merge_id)
    assert row is not None
    return MergeUndone(id=merge_id, survivor_id=row["survivor"], absorbed_id=row["absorbed"], effect=effect)


async def dispute(ctx: Context, token: str) -> MergeDisputed:
    """Keep points from being spent for a week, as somebody says that the other customer is another person.

    Raises:
        Refused: TOKEN_EXPIRED.
        Busy: Whoever has the points is being merged just now.
    """
    found = await find_link(ctx, purposes=[Purpose.MERGE_NOT_ME], token=token)
    merge = await store.find_merge(found.subject) if found.subject else None
    if merge is None:
        raise Refused(Code.TOKEN_EXPIRED)
    async with DB.transaction():
        # The points may have gone on with another merge; whoever has them is locked before the link.
        holder_id = await find_heir(merge["survivor"]) or merge["survivor"]
        (holder,) = await lock_customers([holder_id])
        if holder["status"] == "merged":
            raise Busy
        await use_link(ctx, purpose=Purpose.MERGE_NOT_ME, token=token)
        row = await store.find_merge(merge["id"])
        if row is None or row["state"] != "done":
            raise Refused(Code.TOKEN_EXPIRED)
        until = ctx.now + MERGE_DISPUTE_HOLD
        await hold_redemption(ctx, holder_id, until=until, reason=DISPUTED)
        await store.dispute(ctx, row["id"])
        await _record(ctx, "customer.merge_disputed", row["id"], (holder_id,), None, {})
    return MergeDisputed(redemption_held_until=until)


# What they have in common ---------------------------------------------------------------------------------------------


async def _lock_pair(survivor_id: UUID, absorbed_id: UUID) -> Pair:
    if survivor_id == absorbed_id:
        raise Refused(Code.MERGE_SAME)
    await lock_everything([survivor_id, absorbed_id])
    return await load_pair(survivor_id, absorbed_id)


async def _try(
    ctx: Context, survivor_id: UUID, absorbed_id: UUID, choices: MergeChoices
) -> tuple[MergeEffect | None, tuple[str, ...]]:
    """Return what a merge would do, and how many older sales would count if that were chosen."""
    effect, blockers = await try_out(lambda: _carry_out(ctx, survivor_id, absorbed_id, choices))
    if effect is None or choices.count_older_orders:
        return effect, blockers
    counting = msgspec.structs.replace(choices, count_older_orders=True)
    with_older, _ = await try_out(lambda: _carry_out(ctx, survivor_id, absorbed_id, counting))
    if with_older is None:
        return effect, blockers
    older = {"older_orders": with_older.older_orders, "older_points": with_older.older_points}
    return msgspec.structs.replace(effect, **older), blockers


async def _carry_out(ctx: Context, survivor_id: UUID, absorbed_id: UUID, choices: MergeChoices) -> MergeEffect:
    pair = await _lock_pair(survivor_id, absorbed_id)
    await check_pair(ctx, pair, choices)
    return (await carry_out(ctx, pair, Wish(merge_id=new_id(), choices=choices, reason="preview"))).shown


async def _ask(
    ctx: Context, staff: Staff, pair: Pair, wish: Wish, needs: tuple[MergeNeed, ...], preview_hash: str
) -> UUID:
    """Write a wish down that a second person decides, and return its id; the same one waits once.

    Its effect is worked out again at the decision.
    """
    await store.close_lapsed(ctx, pair.survivor.id, pair.absorbed.id)
    waiting = await store.find_waiting(pair.survivor.id, pair.absorbed.id)
    if waiting is not None:
        return waiting
    merge = NewMerge(
        id=wish.merge_id,
        survivor_id=pair.survivor.id,
        absorbed_id=pair.absorbed.id,
        method="staff",
        state="waiting",
        reason=wish.reason,
        choices=wish.choices,
        needs=needs,
        preview_hash=preview_hash,
        requested_by=staff.staff_id,
        lapses_at=ctx.now + MERGE_REQUEST_LIFE,
    )
    await store.insert_merge(ctx, merge)
    await _record(ctx, "customer.merge_requested", wish.merge_id, pair.ids, wish.reason, {"needs": list(needs)})
    return wish.merge_id


def _done(
    ctx: Context, pair: Pair, wish: Wish, *, method: str, effects: Effects, staff_id: UUID | None = None
) -> NewMerge:
    return NewMerge(
        id=wish.merge_id,
        survivor_id=pair.survivor.id,
        absorbed_id=pair.absorbed.id,
        method=method,
        state="done",
        reason=wish.reason,
        choices=wish.choices,
        requested_by=staff_id,
        done_at=ctx.now,
        undo_until=ctx.now + MERGE_UNDO,
        effects=effects,
    )


async def _finish(ctx: Context, pair: Pair, wish: Wish, effects: Effects) -> None:
    details = {
        "from": pair.absorbed.id,
        "to": pair.survivor.id,
        "orders": len(effects.orders),
        "operations": effects.operations,
    }
    await _record(ctx, "customer.merged", wish.merge_id, pair.ids, wish.reason, details)
    await mails.tell_merged(ctx, wish.merge_id, pair.survivor, pair.absorbed)


async def _check_decision(ctx: Context, staff: Staff, row: Row, pair: Pair) -> None:
    """Refuse an approval by who asked, who may not, or who profits."""
    _check_waiting(ctx, row)
    if row["requested_by"] == staff.staff_id:
        raise Refused(Code.APPROVAL_REQUIRED)
    people = await store.lock_staff([staff.staff_id, row["requested_by"]])
    requester, approver = people[row["requested_by"]], people[staff.staff_id]
    if requester["status"] != "active" or not may(Role(requester["role"]), Permission.CUSTOMER_MERGE):
        raise NotPermitted("Whoever asked for this may not do so any more.")
    if approver["status"] != "active" or not may(Role(approver["role"]), Permission.MERGE_APPROVE):
        raise NotPermitted("You may not approve this any more.")
    if MergeNeed.STAFF_LINKED in row["needs"] and Role(approver["role"]) is not Role.ADMIN:
        raise Refused(Code.MERGE_STAFF_LINKED)
    for person in (requester, approver):
        await check_not_self(person["customer"], pair)


def _check_waiting(ctx: Context, row: Row) -> None:
    if row["state"] != "waiting" or row["lapses_at"] <= ctx.now:
        raise Refused(Code.REQUEST_CLOSED)


async def _undo(ctx: Context, staff: Staff, merge_id: UUID, reason: str) -> MergeUndoEffect:
    found = await store.find_merge(merge_id)
    if found is None:
        raise NotFound
    ids = (found["survivor"], found["absorbed"])
    await lock_everything(ids, await _memberships_of(found))
    row = await store.lock_merge(merge_id)
    people = [await store.find_person(one) for one in ids]
    survivor, absorbed = people
    assert survivor is not None
    assert absorbed is not None
    await check_not_self(staff.customer_id, Pair(survivor=survivor, absorbed=absorbed, staff_ids=()))
    await _check_undoable(ctx, row, survivor, absorbed)
    effect = await carry_back(ctx, row, reason=reason)
    details = {"orders": effect.orders_back, "shortfall": effect.shortfall}
    await _record(ctx, "customer.unmerged", merge_id, ids, reason, details)
    told = [await store.find_person(one) for one in ids]
    await mails.tell_undone(ctx, *(person for person in told if person is not None))
    return effect


async def _memberships_of(row: Row) -> list[UUID]:
    """Return the memberships that a merge combined, so that they are locked with all others."""
    if row["state"] != "done" or row["effects"] == "{}":
        return []
    effects = msgspec.json.decode(row["effects"], type=Effects)
    operations = [await find_operation(one) for one in effects.operations]
    ids = [one for row in operations if row is not None for one in (row["membership"], row["other"])]
    return [*ids, *(place.membership_id for place in effects.places)]


async def _check_undoable(ctx: Context, row: Row, survivor: Person, absorbed: Person) -> None:
    if "erased" in (survivor.status, absorbed.status):
        raise Refused(Code.CUSTOMER_ERASED)
    if row["state"] == "undone":
        raise Refused(Code.UNDO_EXPIRED, "This was taken back before.")
    if row["state"] != "done":
        raise Refused(Code.UNDO_EXPIRED, "This merge was never carried out.")
    if row["undo_until"] <= ctx.now:
        raise Refused(Code.UNDO_EXPIRED)
    if absorbed.merged_into != survivor.id or await store.has_later(row):
        raise Refused(Code.UNDO_NOT_LAST, "One of the two was merged again since; take that back first.")


async def _record(
    ctx: Context,
    action: str,
    merge_id: UUID,
    customer_ids: tuple[UUID, ...],
    reason: str | None,
    details: Mapping[str, object],
) -> None:
    for customer_id in customer_ids:
        await record(
            ctx, action, subject_kind="merge", subject_id=merge_id, customer_id=customer_id, reason=reason,
            details=details,
        )  # fmt: skip


async def _side(ctx: Context, person: Person) -> MergeSide:
    summary = await store.get_summary(person.id)
    views = await list_membership_views(person.id, ctx.now)
    balances = [view.balance for view in views if view.status == "active"]
    email, phone = person.primary("email"), person.primary("phone")
    return MergeSide(
        id=person.id,
        name=person.name,
        kind=person.kind,
        status=person.status,
        email=email.value if email else None,
        email_status=email.status if email else None,
        phone=phone.value if phone else None,
        phone_status=phone.status if phone else None,
        birthday=person.birthday,
        locale=person.locale,
        has_login=person.has_login,
        created_at=person.created_at,
        available=sum(one.available for one in balances),
        pending=sum(one.pending for one in balances),
        deficit=sum(one.deficit for one in balances),
        cards=tuple(summary["cards"]),
        vouchers=summary["vouchers"],
        orders=summary["orders"],
        pos_links=summary["pos_links"],
        sharers=summary["sharers"],
    )


def _list_warnings(pair: Pair, effect: MergeEffect | None, needs: tuple[MergeNeed, ...]) -> tuple[str, ...]:
    survivor, absorbed = pair.survivor, pair.absorbed
    warnings = []
    if MergeNeed.STAFF_LINKED in needs:
        warnings.append("One of the two belongs to a staff member: better cancel; else an administrator approves it.")
    if MergeNeed.BOTH_HAVE_LOGINS in needs:
        warnings.append('Both have a sign-in: a second person approves it, and both get a notice with a "not me" link.')
    if survivor.birthday and absorbed.birthday and survivor.birthday != absorbed.birthday:
        warnings.append("The birthdays differ.")
    if MergeNeed.BLOCKED in needs:
        warnings.append("One of the two is blocked; so is what they become.")
    if effect is None:
        return tuple(warnings)
    if effect.older_orders and not effect.older_counted:
        warnings.append(
            f"{effect.older_orders} older orders would now count, +{effect.older_points} points, if ticked."
        )
    warnings += [f"Both have had the bonus '{code}'; it is kept." for code in effect.bonuses_twice]
    if effect.referrals_void:
        warnings.append(f"One has brought the other: {effect.referrals_void} points of that are taken back.")
    debt_paid = sum(one.debt_paid for one in effect.combined)
    if debt_paid:
        warnings.append(f"{debt_paid} points of one pay what the other owes.")
    return tuple(warnings)


def _hash(pair: Pair, choices: MergeChoices, effect: MergeEffect) -> str:
    """Return what must be the same at the execution: who becomes whom, whose fields stay, and every figure."""
    combined = [
        (_figures(one.kept_before), _figures(one.other_before), one.lots_before, one.debt_paid)
        for one in effect.combined
    ]
    older = (effect.older_orders, effect.older_points) if effect.older_counted else ()
    seen = (
        pair.survivor.id, pair.absorbed.id, pair.survivor.status, pair.absorbed.status, pair.staff_ids, choices,
        effect.fields, combined, effect.memberships_moved, sorted(effect.cards), effect.vouchers, effect.orders,
        effect.pos_links, older, effect.referrals_void, effect.available_after, effect.pending_after,
        effect.deficit_after,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _figures(account: Account) -> tuple[int, int, int, int]:
    """Return an account without its id, which is of one execution only where somebody leaves another first."""
    return account.available, account.pending, account.deficit, account.lifetime


def _hash_undo(merge_id: UUID, effect: MergeUndoEffect) -> str:
    split = [(one.before, one.lots_going, one.deficit_going, one.shortfall) for one in effect.split]
    seen = (merge_id, split, effect.memberships_back, effect.orders_back, effect.orders_staying, sorted(effect.cards))
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


async def _get_view(merge_id: UUID) -> MergeView:
    return _view(await store.get_view(merge_id))


def _view(row: Row) -> MergeView:
    is_done = row["state"] in ("done", "undone")
    return MergeView(
        id=row["id"],
        state=MergeState(row["state"]),
        survivor_id=row["survivor"],
        survivor_name=row["survivor_name"],
        absorbed_id=row["absorbed"],
        absorbed_name=row["absorbed_name"],
        reason=row["reason"],
        choices=msgspec.json.decode(row["choices"], type=MergeChoices),
        needs=tuple(MergeNeed(need) for need in row["needs"]),
        requested_by=row["requested_name"],
        requested_at=row["requested_at"],
        lapses_at=row["lapses_at"],
        decided_by=row["decided_name"],
        done_at=row["done_at"],
        undo_until=row["undo_until"] if row["state"] == "done" else None,
        disputed_at=row["disputed_at"],
        preview_hash=row["preview_hash"],
        # What a merge has moved is forgotten with a person who is erased.
        effect=msgspec.json.decode(row["effects"], type=Effects).shown if is_done and row["effects"] != "{}" else None,
    )
