"""What staff see of the audience, what they repair, and the figures of the queue."""

from uuid import UUID

import msgspec

from server.audience import store
from server.audience.marks import wake_worker
from server.audit.store import record
from server.context import Context
from server.db.engine import DB
from server.errors import NotFound
from shared.limits import PAGE_SIZE_MAX
from shared.staff import AudienceContactView, AudienceStatus


async def get_status(ctx: Context) -> AudienceStatus:
    """Return how the link is doing, with the contacts that need a person first."""
    figures = await store.get_figures()
    state = await store.get_state()
    oldest_at = figures["oldest_at"]
    troubled = await store.list_troubled(limit=PAGE_SIZE_MAX)
    return AudienceStatus(
        mode=ctx.settings.audience,
        paused_reason=state.paused_reason,
        waiting=figures["waiting"],
        parked=figures["parked"],
        pushed_today=await store.count_pushed_today(ctx.now),
        oldest_waiting_seconds=max(0, int((ctx.now - oldest_at).total_seconds())) if oldest_at is not None else None,
        items=tuple(_view(dict(row)) for row in troubled),
    )


async def list_contact_views(customer_id: UUID) -> tuple[AudienceContactView, ...]:
    """Return how a customer's addresses stand with Mailchimp."""
    return tuple(_view(dict(row)) for row in await store.list_by_customer(customer_id))


async def retry_contact(ctx: Context, contact_id: UUID) -> AudienceContactView:
    """Take a contact that was set aside back into the queue.

    Raises:
        NotFound: There is no such contact.
    """
    async with DB.transaction():
        before = await store.find_view(contact_id)
        if before is None:
            raise NotFound
        await store.retry(contact_id, ctx.now)
        await record(
            ctx,
            "audience_contact.retried",
            subject_kind="audience_contact",
            subject_id=contact_id,
            customer_id=before["customer_id"],
        )
        after = await store.find_view(contact_id)
        await wake_worker(ctx)
    assert after is not None
    return _view(dict(after))


async def resume(ctx: Context) -> AudienceStatus:
    """Let a stopped queue run again; the audience and its fields are checked first."""
    async with DB.transaction():
        await store.resume()
        await record(ctx, "audience.resumed", subject_kind="audience", subject_id=None)
        await wake_worker(ctx)
    return await get_status(ctx)


class AudienceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures for Prometheus; all 0 without an audience."""

    waiting: int = 0
    parked: int = 0
    oldest_waiting_seconds: float = 0
    is_paused: bool = False


async def read_figures(ctx: Context) -> AudienceFigures:
    """Return the figures of the queue."""
    if ctx.settings.audience == "none":
        return AudienceFigures()
    figures, state = await store.get_figures(), await store.get_state()
    oldest_at = figures["oldest_at"]
    return AudienceFigures(
        waiting=figures["waiting"],
        parked=figures["parked"],
        oldest_waiting_seconds=max(0.0, (ctx.now - oldest_at).total_seconds()) if oldest_at is not None else 0.0,
        is_paused=state.paused_reason is not None,
    )


def _view(row: dict[str, object]) -> AudienceContactView:
    return msgspec.convert(row, AudienceContactView)
