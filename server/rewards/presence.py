"""The member's rotating code, and the member's own limit of a day."""

from server.audit.store import record
from server.auth import Member, check_stepped_up
from server.context import Context
from server.db.engine import DB
from server.errors import NotFound
from server.memberships.store import lock_memberships
from server.programmes.service import get_default_programme
from server.rewards import hold_store as store
from server.rewards.rules import presence_code, presence_step, presence_text, presence_valid_until
from server.rewards.spending import get_home, open_wallet, presence_secret
from server.sessions.service import prove_password
from shared.rewards import PresenceCode, RedemptionLimit, RedemptionLimitView


async def get_code(ctx: Context, member: Member) -> PresenceCode:
    """Return the digits that prove at a till that the member is there, and the text of their QR code.

    Raises:
        NotFound: The member has no active card.
    """
    programme = await get_default_programme()
    home = await store.find_home(member.customer_id, programme.id)
    if home is None or home["code"] is None:
        raise NotFound("You have no active card.")
    step = presence_step(ctx.now)
    code = presence_code(presence_secret(ctx, member.customer_id), step)
    return PresenceCode(
        card_number=home["code"],
        code=code,
        qr_text=presence_text(home["code"], code),
        valid_until=presence_valid_until(step),
    )


async def put_limit(ctx: Context, member: Member, form: RedemptionLimit) -> RedemptionLimitView:
    """Set how many points may be spent in a day at most. Lowering is free, raising needs the password.

    Raises:
        NotFound: The member is in no membership.
        Refused: REAUTH_REQUIRED.
        Throttled: Too many wrong passwords.
    """
    is_proven = form.password is not None
    if form.password is not None:
        await prove_password(ctx, member.customer_id, form.password)
    home = await get_home(member.customer_id)
    async with DB.transaction():
        await lock_memberships([home.membership_id])
        before = (await open_wallet(ctx, home)).standing.own_limit
        if not is_proven and before is not None and (form.points is None or form.points > before):
            check_stepped_up(ctx, member)
        await store.set_limit(home.customer_id, home.membership_id, form.points)
        await record(
            ctx,
            "redemption_limit.changed",
            subject_kind="membership",
            subject_id=home.membership_id,
            customer_id=home.customer_id,
            details={"before": before, "after": form.points},
        )
    return RedemptionLimitView(points=form.points)
