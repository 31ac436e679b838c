"""Sharing by the members themselves: an owner invites an address, and only whoever has proven it, signed in, accepts."""

from functools import partial
from uuid import UUID

import msgspec

from server.audit.store import record
from server.auth import Member
from server.context import Context
from server.customers.service import read_email
from server.customers.store import find_customer_by_verified_email, get_primary
from server.db.engine import DB, Row
from server.errors import NotFound, NotPermitted, Refused
from server.idempotency import IdempotentCall, StoredReply, find_reply, once
from server.sessions import throttles
from server.sessions.service import step_up
from server.sharing import invitation_store, joining, mails, service, store
from server.sharing.groups import Group, check_active, check_room, get_account, lock_group
from shared.limits import SHARING_INVITATION_LIFE, SHARING_INVITATIONS_MAX
from shared.members import Accepted
from shared.problems import Code
from shared.sharing import (
    AcceptSharing,
    Combining,
    Joining,
    LeavePolicy,
    Leaving,
    Left,
    MyLeaving,
    MyRedeemPolicyChange,
    SharedMembership,
    SharingAccepted,
    SharingInvitationList,
    SharingInvitationView,
    SharingInvite,
    SplitPreview,
)

_PROVEN = ("verified", "bouncing")
_REASON = "agreed in the app"
_MAIL_PURPOSE = "sharing-invitation"


async def get_sharing(ctx: Context, member: Member, membership_id: UUID) -> SharedMembership:
    """Return who shares a membership that the member is in; what staff could take back is not a part of it.

    Raises:
        NotFound: The member is not in it.
    """
    await _check_in(member, membership_id)
    return msgspec.structs.replace(await service.get_sharing(ctx, membership_id), operations=())


async def put_policy(ctx: Context, member: Member, membership_id: UUID, form: MyRedeemPolicyChange) -> SharedMembership:
    """Let the owner say who may spend.

    Raises:
        NotFound: The member is not in this membership.
        NotPermitted: The member is not its owner.
        Refused: REAUTH_REQUIRED, MEMBERSHIP_CLOSED.
        Throttled: Too many wrong passwords.
    """
    await _check_owner(member, membership_id)
    await step_up(ctx, member, form.password)
    await service.put_policy(ctx, None, membership_id, form.policy, form.daily_points)
    return await get_sharing(ctx, member, membership_id)


async def invite(ctx: Context, member: Member, membership_id: UUID, form: SharingInvite) -> Accepted:
    """Note an owner's wish to share with whoever has an address; the answer never tells whether anybody has.

    Only a member who has proven the address gets a mail. Others find the invitation when they sign in with it.

    Raises:
        Invalid: EMAIL_INVALID.
        NotFound: The member is not in this membership.
        NotPermitted: The member is not its owner.
        Refused: REAUTH_REQUIRED, EMAIL_SAME, SHARER_LIMIT, MEMBERSHIP_CLOSED.
        Throttled: Too many wrong passwords.
    """
    email = read_email(ctx, form.email)
    await _check_owner(member, membership_id)
    await step_up(ctx, member, form.password)
    may_mail = await throttles.may_mail(ctx, _MAIL_PURPOSE, email.key)
    async with DB.transaction():
        # Whom the mail names is locked along with the group: two who invite each other would else wait for each other.
        invited = await find_customer_by_verified_email(email.key)
        group = await lock_group([membership_id], [invited] if invited is not None else [])
        check_active(group, membership_id)
        owner = group.owner_of(membership_id)
        if owner.customer != member.customer_id:
            raise NotPermitted("Only the owner invites others.")
        own = await get_primary(member.customer_id, "email")
        if own is not None and own["key"] == email.key:
            raise Refused(Code.EMAIL_SAME)
        waiting = await invitation_store.count_open(membership_id, ctx.now)
        await check_room(group, membership_id, 1)
        if waiting >= SHARING_INVITATIONS_MAX:
            raise Refused(Code.SHARER_LIMIT, "Too many invitations wait for an answer; take some back.")
        invitation_id = await invitation_store.insert(
            ctx, membership_id, member.customer_id, email, expires_at=ctx.now + SHARING_INVITATION_LIFE
        )
        await record(
            ctx, "membership.invited", subject_kind="sharing_invitation", subject_id=invitation_id,
            customer_id=member.customer_id,
        )  # fmt: skip
        if invited is not None and may_mail:
            await mails.tell_invited(ctx, customer_id=invited, email=email.value, invited_by=owner.given_name)
    return Accepted(detail="If a member has this address, they find the invitation in the app.")


