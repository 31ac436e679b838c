"""SQL of claim codes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from server.claims.rules import CodeState, Subject
from server.context import Context
from server.db.engine import DB, Row

TAKEN = """
(exists (select 1 from login l where l.customer = c.id and l.disabled_at is null)
 or exists (select 1 from contact_point p where p.customer = c.id and p.status in ('verified', 'bouncing')))
"""
# Whoever was merged since was found by other means; the code stays void even if that is taken back.
_MERGED = "exists (select 1 from merge g where g.absorbed = k.customer and g.done_at > k.issued_at)"
_FIND = f"""
select k.*, k."order" as order_id, s.customer as issuer, c.status, c.family_name, c.post_code,
       (select p.key from contact_point p where p.customer = c.id and p.kind = 'phone' and p.is_primary) as phone_key,
       coalesce({TAKEN}, false) as is_taken, {_MERGED} as was_merged
from claim_code k
left join customer c on c.id = k.customer
left join staff_member s on k.actor_kind = 'staff' and s.id = k.actor_id
where k.code_hash = $1
"""
_LOCK = "select 1 from claim_code where id = $1 for update"
_USE = """
update claim_code set used_at = $2, used_by = $3, merge = $4 where id = $1 and used_at is null and revoked_at is null
"""
_MISS = """
update claim_code
set wrong_checks = wrong_checks + 1,
    revoked_at = case when wrong_checks + 1 >= $3 then $2::timestamptz end,
    revoked_reason = case when wrong_checks + 1 >= $3 then 'wrong_checks' end
where id = $1 and used_at is null and revoked_at is null
"""
_REVOKE_OF_CUSTOMERS = """
update claim_code set revoked_at = $2, revoked_reason = 'reissued'
where id in (select id from claim_code where customer = any($1::uuid[]) and used_at is null and revoked_at is null
             order by id for update)
"""
_REVOKE_OF_ORDER = """
update claim_code set revoked_at = $2, revoked_reason = 'reissued'
where "order" = $1 and used_at is null and revoked_at is null
"""
_REVOKE = """
update claim_code set revoked_at = $2, revoked_reason = $3
where id = $1 and used_at is null and revoked_at is null returning id
"""
_INSERT = """
insert into claim_code (id, code_hash, kind, customer, batch, actor_kind, actor_id, issued_at, expires_at, wrong_checks)
select k.id, k.code_hash, $4, k.customer, $5, $6, $7, $8, $9, 0
from unnest($1::uuid[], $2::bytea[], $3::uuid[]) as k(id, code_hash, customer)
on conflict (customer) where used_at is null and revoked_at is null do nothing
returning id
"""
_CUSTOMER = f"""
select c.id, c.status, c.given_name, c.family_name, trim(c.given_name || ' ' || c.family_name) as name,
       {TAKEN} as is_taken,
       coalesce((select sum(m.available + m.pending) from membership_person p join membership m on m.id = p.membership
                 where p.customer = c.id and p.left_at is null and m.status = 'active'), 0)::bigint as points
from customer c where c.id = $1
"""
_IS_STAFF = "select 1 from staff_member where customer = $1 and status <> 'disabled'"
_ANSWERS = """
select c.family_name, c.post_code, p.key as phone_key
from customer c left join contact_point p on p.customer = c.id and p.kind = 'phone' and p.is_primary where c.id = $1
"""
_EMAIL = """
select value from contact_point where customer = $1 and kind = 'email' and status <> 'retired'
order by is_primary desc, created_at desc limit 1
"""
_VIEWS = f"""
select k.id, k.kind, k.issued_at, k.expires_at, k.customer as customer_id, k."order" as order_id, k.used_at, k.used_by,
       k.merge as merge_id, k.revoked_at, k.revoked_reason, {_MERGED} as was_merged, s.name as issued_by,
       trim(c.given_name || ' ' || c.family_name) as customer_name, o.number as order_number,
       trim(u.given_name || ' ' || u.family_name) as used_by_name
