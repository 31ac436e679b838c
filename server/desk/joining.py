"""A customer becomes a member of a further programme."""

from uuid import UUID

from server.audience.marks import mark_membership
from server.audit.store import record
from server.auth import Staff
from server.bonuses.service import grant_sign_up
from server.context import Context
from server.customers.store import lock_customers
from server.desk import store
from server.errors import NotFound, Refused
from server.memberships.service import open_membership
from server.programmes.service import get_programme
from server.programmes.store import find_by_code
from shared.problems import Code
from shared.programmes import ProgrammeJoined, ProgrammeJoining

_CLOSED = {
    "blocked": Code.CUSTOMER_BLOCKED,
    "merged": Code.CUSTOMER_MERGED,
    "erased": Code.CUSTOMER_ERASED,
}


async def join_programme(ctx: Context, staff: Staff, customer_id: UUID, form: ProgrammeJoining) -> ProgrammeJoined:
    """Open a membership for a customer in the caller's transaction; its card names the programme that a sale counts in.

    Raises:
        NotFound: There is no such customer, or no such programme that takes members.
        Refused: ALREADY_MEMBER, SELF_DEALING, CARD_UNKNOWN, CARD_TAKEN, or the customer is blocked, merged or erased.
    """
    if staff.customer_id == customer_id:
        raise Refused(Code.SELF_DEALING)
    # The lock lets two joinings at once come one after the other.
    customers = await lock_customers([customer_id])
    if not customers:
        raise NotFound
    if code := _CLOSED.get(customers[0]["status"]):
        raise Refused(code)
    found = await find_by_code(form.programme_code)
    if found is None or found["status"] != "active":
        raise NotFound("There is no such programme.")
    if await store.is_member(customer_id, found["id"]):
        raise Refused(Code.ALREADY_MEMBER)
    programme = await get_programme(found["id"], fresh=True)
    opened = await open_membership(
        ctx, customer_id=customer_id, enrolled_at=ctx.now, card_number=form.card_number, programme=programme
    )
    await grant_sign_up(ctx, customer_id=customer_id, membership_id=opened.membership_id, programme=programme)
    await record(
        ctx, "membership.opened", subject_kind="membership", subject_id=opened.membership_id, customer_id=customer_id,
        details={"programme": programme.code},
    )  # fmt: skip
    await mark_membership(ctx, opened.membership_id)
    return ProgrammeJoined(membership_id=opened.membership_id, card_number=opened.card_number)
