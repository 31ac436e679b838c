"""A person leaves a shared membership with a part of its points, and comes back. In the caller's transaction."""

from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Invalid, NotFound, Refused
from server.ledger.transfers import Transfer, list_live_lots, move_debt, move_lifetime, move_points
from server.memberships.service import issue_card
from server.programmes.service import get_programme
from server.sharing import store
from server.sharing.combining import move_everything
from server.sharing.effects import LeaveEffects
from server.sharing.groups import Group, check_active, check_agreed, check_free, get_account, lock_group, record_for_all
from server.sharing.rules import count_live, list_dated, plan_leaving
from server.sharing.store import Operation, Person
from server.tiers.service import inherit_tier
from shared.limits import SHARING_UNDO
from shared.problems import Code, FieldProblem
from shared.sharing import Account, LeavePolicy, Leaving, SplitEffect


class Departure(msgspec.Struct, frozen=True, kw_only=True):
    """A leaving that was carried out."""

    operation_id: UUID
    new_membership_id: UUID
    card_number: str
    effect: SplitEffect


def list_must_agree(group: Group, membership_id: UUID, form: Leaving) -> tuple[UUID, ...]:
    """Return who has to agree: the leaver; and for an agreed number whoever owns the membership, too."""
    owner = group.owner_of(membership_id).customer
    if form.policy is LeavePolicy.AGREED:
        others = owner if owner != form.customer_id else form.new_owner_id
        return tuple(one for one in (form.customer_id, others) if one is not None)
    return (form.customer_id,)


async def leave_membership(ctx: Context, group: Group, membership_id: UUID, form: Leaving) -> Departure:
    """Give a person of a locked membership one of their own, with the points that the policy says.

    Raises:
        NotFound: The person is not in the membership.
        Invalid: No new owner where one is needed, or no such; points where none are asked for, or the other way round.
        Refused: MEMBERSHIP_CLOSED, CONSENT_MISSING, OPEN_HOLD, REDEMPTION_HELD, INSUFFICIENT_POINTS.
    """
    check_active(group, membership_id)
    leaver = group.find_person(membership_id, form.customer_id)
    if leaver is None:
        raise NotFound("This customer is not in the membership.")
    heir = _find_heir(group, membership_id, leaver, form)
    check_agreed(group, list_must_agree(group, membership_id, form), form.agreed_by)
    await check_free(ctx, group)
    before = await get_account(ctx, membership_id)
    operation_id, person_id = new_id(), leaver.id
    new_membership_id = await store.open_membership(ctx, membership_id)
    effects = await _move_share(ctx, group, leaver, form, operation_id, new_membership_id)
    await store.end_person(ctx, person_id, reason="left")
    if heir is not None:
        await store.set_role(heir.id, "owner")
    new_person_id = await store.add_person(
        new_membership_id, leaver.customer, role="owner", joined_at=ctx.now, eligible_from=leaver.eligible_from
    )
    programme = await get_programme(group.memberships[membership_id]["programme"], fresh=True)
    await inherit_tier(ctx, programme, from_membership=membership_id, to_membership=new_membership_id, with_sales=False)
    cards = [card["code"] for card in await store.move_cards(membership_id, new_membership_id, [leaver.customer])]
    if not cards:
        cards = [await issue_card(ctx, membership_id=new_membership_id, customer_id=leaver.customer)]
    await store.move_vouchers(membership_id, new_membership_id, [leaver.customer])
    effects = msgspec.structs.replace(effects, new_person_id=new_person_id, owner_id=heir.id if heir else None)
    await _write(ctx, group, membership_id, new_membership_id, operation_id, form, effects)
    for marked in sorted((membership_id, new_membership_id)):
        await mark_membership(ctx, marked)
    effect = SplitEffect(
        before=before,
        staying=await get_account(ctx, membership_id),
        going=await get_account(ctx, new_membership_id),
        lots_going=list_dated(await list_live_lots(new_membership_id), ctx.now),
        deficit_going=effects.deficit,
        shortfall=0,
        cards=tuple(cards),
    )
    assert _sum(effect.staying) + _sum(effect.going) == _sum(before)
    return Departure(
        operation_id=operation_id, new_membership_id=new_membership_id, card_number=cards[-1], effect=effect
    )


