"""How a member proves a phone number: digits are texted to it and typed into the app."""

from server.accounts.profile import view_of
from server.accounts.store import find_profile, lock_profile
from server.audience.marks import mark_customers
from server.audit.store import record
from server.auth import Member
from server.context import Context
from server.customers import store as customers
from server.db.engine import DB, Row
from server.errors import NotFound, Refused
from server.messages.texts import PHONE_PROOF
from server.rewards import hold_store
from server.rewards.presence import text_code
from server.rewards.spending import hash_sms_code
from server.sessions import throttles
from shared.limits import SMS_CODE_TRIES
from shared.members import Me, PhoneProof
from shared.problems import Code
from shared.rewards import PresenceTexted


async def text_proof(ctx: Context, member: Member) -> PresenceTexted:
    """Text six digits to the member's number, if it is not proven yet.

    Raises:
        NotFound: The member has no phone number.
        Refused: PHONE_PROVEN.
        Throttled: Too many texts to this member.
    """
    row = await find_profile(member.customer_id, ctx.now)
    assert row is not None
    return await text_code(
        ctx, member.customer_id, _unproven_number(row), template=PHONE_PROOF, action="phone.proof_requested"
    )


async def prove_phone(ctx: Context, member: Member, form: PhoneProof) -> Me:
    """Take the texted digits as the proof that the member's number is theirs.

    Raises:
        NotFound: The member has no phone number.
        Refused: PHONE_PROVEN; PRESENCE_WRONG; PHONE_TAKEN, another customer has proven it.
        Throttled: Too many tries.
    """
    row = await find_profile(member.customer_id, ctx.now)
    assert row is not None
    code_hash = hash_sms_code(ctx, member.customer_id, _unproven_number(row), form.code)
    # Outside of the transaction, so that a refusal stays counted.
    await throttles.check_presence(ctx, member.customer_id)
    await hold_store.count_sms_guess(member.customer_id, code_hash)
    try:
        async with DB.transaction():
            return await _prove(ctx, member, code_hash)
    except customers.AddressTaken as error:
        raise Refused(Code.PHONE_TAKEN) from error


async def _prove(ctx: Context, member: Member, code_hash: bytes) -> Me:
    row = await lock_profile(member.customer_id, ctx.now)
    _unproven_number(row)
    if not await hold_store.use_sms_code(ctx, member.customer_id, code_hash, tries_max=SMS_CODE_TRIES):
        raise Refused(Code.PRESENCE_WRONG)
    await customers.verify_contact_point(ctx, row["phone_id"], customer_id=member.customer_id, kind="phone")
    await throttles.clear_presence(member.customer_id)
    await record(
        ctx, "phone.proven", subject_kind="customer", subject_id=member.customer_id, customer_id=member.customer_id
    )
    await mark_customers(ctx, [member.customer_id])
    return view_of(await lock_profile(member.customer_id, ctx.now))


def _unproven_number(row: Row) -> str:
    if row["phone_id"] is None:
        raise NotFound("You have no phone number.")
    if row["phone_proven"]:
        raise Refused(Code.PHONE_PROVEN)
    number: str = row["phone_key"]
    return number
