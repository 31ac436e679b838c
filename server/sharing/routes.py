"""HTTP of shared memberships."""

from litestar import Response

from server.http import Call, operation, reply_response
from server.sharing import joining, members, service
from shared.members import Accepted
from shared.sharing import (
    AcceptSharing,
    Combined,
    CombinePreview,
    Combining,
    Joined,
    Joining,
    JoinPreview,
    Leaving,
    Left,
    MyLeaving,
    MyRedeemPolicyChange,
    RedeemPolicyChange,
    SharedMembership,
    SharingInvitationList,
    SharingInvite,
    SharingUndo,
    SharingUndone,
    SplitPreview,
)


@operation("get_sharing")
async def get_sharing(call: Call) -> SharedMembership:
    """Show who shares a membership, what each brought and spent, and what can be taken back."""
    return await service.get_sharing(call.ctx, call.path_id("membership_id"))


@operation("preview_join")
async def preview_join(call: Call) -> JoinPreview:
    """Show what a customer's joining would do, and the membership that the customer has already, if any."""
    return await joining.preview_join(call.ctx, call.staff, call.path_id("membership_id"), call.message(Joining))


@operation("join_membership")
async def join_membership(call: Call) -> Joined:
    """Let a customer share a membership; owner and customer must have agreed."""
    return await joining.join(call.ctx, call.staff, call.path_id("membership_id"), call.message(Joining))


@operation("undo_join")
async def undo_join(call: Call) -> SharingUndone:
    """Take a joining back while the person has earned and spent nothing."""
    return await joining.undo_join(
        call.ctx, call.staff, call.path_id("membership_id"), call.path_id("operation_id"), call.message(SharingUndo)
    )


@operation("preview_combine")
async def preview_combine(call: Call) -> CombinePreview:
    """Show what making two memberships one would do: sums, points by date, debts, cards, vouchers, tier and people."""
    return await service.preview_combine(call.ctx, call.staff, call.path_id("membership_id"), call.message(Combining))


@operation("combine_memberships")
async def combine_memberships(call: Call) -> Combined:
    """Make two memberships one, without losing a point or a date; all cards go on working."""
    return await service.combine(call.ctx, call.staff, call.path_id("membership_id"), call.message(Combining))


@operation("preview_undo_combine")
async def preview_undo_combine(call: Call) -> SplitPreview:
    """Show what taking a combination back would do, and how many points have been used since."""
    return await service.preview_undo_combine(
        call.ctx, call.staff, call.path_id("membership_id"), call.path_id("operation_id"), call.message(SharingUndo)
    )


@operation("undo_combine")
async def undo_combine(call: Call) -> SharingUndone:
    """Take a combination back within 30 days: what is left of the points that came along returns."""
    return await service.undo_combine(
        call.ctx, call.staff, call.path_id("membership_id"), call.path_id("operation_id"), call.message(SharingUndo)
    )


@operation("preview_leave")
async def preview_leave(call: Call) -> SplitPreview:
    """Show how points would be divided when somebody leaves."""
    return await service.preview_leave(call.ctx, call.staff, call.path_id("membership_id"), call.message(Leaving))


@operation("leave_membership")
async def leave_membership(call: Call) -> Left:
    """Give somebody a membership of their own, with the points that the policy says."""
    return await service.leave(call.ctx, call.staff, call.path_id("membership_id"), call.message(Leaving))


@operation("undo_leave")
async def undo_leave(call: Call) -> SharingUndone:
    """Let somebody who left come back with all points, within 30 days."""
    return await service.undo_leave(
        call.ctx, call.staff, call.path_id("membership_id"), call.path_id("operation_id"), call.message(SharingUndo)
    )


@operation("put_redeem_policy")
async def put_redeem_policy(call: Call) -> SharedMembership:
    """Say who of a membership may spend: anyone, its owner, or everybody up to so many points a day."""
    form = call.message(RedeemPolicyChange)
    return await service.put_policy(
        call.ctx,
        call.staff.customer_id,
        call.path_id("membership_id"),
        form.policy,
        form.daily_points,
        reason=form.reason,
    )


@operation("get_my_sharing")
async def get_my_sharing(call: Call) -> SharedMembership:
    """Show who shares the member's membership, and what each brought and spent."""
    return await members.get_sharing(call.ctx, call.member, call.path_id("membership_id"))


@operation("put_my_redeem_policy")
async def put_my_redeem_policy(call: Call) -> SharedMembership:
    """Let the owner say who may spend."""
    return await members.put_policy(
        call.ctx, call.member, call.path_id("membership_id"), call.message(MyRedeemPolicyChange)
    )


@operation("list_my_sharing_invitations")
async def list_my_sharing_invitations(call: Call) -> SharingInvitationList:
    """List the invitations to share that wait: to the member and from the member."""
    return await members.list_invitations(call.ctx, call.member)


@operation("invite_to_share")
async def invite_to_share(call: Call) -> Accepted:
    """Invite whoever has an address to share; the answer is the same whether or not anybody has it."""
    return await members.invite(call.ctx, call.member, call.path_id("membership_id"), call.message(SharingInvite))


@operation("accept_sharing_invitation", checks_itself=True)
async def accept_sharing_invitation(call: Call) -> Response[bytes]:
    """Accept an invitation to share; `combine` brings one's own points along."""
    await call.authenticate()
    identity = call.idempotent_call()
    form = call.message(AcceptSharing)
    return reply_response(await members.accept(call.ctx, call.member, call.path_id("invitation_id"), identity, form))


@operation("end_sharing_invitation")
async def end_sharing_invitation(call: Call) -> None:
    """Say no to an invitation, or take back one's own."""
    await members.end_invitation(call.ctx, call.member, call.path_id("invitation_id"))


@operation("preview_my_leave")
async def preview_my_leave(call: Call) -> SplitPreview:
    """Show how points would be divided when the member leaves."""
    return await members.preview_leave(call.ctx, call.member, call.path_id("membership_id"), call.message(MyLeaving))


@operation("leave_my_membership", checks_itself=True)
async def leave_my_membership(call: Call) -> Response[bytes]:
    """Leave a shared membership; the member gets an own one."""
    await call.authenticate()
    identity = call.idempotent_call()
    form = call.message(MyLeaving)
    return reply_response(await members.leave(call.ctx, call.member, call.path_id("membership_id"), identity, form))
