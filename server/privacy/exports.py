"""A copy of everything held about a person: asked for, made by a job, fetched by a mailed link or at the counter, let go."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server import jobs
from server.audit.store import record
from server.auth import Member, Staff, check_stepped_up
from server.context import Context, Tools, system_context
from server.customers.store import exists, lock_customers
from server.db.engine import DB, Row
from server.errors import Invalid, NotFound, Refused, Throttled
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.messages.service import queue_mail
from server.privacy import erasing_store
from server.privacy import export_store as store
from server.privacy.files import write_export
from server.sessions.links import Purpose, create_link, find_link
from server.sessions.service import step_up
from shared.limits import EXPORT_LIFE, EXPORTS_MAX, EXPORTS_WINDOW
from shared.privacy import ExportList, ExportRequest, ExportState, ExportView, StaffExportRequest
from shared.problems import Code, FieldProblem

EXPORT_JOB = "privacy.export"
_STUCK_AFTER = timedelta(minutes=10)


class MakeExport(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload."""

    export_id: UUID


class ExportFile(msgspec.Struct, frozen=True, kw_only=True):
    """A finished file: its name, and its pieces."""

    name: str
    bytes_count: int
    pieces: AsyncIterator[bytes]


async def request_mine(ctx: Context, member: Member, call: IdempotentCall, form: ExportRequest) -> StoredReply:
    """Let a job make a copy, once, of everything held about the member, who is mailed a link to it.

    Raises:
        Refused: REAUTH_REQUIRED.
        Throttled: Too many wrong passwords, or copies.
    """
    if await find_reply(call) is None:
        await step_up(ctx, member, form.password)
    return await once(ctx, call, 202, partial(_request, ctx, member.customer_id, reason=None))


async def request(ctx: Context, staff: Staff, customer_id: UUID, form: StaffExportRequest) -> ExportView:
    """Do the same for a customer who stands before the staff member, in the caller's transaction.

    Raises:
        NotFound: There is no such customer.
        Invalid: The identity was not attested.
        Refused: SELF_DEALING.
        Throttled: Too many copies.
    """
    if not form.identity_attested:
        raise Invalid(FieldProblem(field="identity_attested", detail="Check who stands before you first."))
    if staff.customer_id == customer_id:
        raise Refused(Code.SELF_DEALING)
    if not await exists(customer_id):
        raise NotFound
    return await _request(ctx, customer_id, reason=form.reason)


async def list_exports(ctx: Context, customer_id: UUID) -> ExportList:
    """Return a customer's newest exports.

    Raises:
        NotFound: There is no such customer.
    """
    if not await exists(customer_id):
        raise NotFound
    return ExportList(items=tuple(_view(row, ctx.now) for row in await store.list_exports(customer_id)))


async def open_mine(ctx: Context, member: Member, export_id: UUID) -> ExportFile:
    """Return the file of a member's own export, if the password was proven just now.

    Raises:
        Refused: REAUTH_REQUIRED; NOT_FOUND, there is none, or it is not ready or over.
    """
    check_stepped_up(ctx, member)
    row = await store.find_export(export_id)
    if row is None or row["customer"] != member.customer_id:
        raise NotFound
    return await _open(ctx, row)


async def open_for(ctx: Context, staff: Staff, export_id: UUID) -> ExportFile:
    """Return the file of an export that staff asked for, to hand over to a customer whom no mail reaches.

    Raises:
        Refused: NOT_FOUND, there is none, the member asked for it, or it is not ready or over; SELF_DEALING.
    """
    row = await store.find_export(export_id)
    if row is None or row["requested_by_kind"] != "staff":
        raise NotFound
    if staff.customer_id == row["customer"]:
        raise Refused(Code.SELF_DEALING)
    return await _open(ctx, row)


async def open_by_link(ctx: Context, token: str) -> ExportFile:
    """Return the file that a mailed link is for; it works until the export is over.

    Raises:
        Refused: TOKEN_EXPIRED.
    """
    link = await find_link(ctx, purposes=[Purpose.EXPORT], token=token)
    assert link.customer_id is not None
    row = await store.find_export(link.subject) if link.subject else None
    try:
        if row is None:
            raise NotFound
        return await _open(ctx.acting_as("member", link.customer_id), row)
    except NotFound as error:
        raise Refused(Code.TOKEN_EXPIRED) from error


