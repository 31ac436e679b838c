"""SQL of sign-up forms and of the member's own profile."""

from datetime import datetime, timedelta
from uuid import UUID

from server.accounts.rules import Applicant, Holder
from server.context import Context
from server.customers.store import list_customers_by_email, split_birthday
from server.db.engine import DB, Row
from server.db.ids import new_id

# A form replaces the ones before it for its address, with their links, unless it counts for nothing itself.
_INSERT_INTENT = """
with replaced as (
    update signup_intent set expires_at = $16
    where email_key = $3 and confirmed_at is null and expires_at > $16 and $17 > $16
    returning id
), voided as (
    update one_time_token set voided_at = $16
    where subject in (select id from replaced) and purpose = 'signup' and used_at is null and voided_at is null
)
insert into signup_intent (id, email, email_key, password_hash, given_name, family_name, phone, birth_year, birth_month,
                           birth_day, email_consent, sms_consent, wording_version, card_number, network, created_at,
                           expires_at, claim_code_hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""
_TAKE_INTENT = """
update signup_intent set confirmed_at = $2 where id = $1 and confirmed_at is null and expires_at > $2
returning *
"""
_CLOSE_INTENTS = """
with closed as (
    update signup_intent set expires_at = $2 where email_key = $1 and confirmed_at is null and expires_at > $2
    returning id
)
update one_time_token set voided_at = $2
where subject in (select id from closed) and purpose = 'signup' and used_at is null and voided_at is null
"""
# Two proofs of one address, whatever customers they are about, go one after the other.
_LOCK_ADDRESS = "select pg_advisory_xact_lock(hashtextextended('proof of ' || $1, 0))"
_FIND_MEMBER = """
select l.customer, l.password_version, p.value as email, c.given_name
from contact_point p join login l on l.customer = p.customer join customer c on c.id = p.customer
where p.kind = 'email' and p.key = $1 and p.status in ('verified', 'bouncing')
"""
_PROFILE_COLUMNS = """
select c.id, c.given_name, c.family_name, c.birth_year, c.birth_month, c.birth_day, c.locale, c.version,
       case when c.redemption_held_until > $2 then c.redemption_held_until end as redemption_held_until,
       coalesce((select min(joined_at) from membership_person where customer = c.id), c.created_at) as member_since,
       e.value as email, e.key as email_key, p.id as phone_id, p.value as phone, p.key as phone_key,
       coalesce(p.status = 'verified', false) as phone_proven
"""
_ADDRESSES = """
left join contact_point e on e.customer = c.id and e.kind = 'email' and e.is_primary
left join contact_point p on p.customer = c.id and p.kind = 'phone' and p.is_primary
"""
# The session is checked in the same statement, as this is what an app asks for most.
_MY_PROFILE = (
    _PROFILE_COLUMNS
    + "from member_session s join customer c on c.id = s.customer"
    + _ADDRESSES
    + "where s.access_hash = $1 and s.ended_at is null and s.access_expires_at > $2 and c.status = 'active'"
)
_FIND_PROFILE = _PROFILE_COLUMNS + "from customer c" + _ADDRESSES + "where c.id = $1"
_LOCK_CUSTOMER = "select 1 from customer where id = $1 for update"
_HOLD_CUSTOMER = "select 1 from customer where id = $1 for key share"


async def insert_intent(
    ctx: Context,
    applicant: Applicant,
    *,
    password_hash: str,
    wording_edition: str,
    life: timedelta,
    claim_code_hash: bytes | None,
) -> UUID:
    """Keep a sign-up form in place of older ones and return its id; one without life replaces nothing."""
    intent_id = new_id()
    await DB.fetch(
        _INSERT_INTENT,
        intent_id,
        applicant.email.value,
        applicant.email.key,
        password_hash,
        applicant.given_name,
        applicant.family_name,
        applicant.phone.value if applicant.phone else None,
        *split_birthday(applicant.birthday),
        applicant.email_consent,
        applicant.sms_consent,
        wording_edition,
        applicant.card_number,
        ctx.network or None,
        ctx.now,
        ctx.now + life,
        claim_code_hash,
    )
    return intent_id


async def take_intent(ctx: Context, intent_id: UUID) -> Row | None:
    """Return a form whose address has been proved; None if it was taken, replaced, or is over."""
    return await DB.fetch_row(_TAKE_INTENT, intent_id, ctx.now)


async def close_intents(ctx: Context, email_key: str) -> None:
    """End all waiting forms of an address and their links."""
    await DB.fetch(_CLOSE_INTENTS, email_key, ctx.now)


async def lock_address(email_key: str) -> None:
    """Let no other proof of an address go on before this transaction is over."""
    await DB.fetch(_LOCK_ADDRESS, email_key)


async def hold_customer(customer_id: UUID | None) -> None:
    """Let nobody change a customer before this transaction is over; for what writes links of a customer, who comes first."""
    await DB.fetch(_HOLD_CUSTOMER, customer_id)


async def list_holders(email_key: str) -> list[Holder]:
    """Return who has an address on file, whom a till knows first, then the oldest."""
    return [
        Holder(
            customer_id=row["customer"],
            contact_point_id=row["contact_point"],
            email=row["value"],
            is_proven=row["status"] in ("verified", "bouncing"),
            is_live=row["customer_status"] in ("stub", "active"),
            has_login=row["has_login"],
        )
        for row in await list_customers_by_email(email_key)
    ]


async def find_member(email_key: str) -> Row | None:
    """Return customer, password_version, email and given_name of the member who has proved an address."""
    return await DB.fetch_row(_FIND_MEMBER, email_key)


async def find_my_profile(access_hash: bytes, now: datetime) -> Row | None:
    """Return the profile of the member whose access token this is; None if it is no live one."""
    return await DB.fetch_row(_MY_PROFILE, access_hash, now)


async def find_profile(customer_id: UUID, now: datetime) -> Row | None:
    """Return a customer's profile."""
    return await DB.fetch_row(_FIND_PROFILE, customer_id, now)


async def lock_profile(customer_id: UUID, now: datetime) -> Row:
    """Lock a customer and return the profile."""
    # By a statement of its own: one that waits for the lock would still read the addresses as they were before.
    await DB.fetch(_LOCK_CUSTOMER, customer_id)
    row = await find_profile(customer_id, now)
    assert row is not None
    return row
