"""A member enters a claim code: the account or the order it stands for becomes theirs, whole and once.

Whatever is wrong with a code, the answer is the same; why is kept for staff.
"""

from uuid import UUID

import msgspec

from server import idempotency
from server.accounts.service import ClaimWish
from server.audit.store import record
from server.auth import Member
from server.claims import store
from server.claims.rules import CodeState, is_known_to, why_refused
from server.context import Context, Tools, system_context
from server.customers.rules import mask_email
from server.db.engine import DB
from server.errors import Invalid, NotFound, Refused, RegularsError
from server.idempotency import IdempotentCall, StoredReply
from server.logs import get_logger
from server.memberships.service import list_membership_views
from server.merges.merging import lock_everything
from server.merges.service import Merged, merge_customers
from server.merges.store import list_homes
from server.messages.service import queue_mail
from server.orders.giving import OrderTaken, give_order
from server.sessions import throttles
from server.tokens import hash_claim_code
from shared.claims import Claim, ClaimCause, Claimed
from shared.codes import normalise_claim_code
from shared.limits import CLAIM_WRONG_CHECKS_MAX
from shared.merges import MergeChoices
from shared.problems import Code

log = get_logger()

# What a member cannot put right alone; a person in the shop can.
_FOR_STAFF = (
    Code.MERGE_STAFF_LINKED,
    Code.MERGE_KIND_MISMATCH,
    Code.MERGE_SHARED,
    Code.PRIVACY_REQUEST_OPEN,
    Code.CUSTOMER_MERGED,
    Code.CUSTOMER_ERASED,
)