async def make_export(tools: Tools, payload: bytes) -> None:
    """Make the file of an export and mail its link; the worker's handler of `EXPORT_JOB`. Made before, nothing happens."""
    ctx = system_context(tools)
    export_id = msgspec.json.decode(payload, type=MakeExport).export_id
    # One snapshot, so that the two forms say the same; whatever breaks off leaves nothing behind.
    async with DB.transaction(isolation="repeatable_read"):
        row = await store.lock_waiting(export_id)
        if row is None:
            return
        family = await erasing_store.list_family(row["customer"])
        numbers = iter(range(10**6))
        size = 0

        async def keep(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            await store.add_part(export_id, next(numbers), piece)

        await write_export(
            lambda section: store.stream(section, family),
            keep,
            shop_name=ctx.settings.shop_name,
            customer_id=row["customer"],
            made_at=ctx.now,
            zone=ZoneInfo(row["zone"]),
        )
        await store.finish(ctx, export_id, expires_at=ctx.now + EXPORT_LIFE, bytes_count=size)
        await _record(ctx, "export.made", export_id, row["customer"])
        await _mail_link(ctx, export_id, row)


async def sweep_exports(tools: Tools) -> None:
    """Delete files that are over, and enqueue again what lost its job; the worker's sweep."""
    now = tools.clock.now()
    while True:
        async with DB.transaction():
            expired = await store.expire(now)
        if not expired:
            break
    for export_id in await store.list_stuck(now - _STUCK_AFTER):
        await jobs.enqueue(EXPORT_JOB, MakeExport(export_id=export_id), dedupe_key=f"{EXPORT_JOB}:{export_id}")


async def _request(ctx: Context, customer_id: UUID, *, reason: str | None) -> ExportView:
    await lock_customers([customer_id])
    if await store.count_since(customer_id, ctx.now - EXPORTS_WINDOW) >= EXPORTS_MAX:
        raise Throttled(EXPORTS_WINDOW)
    export_id = await store.insert_export(ctx, customer_id)
    await _record(ctx, "export.requested", export_id, customer_id, reason=reason)
    await jobs.enqueue(EXPORT_JOB, MakeExport(export_id=export_id))
    row = await store.find_export(export_id)
    assert row is not None
    return _view(row, ctx.now)


async def _mail_link(ctx: Context, export_id: UUID, row: Row) -> None:
    """Mail the link to the address that the person has proven; whom no mail reaches is given the file at the counter."""
    if row["email"] is None:
        return
    token = await create_link(
        ctx,
        purpose=Purpose.EXPORT,
        customer_id=row["customer"],
        email_key=row["email_key"],
        subject=export_id,
        life=EXPORT_LIFE,
        # Copies may be finished in any order, and each mail says how long its own link works.
        replaces_older=False,
    )
    await queue_mail(
        ctx,
        to=row["email"],
        template="export_ready",
        customer_id=row["customer"],
        token=token,
        parameters={"given_name": row["given_name"], "days": str(EXPORT_LIFE.days)},
    )


async def _open(ctx: Context, row: Row) -> ExportFile:
    if _state_of(row, ctx.now) is not ExportState.READY:
        raise NotFound("This copy is not ready, or over.")
    async with DB.transaction():
        await _record(ctx, "export.fetched", row["id"], row["customer"])
    return ExportFile(
        name=f"my-data-{row['ready_at']:%Y-%m-%d}.zip",
        bytes_count=row["bytes_count"],
        pieces=_pieces(row["id"], ctx.now),
    )


async def _pieces(export_id: UUID, now: datetime) -> AsyncIterator[bytes]:
    number = 0
    while (piece := await store.find_part(export_id, number, now)) is not None:
        yield piece
        number += 1


async def _record(ctx: Context, action: str, export_id: UUID, customer_id: UUID, *, reason: str | None = None) -> None:
    await record(
        ctx, action, subject_kind="personal_export", subject_id=export_id, customer_id=customer_id, reason=reason
    )


def _state_of(row: Row, now: datetime) -> ExportState:
    is_over = row["expires_at"] is not None and row["expires_at"] <= now
    return ExportState.EXPIRED if is_over else ExportState(row["state"])


def _view(row: Row, now: datetime) -> ExportView:
    return ExportView(
        id=row["id"],
        state=_state_of(row, now),
        requested_at=row["requested_at"],
        ready_at=row["ready_at"],
        expires_at=row["expires_at"],
        bytes_count=row["bytes_count"],
        by_staff=row["requested_by_kind"] == "staff",
    )
