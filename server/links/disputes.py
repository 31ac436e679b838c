"""Somebody who was told of a link says that it is not right: it ends at once, and nothing that came through it is spent."""

from server.context import Context
from server.customers.store import hold_redemption, lock_customers
from server.db.engine import DB
from server.errors import Refused
from server.links import service, store
from server.sessions.links import Purpose, find_link, use_link
from shared.limits import LINK_DISPUTE_HOLD
from shared.links import LinkDisputed
from shared.problems import Code

_HOLD_REASON = "link_disputed"


async def dispute(ctx: Context, token: str) -> LinkDisputed:
    """End the link of a notice, keep the account's points from being spent for a week, and ask staff to look.

    The orders stay where they are until staff have looked: they take them back, or link the record again.

    Raises:
        Refused: TOKEN_EXPIRED, also where the link is over already.
    """
    async with DB.transaction():
        found = await find_link(ctx, purposes=[Purpose.LINK_NOT_ME], token=token)
        link = await store.get_link(found.subject) if found.subject else None
        if link is None:
            raise Refused(Code.TOKEN_EXPIRED)
        await lock_customers([link["customer"]])
        await store.lock_record(link["record"])
        locked = await store.lock_link(link["id"])
        await use_link(ctx, purpose=Purpose.LINK_NOT_ME, token=token)
        if locked is None or locked["state"] != "linked" or locked["customer"] != link["customer"]:
            raise Refused(Code.TOKEN_EXPIRED)
        await service.end_link(
            ctx, link, take_back_orders=False, reason="said not to be theirs", ended_reason=service.DISPUTED
        )
        until = ctx.now + LINK_DISPUTE_HOLD
        await hold_redemption(ctx, link["customer"], until=until, reason=_HOLD_REASON)
        await store.open_review(ctx, customer_id=link["customer"], record_id=link["record"], reason=service.DISPUTED)
    return LinkDisputed(redemption_held_until=until)
