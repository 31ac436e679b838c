"""What holds and vouchers have in common, and what becomes of both when an account is closed and opened anew."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import Refused
from server.messages.service import queue_mail
from server.rewards import hold_store, store
from server.tokens import voucher_code
from shared.codes import normalise_voucher_code
from shared.limits import HOLD_IDLE_MAX, HOLD_LAST_SECONDS
from shared.problems import Code
from shared.rewards import HoldState, VoucherStatus

_WHY_NOT_FREE = {
    VoucherStatus.HELD: "It is set aside already, for this sale or another that is being paid.",
    VoucherStatus.REDEEMED: "It was used.",
    VoucherStatus.VOID: "It was taken back, or replaced by one with another code.",
    VoucherStatus.EXPIRED: "Its time is over.",
}


class ReissuedVoucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher that was voided and the one issued for it."""

    old_id: UUID
    new_id: UUID


async def reissue_vouchers(
    ctx: Context, *, customer_id: UUID, from_membership: UUID, to_membership: UUID, reason: str
) -> tuple[ReissuedVoucher, ...]:
    """Void a customer's unspent vouchers and issue each again at equal value, in the caller's transaction.

    A voucher that is held at a till just now stays as it is; the two memberships may be the same one.
    """
    vouchers = await store.lock_unspent(customer_id, from_membership)
    return tuple([await _reissue(ctx, voucher["id"], to_membership, reason=reason) for voucher in vouchers])


async def renew_code(ctx: Context, voucher_id: UUID, membership_id: UUID) -> None:
    """Give a locked voucher that is good again another code, if all others of its owner got new ones while it was spent.

    Whoever still holds the mail of an account that was given up, or reads the mailbox of somebody who was stopped, could
    use it else. The owner is told the new code at a proven address, else once there is one.
    """
    owner = await store.find_owner_of_old_code(voucher_id)
    if owner is None:
        return
    reissued = await _reissue(ctx, voucher_id, membership_id, reason="email_change")
    if owner["email"] is not None:
        await queue_mail(
            ctx,
            to=owner["email"],
            template="vouchers_reissued",
            customer_id=owner["customer"],
            parameters={"given_name": owner["given_name"]},
            voucher_ids=(reissued.new_id,),
        )


async def _reissue(ctx: Context, voucher_id: UUID, membership_id: UUID, *, reason: str) -> ReissuedVoucher:
    reissued = ReissuedVoucher(old_id=voucher_id, new_id=new_id())
    code = code_of(ctx, reissued.new_id)
    await store.copy_voucher(
        ctx,
        reissued.old_id,
        reissued.new_id,
        membership_id=membership_id,
        code_hash=hash_code(ctx, normalise_voucher_code(code)),
        code_last4=code[-4:],
    )
    await store.void_voucher(ctx, reissued.old_id, replaced_by=reissued.new_id, reason=reason)
    return reissued


async def check_no_open_hold(ctx: Context, membership_ids: Sequence[UUID], *, customer_id: UUID | None = None) -> None:
    """Refuse while a sale is being paid from one of these locked memberships; holds whose time is over are ended.

    Args:
        customer_id: Whose holds count; those of all people in the memberships without it.

    Raises:
        Refused: OPEN_HOLD, naming store and sale in `data`.
    """
    for hold in await hold_store.lock_open_holds(list(membership_ids), customer_id):
        if hold["expires_at"] > ctx.now:
            raise _open_hold(hold)
        await end_hold(ctx, hold, HoldState.LAPSED)


async def find_open_hold(
    ctx: Context, membership_ids: Sequence[UUID], *, customer_id: UUID | None = None
) -> str | None:
    """Return in words what `check_no_open_hold` would refuse for, None if nothing; for previews."""
    for hold in await hold_store.list_open_holds(list(membership_ids), customer_id):
        if hold["expires_at"] > ctx.now:
            return _open_hold(hold).detail
    return None


async def release_open_holds(ctx: Context, membership_ids: Sequence[UUID], *, customer_id: UUID | None = None) -> int:
    """Free what a customer, or everybody, set aside in these locked memberships; return how many holds there were."""
    holds = await hold_store.lock_open_holds(list(membership_ids), customer_id)
    for hold in holds:
        await end_hold(ctx, hold, HoldState.RELEASED)
    return len(holds)


async def prolong_holds(ctx: Context, connection_id: UUID, order_reference: str) -> None:
    """Let what is set aside for a sale last for its whole time again, as somebody is busy with that sale."""
    await hold_store.prolong(
        connection_id, order_reference, alive_at=ctx.now + HOLD_LAST_SECONDS, until=ctx.now + HOLD_IDLE_MAX
    )


def _open_hold(hold: Row) -> Refused:
    data = {
        "store": hold["store_name"],
        "order_reference": hold["order_reference"],
        "until": hold["expires_at"].isoformat(),
    }
    words = f"Sale {hold['order_reference']} at {hold['store_name']} is being paid with points or a voucher just now."
    return Refused(Code.OPEN_HOLD, words, data=data)


async def check_unspent(ctx: Context, voucher: Row) -> None:
    """Refuse a locked voucher that cannot be used, or taken back; a hold of it whose time is over is ended.

    Raises:
        Refused: VOUCHER_USED, saying why.
    """
    status = VoucherStatus(voucher["status"])
    if status is VoucherStatus.HELD and await hold_store.lapse_holds_of_voucher(voucher["id"], ctx.now):
        status = VoucherStatus.ISSUED
    if status is VoucherStatus.ISSUED and voucher["valid_until"] is not None and voucher["valid_until"] <= ctx.now:
        status = VoucherStatus.EXPIRED
    if status is not VoucherStatus.ISSUED:
        raise Refused(Code.VOUCHER_USED, _WHY_NOT_FREE[status])


async def end_hold(ctx: Context, hold: Row, state: HoldState) -> None:
    """End a locked open hold without spending it; its voucher is free again."""
    await hold_store.end_hold(hold["id"], state, ctx.now)
    if hold["voucher"] is not None:
        await hold_store.move_voucher(hold["voucher"], status="held", to="issued", now=ctx.now)


def code_of(ctx: Context, voucher_id: UUID) -> str:
    """Return a voucher's code, which is told to its owner once."""
    return voucher_code(ctx.tokens, voucher_id)


def hash_code(ctx: Context, code: str) -> bytes:
    """Return the keyed hash under which a normalised code is stored; a plain hash of 55 bits could be tried out."""
    return ctx.tokens.keyed_hash("voucher", code)
