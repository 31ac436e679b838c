"""Two memberships become one without losing a point or a date, and the way back. In the caller's transaction."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Refused
from server.ledger import transfer_store
from server.ledger.rules import LiveLot, Take
from server.ledger.transfers import Transfer, list_live_lots, move_debt, move_lifetime, move_points, return_debt
from server.programmes.service import get_programme
from server.rewards.service import check_no_open_hold
from server.sharing import store
from server.sharing.effects import CombineEffects, MovedPerson
from server.sharing.groups import (
    Group,
    check_active,
    check_free,
    get_account,
    list_people_views,
    lock_group,
    record_for_all,
)
from server.sharing.rules import list_dated
from server.sharing.store import Operation
from server.tiers.service import inherit_tier, return_tier
from shared.limits import SHARING_UNDO
from shared.problems import Code
from shared.sharing import Account, CombineEffect, SplitEffect

_Dated = tuple[datetime, datetime, datetime | None]


class Combination(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to make two memberships one.

    Attributes:
        agreed_by: Who was asked and said yes.
        without: Somebody in the other membership who gets no place in the kept one, as a merge gives it to another.
        merge_id: The merge that this is a part of.
    """

    operation_id: UUID
    kept_id: UUID
    other_id: UUID
    reason: str
    agreed_by: tuple[UUID, ...] = ()
    without: UUID | None = None
    merge_id: UUID | None = None


async def combine_memberships(ctx: Context, wish: Combination) -> CombineEffect:
    """Move everything of one membership into another and close it as combined.

    Points move lot by lot with their dates; a debt goes along, and points of the one pay what the other owes. Cards and
    vouchers keep their codes.

    Raises:
        NotFound: There is no such membership.
        Refused: MEMBERSHIP_CLOSED, OPEN_HOLD, REDEMPTION_HELD.
        Busy: Somebody joined or left just now.
    """
    kept_id, other_id = wish.kept_id, wish.other_id
    group = await lock_group([kept_id, other_id])
    check_combinable(group, kept_id, other_id)
    await check_free(ctx, group)
    before = [await get_account(ctx, one) for one in (kept_id, other_id)]
    lots_before = [*await list_live_lots(kept_id), *await list_live_lots(other_id)]
    # The tier is read while the other membership is active.
    programme = await get_programme(group.memberships[kept_id]["programme"], fresh=True)
    await inherit_tier(ctx, programme, from_membership=other_id, to_membership=kept_id, with_sales=True)
    moved = await _move_all(ctx, group, wish)
    people = await _move_people(ctx, group, wish)
    cards, vouchers = await _move_belongings(other_id, kept_id, [person.customer_id for person in people])
    await store.take_over_activity(kept_id, other_id)
    await store.close_into(ctx, other_id, successor_id=kept_id)
    effect = await _describe(ctx, wish, before=before, lots_before=lots_before, cards=cards, vouchers=vouchers)
    effects = CombineEffects(
        agreed_by=wish.agreed_by,
        people=people,
        points=moved,
        lifetime=group.memberships[other_id]["lifetime"],
        deficit=group.memberships[other_id]["deficit"],
        shown=effect,
    )
    await store.insert_operation(ctx, _operation(ctx, wish, effects))
    _prove(effect, lots_before, await list_live_lots(kept_id))
    await record_for_all(ctx, "membership.combined", wish.operation_id, group, wish.reason, moved)
    await mark_membership(ctx, kept_id)
    return effect


