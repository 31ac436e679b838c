"""A manager lets a customer spend points again before a hold is over, as when what it was for has turned out to be right."""

from uuid import UUID

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.customers import store as customers
from server.desk import store
from server.email_changes.store import is_override_planned
from server.errors import Invalid, NotFound, Refused
from server.memberships.service import check_not_self
from server.messages.service import queue_mail
from shared.problems import Code, FieldProblem
from shared.staff import HoldLifted, HoldLifting

_CLOSED = {"merged": Code.CUSTOMER_MERGED, "erased": Code.CUSTOMER_ERASED}


async def lift_hold(ctx: Context, staff: Staff, customer_id: UUID, form: HoldLifting) -> HoldLifted:
    """End the hold on a customer's spending, in the caller's transaction; the proven address is told.

    Raises:
        NotFound: There is no such customer.
        Invalid: The identity was not attested.
        Refused: SELF_DEALING, CUSTOMER_MERGED, CUSTOMER_ERASED; PREVIEW_STALE, there is no hold, or another one than was looked
            at; EMAIL_CHANGE_PENDING, the address is about to change, which is what the hold is for.
    """
    if not form.identity_attested:
        raise Invalid(FieldProblem(field="identity_attested", detail="Check who stands before you first."))
    await check_not_self(staff.customer_id, customer_id)
    await customers.lock_customers([customer_id])
    row = await store.find_customer(customer_id)
    if row is None:
        raise NotFound
    if code := _CLOSED.get(row["status"]):
        raise Refused(code)
    held_until = row["redemption_held_until"]
    if held_until is None or held_until <= ctx.now or held_until != form.held_until:
        raise Refused(Code.PREVIEW_STALE)
    if await is_override_planned(customer_id):
        raise Refused(Code.EMAIL_CHANGE_PENDING, "The email address is about to change: cancel that correction first.")
    await customers.lift_hold(ctx, customer_id)
    await record(
        ctx,
        "redemption_hold.lifted",
        subject_kind="customer",
        subject_id=customer_id,
        customer_id=customer_id,
        reason=form.reason,
        details={"held_until": held_until, "held_for": row["redemption_held_reason"]},
    )
    if row["email_status"] == "verified":
        await queue_mail(
            ctx,
            to=row["email"],
            template="hold_lifted",
            customer_id=customer_id,
            parameters={"given_name": row["given_name"]},
        )
    return HoldLifted(customer_id=customer_id, held_until=held_until)
