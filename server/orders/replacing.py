"""A sale that staff wrote down and that its till sends after all: the till's takes its place, so that it counts once."""

from uuid import UUID

from server.audit.store import record
from server.context import Context, Tools, system_context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.errors import Busy, Refused, RegularsError
from server.memberships.store import lock_memberships
from server.orders import assignment_store, change_store, changes, recording_store
from server.orders.giving import give_order


class _EarnsLess(RegularsError):
    """The till's sale would bring its customer less than the one that was written down; a person looks at it."""


async def replace_written_down(tools: Tools) -> int:
    """Void sales that staff wrote down and a till has sent since, each in a transaction of its own; return how many.

    Only where nothing is doubtful: one sale of a till with the number, the store, the day and the money of the receipt, for the
    same customer, or for nobody: then it is theirs from now on. All others stay as they are, and those that count twice
    are among the signals. It may run at any time and any number of times.
    """
    ctx = system_context(tools)
    count = 0
    for pair in await recording_store.list_sent_too(ctx.now):
        try:
            async with DB.transaction():
                count += await _replace(ctx, pair)
        except (Busy, Refused, _EarnsLess):
            # Somebody else is at one of them just now, or it stays for a person.
            continue
    return count


async def _replace(ctx: Context, pair: Row) -> bool:
    await lock_customers([pair["customer"]])
    customer = await assignment_store.find_customer(pair["customer"])
    written, sent = await _find(pair["written"]), await _find(pair["sent"])
    ids = {written["heir"], *written["away"], sent["heir"], *sent["away"], customer["membership"] if customer else None}
    await lock_memberships([one for one in ids if one is not None])
    if pair not in await recording_store.list_sent_too(ctx.now, written["id"]):
        return False
    # First, so that points that are spent already are there when the others are taken back.
    earned = pair["points"]
    if sent["customer"] is None:
        earned = (await give_order(ctx, sent["id"], pair["customer"], reason="staff")).points
    if earned < written["points"]:
        raise _EarnsLess
    await changes.void(ctx, written, revision=written["revision"])
    await record(
        ctx,
        "order.replaced",
        subject_kind="order",
        subject_id=written["id"],
        customer_id=pair["customer"],
        details={"by": sent["id"], "points_before": written["points"], "points": earned},
    )
    return True


async def _find(order_id: UUID) -> Row:
    order = await change_store.find_order(order_id)
    assert order is not None, "orders are never deleted"
    return order
