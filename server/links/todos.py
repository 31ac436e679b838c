"""What is left to do in a till after customers were merged here: two records of it are one person's.

A till system that can merge is asked to, by a job; of any other it is kept in mind until somebody says that it is done, or
until the till itself tells of one record.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from server.audit.store import record as audit
from server.context import Context, Tools, system_context
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB, Row
from server.errors import Invalid, NotFound, Refused
from server.jobs import enqueue
from server.links import directory, directory_store, todo_store
from server.links.tills import Tills, open_tills
from server.links.views import hit_of
from server.logs import get_logger
from server.pos.protocol import Capability, PosRefused
from shared.links import PosTodoDone, PosTodoPage, PosTodoState, PosTodoView
from shared.problems import Code, FieldProblem

log = get_logger()

MERGE_RECORDS_JOB: Final = "links.merge_records"
_BY_TILL: Final = "the till system merged them"


class MergeRecords(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload: the to-do that the till system may do itself."""

    todo_id: UUID


async def note_doubles(ctx: Context, customer_id: UUID, moved_links: Sequence[UUID]) -> None:
    """Keep in mind which records of one till became one customer's by a merge, in the caller's transaction."""
    for pair in await todo_store.list_pairs(customer_id, moved_links):
        todo_id = await todo_store.insert_todo(
            ctx, customer_id=customer_id, kept=pair["kept"], absorbed=pair["absorbed"]
        )
        if todo_id is not None:
            await enqueue(MERGE_RECORDS_JOB, MergeRecords(todo_id=todo_id))


async def merge_asked(tools: Tools, payload: bytes) -> None:
    """Let the till system merge two records if it can; the worker's handler of `MERGE_RECORDS_JOB`.

    Raises:
        PosUnavailable: It does not answer; try again later.
    """
    todo_id = msgspec.json.decode(payload, type=MergeRecords).todo_id
    async with open_tills(tools) as tills:
        await merge_in_till(system_context(tools), todo_id, tills)


async def merge_in_till(ctx: Context, todo_id: UUID, tills: Tills) -> None:
    """Merge two records where their till system can; what it refuses stays for a person, with the reason.

    Raises:
        PosUnavailable: It does not answer; try again later.
    """
    todo = await todo_store.find_todo(todo_id)
    connector = tills.get(todo["connection_id"]) if todo is not None else None
    if todo is None or todo["state"] != "open" or connector is None or Capability.MERGE not in connector.capabilities:
        return
    try:
        await connector.merge(todo["kept_id"], todo["absorbed_id"])
    except PosRefused as error:
        log.warning("pos_merge_refused", connector=connector.name, reason=str(error))
        await todo_store.keep_error(todo_id, str(error))
        return
    async with DB.transaction():
        await directory_store.hold_people(todo["connection_id"], [todo["kept_id"], todo["absorbed_id"]], ())
        await directory.merge_records(
            ctx, todo["connection_id"], kept_id=todo["kept_record"], former_ids=[todo["absorbed_id"]]
        )
        customer_id = await todo_store.finish(todo_id, now=ctx.now, staff_id=None, note=_BY_TILL)
        if customer_id is not None:
            await _record(ctx, "done", todo_id, customer_id, _BY_TILL)


async def list_todos(*, state: str, cursor: str, limit: int) -> PosTodoPage:
    """Return a page of what is to be done, oldest first, or of what was done, newest first.

    Raises:
        Invalid: There is no such state, or the cursor is not one of ours.
    """
    if state not in ("", *PosTodoState):
        raise Invalid(FieldProblem(field="state", detail="This is open or done."))
    is_done = state == PosTodoState.DONE
    at = decode_cursor(cursor)
    rows = await (
        todo_store.list_done(before=at, limit=limit + 1) if is_done else todo_store.list_open(after=at, limit=limit + 1)
    )
    page, next_cursor = cut_page(rows, limit, at="done_at" if is_done else "created_at")
    return PosTodoPage(items=await views(page), next_cursor=next_cursor)


async def mark_done(ctx: Context, todo_id: UUID, form: PosTodoDone) -> PosTodoView:
    """Note that somebody has done it in the till; done twice is done once.

    Raises:
        NotFound: There is no such to-do.
    """
    async with DB.transaction():
        customer_id = await todo_store.finish(todo_id, now=ctx.now, staff_id=ctx.actor.id, note=form.note)
        if customer_id is not None:
            await _record(ctx, "done", todo_id, customer_id, form.note)
        return await _get_view(todo_id)


async def mark_open(ctx: Context, todo_id: UUID) -> PosTodoView:
    """Note that it is not done after all.

    Raises:
        NotFound: There is no such to-do.
        Refused: LINK_OVER, the records are not two of this customer any more.
    """
    try:
        async with DB.transaction():
            customer_id = await todo_store.reopen(todo_id)
            if customer_id is not None:
                await _record(ctx, "reopened", todo_id, customer_id, "")
    except asyncpg.UniqueViolationError:
        # The same two records wait to be merged already, under another to-do.
        log.info("pos_todo_open_already")
        return await _get_view(todo_id)
    view = await _get_view(todo_id)
    if view.state is not PosTodoState.OPEN:
        raise Refused(Code.LINK_OVER, "These are not two records of one customer any more.")
    return view


async def views(rows: Sequence[Row]) -> tuple[PosTodoView, ...]:
    """Return to-dos as staff see them."""
    ids = {row[name] for row in rows for name in ("kept_record", "absorbed_record")}
    hits = {row["id"]: hit_of(row) for row in await directory_store.list_hits(sorted(ids))}
    return tuple(
        PosTodoView(
            id=row["id"],
            kind=row["kind"],
            state=PosTodoState(row["state"]) if row["state"] != "dropped" else PosTodoState.DONE,
            connection=row["connection"],
            customer_id=row["customer"],
            customer_name=row["name"],
            kept=hits[row["kept_record"]],
            absorbed=hits[row["absorbed_record"]],
            created_at=row["created_at"],
            error=row["error"],
            done_at=row["done_at"],
            done_by=row["done_by_name"],
            note=row["note"],
        )
        for row in rows
    )


async def _get_view(todo_id: UUID) -> PosTodoView:
    row = await todo_store.find_todo(todo_id)
    if row is None:
        raise NotFound
    (view,) = await views([row])
    return view


async def _record(ctx: Context, act: str, todo_id: UUID, customer_id: UUID, note: str) -> None:
    await audit(
        ctx,
        f"pos_todo.{act}",
        subject_kind="pos_todo",
        subject_id=todo_id,
        customer_id=customer_id,
        reason=note or None,
    )
