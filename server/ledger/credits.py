"""The one way in which points come in: a deficit takes its part of every credit first."""

import msgspec

from server.ledger import store
from server.ledger.idle import date_idle_lot
from server.ledger.rules import plan_fills


async def credit_membership(credit: store.Credit, *, deficit: int) -> int | None:
    """Post a credit to a locked membership and return how many of its points a deficit took.

    The caller refreshes the membership's figures.

    Args:
        deficit: The membership's deficit, as read under the lock.

    Returns:
        None if the source key was posted before.
    """
    fills = plan_fills(credit.points, await store.list_debts(credit.membership_id)) if deficit else ()
    filled = sum(fill.points for fill in fills)
    if credit.idle_days is not None and credit.expires_at is not None:
        expires_at = await date_idle_lot(credit.membership_id, credit.idle_days, credit.expires_at)
        credit = msgspec.structs.replace(credit, expires_at=expires_at)
    if not await store.insert_credit(msgspec.structs.replace(credit, filled=filled)):
        return None
    if fills:
        await store.insert_fills(credit.membership_id, credit.entry_id, fills, credit.posted_at)
    return filled
