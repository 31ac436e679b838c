"""Forgetting a person: all of it in the caller's transaction, or nothing."""

from collections.abc import Sequence
from uuid import UUID

from server.audience.marks import erase_contacts
from server.context import Context
from server.customers.store import lock_customers
from server.customers.suppression import suppress
from server.db.engine import Row
from server.errors import Busy, Refused
from server.ledger.lapse_store import book_lots
from server.ledger.movements import Origin, take
from server.ledger.service import post_credit
from server.memberships.store import lock_memberships
from server.merges.merging import lock_everything
from server.merges.store import cancel_changes, has_pending_change
from server.privacy import erasing_store, erasure_store
from server.rewards.service import check_no_open_hold, release_open_holds
from server.sharing.groups import lock_group
from server.sharing.leaving import leave_membership
from server.sharing.mails import tell
from shared.enums import EntryKind
from shared.privacy import ErasureEffect
from shared.problems import Code
from shared.sharing import LeavePolicy, Leaving

_REASON = "erased"
_STAYS = "Nothing else changes for you."
_NEW_OWNER = "You are its owner now: the app lets you say who may spend the points, and invite others."


async def lock_family(customer_id: UUID) -> list[UUID]:
    """Lock a customer, everybody who was merged into them, and all memberships they are in; return the customers.

    Raises:
        NotFound: There is no such customer.
        Busy: Somebody joined, left or was merged just now.
    """
    family = await erasing_store.list_family(customer_id)
    places = await erasing_store.list_places(family)
    await lock_everything(family or [customer_id], [place["membership"] for place in places])
    if await erasing_store.list_family(customer_id) != family or await erasing_store.list_places(family) != places:
        raise Busy
    return family


async def check_free(ctx: Context, family: Sequence[UUID]) -> None:
    """Refuse while something is under way that has to end first; the family is locked.

    Raises:
        Refused: CUSTOMER_MERGED, CUSTOMER_ERASED, OPEN_HOLD, EMAIL_CHANGE_PENDING or MERGE_PENDING.
    """
    # Whoever asked may have become a part of somebody else since they signed in.
    statuses = {row["status"] for row in await lock_customers(family)}
    if not statuses - {"merged", "erased"}:
        raise Refused(Code.CUSTOMER_MERGED if "merged" in statuses else Code.CUSTOMER_ERASED)
    places = await erasing_store.list_places(family)
    await check_no_open_hold(ctx, [place["membership"] for place in places])
    if await has_pending_change(family, ctx.now):
        raise Refused(
            Code.EMAIL_CHANGE_PENDING, "A change of address waits for its proof: let it be done or cancelled."
        )
    if await erasure_store.has_waiting_merge(family, ctx.now):
        raise Refused(Code.MERGE_PENDING)


async def clear_way(ctx: Context, family: Sequence[UUID]) -> None:
    """End what would have to end by itself: for a person who was erased before, and is back by a restored backup."""
    places = await erasing_store.list_places(family)
    await release_open_holds(ctx, [place["membership"] for place in places])
    await cancel_changes(family)
    await erasure_store.refuse_merges(ctx, family)


async def erase(ctx: Context, erasure_id: UUID, customer_id: UUID, family: Sequence[UUID]) -> ErasureEffect:
    """Forget a customer and everybody who was merged into them; all are locked and free.

    Points of shared memberships stay with the others, own ones are given up. Purchases and movements of points stay under the
    ids, which name nobody from here on.

    Raises:
        Refused: REDEMPTION_HELD, somebody else in a shared membership changed their address just now.
    """
    names = await erasing_store.read_names(family)
    counts = await erasing_store.count_things(family)
    left = 0
    for place in await erasing_store.list_places(family):
        if place["others"] and place["status"] == "active":
            await _leave_to_others(ctx, place, customer_id)
            left += 1
    lost = owed = closed = 0
    for place in await erasing_store.list_places(family):
        if not place["others"]:
            points, debt = await _give_up(ctx, erasure_id, place["membership"], customer_id)
            lost, owed, closed = lost + points, owed + debt, closed + 1
        await erasing_store.leave(place["id"], ctx.now)
    await suppress(ctx, erasure_id, names.suppressed())
    await erasing_store.empty_rows(ctx, family, names)
    await erase_contacts(ctx, family, heir_id=customer_id)
    return ErasureEffect(
        points_lost=lost,
        debt_written_off=owed,
        # Whoever leaves a shared one gets one of their own first, which is closed with nothing in it.
        memberships_closed=closed - left,
        memberships_left=left,
        vouchers_void=counts["vouchers"],
        cards_ended=counts["cards"],
        addresses_removed=counts["addresses"],
        records_merged=len(family) - 1,
        orders_kept=await erasing_store.count_orders(family),
        pos_records=tuple(
            f"{row['code']}: {row['external_id']}"
            for row in names.records
            if not row["made_here"] and row["merged_into"] is None and row["removed_at"] is None
        ),
    )


async def _leave_to_others(ctx: Context, place: Row, customer_id: UUID) -> None:
    group = await lock_group([place["membership"]])
    form = Leaving(
        customer_id=customer_id,
        policy=LeavePolicy.LEAVE_ALL,
        new_owner_id=place["others"][0] if place["role"] == "owner" else None,
        agreed_by=(customer_id,),
        reason=_REASON,
    )
    await leave_membership(ctx, group, place["membership"], form)
    # The others are told what is theirs now, but not who it was: nothing is to name the person from here on.
    for person in group.people_of(place["membership"]):
        if person.customer != form.customer_id:
            about = _NEW_OWNER if person.customer == form.new_owner_id else _STAYS
            await tell(ctx, "sharing_forgotten", [person], about=about)


async def _give_up(ctx: Context, erasure_id: UUID, membership_id: UUID, customer_id: UUID) -> tuple[int, int]:
    """Close a membership that this person has alone; return the points that were left in it, and what was owed."""
    if lapsed := await erasing_store.list_lapsed(membership_id, ctx.now):
        await book_lots(ctx.now, lapsed)
    (membership,) = await lock_memberships([membership_id])
    source_key = f"erasure:{erasure_id}"
    points = await erasing_store.get_points_left(membership_id)
    if points:
        origin = Origin(source_key=source_key, customer_id=customer_id, reason_code=_REASON)
        await take(ctx, membership, points, origin, kind=EntryKind.FORFEIT)
    owed: int = membership["deficit"]
    if owed:
        await post_credit(
            ctx,
            membership_id=membership_id,
            deficit=owed,
            kind=EntryKind.ADJUST,
            points=owed,
            source_key=source_key,
            occurred_at=ctx.now,
            available_at=ctx.now,
            expires_at=None,
            customer_id=customer_id,
            reason_code=_REASON,
        )
    await erasing_store.close_membership(membership_id, ctx.now)
    return points, owed
