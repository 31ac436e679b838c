"""HTTP of what staff do for customers."""

from server.desk import joining, lifting, lookalikes, queue, registration, service
from server.desk.search import search_customers as find
from server.http import Call, operation
from server.tiers.service import get_tier
from shared.members import Accepted
from shared.programmes import ProgrammeJoined, ProgrammeJoining, TierView
from shared.staff import (
    CustomerChange,
    CustomerDetail,
    CustomerRegistered,
    DuplicateCheck,
    HoldLifted,
    HoldLifting,
    RegisterCustomer,
    SearchResult,
    StaffQueue,
)


@operation("search_customers")
async def search_customers(call: Call) -> SearchResult:
    """Find customers by name, email, phone or card."""
    return await find(call.ctx, call.query("q"))


@operation("get_customer_tier")
async def get_customer_tier(call: Call) -> TierView:
    """Show a membership's tier, the points that qualify for it, and what the next one takes."""
    membership_id = call.path_id("membership_id")
    return await get_tier(call.ctx, membership_id)


@operation("get_queue")
async def get_queue(call: Call) -> StaffQueue:
    """Count what waits for a person: adjustments to decide on, refunds to look at, today's orders of nobody."""
    return await queue.get_queue(call.ctx, call.staff)


@operation("check_duplicates")
async def check_duplicates(call: Call) -> DuplicateCheck:
    """Find people like the one who is being registered, from what is typed so far."""
    names = ("email", "phone", "card", "name", "birthday", "post_code")
    fields = {name: call.query(name) for name in names}
    typed = lookalikes.read_typed(**fields, country=call.ctx.settings.default_country)
    return await lookalikes.check_duplicates(typed)


@operation("register_customer")
async def register_customer(call: Call) -> CustomerRegistered:
    """Register a customer at the till."""
    return await registration.register_customer(call.ctx, call.staff, call.message(RegisterCustomer))


@operation("get_customer")
async def get_customer(call: Call) -> CustomerDetail:
    """Show a customer; that it was opened is written down."""
    return await service.open_customer(call.ctx, call.staff, call.path_id("customer_id"))


@operation("change_customer")
async def change_customer(call: Call) -> CustomerDetail:
    """Change a customer's names, birthday or notes."""
    return await service.change_customer(
        call.ctx, call.staff, call.path_id("customer_id"), call.message(CustomerChange)
    )


@operation("join_programme")
async def join_programme(call: Call) -> ProgrammeJoined:
    """Make a customer a member of a further programme."""
    return await joining.join_programme(
        call.ctx, call.staff, call.path_id("customer_id"), call.message(ProgrammeJoining)
    )


@operation("lift_redemption_hold")
async def lift_redemption_hold(call: Call) -> HoldLifted:
    """Let a customer spend points again before a hold on them is over; `held_until` is the end that was looked at.

    Not while a correction of the address waits for its time: cancel that first.
    """
    return await lifting.lift_hold(call.ctx, call.staff, call.path_id("customer_id"), call.message(HoldLifting))


@operation("invite_customer")
async def invite_customer(call: Call) -> Accepted:
    """Send the mail with which a customer chooses a password."""
    return await service.invite_customer(call.ctx, call.path_id("customer_id"))
