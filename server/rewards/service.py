"""Use cases of vouchers."""

from uuid import UUID

import msgspec

from server.context import Context
from server.db.ids import new_id
from server.rewards import store

# Letters and digits that are not taken for one another when read aloud or off a receipt; 32, as codes need.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH = 12  # 60 bits: nobody guesses one of a million vouchers.


class ReissuedVoucher(msgspec.Struct, frozen=True, kw_only=True):
    """A voucher that was voided and the one issued for it. `code` is known now only."""

    old_id: UUID
    new_id: UUID
    code: str


async def reissue_vouchers(
    ctx: Context, *, customer_id: UUID, from_membership: UUID, to_membership: UUID, reason: str
) -> tuple[ReissuedVoucher, ...]:
    """Void a customer's unspent vouchers and issue each again at equal value, in the caller's transaction.

    A voucher that is held at a till just now stays as it is; the two memberships may be the same one.
    """
    reissued = []
    for voucher in await store.lock_unspent(customer_id, from_membership):
        code = ctx.tokens.random_code(_ALPHABET, _CODE_LENGTH)
        replacement = ReissuedVoucher(old_id=voucher["id"], new_id=new_id(), code=code)
        await store.copy_voucher(
            ctx,
            replacement.old_id,
            replacement.new_id,
            membership_id=to_membership,
            code_hash=hash_code(ctx, code),
            code_last4=code[-4:],
        )
        await store.void_voucher(ctx, replacement.old_id, replaced_by=replacement.new_id, reason=reason)
        reissued.append(replacement)
    return tuple(reissued)


def hash_code(ctx: Context, code: str) -> bytes:
    """Return the keyed hash under which a voucher's code is stored; a plain hash of 60 bits could be tried out."""
    return ctx.tokens.keyed_hash("voucher", code)
