"""HTTP of referrals."""

from server.bonuses import service
from server.http import Call, operation
from shared.programmes import ReferralAnswer, ReferralCode, ReferralNaming


@operation("get_my_referral_code")
async def get_my_referral_code(call: Call) -> ReferralCode:
    """Return the code that the member hands to friends; it is made the first time."""
    return await service.get_referral_code(call.ctx, call.member.customer_id, call.path_id("membership_id"))


@operation("name_my_referrer")
async def name_my_referrer(call: Call) -> ReferralAnswer:
    """Say by their code who brought the member; both get the bonus with the member's first purchase."""
    form = call.message(ReferralNaming)
    return await service.name_referrer(call.ctx, call.member.customer_id, call.path_id("membership_id"), form.code)
