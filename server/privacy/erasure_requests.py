"""The wish to be forgotten: previewed, asked for by the member or by staff, decided, taken back, read.

A preview is the execution, taken back, so that what was shown is what happens.
"""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server import jobs
from server.auth import Member, Staff, check_stepped_up
from server.context import Context
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import Invalid, NotFound, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.merges.store import list_staff_of
from server.messages.service import queue_mail
from server.privacy import erasing_store, rules
from server.privacy import erasure_store as store
from server.privacy.erasing import check_free, erase, lock_family
from server.privacy.erasure_execution import ERASE_JOB, EraseCustomer, record_act
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

_BLOCKED_HASH = hashlib.sha256(b"blocked").hexdigest()  # No execution has it.
_DEAD = {"merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}


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
            await store.insert_erasure(ctx, NewErasure.cooling(ctx, erasure_id, customer_id, days=0))
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
    cooling = NewErasure.cooling(ctx, erasure_id, customer_id, days=ctx.settings.erasure_cooling_days)
    erasure = msgspec.structs.replace(cooling, reason=reason)
    if plan.needs:
        erasure = msgspec.structs.replace(erasure, state="waiting", needs=plan.needs, execute_after=None)
    await store.insert_erasure(ctx, erasure)
    await record_act(ctx, "erasure.requested", erasure_id, customer_id, reason=reason or None)
    if erasure.execute_after is not None:
        await _begin_cooling(ctx, erasure_id, customer_id, erasure.execute_after)
    return await _get_view(ctx, erasure_id)


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
    await record_act(ctx, "erasure.approved", erasure_id, customer_id, reason=form.note or None)
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
    await record_act(ctx, "erasure.cancelled", erasure_id, customer_id, reason=reason)


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
        await record_act(ctx, "erasure.settled", erasure_id, found["customer"], reason=note)
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