async def undo_leaving(ctx: Context, operation: Row, *, reason: str) -> None:
    """Let a person come back with everything that the membership of their own holds by now.

    Raises:
        Refused: UNDO_NOT_LAST, OPEN_HOLD, REDEMPTION_HELD.
    """
    home_id, own_id, leaver_id = operation["membership"], operation["other"], operation["customer"]
    effects = msgspec.json.decode(operation["effects"], type=LeaveEffects)
    group = await lock_group([home_id, own_id], [leaver_id])
    await check_free(ctx, group)
    home, own = group.memberships[home_id], group.memberships[own_id]
    alone = [person.customer for person in group.people_of(own_id)] == [leaver_id]
    heir_stays = effects.owner_id is None or effects.owner_id in {one.id for one in group.people_of(home_id)}
    if home["status"] != "active" or own["status"] != "active" or not alone or not heir_stays:
        raise Refused(Code.UNDO_NOT_LAST)
    transfer = Transfer(operation_id=new_id(), from_id=own_id, to_id=home_id, reason_code="came_back")
    # Points that name nobody come back as such: else an agreed part of what is common would return as the leaver's own.
    points = await move_everything(ctx, transfer, source=own)
    await store.end_person(ctx, effects.new_person_id, reason="came_back")
    if effects.owner_id is not None:
        await store.set_role(effects.owner_id, "sharer")
    await store.revive_person(effects.old_person_id)
    await store.move_cards(own_id, home_id, [leaver_id])
    await store.move_vouchers(own_id, home_id, [leaver_id])
    await store.take_over_activity(home_id, own_id)
    await store.close_into(ctx, own_id, successor_id=home_id)
    await store.close_operation(ctx, operation["id"])
    await record_for_all(ctx, "membership.came_back", operation["id"], group, reason, points)
    await mark_membership(ctx, home_id)


def _find_heir(group: Group, membership_id: UUID, leaver: Person, form: Leaving) -> Person | None:
    """Return who is the owner from now on, if that changes."""
    others = [person for person in group.people_of(membership_id) if person.id != leaver.id]
    if not others:
        raise NotFound("Nobody shares this membership.")
    if (form.policy is LeavePolicy.AGREED) != (form.points is not None):
        raise Invalid(FieldProblem(field="points", detail="Give the agreed number of points, and only then."))
    if leaver.role != "owner":
        if form.new_owner_id is not None:
            raise Invalid(FieldProblem(field="new_owner_id", detail="Only an owner who leaves names the next one."))
        return None
    heir = next((person for person in others if person.customer == form.new_owner_id), None)
    if heir is None:
        raise Invalid(FieldProblem(field="new_owner_id", detail="Name the next owner: somebody who stays."))
    return heir


async def _move_share(
    ctx: Context, group: Group, leaver: Person, form: Leaving, operation_id: UUID, new_membership_id: UUID
) -> LeaveEffects:
    membership = group.memberships[leaver.membership]
    lots = await list_live_lots(membership["id"])
    points = form.points or 0
    if points > count_live(lots, ctx.now):
        raise Refused(Code.INSUFFICIENT_POINTS, data={"available": count_live(lots, ctx.now)})
    takes = plan_leaving(form.policy, lots, leaver=leaver.customer, points=points, now=ctx.now)
    deficit = lifetime = 0
    if form.policy is LeavePolicy.CONTRIBUTION:
        deficit = min(await store.get_owed_by(membership["id"], leaver.customer), membership["deficit"])
        lifetime = min(await store.get_earned_by(membership["id"], leaver.customer), membership["lifetime"])
    transfer = Transfer(
        operation_id=operation_id, from_id=membership["id"], to_id=new_membership_id, reason_code="left"
    )
    await move_points(ctx, transfer, takes)
    await move_debt(ctx, transfer, deficit)
    await move_lifetime(membership["id"], new_membership_id, lifetime)
    return LeaveEffects(
        agreed_by=form.agreed_by,
        policy=form.policy,
        old_person_id=leaver.id,
        new_person_id=leaver.id,
        owner_id=None,
        points=sum(part.points for part in takes),
        lifetime=lifetime,
        deficit=deficit,
    )


async def _write(
    ctx: Context,
    group: Group,
    membership_id: UUID,
    new_membership_id: UUID,
    operation_id: UUID,
    form: Leaving,
    effects: LeaveEffects,
) -> None:
    operation = Operation(
        id=operation_id,
        kind="leave",
        membership_id=membership_id,
        other_id=new_membership_id,
        customer_id=form.customer_id,
        reason=form.reason,
        points=effects.points,
        effects=effects,
        undo_until=ctx.now + SHARING_UNDO,
    )
    await store.insert_operation(ctx, operation)
    await record_for_all(ctx, "membership.left", operation_id, group, form.reason, effects.points)


def _sum(account: Account) -> int:
    return account.available + account.pending - account.deficit
