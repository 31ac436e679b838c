"""Sharing by staff, for customers who stand before them: join, combine, leave, who may spend; and taking it back.

A preview is the execution, taken back: both run the same steps, so that what was shown is what happens.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Invalid, NotFound, Refused, RegularsError
from server.memberships.service import adopt_card, issue_card
from server.programmes.rules import eligible_from
from server.programmes.service import get_programme
from server.sharing import mails, store
from server.sharing.combining import Combination, check_combinable, combine_memberships, split_combined
from server.sharing.effects import CombineEffects, JoinEffects
from server.sharing.groups import (
    Group,
    check_active,
    check_agreed,
    check_free,
    check_not_self,
    check_room,
    check_status,
    get_account,
    list_people_views,
    lock_group,
    record_for_all,
)
from server.sharing.leaving import Departure, leave_membership, list_must_agree, undo_leaving
from server.sharing.store import Operation
from shared.limits import SHARING_UNDO
from shared.problems import Code, FieldProblem
from shared.sharing import (
    Combined,
    CombineEffect,
    CombinePreview,
    Combining,
    ExistingMembership,
    Joined,
    Joining,
    JoinPreview,
    LeavePolicy,
    Leaving,
    Left,
    RedeemPolicy,
    SharedMembership,
    SharingOperationView,
    SharingUndo,
    SharingUndone,
    SplitEffect,
    SplitPreview,
)

_Result = TypeVar("_Result")
# These are no obstacles that somebody could see and remove in the dialog.
_NOT_SHOWN = (Code.NOT_FOUND, Code.SELF_DEALING, Code.INVALID_REQUEST)
_BLOCKED_HASH = hashlib.sha256(b"blocked").hexdigest()  # No execution has it.


class _TakenBack(RegularsError):
    """Ends the transaction of a preview, so that nothing of it stays."""


async def get_sharing(ctx: Context, membership_id: UUID) -> SharedMembership:
    """Return who shares a membership, what each brought and spent, and what can be undone.

    Raises:
        NotFound: There is no such membership.
    """
    membership = await store.find_membership(membership_id)
    if membership is None:
        raise NotFound
    terms = await store.get_programme_terms(membership["programme"])
    return SharedMembership(
        membership_id=membership_id,
        people=await list_people_views(ctx, membership_id),
        redeem_policy=RedeemPolicy(membership["redeem_policy"] or terms["redeem_policy"]),
        daily_points=membership["redeem_daily_points"],
        sharers_max=terms["max_sharers"],
        operations=tuple(_operation_view(ctx, row) for row in await store.list_operations(membership_id)),
    )


# Join -----------------------------------------------------------------------------------------------------------------


async def preview_join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining) -> JoinPreview:
    """Return what joining would do; of a customer with a membership, that one.

    Raises:
        NotFound: There is no such membership or customer.
        Refused: SELF_DEALING.
    """
    async with DB.transaction():
        group = await _lock_for_join(staff, membership_id, form)
        must_agree = _must_agree_to_join(group, membership_id, form.customer_id)
        existing = await _find_existing(ctx, group, membership_id, form.customer_id)
        account = await get_account(ctx, membership_id)
    # What they were asked comes last: the preview names whom to ask.
    wish = msgspec.structs.replace(form, agreed_by=must_agree)
    joined, blockers = await try_out(lambda: _join(ctx, staff, membership_id, wish))
    return JoinPreview(
        membership_id=membership_id,
        customer_id=form.customer_id,
        account=account,
        people=joined.people if joined else await list_people_views(ctx, membership_id),
        existing=existing,
        must_agree=must_agree,
        blockers=blockers,
        warnings=(),
        preview_hash=_hash_join(group, membership_id, form) if joined else _BLOCKED_HASH,
    )


async def join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining) -> Joined:
    """Let a customer share a membership, in the caller's transaction.

    Raises:
        NotFound: There is no such membership or customer.
        Refused: PREVIEW_STALE, SELF_DEALING, MEMBERSHIP_EXISTS with the card and points of the customer's own,
            CONSENT_MISSING, SHARER_LIMIT, MEMBERSHIP_CLOSED, OPEN_HOLD, REDEMPTION_HELD, or the customer is no more.
    """
    return await _join(ctx, staff, membership_id, form, check_hash=True)


async def join_agreed(ctx: Context, group: Group, membership_id: UUID, form: Joining) -> Joined:
    """Let a customer share a locked membership, whoever has asked.

    Raises:
        Refused: As in `join`, but for SELF_DEALING.
    """
    customer_id = form.customer_id
    check_status(group, customer_id)
    check_active(group, membership_id)
    existing = await _find_existing(ctx, group, membership_id, customer_id)
    if existing is not None:
        raise Refused(Code.MEMBERSHIP_EXISTS, data=msgspec.to_builtins(existing))
    check_agreed(group, _must_agree_to_join(group, membership_id, customer_id), form.agreed_by)
    await check_room(group, membership_id, 1)
    await check_free(ctx, group)
    programme = await get_programme(group.memberships[membership_id]["programme"], fresh=True)
    since = eligible_from(ctx.now, programme.launch_at, programme.zone)
    person_id = await store.add_person(
        membership_id, customer_id, role="sharer", joined_at=ctx.now, eligible_from=since
    )
    if form.card_number is None:
        card = await issue_card(ctx, membership_id=membership_id, customer_id=customer_id)
    else:
        card = await adopt_card(ctx, form.card_number, membership_id=membership_id, customer_id=customer_id)
    operation = Operation(
        id=new_id(),
        kind="join",
        membership_id=membership_id,
        customer_id=customer_id,
        reason=form.reason,
        effects=JoinEffects(agreed_by=form.agreed_by, person_id=person_id),
        undo_until=ctx.now + SHARING_UNDO,
    )
    await store.insert_operation(ctx, operation)
    everybody = await lock_group([membership_id])
    await record_for_all(ctx, "membership.joined", operation.id, everybody, form.reason, 0)
    joiner = everybody.find_person(membership_id, customer_id)
    assert joiner is not None
    await mails.tell(ctx, "sharing_joined", everybody.people, about=joiner.name)
    await mark_membership(ctx, membership_id)
    return Joined(
        operation_id=operation.id,
        membership_id=membership_id,
        customer_id=customer_id,
        card_number=card,
        account=await get_account(ctx, membership_id),
        people=await list_people_views(ctx, membership_id),
        undo_until=operation.undo_until,
    )


async def undo_join(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SharingUndone:
    """Take a joining back, while the person has moved no points; in the caller's transaction.

    Raises:
        NotFound: This membership has no such joining.
        Refused: SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST, OPEN_HOLD, REDEMPTION_HELD.
    """
    operation = await _get_operation(staff, membership_id, operation_id, "join")
    effects = msgspec.json.decode(operation["effects"], type=JoinEffects)
    group = await lock_group([membership_id])
    operation = await _check_undoable(ctx, operation_id)
    await check_free(ctx, group)
    joiner = group.find_person(membership_id, operation["customer"])
    if joiner is None or joiner.id != effects.person_id or joiner.role == "owner":
        raise Refused(Code.UNDO_NOT_LAST)
    if await store.has_acted(membership_id, joiner.customer, operation["at"]):
        raise Refused(Code.UNDO_NOT_LAST, "This person has earned or spent points since; let them leave instead.")
    await store.end_person(ctx, joiner.id, reason="join_undone")
    await store.block_cards(ctx, membership_id, joiner.customer, reason="join_undone")
    await store.close_operation(ctx, operation_id)
    await record_for_all(ctx, "membership.join_undone", operation_id, group, form.reason, 0)
    await mails.tell(ctx, "sharing_undone", group.people, about=joiner.name)
    await mark_membership(ctx, membership_id)
    return await _undone(ctx, operation, None)


# Combine --------------------------------------------------------------------------------------------------------------


async def preview_combine(ctx: Context, staff: Staff, membership_id: UUID, form: Combining) -> CombinePreview:
    """Return what combining would do.

    Raises:
        NotFound: There is no such membership.
        Refused: SELF_DEALING.
    """
    async with DB.transaction():
        group = await lock_group([membership_id, form.other_membership_id])
        check_not_self(staff.customer_id, group)
        must_agree = _must_agree_to_combine(group, membership_id, form.other_membership_id)
    wish = msgspec.structs.replace(form, agreed_by=must_agree)
    combined, blockers = await try_out(lambda: _combine(ctx, staff, membership_id, wish, None))
    return CombinePreview(
        effect=combined.effect if combined else None,
        must_agree=must_agree,
        blockers=blockers,
        warnings=tuple(_warn_of_debt(combined.effect)) if combined else (),
        preview_hash=_hash_combine(group, form.other_membership_id, combined.effect) if combined else _BLOCKED_HASH,
    )


async def combine(ctx: Context, staff: Staff, membership_id: UUID, form: Combining) -> Combined:
    """Make another membership one with this one, in the caller's transaction; done before, it answers with that.

    Raises:
        NotFound: There is no such membership.
        Refused: PREVIEW_STALE, SELF_DEALING, MEMBERSHIP_SAME, MEMBERSHIP_CLOSED, CONSENT_MISSING, SHARER_LIMIT,
            OPEN_HOLD, REDEMPTION_HELD, or somebody in it is no more.
    """
    return await _combine(ctx, staff, membership_id, form, form.preview_hash or "")


async def combine_agreed(ctx: Context, group: Group, membership_id: UUID, form: Combining) -> Combined:
    """Make two locked memberships one, whoever has asked.

    Raises:
        Refused: As in `combine`, but for SELF_DEALING and PREVIEW_STALE.
    """
    other_id = form.other_membership_id
    check_combinable(group, membership_id, other_id)
    check_status(group, *(person.customer for person in group.people))
    check_agreed(group, _must_agree_to_combine(group, membership_id, other_id), form.agreed_by)
    await check_room(group, membership_id, len(group.people_of(other_id)))
    wish = Combination(
        operation_id=new_id(),
        kept_id=membership_id,
        other_id=other_id,
        reason=form.reason,
        agreed_by=form.agreed_by,
    )
    effect = await combine_memberships(ctx, wish)
    names = ", ".join(person.name for person in group.people)
    await mails.tell(ctx, "sharing_combined", group.people, about=names)
    return Combined(
        operation_id=wish.operation_id,
        membership_id=membership_id,
        effect=effect,
        undo_until=ctx.now + SHARING_UNDO,
    )


async def preview_undo_combine(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SplitPreview:
    """Return what taking a combination back would do, with what does not come back.

    Raises:
        NotFound: This membership has no such combination.
        Refused: SELF_DEALING.
    """
    undone, blockers = await try_out(lambda: _undo_combine(ctx, staff, membership_id, operation_id, form))
    effect = undone.effect if undone else None
    return SplitPreview(
        effect=effect,
        must_agree=(),
        blockers=blockers,
        warnings=tuple(_warn_of_shortfall(effect)) if effect else (),
        preview_hash=_hash_split(effect) if effect else _BLOCKED_HASH,
    )


async def undo_combine(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SharingUndone:
    """Take a combination back, in the caller's transaction.

    Raises:
        NotFound: This membership has no such combination.
        Refused: PREVIEW_STALE, SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST, OPEN_HOLD, REDEMPTION_HELD.
    """
    undone = await _undo_combine(ctx, staff, membership_id, operation_id, form)
    assert undone.effect is not None
    if form.preview_hash != _hash_split(undone.effect):
        raise Refused(Code.PREVIEW_STALE)
    return undone


# Leave ----------------------------------------------------------------------------------------------------------------


async def preview_leave(ctx: Context, staff: Staff, membership_id: UUID, form: Leaving) -> SplitPreview:
    """Return what leaving would do.

    Raises:
        NotFound: There is no such membership, or the person is not in it.
        Invalid: No new owner where one is needed, or points that do not fit the policy.
        Refused: SELF_DEALING.
    """
    return await preview_leaving(ctx, staff.customer_id, membership_id, form)


async def preview_leaving(
    ctx: Context, staff_customer_id: UUID | None, membership_id: UUID, form: Leaving
) -> SplitPreview:
    """Return what leaving would do, whoever asks; as in `preview_leave`."""
    async with DB.transaction():
        group = await lock_group([membership_id])
        check_not_self(staff_customer_id, group)
        check_active(group, membership_id)
        must_agree = list_must_agree(group, membership_id, form)
    wish = msgspec.structs.replace(form, agreed_by=must_agree)
    left, blockers = await try_out(lambda: _leave(ctx, staff_customer_id, membership_id, wish))
    warnings = [
        "Purchases from before stay with this membership: what comes back of them is taken here.",
        *(["All points stay here."] if form.policy is LeavePolicy.LEAVE_ALL else []),
    ]
    return SplitPreview(
        effect=left.effect if left else None,
        must_agree=must_agree,
        blockers=blockers,
        warnings=tuple(warnings),
        preview_hash=_hash_split(left.effect) if left else _BLOCKED_HASH,
    )


async def leave(ctx: Context, staff: Staff, membership_id: UUID, form: Leaving) -> Left:
    """Let somebody leave with the points that the policy says, in the caller's transaction.

    Raises:
        NotFound: There is no such membership, or the person is not in it.
        Invalid: No new owner where one is needed, or points that do not fit the policy.
        Refused: PREVIEW_STALE, SELF_DEALING, MEMBERSHIP_CLOSED, CONSENT_MISSING, OPEN_HOLD, REDEMPTION_HELD,
            INSUFFICIENT_POINTS.
    """
    return await leave_agreed(ctx, staff.customer_id, membership_id, form)


async def leave_agreed(ctx: Context, staff_customer_id: UUID | None, membership_id: UUID, form: Leaving) -> Left:
    """Let somebody leave, whoever has asked; as in `leave`."""
    left = await _leave(ctx, staff_customer_id, membership_id, form)
    if form.preview_hash != _hash_split(left.effect):
        raise Refused(Code.PREVIEW_STALE)
    return Left(
        operation_id=left.operation_id,
        membership_id=membership_id,
        new_membership_id=left.new_membership_id,
        card_number=left.card_number,
        effect=left.effect,
        undo_until=ctx.now + SHARING_UNDO,
    )


async def undo_leave(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SharingUndone:
    """Let somebody come back with all points, in the caller's transaction.

    Raises:
        NotFound: This membership has no such leaving.
        Refused: SELF_DEALING, UNDO_EXPIRED, UNDO_NOT_LAST, OPEN_HOLD, REDEMPTION_HELD.
    """
    operation = await _get_operation(staff, membership_id, operation_id, "leave")
    await lock_group([operation["membership"], operation["other"]], [operation["customer"]])
    operation = await _check_undoable(ctx, operation_id)
    await undo_leaving(ctx, operation, reason=form.reason)
    group = await lock_group([membership_id])
    person = group.find_person(membership_id, operation["customer"])
    assert person is not None
    await mails.tell(ctx, "sharing_undone", group.people, about=person.name)
    return await _undone(ctx, operation, None)


# Who may spend --------------------------------------------------------------------------------------------------------


async def put_policy(
    ctx: Context,
    staff_customer_id: UUID | None,
    membership_id: UUID,
    policy: RedeemPolicy,
    daily_points: int | None,
    *,
    reason: str | None = None,
) -> SharedMembership:
    """Say who of a membership may spend how much.

    Raises:
        NotFound: There is no such membership.
        Invalid: A number of points without the policy that has one, or the other way round.
        Refused: SELF_DEALING, MEMBERSHIP_CLOSED.
    """
    if (policy is RedeemPolicy.DAILY_CAP) != (daily_points is not None):
        raise Invalid(FieldProblem(field="daily_points", detail="Give the points of a day, and only for daily_cap."))
    async with DB.transaction():
        group = await lock_group([membership_id])
        check_not_self(staff_customer_id, group)
        check_active(group, membership_id)
        await store.set_policy(membership_id, policy, daily_points)
        await record(
            ctx,
            "membership.redeem_policy_changed",
            subject_kind="membership",
            subject_id=membership_id,
            customer_id=group.owner_of(membership_id).customer,
            reason=reason,
            details={"policy": policy, "daily_points": daily_points},
        )
    return await get_sharing(ctx, membership_id)


# What they have in common ---------------------------------------------------------------------------------------------


async def try_out(work: Callable[[], Awaitable[_Result]]) -> tuple[_Result | None, tuple[str, ...]]:
    """Carry something out in a transaction, take it back, and return what it did, or in words what stands against it."""
    result: _Result | None = None
    try:
        async with DB.transaction():
            result = await work()
            raise _TakenBack
    except _TakenBack:
        return result, ()
    except Refused as refusal:
        if refusal.code in _NOT_SHOWN:
            raise
        return None, (refusal.detail or str(refusal.code),)


async def _lock_for_join(staff: Staff, membership_id: UUID, form: Joining) -> Group:
    group = await lock_group([membership_id], [form.customer_id])
    check_not_self(staff.customer_id, group, form.customer_id)
    return group


async def _join(ctx: Context, staff: Staff, membership_id: UUID, form: Joining, *, check_hash: bool = False) -> Joined:
    group = await _lock_for_join(staff, membership_id, form)
    joined = await join_agreed(ctx, group, membership_id, form)
    if check_hash and form.preview_hash != _hash_join(group, membership_id, form):
        raise Refused(Code.PREVIEW_STALE)
    return joined


def _must_agree_to_join(group: Group, membership_id: UUID, customer_id: UUID) -> tuple[UUID, ...]:
    owners = [person.customer for person in group.people_of(membership_id) if person.role == "owner"]
    return (*owners, customer_id)


def _must_agree_to_combine(group: Group, membership_id: UUID, other_id: UUID) -> tuple[UUID, ...]:
    owners = [person.customer for person in group.people_of(membership_id) if person.role == "owner"]
    return (*owners, *(person.customer for person in group.people_of(other_id)))


async def _find_existing(
    ctx: Context, group: Group, membership_id: UUID, customer_id: UUID
) -> ExistingMembership | None:
    found = await store.find_membership_of(customer_id, group.memberships[membership_id]["programme"], ctx.now)
    if found is None:
        return None
    return ExistingMembership(
        membership_id=found["membership"],
        customer_id=customer_id,
        card_number=found["card"],
        available=found["available"],
        action="none" if found["membership"] == membership_id else "combine",
    )


async def _combine(
    ctx: Context, staff: Staff, membership_id: UUID, form: Combining, preview_hash: str | None
) -> Combined:
    other_id = form.other_membership_id
    if membership_id == other_id:
        raise Refused(Code.MEMBERSHIP_SAME)
    group = await lock_group([membership_id, other_id])
    check_not_self(staff.customer_id, group)
    if group.memberships[other_id]["successor"] == membership_id:
        return await _first_answer(membership_id, other_id)
    combined = await combine_agreed(ctx, group, membership_id, form)
    if preview_hash is not None and preview_hash != _hash_combine(group, other_id, combined.effect):
        raise Refused(Code.PREVIEW_STALE)
    return combined


async def _first_answer(membership_id: UUID, other_id: UUID) -> Combined:
    """Return what was answered when the two became one; two tills may ask for it at once."""
    operation = await store.find_combination(other_id)
    if operation is None:
        raise Refused(Code.MEMBERSHIP_CLOSED)
    effects = msgspec.json.decode(operation["effects"], type=CombineEffects)
    return Combined(
        operation_id=operation["id"],
        membership_id=membership_id,
        effect=effects.shown,
        undo_until=operation["undo_until"],
    )


async def _undo_combine(
    ctx: Context, staff: Staff, membership_id: UUID, operation_id: UUID, form: SharingUndo
) -> SharingUndone:
    operation = await _get_operation(staff, membership_id, operation_id, "combine")
    if operation["merge"] is not None:
        raise Refused(Code.UNDO_NOT_LAST, "This came with a merge of two customers; take that back.")
    group = await lock_group([operation["membership"], operation["other"]])
    operation = await _check_undoable(ctx, operation_id)
    effect = await split_combined(ctx, operation, reason=form.reason)
    names = ", ".join(person.name for person in group.people)
    await mails.tell(ctx, "sharing_undone", group.people, about=names)
    return await _undone(ctx, operation, effect)


async def _leave(ctx: Context, staff_customer_id: UUID | None, membership_id: UUID, form: Leaving) -> Departure:
    group = await lock_group([membership_id])
    check_not_self(staff_customer_id, group)
    left = await leave_membership(ctx, group, membership_id, form)
    leaver = group.find_person(membership_id, form.customer_id)
    assert leaver is not None
    await mails.tell(ctx, "sharing_left", group.people, about=leaver.name)
    return left


async def _get_operation(staff: Staff, membership_id: UUID, operation_id: UUID, kind: str) -> Row:
    """Return an operation of a membership, unless the staff member is among those whom it concerns."""
    operation = await store.find_operation(operation_id)
    if operation is None or operation["membership"] != membership_id or operation["kind"] != kind:
        raise NotFound
    ids = [one for one in (operation["membership"], operation["other"]) if one is not None]
    people = {person.customer for person in await store.list_people(ids)} | {operation["customer"]}
    if staff.customer_id is not None and staff.customer_id in people:
        raise Refused(Code.SELF_DEALING)
    return operation


async def _check_undoable(ctx: Context, operation_id: UUID) -> Row:
    """Return an operation as it is under the locks.

    Raises:
        Refused: UNDO_EXPIRED or UNDO_NOT_LAST.
    """
    operation = await store.find_operation(operation_id)
    assert operation is not None
    if operation["state"] != "done":
        raise Refused(Code.UNDO_EXPIRED, "This was taken back before.")
    if operation["undo_until"] <= ctx.now:
        raise Refused(Code.UNDO_EXPIRED)
    if await store.has_later(operation):
        raise Refused(Code.UNDO_NOT_LAST)
    return operation


async def _undone(ctx: Context, operation: Row, effect: SplitEffect | None) -> SharingUndone:
    return SharingUndone(
        operation_id=operation["id"],
        membership_id=operation["membership"],
        other_membership_id=operation["other"],
        effect=effect,
        people=await list_people_views(ctx, operation["membership"]),
    )


def _operation_view(ctx: Context, row: Row) -> SharingOperationView:
    is_open = row["state"] == "done" and row["undo_until"] > ctx.now and row["merge"] is None
    return SharingOperationView(
        id=row["id"],
        kind=row["kind"],
        at=row["at"],
        points=row["points"],
        customer_id=row["customer"],
        other_membership_id=row["other"],
        undo_until=row["undo_until"] if is_open else None,
    )


def _warn_of_debt(effect: CombineEffect) -> list[str]:
    if not effect.debt_paid:
        return []
    return [f"{effect.debt_paid} points of one pay what the other owes."]


def _warn_of_shortfall(effect: SplitEffect) -> list[str]:
    warnings = ["Purchases since the combination stay where they count."]
    if effect.shortfall:
        warnings.append(f"{effect.shortfall} of the points have been used since and do not come back.")
    return warnings


def _hash_join(group: Group, membership_id: UUID, form: Joining) -> str:
    people = sorted(str(person.id) for person in group.people)
    seen = (membership_id, form.customer_id, form.card_number, people, group.statuses[form.customer_id])
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _hash_combine(group: Group, other_id: UUID, effect: CombineEffect) -> str:
    """Return what must be the same at the execution: who is in both, and every figure of the effect."""
    people = sorted(str(person.id) for person in group.people)
    seen = (other_id, people, effect.kept_before, effect.other_before, effect.after, effect.vouchers, effect.cards)
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()


def _hash_split(effect: SplitEffect) -> str:
    """Return likewise for a leaving, whose new ids are of one execution only."""
    figures = [
        (one.available, one.pending, one.deficit, one.lifetime) for one in (effect.before, effect.staying, effect.going)
    ]
    seen = (effect.before.membership_id, figures, effect.lots_going, effect.deficit_going, effect.shortfall)
    return hashlib.sha256(msgspec.json.encode(seen)).hexdigest()
