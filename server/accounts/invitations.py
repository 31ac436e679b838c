"""The mail that lets a customer whom staff have registered choose a password. Staff never see or choose it."""

from uuid import UUID

from server.context import Context
from server.messages.service import queue_mail
from server.sessions.links import Purpose, create_link
from shared.limits import INVITATION_LINK_LIFE, PASSWORD_RESET_LINK_LIFE


async def send_invitation(ctx: Context, *, customer_id: UUID, given_name: str, email: str, email_key: str) -> None:
    """Mail a link that proves the address and opens "choose a password"; older ones are void. Caller's transaction."""
    token = await create_link(
        ctx, purpose=Purpose.INVITATION, customer_id=customer_id, email_key=email_key, life=INVITATION_LINK_LIFE
    )
    await queue_mail(
        ctx,
        to=email,
        template="invitation",
        customer_id=customer_id,
        token=token,
        parameters={"given_name": given_name},
    )


async def send_reset(
    ctx: Context, *, customer_id: UUID, given_name: str, email: str, email_key: str, password_version: int
) -> None:
    """Mail a member a link to choose a new password, in the caller's transaction."""
    token = await create_link(
        ctx,
        purpose=Purpose.PASSWORD_RESET,
        customer_id=customer_id,
        email_key=email_key,
        state=str(password_version),
        life=PASSWORD_RESET_LINK_LIFE,
    )
    await queue_mail(
        ctx,
        to=email,
        template="password_reset",
        customer_id=customer_id,
        token=token,
        parameters={"given_name": given_name},
    )
