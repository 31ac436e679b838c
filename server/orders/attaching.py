"""Former orders of a till's customer record come to count for whom it is linked to, or stop counting again.

Everything here runs in the caller's transaction.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.ledger import store as ledger_store
from server.orders import attaching_store, change_store, changes, payments, sales, store
from server.orders.fitting import fit_to_member, is_plain
from server.orders.sales import Sale, Target
from server.programmes.service import Programme, get_default_programme
from shared.enums import OrderState, SkippedReason
from shared.limits import LINK_ORDERS_MAX, LINK_TAKE_BACK_MAX
from shared.pos import PosLine, PosOrder, PosOrderResult

Place = tuple[datetime, UUID]
"""How far a list of orders was gone through: when the last one was completed, and its id."""

PAID_BY_OTHERS: Final = "paid_by_others"
"""Why an order stays where it is: somebody else's points or voucher paid for it, so a person has to look."""


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: orders found, how many of them earned points, how many, and why the others did not.

    `more_after` is where to go on, if there were more orders than one step takes.
    """

    found: int = 0
    counted: int = 0
    points: int = 0
    skipped: Mapping[str, int] = {}
    more_after: Place | None = None

    @property
    def left(self) -> int:
        """How many orders stay where they are."""
        return self.skipped.get(PAID_BY_OTHERS, 0)


class Detached(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that count for nobody again, and their points.

    Where there were more than one step takes: after which to go on, how many are left, and about how many points.
    """

    orders: int = 0
    points: int = 0
    more_after: Place | None = None
    orders_more: int = 0
    points_more: int = 0


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What attaching orders would come to if each counted by itself; `orders` names them with their state.

    `has_more` says that there may be others, which were not looked at.
    """

    points: int
    orders: tuple[tuple[UUID, int, str], ...]
    has_more: bool


async def expect_orders(
    ctx: Context,
    *,
    connection_id: UUID,
    pos_customer_ids: Collection[str],
    customer_id: UUID,
    membership_id: UUID | None,
) -> Expected:
    """Return what `attach_orders` would find, and about how many points; the orders are locked."""
    membership = await store.lock_target(membership_id, customer_id) if membership_id else None
    found = await _lock_waiting(connection_id, pos_customer_ids, after=None)
    rows = await _without_paid(ctx, connection_id, found, customer_id=customer_id, membership_id=membership_id)
    lines = await attaching_store.list_lines([row["id"] for row in rows])
    programme = await get_default_programme(fresh=True)
    points = 0
    for row in rows:
        sale = stored_sale(programme, row, lines[row["id"]])
        points += 0 if _target_of(sale, membership, customer_id).skipped else sale.plan.points
    return Expected(
        points=points,
        orders=tuple((row["id"], row["revision"], row["state"]) for row in rows),
        has_more=_more_after(found, LINK_ORDERS_MAX) is not None,
    )


async def attach_orders(
    ctx: Context,
    *,
    connection_id: UUID,
    pos_customer_ids: Collection[str],
    customer_id: UUID,
    membership_id: UUID | None,
    after: Place | None = None,
) -> Attached:
    """Post the orders that name one of a till's customer ids and count for nobody yet, each by the rules of its time.

    What a person decided about an order stays, and so does one for which somebody else's points or voucher paid. Those
    before the membership began are kept for the history and earn nothing. Plain ones are written in one statement.
    """
    membership = await store.lock_target(membership_id, customer_id) if membership_id else None
    waiting = await _lock_waiting(connection_id, pos_customer_ids, after=after)
    if not waiting:
        return Attached()
    rows = await _without_paid(ctx, connection_id, waiting, customer_id=customer_id, membership_id=membership_id)
    lines = await attaching_store.list_lines([row["id"] for row in rows])
    programme = await get_default_programme(fresh=True)
    plain: list[tuple[Sale, Target]] = []
    others: list[tuple[Row, Sale]] = []
    for row in rows:
        sale = stored_sale(programme, row, lines[row["id"]])
        target = _target_of(sale, membership, customer_id)
        if row["has_returns"] or target.deficit or not is_plain(sale, target):
            others.append((row, sale))
        else:
            plain.append((sale, target))
    await _write(ctx, plain, customer_id=customer_id, membership=membership)
    results = [sales.result_of(sale, target) for sale, target in plain]
    for row, sale in others:
        results.append(await _settle(ctx, row, sale, customer_id=customer_id, membership_id=membership_id))
    if membership is not None:
        await ledger_store.refresh_figures(membership["id"], ctx.now)
    skipped = Counter(str(result.skipped_reason) for result in results if result.skipped_reason)
    if len(rows) < len(waiting):
        skipped[PAID_BY_OTHERS] = len(waiting) - len(rows)
    return Attached(
        found=len(waiting),
        counted=sum(result.skipped_reason is None for result in results),
        points=sum(result.points for result in results),
        skipped=dict(sorted(skipped.items())),
        more_after=_more_after(waiting, LINK_ORDERS_MAX),
    )


async def _lock_waiting(connection_id: UUID, pos_customer_ids: Collection[str], *, after: Place | None) -> list[Row]:
    return await attaching_store.lock_waiting(
        connection_id, pos_customer_ids, explicit=sorted(changes.EXPLICIT), limit=LINK_ORDERS_MAX, after=after
    )


def _more_after(rows: Sequence[Row], limit: int) -> Place | None:
    return (rows[-1]["completed_at"], rows[-1]["id"]) if len(rows) == limit else None


async def _without_paid(
    ctx: Context, connection_id: UUID, rows: Sequence[Row], *, customer_id: UUID | None, membership_id: UUID | None
) -> list[Row]:
    """Leave out the orders for which others paid than whom they are to count for."""
    names = [row["external_id"] for row in rows]
    paid = await payments.list_paid_by_others(
        ctx, connection_id, names, customer_id=customer_id, membership_id=membership_id
    )
    return [row for row in rows if row["external_id"] not in paid]


async def detach_orders(
    ctx: Context,
    *,
    connection_id: UUID,
    pos_customer_ids: Collection[str],
    customer_id: UUID,
    after: Place | None = None,
) -> Detached:
    """Take back the orders that count for a customer by the till's customer ids alone, except those paid with points.

    They count for nobody then, until the record is linked again.
    """
    found_rows = await attaching_store.list_through(
        connection_id, pos_customer_ids, customer_id, limit=LINK_TAKE_BACK_MAX, after=after
    )
    rows = await _without_paid(ctx, connection_id, found_rows, customer_id=None, membership_id=None)
    lines = await attaching_store.list_lines([row["id"] for row in rows])
    programme = await get_default_programme(fresh=True)
    taken = 0
    for row in rows:
        found = await change_store.find_order(row["id"])
        assert found is not None, "orders are never deleted"
        order = await changes.lock_whole(found, None)
        sale = stored_sale(programme, order, lines[order["id"]])
        target = Target(reason="none", skipped=sale.skipped or SkippedReason.CUSTOMER_UNKNOWN)
        settled = await changes.settle(ctx, order, sale, target, reason_code="unlinked")
        taken += settled.taken
    more_after = _more_after(found_rows, LINK_TAKE_BACK_MAX)
    if more_after is None:
        return Detached(orders=len(rows), points=taken)
    orders, points = await attaching_store.count_through(connection_id, pos_customer_ids, customer_id, after=more_after)
    return Detached(orders=len(rows), points=taken, more_after=more_after, orders_more=orders, points_more=points)


def stored_sale(programme: Programme, order: Row, lines: Sequence[Row]) -> Sale:
    """Return a stored order as the sale it was, worked out by the rules of its time."""
    sent = PosOrder(
        external_id=order["external_id"],
        number=order["number"],
        store=order["store_code"],
        completed_at=order["completed_at"],
        currency=order["currency"],
        state=OrderState(order["state"]),
        revision=order["revision"],
        lines=tuple(PosLine(**{name: line[name] for name in PosLine.__struct_fields__}) for line in lines),
    )
    # What the till sends again is compared with what it sent, not with what became of it here.
    return sales.sale_in(programme, sent, order_id=order["id"], content_hash=order["content_hash"])


def _target_of(sale: Sale, membership: Row | None, customer_id: UUID) -> Target:
    if membership is None or membership["status"] != "active" or membership["eligible_from"] is None:
        return Target(customer_id=customer_id, reason="pos", skipped=sale.skipped or SkippedReason.NOT_MEMBER)
    return sales.target_of(sale, membership, customer_id, "pos", eligible_from=membership["eligible_from"])


async def _write(
    ctx: Context, plain: Sequence[tuple[Sale, Target]], *, customer_id: UUID, membership: Row | None
) -> None:
    if not plain:
        return
    orders, lines = [], []
    for sale, target in plain:
        result = sales.result_of(sale, target)
        orders.append(
            attaching_store.AttachedOrder(
                id=sale.order_id,
                points=result.points,
                skipped_reason=target.skipped,
                rule_version_id=sale.version.id if sale.version else None,
                entry_id=new_id(),
                former_id=new_id(),
                available_at=sale.dates.available_at,
                expires_at=sale.dates.expires_at,
            )
        )
        lines += [
            attaching_store.AttachedLine(
                order_id=sale.order_id, line_id=line.line_id, points=line.points, rule=line.rule
            )
            for line in result.lines
        ]
    is_member = membership is not None and plain[0][1].membership_id is not None
    await attaching_store.attach(
        ctx,
        orders,
        lines,
        customer_id=customer_id,
        membership_id=membership["id"] if is_member and membership is not None else None,
        reason="pos",
    )


async def _settle(
    ctx: Context, row: Row, sale: Sale, *, customer_id: UUID, membership_id: UUID | None
) -> PosOrderResult:
    found = await change_store.find_order(row["id"])
    assert found is not None, "orders are never deleted"
    order = await changes.lock_whole(found, membership_id)
    sale, target = await fit_to_member(sale, await sales.lock_target(sale, customer_id, membership_id, "pos"))
    await changes.settle(ctx, order, sale, target, reason_code="linked")
    return sales.result_of(sale, target)