class Missed(RegularsError):
    """A code that does not work, and why; the member is not told."""

    def __init__(self, cause: ClaimCause, code_id: UUID | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.code_id = code_id


async def claim(ctx: Context, member: Member, call: IdempotentCall, form: Claim) -> StoredReply:
    """Use a member's code, once, and answer what it brought.

    A try counts before it is looked at, so that guesses at the same moment count too; one that was no guess does not stay
    counted.

    Raises:
        Refused: CLAIM_INVALID for whatever is wrong with the code; CLAIM_SELF, CLAIM_NEEDS_STAFF, OPEN_HOLD,
            EMAIL_CHANGE_PENDING or REDEMPTION_HELD for a good one.
        Throttled: Too many wrong codes.
    """
    code_hash = hash_claim_code(ctx.tokens, normalise_claim_code(form.code))
    answers = (form.check,) if form.check else ()
    async with DB.transaction():
        if stored := await idempotency.lock_reply(call):
            return stored
        claimed = await _try(ctx, member.customer_id, code_hash, answers)
        if claimed is not None:
            return await idempotency.keep_reply(ctx, call, 201, claimed)
    await throttles.note_claim_miss(ctx)
    raise Refused(Code.CLAIM_INVALID)


async def claim_at_sign_up(tools: Tools, payload: bytes) -> None:
    """Use the code of a sign-up form for the account it opened; the worker's handler of `CLAIM_JOB`.

    The person's own name and number are the second check of a letter. Trying again is harmless, as the code is the
    member's own then.
    """
    wish = msgspec.json.decode(payload, type=ClaimWish)
    ctx = msgspec.structs.replace(system_context(tools), network=wish.network).acting_as("member", wish.customer_id)
    try:
        async with DB.transaction():
            answers = await store.list_answers(wish.customer_id)
            if await _try(ctx, wish.customer_id, bytes.fromhex(wish.code_hash), answers) is None:
                await _tell_missed(ctx, wish.customer_id)
    except Refused as refusal:
        # The code is good, and can be entered in the app once what stands against it is over; or it was used just now.
        log.info("claim_at_sign_up_refused", customer_id=str(wish.customer_id), code=refusal.code)
        if refusal.code is not Code.CLAIM_SELF:
            async with DB.transaction():
                await _tell_missed(ctx, wish.customer_id)


async def _try(ctx: Context, customer_id: UUID, code_hash: bytes, answers: tuple[str, ...]) -> Claimed | None:
    """Use a code, or write down why it does not work and return None; that is to be committed too.

    A miss is found out before anything is written, so that there is nothing to take back.
    """
    await throttles.check_claim(ctx, customer_id)
    try:
        claimed = await _use(ctx, customer_id, code_hash, answers)
    except Missed as missed:
        await _note_miss(ctx, customer_id, missed)
        return None
    await throttles.forgive_claim(ctx, customer_id)
    return claimed


async def _use(ctx: Context, customer_id: UUID, code_hash: bytes, answers: tuple[str, ...]) -> Claimed:
    """Use a code in the caller's transaction."""
    code = await store.find_code(code_hash)
    if code is None:
        raise Missed(ClaimCause.UNKNOWN)
    if customer_id in (code.customer_id, code.used_by):
        raise Refused(Code.CLAIM_SELF)
    _check(ctx, code, customer_id, answers)
    if await store.is_staff(customer_id):
        # Nobody helps themselves to receipts that were left at the till, or to accounts nobody asks for.
        raise Refused(Code.CLAIM_NEEDS_STAFF)
    # Customers and memberships are locked before the code, as in every act that voids codes.
    await lock_everything([one for one in (customer_id, code.customer_id) if one is not None])
    await store.lock_code(code.id)
    locked = await store.find_code(code_hash)
    assert locked is not None, "codes are never deleted"
    _check(ctx, locked, customer_id, answers)
    take = _take_order if code.order_id is not None else _take_account
    return await take(ctx, locked, customer_id)


def _check(ctx: Context, code: CodeState, customer_id: UUID, answers: tuple[str, ...]) -> None:
    cause = why_refused(code, ctx.now, claimant=customer_id)
    if cause is None and code.asks_for_check and code.subject and not is_known_to(code.subject, answers):
        cause = ClaimCause.WRONG_CHECK
    if cause is not None:
        raise Missed(cause, code.id)


async def _take_order(ctx: Context, code: CodeState, customer_id: UUID) -> Claimed:
    assert code.order_id is not None
    try:
        given = await give_order(ctx, code.order_id, customer_id, reason="claim")
    except OrderTaken as error:
        raise Missed(ClaimCause.ORDER_TAKEN, code.id) from error
    except NotFound as error:
        raise Missed(ClaimCause.SUBJECT_GONE, code.id) from error
    await store.use_code(ctx, code.id, customer_id)
    await _audit(ctx, code, customer_id, {"order": code.order_id, "points": given.points})
    available, _ = await _points_of(ctx, customer_id)
    return Claimed(
        id=code.id,
        subject="order",
        claimed_at=ctx.now,
        points=given.points,
        available=available,
        orders=1,
        order_id=code.order_id,
        skipped_reason=given.skipped_reason,
    )


async def _take_account(ctx: Context, code: CodeState, customer_id: UUID) -> Claimed:
    subject_id = code.customer_id
    assert subject_id is not None
    email = await store.find_email(subject_id)
    before = await _points_of(ctx, customer_id)
    merged = await _merge(ctx, survivor_id=customer_id, absorbed_id=subject_id)
    await store.use_code(ctx, code.id, customer_id, merge_id=merged.merge_id)
    for one in (customer_id, subject_id):
        await _audit(ctx, code, one, {"customer": subject_id, "merge": merged.merge_id})
    effect = merged.effect
    return Claimed(
        id=code.id,
        subject="customer",
        claimed_at=ctx.now,
        points=effect.available_after + effect.pending_after - sum(before),
        available=effect.available_after,
        orders=effect.orders,
        cards=effect.cards,
        email_masked=mask_email(email) if email else None,
        merge_id=merged.merge_id,
    )


async def _merge(ctx: Context, *, survivor_id: UUID, absorbed_id: UUID) -> Merged:
    # Whoever was never enrolled has no start of their own: their purchases count from the member's start on.
    was_enrolled = bool(await list_homes(absorbed_id))
    choices = MergeChoices(count_older_orders=not was_enrolled)
    try:
        return await merge_customers(
            ctx,
            survivor_id=survivor_id,
            absorbed_id=absorbed_id,
            method="claim",
            choices=choices,
            reason="Claim code entered by the member",
        )
    except Invalid as error:
        raise Refused(Code.CLAIM_NEEDS_STAFF) from error
    except Refused as refusal:
        if refusal.code in _FOR_STAFF:
            raise Refused(Code.CLAIM_NEEDS_STAFF) from refusal
        raise


async def _points_of(ctx: Context, customer_id: UUID) -> tuple[int, int]:
    """Return the available and pending points of a customer in all memberships."""
    views = await list_membership_views(customer_id, ctx.now)
    balances = [view.balance for view in views if view.status == "active"]
    return sum(one.available for one in balances), sum(one.pending for one in balances)


async def _audit(ctx: Context, code: CodeState, customer_id: UUID, details: dict[str, object]) -> None:
    await record(
        ctx,
        "claim_code.used",
        subject_kind="claim_code",
        subject_id=code.id,
        customer_id=customer_id,
        details={"kind": code.kind, **details},
    )


async def _tell_missed(ctx: Context, customer_id: UUID) -> None:
    """Mail whoever signed up with a code that it brought nothing, but not why: a stranger may have tried it."""
    email = await store.find_email(customer_id)
    if email is not None:
        await queue_mail(ctx, to=email, template="claim_missed", customer_id=customer_id)


async def _note_miss(ctx: Context, customer_id: UUID, missed: Missed) -> None:
    """Keep why a code did not work, for staff."""
    if missed.cause is ClaimCause.WRONG_CHECK and missed.code_id is not None:
        await store.note_wrong_check(ctx, missed.code_id, most=CLAIM_WRONG_CHECKS_MAX)
    await record(
        ctx,
        "claim.refused",
        subject_kind="claim_code",
        subject_id=missed.code_id,
        customer_id=customer_id,
        details={"cause": missed.cause},
    )