async def list_invitations(ctx: Context, member: Member) -> SharingInvitationList:
    """Return the invitations that wait: those to the member's proven address, and those from the member."""
    key = await _proven_key(member)
    received = await invitation_store.list_received(key, ctx.now) if key else []
    sent = await invitation_store.list_sent(member.customer_id, ctx.now)
    return SharingInvitationList(received=tuple(_view(row) for row in received), sent=tuple(_view(row) for row in sent))


async def end_invitation(ctx: Context, member: Member, invitation_id: UUID) -> None:
    """Say no to an invitation, or take back one that the member has sent.

    Raises:
        NotFound: There is no such open invitation of or to the member.
    """
    async with DB.transaction():
        invitation = await invitation_store.lock(invitation_id, ctx.now)
        is_own = invitation is not None and invitation["invited_by"] == member.customer_id
        if invitation is None or not (is_own or invitation["email_key"] == await _proven_key(member)):
            raise NotFound
        state = "withdrawn" if is_own else "declined"
        await invitation_store.close(ctx, invitation_id, state=state, operation_id=None)
        await record(
            ctx, f"membership.invitation_{state}", subject_kind="sharing_invitation", subject_id=invitation_id,
            customer_id=member.customer_id,
        )  # fmt: skip


async def accept(
    ctx: Context, member: Member, invitation_id: UUID, call: IdempotentCall, form: AcceptSharing
) -> StoredReply:
    """Join the membership that an invitation is for, or bring one's own into it, once.

    Raises:
        NotFound: There is no such open invitation to the member.
        Refused: REAUTH_REQUIRED; MEMBERSHIP_EXISTS, the member has a membership and did not say `combine`; CONSENT_MISSING,
            others share it; SHARER_LIMIT, MEMBERSHIP_CLOSED, OPEN_HOLD, REDEMPTION_HELD.
        Throttled: Too many wrong passwords.
    """
    if await find_reply(call) is None:
        await step_up(ctx, member, form.password)
    return await once(ctx, call, 200, partial(_accept, ctx, member, invitation_id, form))


async def preview_leave(ctx: Context, member: Member, membership_id: UUID, form: MyLeaving) -> SplitPreview:
    """Return what leaving would do.

    Raises:
        NotFound: The member is not in it, or nobody shares it.
        Invalid: No new owner where one is needed.
    """
    await _check_in(member, membership_id)
    _check_own_policy(form)
    return await service.preview_leaving(ctx, None, membership_id, _leaving(member, form))


async def leave(
    ctx: Context, member: Member, membership_id: UUID, call: IdempotentCall, form: MyLeaving
) -> StoredReply:
    """Leave a membership, once, with the points that the policy says.

    Raises:
        NotFound: The member is not in it, or nobody shares it.
        Invalid: No new owner where one is needed.
        Refused: REAUTH_REQUIRED, PREVIEW_STALE, MEMBERSHIP_CLOSED, OPEN_HOLD, REDEMPTION_HELD.
        Throttled: Too many wrong passwords.
    """
    _check_own_policy(form)
    # Asked before the reply is looked for: who has left by this very call in between has a reply by then.
    is_in = await _find_role(member, membership_id) is not None
    if await find_reply(call) is None:
        if not is_in:
            raise NotFound
        await step_up(ctx, member, form.password)
    return await once(ctx, call, 201, partial(_leave, ctx, member, membership_id, form))