async def split_combined(ctx: Context, operation: Row, *, reason: str) -> SplitEffect:
    """Take a combination back: what is left of the points that came along goes back, and so do people and cards.

    Points that were used since are a shortfall. A debt goes back in full. Sales made since stay where they count.

    Args:
        operation: Row of `store.find_operation`.

    Raises:
        Refused: UNDO_NOT_LAST, OPEN_HOLD.
        Busy: Somebody joined or left just now.
    """
    kept_id, other_id = operation["membership"], operation["other"]
    effects = msgspec.json.decode(operation["effects"], type=CombineEffects)
    group = await lock_group([kept_id, other_id], [person.customer_id for person in effects.people])
    _check_splittable(group, kept_id, other_id, effects)
    # Held spending is no obstacle: going back to where they were is what a hold after a doubtful merge is for.
    await check_no_open_hold(ctx, [kept_id, other_id])
    before = await get_account(ctx, kept_id)
    await _return_people(ctx, effects)
    await store.reopen(other_id)
    returning = [person.customer_id for person in effects.people]
    cards, _ = await _move_belongings(kept_id, other_id, returning)
    shortfall = await _return_points(ctx, operation, effects)
    programme = await get_programme(group.memberships[kept_id]["programme"], fresh=True)
    await return_tier(ctx, programme, kept_id, inherited_at=operation["at"])
    await store.close_operation(ctx, operation["id"])
    await record_for_all(ctx, "membership.split", operation["id"], group, reason, effects.points - shortfall)
    for membership_id in sorted((kept_id, other_id)):
        await mark_membership(ctx, membership_id)
    return SplitEffect(
        before=before,
        staying=await get_account(ctx, kept_id),
        going=await get_account(ctx, other_id),
        lots_going=list_dated(await list_live_lots(other_id), ctx.now),
        deficit_going=effects.deficit,
        shortfall=shortfall,
        cards=tuple(card["code"] for card in cards),
    )


def check_combinable(group: Group, kept_id: UUID, other_id: UUID) -> None:
    """Refuse two memberships that cannot become one.

    Raises:
        Refused: MEMBERSHIP_CLOSED; MEMBERSHIP_SAME, it is one, or they are of two programmes.
    """
    if kept_id == other_id:
        raise Refused(Code.MEMBERSHIP_SAME)
    check_active(group, kept_id, other_id)
    kept, other = group.memberships[kept_id], group.memberships[other_id]
    if kept["programme"] != other["programme"]:
        raise Refused(Code.MEMBERSHIP_SAME, "The two memberships are of different programmes.")


async def move_everything(
    ctx: Context, transfer: Transfer, *, source: Row, caused_by: UUID | None = None, lifetime: int | None = None
) -> int:
    """Move every lot, the deficit and the lifetime points of a membership, and return how many points moved."""
    lots = await list_live_lots(transfer.from_id)
    parts = [Take(lot_entry_id=lot.entry_id, points=lot.remaining) for lot in lots]
    await move_points(ctx, transfer, parts, caused_by=caused_by)
    await move_debt(ctx, transfer, source["deficit"])
    await move_lifetime(transfer.from_id, transfer.to_id, source["lifetime"] if lifetime is None else lifetime)
    return sum(part.points for part in parts)


async def _move_all(ctx: Context, group: Group, wish: Combination) -> int:
    transfer = Transfer(
        operation_id=wish.operation_id, from_id=wish.other_id, to_id=wish.kept_id, reason_code="combined"
    )
    # Points that name nobody are those of the other membership's owner from now on.
    owner = group.owner_of(wish.other_id).customer
    return await move_everything(ctx, transfer, source=group.memberships[wish.other_id], caused_by=owner)


async def _move_people(ctx: Context, group: Group, wish: Combination) -> tuple[MovedPerson, ...]:
    moved = []
    for person in group.people_of(wish.other_id):
        await store.end_person(ctx, person.id, reason="combined")
        new_person_id = None
        if person.customer != wish.without:
            new_person_id = await store.add_person(
                wish.kept_id, person.customer, role="sharer", joined_at=ctx.now, eligible_from=person.eligible_from
            )
        moved.append(MovedPerson(customer_id=person.customer, old_id=person.id, new_id=new_person_id))
    return tuple(moved)


async def _move_belongings(from_id: UUID, to_id: UUID, customer_ids: Sequence[UUID]) -> tuple[list[Row], int]:
    cards = await store.move_cards(from_id, to_id, customer_ids)
    return cards, len(await store.move_vouchers(from_id, to_id, customer_ids))


