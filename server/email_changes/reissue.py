"""The rewards account of one person, closed and opened anew with every point, and the way back.

A membership held by this person alone is replaced by a new one; in a shared membership only this person's card is.
Every function runs in the caller's transaction with the customer locked.
"""

from uuid import UUID

import msgspec

from server.context import Context
from server.db.ids import new_id
from server.email_changes import account_store as store
from server.email_changes.effects import MovedMembership, ReplacedCard
from server.email_changes.rules import MembershipState
from server.email_changes.store import Change
from server.errors import Refused
from server.ledger.service import transfer_lots
from server.memberships.service import issue_card
from server.memberships.store import lock_memberships
from server.rewards.service import ReissuedVoucher, check_no_open_hold, reissue_vouchers, release_open_holds
from shared.problems import Code


class Reissue(msgspec.Struct, frozen=True, kw_only=True):
    """What a reissue made. `voucher_ids` are the new ones."""

    memberships: tuple[MovedMembership, ...] = ()
    shared_ids: tuple[UUID, ...] = ()
    cards: tuple[ReplacedCard, ...] = ()
    voucher_ids: tuple[UUID, ...] = ()


async def reissue_account(ctx: Context, customer_id: UUID, operation_id: UUID) -> Reissue:
    """Give a customer new cards, and a new membership for each that nobody shares, with the same points.

    Raises:
        Refused: OPEN_HOLD, a sale is being paid with the customer's points or voucher just now.
    """
    await lock_memberships([membership.id for membership in await store.list_memberships(customer_id)])
    # Read again: under the locks nobody joins or leaves.
    memberships = await store.list_memberships(customer_id)
    await check_no_open_hold(ctx, [membership.id for membership in memberships], customer_id=customer_id)
    moved = tuple(
        [
            await _replace_membership(ctx, membership, operation_id)
            for membership in memberships
            if not membership.is_shared
        ]
    )
    homes = {membership.id: membership.id for membership in memberships} | {move.old_id: move.new_id for move in moved}
    cards: list[ReplacedCard] = []
    vouchers: list[ReissuedVoucher] = []
    for old_id, new_home in homes.items():
        cards += await _replace_cards(ctx, customer_id, from_membership=old_id, to_membership=new_home)
        vouchers += await reissue_vouchers(
            ctx, customer_id=customer_id, from_membership=old_id, to_membership=new_home, reason="email_change"
        )
    return Reissue(
        memberships=moved,
        shared_ids=tuple(membership.id for membership in memberships if membership.is_shared),
        cards=tuple(cards),
        voucher_ids=tuple(voucher.new_id for voucher in vouchers),
    )


async def renew_vouchers(ctx: Context, customer_id: UUID, *, reason: str = "email_change") -> tuple[UUID, ...]:
    """Give a customer's unspent vouchers new codes, where others may have read the old ones; return the new ids.

    One that is held at a till just now keeps its code, so callers end holds before, or refuse.
    """
    renewed: list[UUID] = []
    for membership in await store.list_memberships(customer_id):
        vouchers = await reissue_vouchers(
            ctx,
            customer_id=customer_id,
            from_membership=membership.id,
            to_membership=membership.id,
            reason=reason,
        )
        renewed += [voucher.new_id for voucher in vouchers]
    return tuple(renewed)


async def renew_unheld_vouchers(ctx: Context, customer_id: UUID) -> tuple[UUID, ...]:
    """The same, unless a sale is being paid by the customer.

    Raises:
        Refused: OPEN_HOLD.
    """
    homes = [membership.id for membership in await store.list_memberships(customer_id)]
    await lock_memberships(homes)
    await check_no_open_hold(ctx, homes, customer_id=customer_id)
    return await renew_vouchers(ctx, customer_id)


async def take_vouchers_back(ctx: Context, customer_id: UUID) -> tuple[UUID, ...]:
    """The same where whoever pays just now may be the thief whom this stops: their holds end."""
    homes = [membership.id for membership in await store.list_memberships(customer_id)]
    await lock_memberships(homes)
    await release_open_holds(ctx, homes, customer_id=customer_id)
    return await renew_vouchers(ctx, customer_id, reason="email_change_undone")


