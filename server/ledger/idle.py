"""Points under inactivity: when they lapse moves with what the member does. In the caller's transaction, under the lock."""

from datetime import datetime
from uuid import UUID

from server.context import Context
from server.ledger import store
from server.programmes.rules import idle_until


async def date_idle_lot(membership_id: UUID, idle_days: int, earliest: datetime) -> datetime:
    """Return when a new lot under inactivity lapses: as the older ones do, but not before its own time.

    Args:
        earliest: When it would if the member had last been active when it was earned.
    """
    ground = await store.get_idle_ground(membership_id)
    if ground["active_at"] is None:
        return earliest
    return max(earliest, idle_until(ground["active_at"], idle_days, ground["zone"]))


async def move_idle_lots(ctx: Context, membership_id: UUID) -> None:
    """Let a membership's lots lapse as late as its last sale or redemption, just posted, says.

    What has lapsed stays lapsed, so it makes no difference when lapses are booked. The caller refreshes the figures.
    """
    ground = await store.get_idle_ground(membership_id)
    if ground["idle_days"] and ground["active_at"] is not None:
        untils = {days: idle_until(ground["active_at"], days, ground["zone"]) for days in ground["idle_days"]}
        await store.extend_idle(membership_id, ctx.now, untils)