async def _describe(
    ctx: Context,
    wish: Combination,
    *,
    before: Sequence[Account],
    lots_before: Sequence[LiveLot],
    cards: Sequence[Row],
    vouchers: int,
) -> CombineEffect:
    kept = await store.find_membership(wish.kept_id)
    assert kept is not None
    after = await get_account(ctx, wish.kept_id)
    return CombineEffect(
        kept_before=before[0],
        other_before=before[1],
        after=after,
        lots_before=list_dated(lots_before, ctx.now),
        lots_after=list_dated(await list_live_lots(wish.kept_id), ctx.now),
        debt_paid=sum(one.deficit for one in before) - after.deficit,
        cards=tuple(card["code"] for card in cards),
        vouchers=vouchers,
        tier=kept["tier"],
        people=await list_people_views(ctx, wish.kept_id),
    )


def _prove(effect: CombineEffect, before: Sequence[LiveLot], after: Sequence[LiveLot]) -> None:
    """Check what was promised: the same sums and, but for what paid a debt, the same points of every date."""
    kept, other, whole = effect.kept_before, effect.other_before, effect.after
    paid = effect.debt_paid
    assert paid >= 0
    sums = [one.available + one.pending for one in (kept, other)]
    assert whole.available + whole.pending == sum(sums) - paid
    assert whole.deficit == kept.deficit + other.deficit - paid
    assert whole.lifetime == kept.lifetime + other.lifetime
    missing = _by_dates(before) - _by_dates(after)
    assert not _by_dates(after) - _by_dates(before)
    assert missing.total() == paid


def _by_dates(lots: Sequence[LiveLot]) -> Counter[_Dated]:
    points: Counter[_Dated] = Counter()
    for lot in lots:
        points[(lot.earned_at, lot.available_at, lot.expires_at)] += lot.remaining
    return points


def _check_splittable(group: Group, kept_id: UUID, other_id: UUID, effects: CombineEffects) -> None:
    kept, other = group.memberships[kept_id], group.memberships[other_id]
    present = {person.id for person in group.people_of(kept_id)}
    came_along = {person.new_id for person in effects.people if person.new_id is not None}
    if kept["status"] != "active" or other["successor"] != kept_id or not came_along <= present:
        raise Refused(Code.UNDO_NOT_LAST)
    # By a merge since, whoever came along may have become the owner; without them nobody would be.
    if group.owner_of(kept_id).id in came_along:
        raise Refused(Code.UNDO_NOT_LAST)


async def _return_people(ctx: Context, effects: CombineEffects) -> None:
    for person in effects.people:
        if person.new_id is not None:
            await store.end_person(ctx, person.new_id, reason="split")
    for person in effects.people:
        await store.revive_person(person.old_id)


async def _return_points(ctx: Context, operation: Row, effects: CombineEffects) -> int:
    """Give back what is left and return what is not."""
    kept_id, other_id = operation["membership"], operation["other"]
    transfer = Transfer(operation_id=new_id(), from_id=kept_id, to_id=other_id, reason_code="split")
    left = await transfer_store.list_left_of(operation["id"], moved_to=kept_id, home=kept_id)
    await move_points(ctx, transfer, left)
    if effects.deficit:
        await return_debt(ctx, transfer, moved_by=operation["id"])
    await move_lifetime(kept_id, other_id, effects.lifetime)
    return effects.points - sum(part.points for part in left)


def _operation(ctx: Context, wish: Combination, effects: CombineEffects) -> Operation:
    return Operation(
        id=wish.operation_id,
        kind="combine",
        membership_id=wish.kept_id,
        other_id=wish.other_id,
        merge_id=wish.merge_id,
        reason=wish.reason,
        points=effects.points,
        effects=effects,
        undo_until=ctx.now + SHARING_UNDO,
    )
