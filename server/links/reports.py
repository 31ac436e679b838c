"""How the exchange with till systems is doing, and asking for it to run now."""

import msgspec

from server.audit.store import record as audit
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB
from server.errors import Invalid
from server.links import cycle_store
from server.links.cycle import ask_cycle
from server.links.tills import kind_of
from shared.limits import CYCLE_LATE, CYCLES_SHOWN_MAX
from shared.links import (
    ConnectionState,
    CycleAsked,
    CycleRequest,
    Cycles,
    CycleView,
    QuarantinedItem,
    QuarantinePage,
)
from shared.problems import FieldProblem


async def list_cycles(ctx: Context) -> Cycles:
    """Return the till systems and the latest runs, newest first."""
    connections = tuple(
        ConnectionState(
            connection=row["code"],
            connector=kind_of(ctx.settings, row["code"])[0],
            capabilities=tuple(sorted(kind_of(ctx.settings, row["code"])[1])),
            last_success_at=row["last_success_at"],
            is_late=row["last_success_at"] is not None and ctx.now - row["last_success_at"] > CYCLE_LATE,
            is_running=row["lease_until"] is not None and row["lease_until"] > ctx.now,
            quarantined=row["quarantined"],
        )
        for row in await cycle_store.list_connections()
    )
    items = tuple(
        CycleView(
            id=row["id"],
            connection=row["code"],
            cause=row["cause"],
            state=row["state"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            error=row["error"],
            figures=msgspec.json.decode(row["figures"], type=dict[str, int]),
        )
        for row in await cycle_store.list_cycles(CYCLES_SHOWN_MAX)
    )
    return Cycles(connections=connections, items=items)


async def ask(ctx: Context, form: CycleRequest) -> CycleAsked:
    """Let the exchange run now, with all till systems or the one that is named.

    Raises:
        Invalid: There is no such till system.
    """
    codes = [row["code"] for row in await cycle_store.list_connections()]
    if form.connection is not None and form.connection not in codes:
        raise Invalid(FieldProblem(field="connection", detail="There is no till system of this code."))
    async with DB.transaction():
        await ask_cycle(connection=form.connection, cause="staff")
        await audit(ctx, "cycle.asked", subject_kind="pos_connection", subject_id=None)
    return CycleAsked(connections=(form.connection,) if form.connection else tuple(codes))


async def list_quarantined(*, cursor: str, limit: int) -> QuarantinePage:
    """Return a page of what could not be posted, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await cycle_store.list_quarantined(before=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="staged_at")
    return QuarantinePage(
        items=tuple(
            QuarantinedItem(
                id=row["id"],
                connection=row["code"],
                kind=row["kind"],
                external_id=row["external_id"],
                reason=row["reason"],
                detail=row["detail"],
                changed_at=row["changed_at"],
                staged_at=row["staged_at"],
            )
            for row in page
        ),
        next_cursor=next_cursor,
    )