from claim_code k
left join customer c on c.id = k.customer
left join orders o on o.id = k."order"
left join customer u on u.id = k.used_by
left join staff_member s on k.actor_kind = 'staff' and s.id = k.actor_id
"""
_OF_CUSTOMER = _VIEWS + "where k.customer = $1 order by k.issued_at desc, k.id desc limit 50"
_USED_BY = _VIEWS + "where k.used_by = $1 order by k.used_at desc, k.id desc limit 50"
_ONE = _VIEWS + "where k.id = $1"
_REFUSALS = """
select at, details->>'cause' as cause, subject_id from audit_entry
where customer_id = $1 and action = 'claim.refused' order by id desc limit $2
"""


async def find_code(code_hash: bytes) -> CodeState | None:
    """Return a code and what it stands for as they are now."""
    row = await DB.fetch_row(_FIND, code_hash)
    if row is None:
        return None
    subject = None
    if row["customer"] is not None:
        names = Subject.__struct_fields__
        subject = Subject(**{name: row[name] for name in names})
    return CodeState(
        id=row["id"],
        kind=row["kind"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        used_by=row["used_by"],
        revoked_at=row["revoked_at"],
        customer_id=row["customer"],
        order_id=row["order_id"],
        issuer=row["issuer"],
        subject=subject,
    )


async def lock_code(code_id: UUID) -> None:
    """Let nobody else use or revoke a code before this transaction is over."""
    await DB.fetch(_LOCK, code_id)


async def use_code(ctx: Context, code_id: UUID, customer_id: UUID, *, merge_id: UUID | None = None) -> None:
    """Use a locked code up."""
    await DB.fetch(_USE, code_id, ctx.now, customer_id, merge_id)


async def note_wrong_check(ctx: Context, code_id: UUID, *, most: int) -> None:
    """Count a wrong second check of a code; the last one that is allowed voids it."""
    await DB.fetch(_MISS, code_id, ctx.now, most)


async def revoke_of_customers(ctx: Context, customer_ids: Sequence[UUID]) -> None:
    """Void the live codes of customers, as new ones follow."""
    await DB.fetch(_REVOKE_OF_CUSTOMERS, list(customer_ids), ctx.now)


async def revoke_of_order(ctx: Context, order_id: UUID) -> None:
    """Void the live code of an order, as a new one follows."""
    await DB.fetch(_REVOKE_OF_ORDER, order_id, ctx.now)


async def revoke(ctx: Context, code_id: UUID, *, reason: str) -> bool:
    """Void a code; False if it was used or void before."""
    return await DB.fetch_row(_REVOKE, code_id, ctx.now, reason) is not None


async def insert_codes(
    ctx: Context,
    codes: Sequence[tuple[UUID, bytes, UUID]],
    *,
    kind: str,
    expires_at: datetime,
    batch_id: UUID | None = None,
) -> list[UUID]:
    """Add codes as (id, hash, customer) and return the ids of those added; who has a live one gets none."""
    ids, hashes, customers = zip(*codes, strict=True)
    rows = await DB.fetch(
        _INSERT,
        list(ids),
        list(hashes),
        list(customers),
        kind,
        batch_id,
        ctx.actor.kind,
        ctx.actor.id,
        ctx.now,
        expires_at,
    )
    return [row["id"] for row in rows]


async def find_customer(customer_id: UUID) -> Row | None:
    """Return a customer's id, status, given_name, family_name, name, is_taken and points."""
    return await DB.fetch_row(_CUSTOMER, customer_id)


async def is_staff(customer_id: UUID) -> bool:
    """Return whether a customer works here."""
    return await DB.fetch_row(_IS_STAFF, customer_id) is not None


async def list_answers(customer_id: UUID) -> tuple[str, ...]:
    """Return what a member has told of themselves that a second check may ask for."""
    row = await DB.fetch_row(_ANSWERS, customer_id)
    assert row is not None
    answers = (row["family_name"], row["post_code"], (row["phone_key"] or "")[-4:])
    return tuple(answer for answer in answers if answer)


async def find_email(customer_id: UUID) -> str | None:
    """Return the address of a customer, proven or not."""
    row = await DB.fetch_row(_EMAIL, customer_id)
    return row["value"] if row else None


async def list_codes(customer_id: UUID) -> list[Row]:
    """Return the codes for a customer, newest first."""
    return await DB.fetch(_OF_CUSTOMER, customer_id)


async def list_used_by(customer_id: UUID) -> list[Row]:
    """Return the codes that a customer has used, newest first."""
    return await DB.fetch(_USED_BY, customer_id)


async def find_view(code_id: UUID) -> Row | None:
    """Return a code as staff see it."""
    return await DB.fetch_row(_ONE, code_id)


async def list_refusals(customer_id: UUID, limit: int) -> list[Row]:
    """Return a customer's refused tries, newest first."""
    return await DB.fetch(_REFUSALS, customer_id, limit)
