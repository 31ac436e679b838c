"""Asking customers from the till to choose a password: by mail, else by text, else by a code on paper.

Nobody is ever given a password. The link of a text holds a claim code, as a text proves no email address: whoever opens it
names an address, proves it, and is given what the shop has kept.
"""

from datetime import timedelta
from uuid import UUID

from server.claims import invitation_store as invitations
from server.claims import store
from server.claims.issuing import issue_code
from server.context import Context, Tools, system_context
from server.customers.store import lock_customers
from server.db.engine import DB
from server.messages.service import queue_text
from server.messages.texts import INVITATION
from server.sessions import throttles
from shared.limits import INVITATION_TEXT_AFTER
from shared.staff import InvitationView

_LOOKED_BACK = timedelta(days=3)
_AT_ONCE = 200
_STATES = {"queued": "on_its_way", "sent": "delivered"}


async def invite_by_text(ctx: Context, customer_id: UUID, phone: str) -> bool:
    """Text a link to choose a password, in the caller's transaction; False if the number got too many.

    Args:
        phone: The number on file in E.164 form.
    """
    if not await throttles.may_mail(ctx, "invitation-text", phone):
        return False
    customer = await store.find_customer(customer_id)
    assert customer is not None
    issued = await issue_code(ctx, customer, kind="text")
    await queue_text(ctx, to=phone, template=INVITATION, customer_id=customer_id, code_id=issued.id)
    return True


async def follow_up(tools: Tools) -> int:
    """Text those whom the mailed invitation has not reached, and return how many; the worker's sweep."""
    ctx = system_context(tools)
    queued_before = ctx.now - INVITATION_TEXT_AFTER
    due = await invitations.list_due(since=ctx.now - _LOOKED_BACK, queued_before=queued_before, limit=_AT_ONCE)
    texted = 0
    for row in due:
        async with DB.transaction():
            await lock_customers([row["id"]])
            # Another worker may have been faster, or the mail has left after all.
            if await invitations.list_due(
                since=ctx.now - _LOOKED_BACK, queued_before=queued_before, limit=1, customer_id=row["id"]
            ):
                texted += await invite_by_text(ctx, row["id"], row["phone"])
    return texted


async def get_invitation(customer_id: UUID) -> InvitationView | None:
    """Return how a customer was last asked to choose a password, and what became of it."""
    row = await invitations.find_latest(customer_id)
    if row is None:
        return None
    return InvitationView(
        channel=row["channel"], state=_STATES.get(row["state"], row["state"]), at=row["at"], reason=row["reason"]
    )
