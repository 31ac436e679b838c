"""A link with more orders than one step takes: a job goes on, step by step, each whole or not at all."""

from uuid import UUID

import msgspec

from server.audience.marks import mark_membership
from server.audit.store import record as audit
from server.context import Context, Tools, system_context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.errors import Busy
from server.links import service, store
from server.links.service import Rest
from server.orders.attaching import Place


async def go_on(tools: Tools, payload: bytes) -> None:
    """Post, or take back, the other orders of a link; the worker's handler of `REST_JOB`.

    It may break off anywhere and begin again: an order that was done is not found a second time.
    """
    rest = msgspec.json.decode(payload, type=Rest)
    after = await _step(system_context(tools), rest, rest.after)
    while after is not None:
        after = await _step(system_context(tools), rest, after)


async def _step(ctx: Context, rest: Rest, after: Place | None) -> Place | None:
    async with DB.transaction():
        link = await _lock(rest.link_id)
        holder_id = await store.find_holder(link["record"])
        if rest.takes_back:
            # Whoever has linked it again meanwhile wants the orders to stay.
            return await _take_back(ctx, link, after) if holder_id != link["customer"] else None
        return await _post(ctx, link, after) if link["state"] == "linked" else None


async def _lock(link_id: UUID) -> Row:
    found = await store.get_link(link_id)
    assert found is not None, "links are never deleted"
    await lock_customers([found["customer"]])
    await store.lock_record(found["record"])
    await store.lock_link(link_id)
    link = await store.get_link(link_id)
    assert link is not None
    if link["customer"] != found["customer"]:
        # Merged meanwhile, so that somebody else is to be locked; the next try does.
        raise Busy
    return link


async def _post(ctx: Context, link: Row, after: Place | None) -> Place | None:
    record, person = await store.lock_record(link["record"]), await store.find_person(link["customer"])
    assert record is not None
    assert person is not None
    attached = await service.attach(ctx, record, person, after=after)
    await store.add_figures(link["id"], found=attached.found, counted=attached.counted, points=attached.points)
    await _finish_step(ctx, link, person["membership"], orders=attached.found, points=attached.points)
    return attached.more_after


async def _take_back(ctx: Context, link: Row, after: Place | None) -> Place | None:
    person = await store.find_person(link["customer"])
    detached = await service.detach(ctx, link, after=after)
    membership_id = person["membership"] if person else None
    await _finish_step(ctx, link, membership_id, orders=detached.orders, points=-detached.points)
    return detached.more_after


async def _finish_step(ctx: Context, link: Row, membership_id: UUID | None, *, orders: int, points: int) -> None:
    if not orders:
        return
    await audit(
        ctx,
        "link.continued",
        subject_kind="pos_link",
        subject_id=link["id"],
        customer_id=link["customer"],
        details={"orders": orders, "points": points},
    )
    if membership_id is not None:
        await mark_membership(ctx, membership_id)
