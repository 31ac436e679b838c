"""Points of an order on the move: taken back where they lie, earned where they belong.

Everything here runs in the caller's transaction, with the memberships locked.
"""

from collections import Counter
from collections.abc import Mapping
from uuid import UUID

import msgspec

from server.bonuses.service import take_back_for_sale, take_back_without_sales
from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Refused
from server.ledger import store as ledger_store
from server.ledger.credits import credit_membership
from server.ledger.movements import Clawback, Origin, claw_back
from server.orders import change_store
from server.orders.sales import Sale
from shared.enums import EntryKind
from shared.problems import Code


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """Why points of an order move; the same `source_key` posts once in a membership and kind.

    `may_owe` lets spent points be taken where the programme refuses that; `comes_back` is how many of the points are
    posted in the same membership again right after.
    """

    order_id: UUID
    customer_id: UUID | None
    kind: EntryKind
    source_key: str
    reason_code: str = ""
    may_owe: bool = True
    comes_back: int = 0


class TakenBack(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken back: `points` in all, of which `owed` were spent; `exempt` had lapsed and were let be.

    `written_off` are those of the owed ones that the programme forgave.
    """

    points: int = 0
    exempt: int = 0
    owed: int = 0
    written_off: int = 0


async def take_back(ctx: Context, membership_id: UUID, points: int | None, posting: Posting) -> TakenBack:
    """Take an order's points back in the membership in which it counts, from the lots they were earned in first.

    What a buyer who has left that membership took along of these points is taken first, from the membership that the
    buyer has now. Points that lapsed meanwhile are let be and listed as exempt. What was spent becomes a deficit, or is
    written off where the programme says so.

    Args:
        points: How many; None takes all that the order has there.

    Raises:
        Refused: POINTS_SPENT, points are missing, the programme refuses that and the posting may not owe.
    """
    earned = await change_store.list_credits(posting.order_id, membership_id)
    left = sum(credit["points_left"] for credit in earned) if points is None else points
    taken = exempt = 0
    owed: Counter[UUID] = Counter()
    for number, credit in enumerate(earned):
        part = min(left, credit["points_left"])
        if not part:
            break
        is_deferred = posting.comes_back and credit["membership"] == membership_id
        deferred = max(0, posting.comes_back - owed[membership_id]) if is_deferred else None
        clawback = await _take_back_one(ctx, part, credit, _numbered(posting, number), deferred=deferred)
        left -= part
        taken, exempt = taken + clawback.points, exempt + clawback.exempt
        owed[credit["membership"]] += clawback.owed
        if posting.kind is EntryKind.CORRECTION and clawback.points:
            await _lower_lifetime(membership_id, credit["membership"], clawback.points)
    owed[membership_id] = max(0, owed[membership_id] - posting.comes_back)
    written_off = await _settle_debts(ctx, owed, posting)
    return TakenBack(points=taken, exempt=exempt, owed=owed.total(), written_off=written_off)


async def take_bonuses_back(ctx: Context, membership_id: UUID, posting: Posting, *, is_gone: bool = False) -> TakenBack:
    """Take back the bonuses that an order set off, which were given in this membership, as `take_back` does.

    Args:
        is_gone: The order goes to nobody else: nothing of it is left. Whoever has bought something else keeps them.

    Raises:
        Refused: POINTS_SPENT, as in `take_back`.
    """
    membership = await change_store.get_membership(membership_id)
    if is_gone and posting.customer_id is not None:
        backs = await take_back_without_sales(
            ctx, order_id=posting.order_id, customer_id=posting.customer_id, membership=membership
        )
    else:
        backs = await take_back_for_sale(ctx, order_id=posting.order_id, membership=membership)
    owed: Counter[UUID] = Counter()
    for taken_from_id, back in backs:
        owed[taken_from_id] += back.owed
    key = msgspec.structs.replace(posting, source_key=f"{posting.source_key}:bonus")
    return TakenBack(
        points=sum(back.points for _, back in backs),
        exempt=sum(back.exempt for _, back in backs),
        owed=owed.total(),
        written_off=await _settle_debts(ctx, owed, key),
    )


async def earn(
    ctx: Context, membership_id: UUID, points: int, posting: Posting, *, sale: Sale, refresh: bool = True
) -> None:
    """Post points of a sale with the dates and the rules of its time; a deficit takes its part first."""
    credit = ledger_store.Credit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=posting.kind,
        points=points,
        occurred_at=sale.order.completed_at,
        posted_at=ctx.now,
        source_key=posting.source_key,
        customer_id=posting.customer_id,
        available_at=sale.dates.available_at,
        expires_at=sale.dates.expires_at,
        idle_days=sale.dates.idle_days,
        lifetime=points,
        order_id=posting.order_id,
        rule_version_id=sale.version.id if sale.version else None,
        reason_code=posting.reason_code,
        actor=ctx.actor,
    )
    deficit = await change_store.get_deficit(membership_id)
    filled = await credit_membership(credit, deficit=deficit)
    assert filled is not None, "callers look for what was posted before, under the same lock"
    if refresh:
        await ledger_store.refresh_figures(membership_id, ctx.now)


async def _take_back_one(ctx: Context, points: int, credit: Row, posting: Posting, *, deferred: int | None) -> Clawback:
    origin = Origin(
        source_key=posting.source_key,
        customer_id=posting.customer_id,
        order_id=posting.order_id,
        related_entry_id=credit["id"],
        rule_version_id=credit["rule_version"],
        reason_code=posting.reason_code,
    )
    clawback = await claw_back(
        ctx,
        credit["membership"],
        points,
        origin,
        own_entry_id=credit["id"],
        exempted_before=credit["exempt"],
        kind=posting.kind,
        deferred=deferred,
    )
    if clawback.exempt:
        await change_store.insert_exemption(
            ctx,
            posting.order_id,
            credit["membership"],
            credit["id"],
            points=clawback.exempt,
            source_key=posting.source_key,
        )
    return clawback


async def _lower_lifetime(home_id: UUID, taken_from_id: UUID, points: int) -> None:
    """Let points count as never earned where that count is: a leaver may have taken it along, or not."""
    taken_from = await change_store.get_membership(taken_from_id)
    there = points if taken_from_id == home_id else min(points, max(0, taken_from["lifetime"]))
    await ledger_store.add_to_totals(taken_from_id, balance=0, lifetime=-there)
    await ledger_store.add_to_totals(home_id, balance=0, lifetime=there - points)


async def _settle_debts(ctx: Context, owed: Mapping[UUID, int], posting: Posting) -> int:
    """Settle what each membership owes by the policy of its programme, and return how much of it is written off."""
    return sum([points for one, points in owed.items() if points and await settle_debt(ctx, one, points, posting)])


async def settle_debt(ctx: Context, membership_id: UUID, owed: int, posting: Posting) -> bool:
    """Let the programme's policy decide about points that were spent; return whether they are written off.

    Raises:
        Refused: POINTS_SPENT, the programme refuses that and the posting may not owe.
    """
    policy = await change_store.get_clawback_policy(membership_id)
    if policy == "refuse" and not posting.may_owe:
        raise Refused(Code.POINTS_SPENT, f"{owed} of the points have been spent.", data={"missing": owed})
    if policy != "available_only":
        return False
    credit = ledger_store.Credit(
        entry_id=new_id(),
        membership_id=membership_id,
        kind=EntryKind.ADJUST,
        points=owed,
        occurred_at=ctx.now,
        posted_at=ctx.now,
        source_key=f"{posting.source_key}:written-off",
        customer_id=posting.customer_id,
        available_at=ctx.now,
        expires_at=None,
        order_id=posting.order_id,
        reason_code="points_spent",
        actor=ctx.actor,
    )
    filled = await credit_membership(credit, deficit=await change_store.get_deficit(membership_id))
    assert filled == owed, "what was just owed is still owed"
    await ledger_store.refresh_figures(membership_id, ctx.now)
    return True


def _numbered(posting: Posting, number: int) -> Posting:
    key = f"{posting.source_key}:{number}" if number else posting.source_key
    return msgspec.structs.replace(posting, source_key=key)