async def _accept(ctx: Context, member: Member, invitation_id: UUID, form: AcceptSharing) -> SharingAccepted:
    found = await invitation_store.find(invitation_id, ctx.now)
    if found is None or found["email_key"] != await _proven_key(member):
        raise NotFound
    membership_id, owner_id = found["membership"], found["invited_by"]
    own = await store.find_membership_of(member.customer_id, found["programme"], ctx.now)
    homes = {membership_id, own["membership"]} if own else {membership_id}
    group = await lock_group(sorted(homes), [member.customer_id])
    if await invitation_store.lock(invitation_id, ctx.now) is None:
        raise NotFound
    check_active(group, membership_id)
    if group.owner_of(membership_id).customer != owner_id:
        # What the former owner wished is not what the present one does.
        raise NotFound("This invitation is no longer open.")
    operation_id = await _join_or_combine(ctx, group, membership_id, own, form, (owner_id, member.customer_id))
    await invitation_store.close(ctx, invitation_id, state="accepted", operation_id=operation_id)
    mine = await store.find_membership_of(member.customer_id, found["programme"], ctx.now)
    assert mine is not None
    return SharingAccepted(
        operation_id=operation_id,
        membership_id=membership_id,
        card_number=mine["card"],
        account=await get_account(ctx, membership_id),
    )


async def _leave(ctx: Context, member: Member, membership_id: UUID, form: MyLeaving) -> Left:
    return await service.leave_agreed(ctx, None, membership_id, _leaving(member, form))


async def _join_or_combine(
    ctx: Context, group: Group, membership_id: UUID, own: Row | None, form: AcceptSharing, agreed_by: tuple[UUID, UUID]
) -> UUID:
    customer_id = agreed_by[1]
    if own is None or own["membership"] == membership_id or not form.combine:
        wish = Joining(customer_id=customer_id, agreed_by=agreed_by, reason=_REASON)
        return (await joining.join_agreed(ctx, group, membership_id, wish)).operation_id
    combining = Combining(other_membership_id=own["membership"], agreed_by=agreed_by, reason=_REASON)
    return (await service.combine_agreed(ctx, group, membership_id, combining)).operation_id


def _leaving(member: Member, form: MyLeaving) -> Leaving:
    return Leaving(
        customer_id=member.customer_id,
        policy=form.policy,
        new_owner_id=form.new_owner_id,
        agreed_by=(member.customer_id,),
        reason=_REASON,
        preview_hash=form.preview_hash,
    )


def _check_own_policy(form: MyLeaving) -> None:
    """Refuse an agreed number: what others agreed to is for staff to attest."""
    if form.policy is LeavePolicy.AGREED:
        raise Refused(Code.CONSENT_MISSING, "An agreed number of points is divided in the shop, with everybody there.")


async def _check_in(member: Member, membership_id: UUID) -> str:
    """Return the member's role in a membership."""
    role = await _find_role(member, membership_id)
    if role is None:
        raise NotFound
    return role


async def _find_role(member: Member, membership_id: UUID) -> str | None:
    people = await store.list_people([membership_id])
    return next((person.role for person in people if person.customer == member.customer_id), None)


async def _check_owner(member: Member, membership_id: UUID) -> None:
    if await _check_in(member, membership_id) != "owner":
        raise NotPermitted("Only the owner of the membership may do this.")


async def _proven_key(member: Member) -> str | None:
    point = await get_primary(member.customer_id, "email")
    return str(point["key"]) if point is not None and point["status"] in _PROVEN else None


def _view(row: Row) -> SharingInvitationView:
    return SharingInvitationView(
        id=row["id"],
        membership_id=row["membership"],
        invited_by=row["invited_by_name"],
        email=row["email"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
