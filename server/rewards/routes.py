"""HTTP of rewards: the member's offers, vouchers and presence code; the till's quotes and holds; the staff's catalogue."""

import io

import segno
from litestar import Response

from server.http import Call, operation, reply_response
from server.rewards import catalogue, holds, presence, vouchers
from shared.rewards import (
    CancelVoucher,
    CaptureHold,
    HoldView,
    NewHold,
    NewReward,
    PresenceCode,
    PresenceText,
    PresenceTexted,
    Quote,
    QuoteRequest,
    RedemptionLimit,
    RedemptionLimitView,
    RedemptionSettings,
    RedemptionTermsView,
    RewardChange,
    RewardList,
    RewardOffers,
    RewardView,
    StaffTakeReward,
    TakeReward,
    VoucherList,
    VoucherView,
)

_MODULE_PIXELS = 8  # As the card's picture.


@operation("list_my_rewards")
async def list_my_rewards(call: Call) -> RewardOffers:
    """List what the member's points can buy now, cheapest first."""
    return await vouchers.list_offers(call.ctx, call.member.customer_id)


@operation("list_my_vouchers")
async def list_my_vouchers(call: Call) -> VoucherList:
    """List the member's vouchers, newest first; of each code the last four characters."""
    return await vouchers.list_vouchers(call.ctx, call.member.customer_id)


@operation("issue_my_voucher", checks_itself=True)
async def issue_my_voucher(call: Call) -> Response[bytes]:
    """Take a reward for points. The voucher's code is in this answer only."""
    await call.authenticate()
    identity = call.idempotent_call()
    return reply_response(await vouchers.issue_to_member(call.ctx, call.member, identity, call.message(TakeReward)))


@operation("get_my_presence_code")
async def get_my_presence_code(call: Call) -> PresenceCode:
    """Show the digits that prove at a till that the member is there; new ones every 30 seconds, each good once."""
    return await presence.get_code(call.ctx, call.member)


@operation("get_my_presence_svg")
async def get_my_presence_svg(call: Call) -> Response[bytes]:
    """Card and digits as one QR code in SVG, for a till that scans."""
    code = await presence.get_code(call.ctx, call.member)
    picture = io.BytesIO()
    segno.make_qr(code.qr_text, error="m").save(picture, kind="svg", scale=_MODULE_PIXELS)
    return Response(picture.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})


@operation("put_my_redemption_limit")
async def put_my_redemption_limit(call: Call) -> RedemptionLimitView:
    """Set the most points that may be spent in a day. Raising or lifting it needs the password."""
    return await presence.put_limit(call.ctx, call.member, call.message(RedemptionLimit))


@operation("quote_redemption")
async def quote_redemption(call: Call) -> Quote:
    """Say how many points may go towards a sale and what they are worth. Nothing is set aside."""
    return await holds.quote(call.ctx, call.key, call.message(QuoteRequest))


@operation("text_presence_code")
async def text_presence_code(call: Call) -> PresenceTexted:
    """Text six digits to a customer without the app; they go with the hold as those of the app do, once."""
    return await holds.text_code(call.ctx, call.key, call.message(PresenceText))


@operation("text_customer_code")
async def text_customer_code(call: Call) -> PresenceTexted:
    """Text six digits to a customer at the desk who wants a reward and has no app."""
    return await presence.text_to_customer(call.ctx, call.staff, call.path_id("customer_id"))


@operation("open_hold", checks_itself=True)
async def open_hold(call: Call) -> Response[bytes]:
    """Set points or a voucher aside for a sale, for 15 minutes."""
    await call.authenticate()
    return reply_response(await holds.open_hold(call.ctx, call.key, call.idempotent_call(), call.message(NewHold)))


@operation("capture_hold")
async def capture_hold(call: Call) -> HoldView:
    """Spend what a hold set aside, as the sale was paid. Sending it again changes nothing."""
    return await holds.capture_hold(call.ctx, call.key, call.path_id("hold_id"), call.message(CaptureHold))


@operation("release_hold")
async def release_hold(call: Call) -> HoldView:
    """Free what a hold set aside, as the sale was given up or paid otherwise."""
    return await holds.release_hold(call.ctx, call.key, call.path_id("hold_id"))


@operation("list_rewards")
async def list_rewards(_: Call) -> RewardList:
    """List the whole catalogue, retired rewards included."""
    return await catalogue.list_rewards()


@operation("create_reward")
async def create_reward(call: Call) -> RewardView:
    """Add a reward to the catalogue."""
    return await catalogue.create_reward(call.ctx, call.message(NewReward))


@operation("change_reward")
async def change_reward(call: Call) -> RewardView:
    """Change or retire a reward. Vouchers issued before stay as they are."""
    return await catalogue.change_reward(call.ctx, call.path_id("reward_id"), call.message(RewardChange))


@operation("get_redemption_terms")
async def get_redemption_terms(call: Call) -> RedemptionTermsView:
    """Show what points are worth as money, and how many may be spent how; `programme` names another than members join."""
    return await catalogue.get_terms(call.query("programme") or None)


@operation("put_redemption_terms")
async def put_redemption_terms(call: Call) -> RedemptionTermsView:
    """Say what points are worth from now on."""
    return await catalogue.put_terms(call.ctx, call.message(RedemptionSettings))


@operation("list_customer_rewards")
async def list_customer_rewards(call: Call) -> RewardOffers:
    """List what a customer's points can buy now, for staff, cheapest first."""
    return await vouchers.list_offers(call.ctx, call.path_id("customer_id"))


@operation("list_customer_vouchers")
async def list_customer_vouchers(call: Call) -> VoucherList:
    """List a customer's vouchers, newest first; staff see the last four characters of a code."""
    return await vouchers.list_customer_vouchers(call.ctx, call.path_id("customer_id"))


@operation("issue_customer_voucher", checks_itself=True)
async def issue_customer_voucher(call: Call) -> Response[bytes]:
    """Take a reward for a customer at the till. The voucher's code is in this answer only."""
    await call.authenticate()
    customer_id = call.path_id("customer_id")
    form = call.message(StaffTakeReward)
    return reply_response(await vouchers.issue_at_till(call.ctx, call.staff, customer_id, call.idempotent_call(), form))


@operation("cancel_voucher")
async def cancel_voucher(call: Call) -> VoucherView:
    """Void an unused voucher and give its points back with their dates."""
    return await vouchers.cancel_voucher(call.ctx, call.staff, call.path_id("voucher_id"), call.message(CancelVoucher))
