"""Sharing by staff, for customers who stand before them: combine, leave, who may spend; and taking it back.

A preview is the execution, taken back: both run the same steps, so that what was shown is what happens.
"""

import hashlib
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Invalid, NotFound, Refused
from server.sharing import mails, store
from server.sharing.combining import Combination, check_combinable, combine_memberships, split_combined
from server.sharing.commands import BLOCKED_HASH, answer_undone, check_undoable, get_operation, try_out
from server.sharing.effects import CombineEffects
from server.sharing.groups import (
    Group,
    check_active,
    check_agreed,
    check_not_self,
    check_room,
    check_status,
    list_people_views,
    lock_group,
)
from server.sharing.leaving import Departure, leave_membership, list_must_agree, undo_leaving
from shared.limits import SHARING_UNDO
from shared.problems import Code, FieldProblem
from shared.sharing import (
    Combined,
    CombineEffect,
    CombinePreview,
    Combining,
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
        preview_hash=_hash_combine(group, form.other_membership_id, combined.effect) if combined else BLOCKED_HASH,
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
        preview_hash=_hash_split(effect) if effect else BLOCKED_HASH,
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
        preview_hash=_hash_split(left.effect) if left else BLOCKED_HASH,
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
    operation = await get_operation(staff, membership_id, operation_id, "leave")
    await lock_group([operation["membership"], operation["other"]], [operation["customer"]])
    operation = await check_undoable(ctx, operation_id)
    await undo_leaving(ctx, operation, reason=form.reason)
    group = await lock_group([membership_id])
    person = group.find_person(membership_id, operation["customer"])
    assert person is not None
    await mails.tell(ctx, "sharing_undone", group.people, about=person.name)
    return await answer_undone(ctx, operation, None)


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


def _must_agree_to_combine(group: Group, membership_id: UUID, other_id: UUID) -> tuple[UUID, ...]:
    owners = [person.customer for person in group.people_of(membership_id) if person.role == "owner"]
    return (*owners, *(person.customer for person in group.people_of(other_id)))


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
    operation = await get_operation(staff, membership_id, operation_id, "combine")
    if operation["merge"] is not None:
        raise Refused(Code.UNDO_NOT_LAST, "This came with a merge of two customers; take that back.")
    group = await lock_group([operation["membership"], operation["other"]])
    operation = await check_undoable(ctx, operation_id)
    effect = await split_combined(ctx, operation, reason=form.reason)
    names = ", ".join(person.name for person in group.people)
    await mails.tell(ctx, "sharing_undone", group.people, about=names)
    return await answer_undone(ctx, operation, effect)


async def _leave(ctx: Context, staff_customer_id: UUID | None, membership_id: UUID, form: Leaving) -> Departure:
    group = await lock_group([membership_id])
    check_not_self(staff_customer_id, group)
    left = await leave_membership(ctx, group, membership_id, form)
    leaver = group.find_person(membership_id, form.customer_id)
    assert leaver is not None
    await mails.tell(ctx, "sharing_left", group.people, about=leaver.name)
    return left


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
        membership_id=row["membership"],
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
