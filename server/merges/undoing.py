"""Two customers who were made one are two again, in the caller's transaction: what moved goes back as far as it is there."""

from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.context import Context
from server.db.engine import Row
from server.errors import Refused
from server.links.service import Moved, move_back
from server.merges import contacts, store
from server.merges.effects import Effects, PersonFields
from server.merges.merging import write_fields
from server.rewards.service import check_no_open_hold
from server.sessions.links import Purpose, void_links_about
from server.sessions.service import end_sessions
from server.sharing import store as sharing_store
from server.sharing.combining import split_combined
from shared.merges import MergeUndoEffect
from shared.problems import Code
from shared.sharing import SplitEffect

DISPUTED = "merge_disputed"


async def carry_back(ctx: Context, merge: Row, *, reason: str) -> MergeUndoEffect:
    """Take a merge back; both customers, their memberships with their people, and the merge are locked.

    Points that came along return lot by lot as far as they are left, a debt in full. Sales made since stay. Sessions do not
    come back. What the survivor changed since stays the survivor's.

    Raises:
        Refused: OPEN_HOLD; UNDO_NOT_LAST, a membership was shared, left or reissued since.
    """
    survivor_id, absorbed_id = merge["survivor"], merge["absorbed"]
    effects = msgspec.json.decode(merge["effects"], type=Effects)
    homes = {*(await store.list_homes(survivor_id)).values()}
    await check_no_open_hold(ctx, sorted(homes))
    await store.revive(ctx, absorbed_id, effects.absorbed_status)
    since = await store.count_orders_since(survivor_id, merge["done_at"], but=effects.orders)
    # Cards and vouchers name their person again before the memberships part, which moves them by person.
    cards = await store.return_cards(effects.cards, absorbed_id, survivor_id)
    await store.return_vouchers(effects.vouchers, absorbed_id, survivor_id)
    await _return_places(ctx, effects, survivor_id, absorbed_id)
    split = [await _split(ctx, operation_id, reason) for operation_id in reversed(effects.operations)]
    orders = await store.return_orders(ctx, effects.orders, absorbed_id, survivor_id)
    moved = Moved(link_ids=effects.links, review_ids=effects.reviews)
    await move_back(ctx, moved=moved, from_customer=survivor_id, to_customer=absorbed_id)
    await store.return_referrals(effects.referrals, effects.referred, effects.codes, absorbed_id)
    await store.return_staff(effects.staff, absorbed_id, survivor_id)
    await contacts.return_addresses(effects.points)
    await _return_login(ctx, effects, survivor_id, absorbed_id)
    await _return_fields(ctx, effects, survivor_id)
    await contacts.return_contacts(ctx, survivor_id, absorbed_id)
    await void_links_about(ctx, subjects=[merge["id"]], purpose=Purpose.MERGE_NOT_ME)
    await store.mark_undone(ctx, merge["id"], reason)
    for membership_id in sorted(homes | {*(await store.list_homes(absorbed_id)).values()}):
        await mark_membership(ctx, membership_id)
    return MergeUndoEffect(
        split=tuple(split),
        memberships_back=tuple(place.membership_id for place in effects.places if place.new_id is not None),
        shortfall=sum(one.shortfall for one in split),
        orders_back=orders,
        orders_staying=since,
        cards=tuple(cards),
    )


async def _split(ctx: Context, operation_id: UUID, reason: str) -> SplitEffect:
    operation = await sharing_store.find_operation(operation_id)
    assert operation is not None
    if operation["state"] != "done" or await sharing_store.has_later(operation):
        raise Refused(Code.UNDO_NOT_LAST, "A membership was shared or left since; take that back first.")
    if operation["effects"] == "{}":
        detail = "Somebody who had shared a membership was forgotten since, and what is needed to undo this with them."
        raise Refused(Code.UNDO_EXPIRED, detail)
    return await split_combined(ctx, operation, reason=reason)


async def _return_places(ctx: Context, effects: Effects, survivor_id: UUID, absorbed_id: UUID) -> None:
    for place in reversed(effects.places):
        ours = await store.find_place(place.membership_id, survivor_id)
        expected = place.new_id or place.raised_id
        if ours is None or (expected is not None and ours["id"] != expected):
            raise Refused(Code.UNDO_NOT_LAST, "The survivor has left a membership or got another one since.")
        if place.new_id is not None:
            await sharing_store.end_person(ctx, place.new_id, reason="merge_undone")
        elif place.raised_id is not None:
            await sharing_store.set_role(place.raised_id, "sharer")
        await sharing_store.revive_person(place.old_id)
        # A place that the survivor had taken over came with cards and vouchers given out since.
        if place.new_id is not None:
            await store.follow_place(place.membership_id, survivor_id, absorbed_id)


async def _return_login(ctx: Context, effects: Effects, survivor_id: UUID, absorbed_id: UUID) -> None:
    if effects.login == "moved":
        await end_sessions(ctx, survivor_id, reason="merge_undone")
        await store.move_login(survivor_id, absorbed_id)
    elif effects.login == "disabled":
        await store.enable_login(absorbed_id)


async def _return_fields(ctx: Context, effects: Effects, survivor_id: UUID) -> None:
    """Put back each field that is still as the merge left it."""
    person = await store.find_person(survivor_id)
    assert person is not None
    is_disputed = person.redemption_held_reason == DISPUTED
    values = {}
    for name in PersonFields.__struct_fields__:
        is_as_left = getattr(person, name) == getattr(effects.after, name)
        is_answered = is_disputed and name.startswith("redemption_held")
        values[name] = getattr(effects.before if is_as_left or is_answered else person, name)
    await write_fields(ctx, survivor_id, PersonFields(**values))
