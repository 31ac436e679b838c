"""Staff make claim codes, look at them and void them. The characters of a code are shown once and kept nowhere."""

from datetime import timedelta
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Staff
from server.claims import store
from server.claims.rules import state_at, why_refused
from server.context import Context
from server.customers.store import lock_customers
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import NotFound, NotPermitted, Refused
from server.idempotency import StoredReply
from server.memberships.service import check_not_self
from server.orders import change_store
from server.orders.receipt_store import list_live
from server.orders.receipts import keep_codes
from server.tokens import claim_code, hash_claim_code
from shared.claims import (
    ClaimCause,
    ClaimCodeIssued,
    ClaimCodeView,
    ClaimFound,
    ClaimRefusal,
    ClaimState,
    CustomerClaims,
)
from shared.codes import normalise_claim_code
from shared.enums import OrderState, Permission
from shared.limits import CLAIM_REFUSALS_SHOWN_MAX, LINK_POINTS_ALONE_MAX
from shared.permissions import may
from shared.problems import Code

CLOSED = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}


async def issue_for_customer(ctx: Context, staff: Staff, customer_id: UUID) -> ClaimCodeIssued:
    """Make a code for a customer who stands at the till and has no sign-in; former ones are void. In the caller's transaction.

    The answer is to be stored, so the code is not in it: see `show_code`.

    Raises:
        NotFound: There is no such customer.
        NotPermitted: So many points are for a manager.
        Refused: SELF_DEALING, CLAIM_SUBJECT_HAS_LOGIN, CUSTOMER_BLOCKED, CUSTOMER_MERGED, CUSTOMER_ERASED.
    """
    await check_not_self(staff.customer_id, customer_id)
    await lock_customers([customer_id])
    customer = await store.find_customer(customer_id)
    if customer is None:
        raise NotFound
    if code := CLOSED.get(customer["status"]):
        raise Refused(code)
    if customer["is_taken"]:
        raise Refused(Code.CLAIM_SUBJECT_HAS_LOGIN)
    if customer["points"] > LINK_POINTS_ALONE_MAX and not may(staff.role, Permission.CLAIM_BATCH):
        raise NotPermitted(f"A code for more than {LINK_POINTS_ALONE_MAX} points is for a manager.")
    return await issue_code(ctx, customer, kind="till")


async def issue_code(ctx: Context, customer: Row, *, kind: str) -> ClaimCodeIssued:
    """Make a code for a customer who is locked, in place of former ones, in the caller's transaction; its characters are not
    in the answer.
    """
    code_id, _, code_hash = make_code(ctx)
    expires_at = ctx.now + timedelta(days=ctx.settings.claim_code_days)
    await store.revoke_of_customers(ctx, [customer["id"]])
    await store.insert_codes(ctx, [(code_id, code_hash, customer["id"])], kind=kind, expires_at=expires_at)
    await record(
        ctx,
        "claim_code.issued",
        subject_kind="claim_code",
        subject_id=code_id,
        customer_id=customer["id"],
        details={"kind": kind, "expires_at": expires_at},
    )
    return ClaimCodeIssued(
        id=code_id,
        code="",
        link="",
        text="",
        expires_at=expires_at,
        customer_id=customer["id"],
        customer_name=customer["name"],
    )


async def issue_for_order(ctx: Context, staff: Staff, order_id: UUID) -> ClaimCodeIssued:
    """Make a code for the receipt of a sale to nobody; the former one is void. In the caller's transaction.

    The answer is to be stored, so the code is not in it: see `show_code`.

    Raises:
        NotFound: There is no such order.
        Refused: ASSIGNMENT_SAME, it counts for somebody; CLAIM_CLOSED, it is not completed.
    """
    days = ctx.settings.receipt_claim_days or ctx.settings.claim_code_days
    order = await change_store.find_order(order_id)
    if order is None:
        raise NotFound
    if order["customer"] is not None:
        raise Refused(Code.ASSIGNMENT_SAME, "This sale was given to somebody already.")
    if order["state"] != OrderState.COMPLETED:
        raise Refused(Code.CLAIM_CLOSED, "Only a completed sale has points to give.")
    await store.revoke_of_order(ctx, order_id)
    await keep_codes(ctx, [order_id], days=days)
    code_id = (await list_live([order_id], ctx.now))[order_id]
    await record(
        ctx,
        "claim_code.issued",
        subject_kind="claim_code",
        subject_id=code_id,
        details={"kind": "receipt", "order": order_id, "store": staff.store_id},
    )
    return ClaimCodeIssued(
        id=code_id,
        code="",
        link="",
        text="",
        expires_at=ctx.now + timedelta(days=days),
        order_id=order_id,
        order_number=order["number"],
    )


