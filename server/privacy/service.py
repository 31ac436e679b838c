"""Being forgotten: asked for by the member or by staff, cooling off, carried out by the worker, done everywhere.

A preview is the execution, taken back, so that what was shown is what happens.
"""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server import jobs
from server.audit.store import record
from server.auth import Member, Staff, check_stepped_up
from server.context import Context, Tools, system_context
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Busy, Invalid, NotFound, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.logs import get_logger
from server.merges.store import list_staff_of
from server.messages.service import queue_mail
from server.privacy import erasing_store, journal, retention_store, rules
from server.privacy import erasure_store as store
from server.privacy.erasing import check_free, clear_way, erase, lock_family
from server.privacy.erasure_store import NewErasure
from server.sessions.links import Purpose, create_link, find_link, use_link, void_links
from server.sessions.service import prove_password
from server.sharing.commands import try_out
from server.time_words import say_day
from shared.enums import Role
from shared.privacy import (
    ErasureCancelling,
    ErasureDecision,
    ErasureEffect,
    ErasureNeed,
    ErasurePage,
    ErasurePreview,
    ErasureRequest,
    ErasureState,
    ErasureView,
    MyErasure,
    StaffErasureRequest,
)
from shared.problems import Code, FieldProblem

log = get_logger()

ERASE_JOB = "privacy.erase"
_BLOCKED_HASH = hashlib.sha256(b"blocked").hexdigest()  # No execution has it.
_DEAD = {"merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}


class EraseCustomer(msgspec.Struct, frozen=True, kw_only=True):
    """The job's payload."""

    erasure_id: UUID


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure would do now, or why it cannot be asked for."""

    effect: ErasureEffect | None
    needs: tuple[ErasureNeed, ...]
    blockers: tuple[str, ...]
    preview_hash: str


# Previews -------------------------------------------------------------------------------------------------------------


async def preview_mine(ctx: Context, member: Member) -> ErasurePreview:
    """Return what being forgotten would do to the member."""
    return await _preview(ctx, member.customer_id, by_staff=False)


async def preview(ctx: Context, staff: Staff, customer_id: UUID) -> ErasurePreview:
    """Return what being forgotten would do to a customer.

    Raises:
        NotFound: There is no such customer.
        Refused: CUSTOMER_MERGED, CUSTOMER_ERASED, SELF_DEALING.
    """
    await _check_customer(staff, customer_id)
    return await _preview(ctx, customer_id, by_staff=True)


async def _preview(ctx: Context, customer_id: UUID, *, by_staff: bool) -> ErasurePreview:
    plan = await _plan(ctx, customer_id, by_staff=by_staff)
    cooling_days = ctx.settings.erasure_cooling_days
    return ErasurePreview(
        customer_id=customer_id,
        effect=plan.effect,
        blockers=plan.blockers,
        warnings=rules.list_warnings(plan.effect, cooling_days) if plan.effect else (),
        needs=plan.needs,
        cooling_days=cooling_days,
        preview_hash=plan.preview_hash,
    )


async def _plan(ctx: Context, customer_id: UUID, *, by_staff: bool) -> _Plan:
    family = await erasing_store.list_family(customer_id)

    async def try_erasing() -> ErasureEffect:
        locked = await lock_family(customer_id)
        await check_free(ctx, locked)
        erasure_id = await store.find_open(customer_id)
        if erasure_id is None:
            erasure_id = new_id()
            await store.insert_erasure(ctx, _cooling(ctx, erasure_id, customer_id, days=0))
        return await erase(ctx, erasure_id, customer_id, locked)

    needs = tuple([ErasureNeed.ASKED_BY_STAFF] if by_staff else [])
    if await list_staff_of(family):
        needs = (*needs, ErasureNeed.STAFF_LINKED)
    effect, blockers = await try_out(try_erasing)
    preview_hash = rules.hash_erasure(family, effect, needs) if effect else _BLOCKED_HASH
    return _Plan(effect=effect, needs=needs, blockers=blockers, preview_hash=preview_hash)


# Asking ---------------------------------------------------------------------------------------------------------------


async def request_mine(ctx: Context, member: Member, call: IdempotentCall, form: ErasureRequest) -> StoredReply:
    """Let the member be forgotten, once, after the days in which it can be taken back; asking again changes nothing.

    Raises:
        Refused: REAUTH_REQUIRED, PREVIEW_STALE, OPEN_HOLD, EMAIL_CHANGE_PENDING, MERGE_PENDING, REDEMPTION_HELD.
        Throttled: Too many wrong passwords.
    """
    if stored := await find_reply(call):
        return stored
    if form.password is None:
        check_stepped_up(ctx, member)
    else:
        await prove_password(ctx, member.customer_id, form.password)
    plan = await _plan(ctx, member.customer_id, by_staff=False)
    return await once(ctx, call, 202, partial(_request_mine, ctx, member.customer_id, plan, form))


async def _request_mine(ctx: Context, customer_id: UUID, plan: _Plan, form: ErasureRequest) -> ErasureView:
    await lock_family(customer_id)
    running = await store.find_open(customer_id)
    if running is not None:
        return await _get_view(ctx, running)
    return await _request(ctx, customer_id, plan, preview_hash=form.preview_hash)


async def request(
    ctx: Context, staff: Staff, customer_id: UUID, call: IdempotentCall, form: StaffErasureRequest
) -> StoredReply:
    """Ask, once, for a customer, who stands before the staff member, to be forgotten; another person has to approve.

    Raises:
        NotFound: There is no such customer.
        Invalid: The identity was not attested.
        Refused: PREVIEW_STALE, ERASURE_RUNNING, SELF_DEALING, CUSTOMER_MERGED, CUSTOMER_ERASED, or what a preview lists as a
            blocker.
    """
    if stored := await find_reply(call):
        return stored
    if not form.identity_attested:
        raise Invalid(FieldProblem(field="identity_attested", detail="Check who stands before you first."))
    await _check_customer(staff, customer_id)
    plan = await _plan(ctx, customer_id, by_staff=True)
    work = partial(_request, ctx, customer_id, plan, preview_hash=form.preview_hash or "", reason=form.reason)
    return await once(ctx, call, 202, work)


async def _request(
    ctx: Context, customer_id: UUID, plan: _Plan, *, preview_hash: str | None, reason: str = ""
) -> ErasureView:
    """Write a wish down in the caller's transaction."""
    if plan.effect is not None and preview_hash not in (None, plan.preview_hash):
        raise Refused(Code.PREVIEW_STALE)
    erasure_id = new_id()
    family = await lock_family(customer_id)
    if (running := await store.find_open(customer_id)) is not None:
        raise Refused(Code.ERASURE_RUNNING, data={"erasure_id": running})
    await check_free(ctx, family)
    cooling = _cooling(ctx, erasure_id, customer_id, days=ctx.settings.erasure_cooling_days)
    erasure = msgspec.structs.replace(cooling, reason=reason)
    if plan.needs:
        erasure = msgspec.structs.replace(erasure, state="waiting", needs=plan.needs, execute_after=None)
    await store.insert_erasure(ctx, erasure)
    await _record(ctx, "erasure.requested", erasure_id, customer_id, reason=reason or None)
    if erasure.execute_after is not None:
        await _begin_cooling(ctx, erasure_id, customer_id, erasure.execute_after)
    return await _get_view(ctx, erasure_id)


def _cooling(ctx: Context, erasure_id: UUID, customer_id: UUID, *, days: int) -> NewErasure:
    return NewErasure(
        id=erasure_id,
        customer_id=customer_id,
        state="cooling",
        answer_by=rules.one_month_after(ctx.now),
        execute_after=ctx.now + timedelta(days=days),
    )


async def _begin_cooling(ctx: Context, erasure_id: UUID, customer_id: UUID, execute_after: datetime) -> None:
    """Tell the person, with the link that stops it; without days to stop it, carry it out."""
    if execute_after <= ctx.now:
        await jobs.enqueue(ERASE_JOB, EraseCustomer(erasure_id=erasure_id))
        return
    person = await store.find_addressee(customer_id)
    if person is None or person["email"] is None:
        return
    token = await create_link(
        ctx,
        purpose=Purpose.ERASURE_CANCEL,
        customer_id=customer_id,
        email_key=person["email_key"],
        subject=erasure_id,
        life=execute_after - ctx.now,
    )
    await queue_mail(
        ctx,
        to=person["email"],
        template="erasure_planned",
        customer_id=customer_id,
        token=token,
        parameters={"given_name": person["given_name"], "day": say_day(execute_after, ZoneInfo(person["zone"]))},
    )


# Deciding -------------------------------------------------------------------------------------------------------------


async def approve(
    ctx: Context, staff: Staff, erasure_id: UUID, call: IdempotentCall, form: ErasureDecision
) -> StoredReply:
    """Let the days begin, once, after which the customer is forgotten.

    Raises:
        NotFound: There is no such wish.
        Refused: REQUEST_CLOSED; APPROVAL_REQUIRED (it is one's own, or takes an administrator); PREVIEW_STALE; SELF_DEALING; or
            what a preview lists as a blocker.
    """
    if stored := await find_reply(call):
        return stored
    found = await _get(erasure_id)
    plan = None
    if found["state"] == ErasureState.WAITING:
        plan = await _plan(ctx, found["customer"], by_staff=ErasureNeed.ASKED_BY_STAFF in found["needs"])
    return await once(ctx, call, 200, partial(_approve, ctx, staff, found, plan, form))


async def _approve(ctx: Context, staff: Staff, found: Row, plan: _Plan | None, form: ErasureDecision) -> ErasureView:
    erasure_id, customer_id = found["id"], found["customer"]
    family = await lock_family(customer_id)
    row = await store.lock_erasure(erasure_id)
    _check_approver(staff, row)
    assert plan is not None, "a wish that waits now waited before"
    if staff.customer_id in family:
        raise Refused(Code.SELF_DEALING)
    await check_free(ctx, family)
    if form.preview_hash != plan.preview_hash or not set(plan.needs) <= set(row["needs"]):
        raise Refused(Code.PREVIEW_STALE)
    execute_after = ctx.now + timedelta(days=ctx.settings.erasure_cooling_days)
    await store.approve(ctx, erasure_id, staff_id=staff.staff_id, execute_after=execute_after)
    await _record(ctx, "erasure.approved", erasure_id, customer_id, reason=form.note or None)
    await _begin_cooling(ctx, erasure_id, customer_id, execute_after)
    return await _get_view(ctx, erasure_id)


def _check_approver(staff: Staff, row: Row) -> None:
    if row["state"] != ErasureState.WAITING:
        raise Refused(Code.REQUEST_CLOSED)
    if row["requested_by_id"] == staff.staff_id:
        raise Refused(Code.APPROVAL_REQUIRED)
    if ErasureNeed.STAFF_LINKED in row["needs"] and staff.role is not Role.ADMIN:
        raise Refused(Code.APPROVAL_REQUIRED, "The customer is a staff member: an administrator approves this.")


async def cancel_mine(ctx: Context, member: Member) -> MyErasure:
    """Take the member's wish back, in the caller's transaction.

    Raises:
        NotFound: There is none.
    """
    erasure_id = await store.find_open(member.customer_id)
    if erasure_id is None:
        raise NotFound("You have not asked to be forgotten.")
    await _cancel(ctx, erasure_id, member.customer_id, reason=None)
    return MyErasure(erasure=await _get_view(ctx, erasure_id))


async def cancel(ctx: Context, erasure_id: UUID, form: ErasureCancelling) -> ErasureView:
    """Refuse a wish that waits, or take one back, for the customer, in the caller's transaction.

    Raises:
        NotFound: There is no such wish.
        Refused: REQUEST_CLOSED, it was carried out or given up.
    """
    found = await _get(erasure_id)
    await _cancel(ctx, erasure_id, found["customer"], reason=form.reason)
    return await _get_view(ctx, erasure_id)


async def cancel_by_link(ctx: Context, token: str) -> MyErasure:
    """Take a wish back with the mailed link.

    Raises:
        Refused: TOKEN_EXPIRED; REQUEST_CLOSED, it was carried out or given up.
    """
    link = await find_link(ctx, purposes=[Purpose.ERASURE_CANCEL], token=token)
    assert link.subject is not None
    assert link.customer_id is not None
    async with DB.transaction():
        # Customers come before links, as in every act that locks both.
        await lock_family(link.customer_id)
        await use_link(ctx, purpose=Purpose.ERASURE_CANCEL, token=token)
        ctx = ctx.acting_as("member", link.customer_id)
        await _cancel(ctx, link.subject, link.customer_id, reason=None)
    view = await _get_view(ctx, link.subject)
    # The link proves the mailbox and nothing more: it shows no more than that it has worked.
    bare = msgspec.structs.replace(view, reason="", requested_by="", approved_by=None, customer_name="")
    return MyErasure(erasure=bare)


async def _cancel(ctx: Context, erasure_id: UUID, customer_id: UUID, *, reason: str | None) -> None:
    await lock_family(customer_id)
    await store.lock_erasure(erasure_id)
    if not await store.cancel(ctx, erasure_id):
        raise Refused(Code.REQUEST_CLOSED)
    await void_links(ctx, customer_id=customer_id, purposes=[Purpose.ERASURE_CANCEL])
    await _record(ctx, "erasure.cancelled", erasure_id, customer_id, reason=reason)


async def settle(ctx: Context, erasure_id: UUID, note: str) -> ErasureView:
    """Note that the person was removed at the tills by hand.

    Raises:
        NotFound: There is no such wish.
        Refused: REQUEST_CLOSED, it is not carried out, or done.
    """
    found = await _get(erasure_id)
    async with DB.transaction():
        if not await store.settle(erasure_id):
            raise Refused(Code.REQUEST_CLOSED)
        await _record(ctx, "erasure.settled", erasure_id, found["customer"], reason=note)
    # By itself: to write a row twice locks whom it names, and people come first.
    await store.complete(ctx.now)
    return await _get_view(ctx, erasure_id)


# Reading --------------------------------------------------------------------------------------------------------------


async def get_mine(ctx: Context, member: Member) -> MyErasure:
    """Return the member's wish that is not carried out yet."""
    erasure_id = await store.find_open(member.customer_id)
    return MyErasure(erasure=await _get_view(ctx, erasure_id) if erasure_id else None)


async def get_erasure(ctx: Context, erasure_id: UUID) -> ErasureView:
    """Return a wish; of one that waits, what it would do now, with the hash that its approval must present.

    Raises:
        NotFound: There is no such wish.
    """
    row = await _get(erasure_id)
    view = await _get_view(ctx, erasure_id)
    if view.state is not ErasureState.WAITING:
        return view
    plan = await _plan(ctx, row["customer"], by_staff=ErasureNeed.ASKED_BY_STAFF in row["needs"])
    return msgspec.structs.replace(view, effect=plan.effect, preview_hash=plan.preview_hash)


async def list_erasures(ctx: Context, state: str, customer_id: UUID | None, *, cursor: str, limit: int) -> ErasurePage:
    """Return a page of wishes, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_views(state=state, customer_id=customer_id, before=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="requested_at")
    return ErasurePage(
        items=tuple(_view(ctx, row) for row in page),
        next_cursor=next_cursor,
    )


# Carrying out ---------------------------------------------------------------------------------------------------------


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
            await _record(ctx, "customer.erased", erasure_id, row["customer"], details=figures)
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
    await _record(ctx, "erasure.cancelled", row["id"], row["customer"], reason="The customer has come.")
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
                wish = _cooling(ctx, erasure_id, row["customer"], days=0)
                answer_by = rules.one_month_after(row["requested_at"])
                wish = msgspec.structs.replace(wish, answer_by=answer_by)
                await store.insert_erasure(ctx, wish, requested_at=row["requested_at"])
        if not await execute(ctx, erasure_id, is_replay=True):
            raise Busy
        count += 1
    return count


# What they have in common ---------------------------------------------------------------------------------------------


async def _check_customer(staff: Staff, customer_id: UUID) -> None:
    if staff.customer_id == customer_id:
        raise Refused(Code.SELF_DEALING)
    person = await store.find_addressee(customer_id)
    if person is None:
        raise NotFound
    if code := _DEAD.get(person["status"]):
        raise Refused(code)


async def _get(erasure_id: UUID) -> Row:
    row = await store.find_erasure(erasure_id)
    if row is None:
        raise NotFound
    return row


async def _record(
    ctx: Context,
    action: str,
    erasure_id: UUID,
    customer_id: UUID,
    *,
    reason: str | None = None,
    details: dict[str, int] | None = None,
) -> None:
    await record(
        ctx, action, subject_kind="erasure", subject_id=erasure_id, customer_id=customer_id, reason=reason,
        details=details,
    )  # fmt: skip


async def _get_view(ctx: Context, erasure_id: UUID) -> ErasureView:
    return _view(ctx, await store.get_view(erasure_id))


def _view(ctx: Context, row: Row) -> ErasureView:
    state = ErasureState(row["state"])
    is_open = state in (ErasureState.WAITING, ErasureState.COOLING)
    requesters = {"member": "the customer", "system": "a restored backup", "staff": row["requester_name"] or "staff"}
    return ErasureView(
        id=row["id"],
        customer_id=row["customer"],
        state=state,
        requested_by=requesters[row["requested_by_kind"]],
        requested_at=row["requested_at"],
        answer_by=row["answer_by"],
        is_late=is_open and ctx.now > row["answer_by"],
        reason=row["reason"],
        needs=tuple(ErasureNeed(need) for need in row["needs"]),
        approved_by=row["approver_name"],
        execute_after=row["execute_after"],
        blocked_by=row["blocked_by"],
        cancelled_at=row["ended_at"],
        executed_at=row["executed_at"],
        done_at=row["done_at"],
        pos_records=tuple(row["pos_records"]),
        cause=row["cause"],
        effect=None if is_open else msgspec.json.decode(row["effects"], type=ErasureEffect),
        customer_name=row["customer_name"],
    )
