"""Forgetting whoever's time has come, by the worker: the job, its sweep, the journal, and a restored backup's return."""

from uuid import UUID

import msgspec

from server import jobs
from server.audit.store import record
from server.context import Context, Tools, system_context
from server.db.engine import DB, Row
from server.errors import Busy, Refused
from server.logs import get_logger
from server.privacy import erasure_store as store
from server.privacy import journal, retention_store, rules
from server.privacy.erasing import check_free, clear_way, erase, lock_family
from server.privacy.erasure_store import NewErasure
from server.sessions.links import Purpose, void_links
from shared.privacy import ErasureState

log = get_logger()

ERASE_JOB = "privacy.erase"


class EraseCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload."""

    erasure_id: UUID


async def erase_due(tools: Tools, payload: bytes) -> None:
    """Forget one customer whose time has come; the worker's handler of `ERASE_JOB`."""
    await execute(system_context(tools), msgspec.json.decode(payload, type=EraseCustomer).erasure_id)
    await write_journal(tools)


async def execute(ctx: Context, erasure_id: UUID, *, is_replay: bool = False) -> bool:
    """Forget a customer if it is time and nothing stands against it, once however often it is called; else False.

    Args:
        is_replay: The person was erased before and is back by a restored backup, so nothing stands against it.
    """
    found = await store.find_erasure(erasure_id)
    if found is None or found["state"] != ErasureState.COOLING:
        return False
    try:
        async with DB.transaction():
            family = await lock_family(found["customer"])
            row = await store.lock_erasure(erasure_id)
            if row["state"] != ErasureState.COOLING or row["execute_after"] > ctx.now:
                return False
            if row["cause"] == "dormant" and not is_replay and await _has_come(ctx, row):
                return False
            await (clear_way if is_replay else check_free)(ctx, family)
            effect = await erase(ctx, erasure_id, row["customer"], family)
            await store.finish(ctx, erasure_id, effect)
            figures = {"points_lost": effect.points_lost, "orders_kept": effect.orders_kept}
            await record_act(ctx, "customer.erased", erasure_id, row["customer"], details=figures)
            await store.complete(ctx.now)
    except Refused as refusal:
        log.warning("erasure_blocked", erasure_id=str(erasure_id), reason=refusal.code)
        await store.note_blocked(erasure_id, refusal.code)
        return False
    return True


async def _has_come(ctx: Context, row: Row) -> bool:
    """Call an erasure off that nobody wished for if the customer was heard of since it was begun."""
    if await retention_store.is_quiet(row["customer"], row["requested_at"]):
        return False
    await store.cancel(ctx, row["id"])
    await void_links(ctx, customer_id=row["customer"], purposes=[Purpose.ERASURE_CANCEL])
    await record_act(ctx, "erasure.cancelled", row["id"], row["customer"], reason="The customer has come.")
    return True


async def sweep_erasures(tools: Tools) -> None:
    """Enqueue what is due, write down what was carried out, and note what is done everywhere; the worker's sweep."""
    for erasure_id in await store.list_due(tools.clock.now()):
        await jobs.enqueue(ERASE_JOB, EraseCustomer(erasure_id=erasure_id), dedupe_key=f"{ERASE_JOB}:{erasure_id}")
    await write_journal(tools)
    await store.complete(tools.clock.now())


async def write_journal(tools: Tools) -> None:
    """Write down outside of the database what was carried out in it.

    After the commit, so that nobody is in the journal who is not erased; a crash in between writes a line twice, which
    does no harm.
    """
    while rows := await store.list_unwritten():
        lines = [
            journal.Line(
                erasure=row["id"],
                customer=row["customer"],
                requested_at=row["requested_at"],
                executed_at=row["executed_at"],
            )
            for row in rows
        ]
        await journal.append(tools.settings.journal_path, lines)
        await store.note_written([row["id"] for row in rows], tools.clock.now())


async def list_returned(lines: list[journal.Line]) -> list[Row]:
    """Return which erasures of a journal are not in this database although their customers are."""
    return await store.list_to_replay(
        [line.erasure for line in lines], [line.customer for line in lines], [line.requested_at for line in lines]
    )


async def replay(ctx: Context, lines: list[journal.Line]) -> int:
    """Forget again whom a restored backup has brought back, and return how many; doing it twice changes nothing.

    Raises:
        Busy: One of them could not be erased now; try again.
    """
    count = 0
    for row in await list_returned(lines):
        erasure_id = row["erasure"]
        async with DB.transaction():
            await lock_family(row["customer"])
            open_id = await store.find_open(row["customer"])
            if open_id not in (None, erasure_id):
                await store.cancel(ctx, open_id)
            if not await store.revive(ctx, erasure_id):
                wish = NewErasure.cooling(ctx, erasure_id, row["customer"], days=0)
                answer_by = rules.one_month_after(row["requested_at"])
                wish = msgspec.structs.replace(wish, answer_by=answer_by)
                await store.insert_erasure(ctx, wish, requested_at=row["requested_at"])
        if not await execute(ctx, erasure_id, is_replay=True):
            raise Busy
        count += 1
    return count


async def record_act(
    ctx: Context,
    action: str,
    erasure_id: UUID,
    customer_id: UUID,
    *,
    reason: str | None = None,
    details: dict[str, int] | None = None,
) -> None:
    """Audit what was done about a wish, in the caller's transaction."""
    await record(
        ctx, action, subject_kind="erasure", subject_id=erasure_id, customer_id=customer_id, reason=reason,
        details=details,
    )  # fmt: skip