async def restore_account(ctx: Context, change: Change) -> Reissue:
    """Take a reissue back: old cards scan again, old memberships have all points, those earned since too.

    Raises:
        Refused: UNDO_NOT_LAST, a membership made by the change was shared, combined or closed since.
    """
    effects = change.effects
    ids = [one for move in effects.memberships for one in (move.old_id, move.new_id)]
    rows = {row["id"]: row for row in await lock_memberships([*ids, *effects.shared_ids])}
    # Whoever holds points at a till now may be the thief whom this stops, so nothing waits for that sale.
    await release_open_holds(ctx, list(rows), customer_id=change.customer_id)
    for move in effects.memberships:
        new, old = rows[move.new_id], rows[move.old_id]
        is_alone = await store.list_people(move.new_id) == [change.customer_id]
        if new["status"] != "active" or old["successor"] != move.new_id or not is_alone:
            raise Refused(Code.UNDO_NOT_LAST)
        await _restore_membership(ctx, move)
    homes = [(move.old_id, move.new_id) for move in effects.memberships]
    # Whoever left a shared membership since has no card and no voucher there to restore.
    homes += [(home, home) for home in effects.shared_ids if change.customer_id in await store.list_people(home)]
    vouchers: list[ReissuedVoucher] = []
    for old_home, new_home in homes:
        await _restore_cards(ctx, change, old_home, new_home)
        vouchers += await reissue_vouchers(
            ctx,
            customer_id=change.customer_id,
            from_membership=new_home,
            to_membership=old_home,
            reason="email_change_undone",
        )
    return Reissue(voucher_ids=tuple(voucher.new_id for voucher in vouchers))


async def _replace_membership(ctx: Context, membership: MembershipState, operation_id: UUID) -> MovedMembership:
    move = await store.open_successor(ctx, membership)
    await _move_points(
        ctx, from_id=move.old_id, to_id=move.new_id, operation_id=operation_id, reason_code="email_change"
    )
    await store.close_membership(ctx, move.old_id, successor_id=move.new_id)
    return move


async def _restore_membership(ctx: Context, move: MovedMembership) -> None:
    await store.leave(ctx, move.new_person_id, reason="reissue_undone")
    await store.come_back(move.old_person_id)
    await store.reopen_membership(move.old_id, successor_id=move.new_id)
    await _move_points(
        ctx, from_id=move.new_id, to_id=move.old_id, operation_id=new_id(), reason_code="email_change_undone"
    )
    await store.close_membership(ctx, move.new_id, successor_id=move.old_id)


async def _move_points(ctx: Context, *, from_id: UUID, to_id: UUID, operation_id: UUID, reason_code: str) -> None:
    """Move all points and check what was promised: the same sum, in lots of the same size and dates."""
    lots_before = await store.list_lots([from_id])
    rows = {row["id"]: row for row in await lock_memberships([from_id, to_id])}
    before, empty = rows[from_id], rows[to_id]
    assert empty["balance"] == 0, "points move only into a membership without any"
    await transfer_lots(
        ctx, from_membership=before, to_membership=empty, operation_id=operation_id, reason_code=reason_code
    )
    rows = {row["id"]: row for row in await lock_memberships([from_id, to_id])}
    emptied, after = rows[from_id], rows[to_id]
    assert emptied["balance"] == 0
    assert await store.list_lots([to_id]) == lots_before
    for figure in ("balance", "deficit", "lifetime"):
        assert after[figure] == before[figure] + empty[figure], figure


async def _replace_cards(
    ctx: Context, customer_id: UUID, *, from_membership: UUID, to_membership: UUID
) -> tuple[ReplacedCard, ...]:
    code = await issue_card(ctx, membership_id=to_membership, customer_id=customer_id)
    card_id = await store.get_card_id(code)
    old_ids = await store.replace_cards(
        ctx, membership_id=from_membership, customer_id=customer_id, successor_id=card_id
    )
    return store.replaced(old_ids, card_id)


async def _restore_cards(ctx: Context, change: Change, old_home: UUID, new_home: UUID) -> None:
    """Let the cards replaced in one membership scan again; any given out since names one of them as its successor."""
    old_ids = [pair.old_id for pair in change.effects.cards]
    revived = await store.revive_cards(old_ids, membership_id=old_home)
    if revived:
        await store.replace_cards(
            ctx, membership_id=new_home, customer_id=change.customer_id, successor_id=revived[0], keep_ids=old_ids
        )
    elif old_home != new_home:
        # There was no card before; the one made by the change goes along.
        await store.move_cards(from_membership=new_home, to_membership=old_home, customer_id=change.customer_id)
