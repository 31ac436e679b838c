"""The member's rotating code, the code that is texted where there is no app, and the member's own limit of a day."""

from uuid import UUID

from server.audit.store import record
from server.auth import Member, Staff, check_stepped_up
from server.context import Context
from server.db.engine import DB
from server.db.ids import new_id
from server.errors import NotFound, Refused
from server.memberships.service import check_not_self
from server.memberships.store import lock_memberships
from server.messages.service import queue_text
from server.messages.texts import PRESENCE, sms_code
from server.rewards import hold_store as store
from server.rewards.rules import presence_code, presence_step, presence_text, presence_valid_until
from server.rewards.spending import hash_sms_code, list_homes, open_wallet, presence_secret
from server.sessions import throttles
from server.sessions.service import prove_password
from shared.limits import SMS_CODE_LIFE
from shared.problems import Code
from shared.rewards import PresenceCode, PresenceTexted, RedemptionLimit, RedemptionLimitView


async def get_code(ctx: Context, member: Member) -> PresenceCode:
    """Return the digits that prove at a till that the member is there, and the text of their QR code.

    Raises:
        NotFound: The member has no active card.
    """
    card_number = next((home["code"] for home in await store.list_homes(member.customer_id) if home["code"]), None)
    if card_number is None:
        raise NotFound("You have no active card.")
    step = presence_step(ctx.now)
    code = presence_code(presence_secret(ctx, member.customer_id), step)
    return PresenceCode(
        card_number=card_number,
        code=code,
        qr_text=presence_text(card_number, code),
        valid_until=presence_valid_until(step),
    )


async def text_to(ctx: Context, customer_id: UUID) -> PresenceTexted:
    """Text six digits to the number that a customer has proven; the newest ones count, once, for ten minutes.

    Raises:
        Refused: PHONE_NOT_PROVEN.
        Throttled: Too many texts to this customer.
    """
    number = await store.find_phone(customer_id)
    if number is None:
        raise Refused(Code.PHONE_NOT_PROVEN)
    return await text_code(ctx, customer_id, number, template=PRESENCE, action="presence.texted")


async def text_code(ctx: Context, customer_id: UUID, number: str, *, template: str, action: str) -> PresenceTexted:
    """Text six digits to a number of a customer's, in place of those texted before.

    Raises:
        Throttled: Too many texts to this customer.
    """
    await throttles.check_text(ctx, customer_id)
    code_id, valid_until = new_id(), ctx.now + SMS_CODE_LIFE
    code_hash = hash_sms_code(ctx, customer_id, number, sms_code(ctx.tokens, code_id))
    async with DB.transaction():
        await store.put_sms_code(customer_id, code_id, code_hash, now=ctx.now, expires_at=valid_until)
        await queue_text(ctx, to=number, template=template, customer_id=customer_id, code_id=code_id)
        await record(ctx, action, subject_kind="customer", subject_id=customer_id, customer_id=customer_id)
    return PresenceTexted(number_ending=number[-3:], valid_until=valid_until)


async def text_to_customer(ctx: Context, staff: Staff, customer_id: UUID) -> PresenceTexted:
    """Text a code to a customer at the desk, who wants a reward.

    Raises:
        NotFound: The customer is in no membership.
        Refused: SELF_DEALING, or as in `text_to`.
        Throttled: Too many texts to this customer.
    """
    await check_not_self(staff.customer_id, customer_id)
    await list_homes(customer_id)
    return await text_to(ctx, customer_id)


async def put_limit(ctx: Context, member: Member, form: RedemptionLimit) -> RedemptionLimitView:
    """Set how many points may be spent in a day at most, in each membership. Lowering is free, raising needs the password.

    Raises:
        NotFound: The member is in no membership.
        Refused: REAUTH_REQUIRED.
        Throttled: Too many wrong passwords.
    """
    is_proven = form.password is not None
    if form.password is not None:
        await prove_password(ctx, member.customer_id, form.password)
    homes = await list_homes(member.customer_id)
    async with DB.transaction():
        await lock_memberships([home.membership_id for home in homes])
        for home in homes:
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
