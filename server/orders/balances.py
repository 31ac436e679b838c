"""Points of the people whom an order concerns, before and after: for previews."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.context import Context
from server.errors import Busy
from server.memberships.service import list_membership_views
from server.orders import assignment_store
from shared.members import Balance
from shared.orders import BalanceChange


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A membership's points, and the customer it was looked up for."""

    customer_id: UUID
    customer_name: str
    balance: Balance


async def read(ctx: Context, customer_ids: Sequence[UUID | None]) -> dict[UUID, Standing]:
    """Return the points of these customers' memberships, by membership; a shared one is the first one's."""
    standings: dict[UUID, Standing] = {}
    for customer_id in dict.fromkeys(customer_ids):
        customer = None if customer_id is None else await assignment_store.find_customer(customer_id)
        if customer is None:
            continue
        for view in await list_membership_views(customer["id"], ctx.now):
            found = Standing(customer_id=customer["id"], customer_name=customer["name"], balance=view.balance)
            standings.setdefault(view.id, found)
    return standings


def compare(before: dict[UUID, Standing], after: dict[UUID, Standing]) -> tuple[BalanceChange, ...]:
    """Return what is different, membership by membership.

    Raises:
        Busy: Somebody else combined, left or reissued one of them just now.
    """
    if before.keys() - after.keys():
        raise Busy
    changed = []
    for membership_id, was in before.items():
        now = after[membership_id]
        change = BalanceChange(
            customer_id=was.customer_id,
            customer_name=was.customer_name,
            membership_id=membership_id,
            available_before=was.balance.available,
            available_after=now.balance.available,
            pending_before=was.balance.pending,
            pending_after=now.balance.pending,
            deficit_before=was.balance.deficit,
            deficit_after=now.balance.deficit,
        )
        if was.balance != now.balance:
            changed.append(change)
    return tuple(changed)