async def show_code(ctx: Context, reply: StoredReply) -> StoredReply:
    """Return the answer to somebody who has just made a code with its characters, which are stored nowhere.

    They are made again from the row's id, so that a repeated call after a lost answer brings the same code; one that was used
    or void meanwhile is not shown any more.
    """
    issued = msgspec.json.decode(reply.body, type=ClaimCodeIssued)
    issued_at, is_live = ctx.now, True
    if reply.replayed:
        row = await store.find_view(issued.id)
        assert row is not None, "codes are never deleted"
        issued_at, is_live = row["issued_at"], view_of(ctx, row).state is ClaimState.LIVE
    if is_live:
        code = claim_code(ctx.tokens, issued.id)
        link = link_of(ctx, code)
        what = "Your points" if issued.customer_id else "The points of this purchase"
        text = _text(ctx, code, link, what=what, days=(issued.expires_at - issued_at).days)
        issued = msgspec.structs.replace(issued, code=code, link=link, text=text)
    else:
        issued = msgspec.structs.replace(issued, text="This code was used or is void by now. Make a new one.")
    return msgspec.structs.replace(reply, body=msgspec.json.encode(issued))


async def list_codes(ctx: Context, customer_id: UUID) -> CustomerClaims:
    """Return the codes for a customer, those the customer has used, and the customer's refused tries with their causes.

    Raises:
        NotFound: There is no such customer.
    """
    if await store.find_customer(customer_id) is None:
        raise NotFound
    refusals = await store.list_refusals(customer_id, CLAIM_REFUSALS_SHOWN_MAX)
    return CustomerClaims(
        codes=tuple(view_of(ctx, row) for row in await store.list_codes(customer_id)),
        used=tuple(view_of(ctx, row) for row in await store.list_used_by(customer_id)),
        refusals=tuple(
            ClaimRefusal(at=row["at"], cause=ClaimCause(row["cause"]), code_id=row["subject_id"]) for row in refusals
        ),
    )


async def look_up(ctx: Context, text: str) -> ClaimFound:
    """Return what a code that somebody shows stands for, and why it would be refused."""
    code = await store.find_code(hash_claim_code(ctx.tokens, normalise_claim_code(text)))
    if code is None:
        return ClaimFound(code=None, cause=ClaimCause.UNKNOWN)
    row = await store.find_view(code.id)
    assert row is not None
    return ClaimFound(code=view_of(ctx, row), cause=why_refused(code, ctx.now))


async def revoke(ctx: Context, code_id: UUID, reason: str) -> ClaimCodeView:
    """Void a code.

    Raises:
        NotFound: There is no such code.
        Refused: CLAIM_CLOSED, it was used or void before.
    """
    async with DB.transaction():
        row = await store.find_view(code_id)
        if row is None:
            raise NotFound
        if not await store.revoke(ctx, code_id, reason="staff"):
            raise Refused(Code.CLAIM_CLOSED, "This code was used or void before.")
        await record(
            ctx,
            "claim_code.revoked",
            subject_kind="claim_code",
            subject_id=code_id,
            customer_id=row["customer_id"],
            reason=reason,
        )
        row = await store.find_view(code_id)
    assert row is not None
    return view_of(ctx, row)


def view_of(ctx: Context, row: Row) -> ClaimCodeView:
    """Return a code's row as staff see it."""
    state = state_at(
        ctx.now,
        used_at=row["used_at"],
        revoked_at=row["revoked_at"],
        expires_at=row["expires_at"],
        was_merged=row["was_merged"],
    )
    names = [name for name in ClaimCodeView.__struct_fields__ if name != "state"]
    return ClaimCodeView(**{name: row[name] for name in names}, state=state)


def make_code(ctx: Context) -> tuple[UUID, str, bytes]:
    """Return a new code's id, its characters, and the keyed hash to store."""
    code_id = new_id()
    code = claim_code(ctx.tokens, code_id)
    return code_id, code, hash_claim_code(ctx.tokens, normalise_claim_code(code))


def link_of(ctx: Context, code: str) -> str:
    """Return the address of the page on which a code is used; it stands behind the #, so that no log ever holds it."""
    return f"{ctx.settings.public_url}/links/claim#{code}"


def _text(ctx: Context, code: str, link: str, *, what: str, days: int) -> str:
    return (
        f"{ctx.settings.shop_name}\n{what} are waiting for you.\n\n{code}\n\n"
        f"Open {link}\nand choose a password, or enter the code in the app. It works once, for {days} days."
    )
