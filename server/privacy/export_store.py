"""SQL of exports: everything held about a person, section by section, and the file that it becomes.

Each section is one query over `$1`, the customer with everybody who was merged into them, whose rows come as JSON objects
through a cursor, so that a long history takes no more memory than a short one. Other people are left out: staff are named by
their role, and of a shared membership only the person's own movements are here.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from server.context import Context
from server.db.engine import DB, Row
from server.db.ids import new_id


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of thing that is held, under a name for programs and a title for people."""

    name: str
    title: str
    sql: str


Rows = Callable[[Section], AsyncIterator[bytes]]
"""Yields the rows of a section as JSON objects."""

_ACTOR = """case {table}.actor_kind when 'staff' then 'staff (' || coalesce((select s.role from staff_member s where s.id = {table}.actor_id), '') || ')'
       when 'key' then 'till' when 'member' then 'you' else 'the program' end as by"""

SECTIONS: Final = (
    Section(
        name="profile",
        title="You",
        sql="""select id, kind, status, given_name, family_name, birth_year, birth_month, birth_day, postal_address, post_code, locale,
            notes, merged_into,
            enrolled_source, redemption_held_until, redemption_held_reason, created_at, updated_at
            from customer where id = any($1) order by created_at, id""",
    ),
    Section(
        name="contact_points",
        title="Addresses and numbers",
        sql="""select kind, value, status, is_primary, created_at, verified_at, retired_at, retired_reason
            from contact_point where customer = any($1) order by created_at, id""",
    ),
    Section(
        name="consents",
        title="What you agreed to",
        sql=f"""select e.at, e.channel, e.address_key as address, e.state, e.source, e.wording_version, w.wording, e.network,
            s.name as store, {_ACTOR.format(table="e")}
            from consent_event e left join consent_wording w on w.version = e.wording_version left join store s on s.id = e.store
            where e.customer = any($1) order by e.at, e.id""",
    ),
    Section(
        name="memberships",
        title="Memberships",
        sql="""select p.membership, g.name as programme, p.role, p.joined_at, p.eligible_from, p.left_at, p.left_reason,
            p.redeem_limit, m.status, m.tier, m.tier_until, m.enrolled_at, m.closed_at,
            case when p.left_at is null then m.balance end as balance
            from membership_person p join membership m on m.id = p.membership join programme g on g.id = p.programme
            where p.customer = any($1) order by p.joined_at, p.id""",
    ),
    Section(
        name="cards",
        title="Cards",
        sql="""select code, membership, status, reason, issued_at, ended_at from card
            where customer = any($1) order by issued_at, id""",
    ),
    Section(
        name="orders",
        title="Purchases",
        sql="""select o.id, o.number, s.name as store, o.completed_at, o.currency, o.net_minor, o.tax_minor, o.state, o.points,
            o.points_returned, o.skipped_reason, o.membership, o.pos_customer_id, coalesce((
                select json_agg(json_build_object('sku', l.sku, 'description', l.description, 'category', l.category,
                    'quantity', l.quantity, 'net_minor', l.net_minor, 'tax_minor', l.tax_minor, 'points', l.points,
                    'rule', l.rule) order by l.position, l.id)
                from order_line l where l."order" = o.id), '[]') as lines
            from orders o join store s on s.id = o.store where o.customer = any($1) order by o.completed_at, o.id""",
    ),
    Section(
        name="refunds",
        title="Returns",
        sql="""select r.id, r.completed_at, r.currency, r.state, r.points_taken, r.points_restored, r."order", coalesce((
                select json_agg(json_build_object('line_id', l.line_id, 'quantity', l.quantity, 'net_minor', l.net_minor,
                    'points', l.points) order by l.line_id)
                from refund_line l where l.refund = r.id), '[]') as lines
            from refund r join orders o on o.id = r."order" where o.customer = any($1) order by r.completed_at, r.id""",
    ),
    Section(
        name="entries",
        title="Movements of points",
        sql=f"""select e.id, e.membership, e.kind, e.points, e.occurred_at, e.posted_at, e.reason_code, e.note, e."order",
            l.available_at, l.expires_at, l.remaining, {_ACTOR.format(table="e")}
            from ledger_entry e left join lot l on l.entry = e.id
            where e.customer = any($1) or e.customer is null and e.membership in (
                select p.membership from membership_person p where p.customer = any($1) and p.role = 'owner')
            order by e.posted_at, e.id""",
    ),
    Section(
        name="adjustments",
        title="Points given or taken by hand",
        sql="""select points, reason_code, note, state, requested_role as by_role, requested_at, decided_at, decision_note,
            posted_at, undone_at, undo_note
            from adjustment where customer = any($1) order by requested_at, id""",
    ),
    Section(
        name="vouchers",
        title="Vouchers",
        sql="""select v.id, r.name as reward, v.code_last4, v.value_minor, v.currency, v.points_cost, v.status, v.void_reason,
            v.issued_at, v.valid_until, v.ended_at
            from voucher v join reward r on r.id = v.reward where v.customer = any($1) order by v.issued_at, v.id""",
    ),
    Section(
        name="holds",
        title="Points set aside at a till",
        sql="""select h.points, h.amount_minor, h.currency, s.name as store, h.order_reference, h.proof, h.state, h.created_at,
            h.ended_at
            from hold h join store s on s.id = h.store where h.customer = any($1) order by h.created_at, h.id""",
    ),
    Section(
        name="bonuses",
        title="Bonuses and friends",
        sql="""select 'bonus' as kind, code, occasion, points, at from bonus_grant where customer = any($1)
            union all select 'code', code, '', null, created_at from referral_code where customer = any($1)
            union all select 'brought a friend', '', '', null, created_at from referral where referrer = any($1)
            union all select 'brought by a friend', '', '', null, created_at from referral where referred = any($1)
            order by at""",
    ),
    Section(
        name="sign_in",
        title="Sign-in and devices",
        sql="""select 'sign-in' as kind, created_at, password_changed_at, disabled_at, null as device, null as network,
            null::timestamptz as last_used_at, null::timestamptz as ended_at, null as ended_reason
            from login where customer = any($1)
            union all select 'device', created_at, null, null, device, network, last_used_at, ended_at, ended_reason
            from member_session where customer = any($1)
            union all select 'known network', last_success_at, null, null, null, network, last_success_at, null, null
            from known_network where customer = any($1)
            order by created_at""",
    ),
    Section(
        name="links",
        title="Your records at the till",
        sql="""select k.code as till, r.external_id, r.given_name, r.family_name, r.email, r.former_emails, r.phone, r.card_number,
            l.state, l.method, l.evidence, l.reason, l.created_at, l.linked_at, l.ended_at, l.ended_reason
            from pos_link l join pos_record r on r.id = l.record join pos_connection k on k.id = r.connection
            where l.customer = any($1) and (l.state <> 'ended' or not exists (
                select from pos_link o where o.record = l.record and o.state = 'linked' and not o.customer = any($1)))
            order by l.created_at, l.id""",
    ),
    Section(
        name="email_changes",
        title="Changes of address",
        sql="""select old_email, new_email, mode, state, requested_by_kind as by, reason, requested_at, approved_at,
                execute_after, confirmed_at, undone_at
            from email_change where customer = any($1) order by requested_at, id""",
    ),
    Section(
        name="sharing",
        title="Sharing",
        sql="""select kind, membership, state, reason, points, at, undone_at from sharing_operation where customer = any($1)
            union all select 'invited somebody', membership, state, '', 0, created_at, null from sharing_invitation
            where invited_by = any($1)
            order by at""",
    ),
    Section(
        name="merges",
        title="Records that were made one",
        sql="""select method, state, reason, requested_at, done_at, undone_at, disputed_at from merge
            where survivor = any($1) or absorbed = any($1) order by requested_at, id""",
    ),
    Section(
        name="claim_codes",
        title="Claim codes",
        sql="""select kind, issued_at, expires_at, used_at, revoked_at, revoked_reason from claim_code
            where customer = any($1) or used_by = any($1) order by issued_at, id""",
    ),
    Section(
        name="marketing",
        title="Your contact in our mailings",
        sql="""select email, state, remote_status as status, pushed_at, parked_reason, created_at from audience_contact
            where customer = any($1) and email <> '' order by created_at, id""",
    ),
    Section(
        name="messages",
        title="Mails and texts sent to you",
        sql="""select template, to_address, state, created_at, sent_at from message
            where customer = any($1) order by created_at, id""",
    ),
    Section(
        name="privacy",
        title="Copies and erasures you asked for",
        sql="""select 'copy' as kind, state, requested_by_kind as by, requested_at, expires_at as until from personal_export
            where customer = any($1)
            union all select 'erasure', state, requested_by_kind, requested_at, execute_after from erasure
            where customer = any($1)
            order by requested_at""",
    ),
    Section(
        name="audit",
        title="What was done with your data",
        sql=f"""select a.at, a.action, a.reason, a.details, {_ACTOR.format(table="a")}
            from audit_entry a where a.customer_id = any($1) order by a.id""",
    ),
)

_INSERT = """
insert into personal_export (id, customer, state, requested_by_kind, requested_by_id, requested_at)
values ($1, $2, 'waiting', $3, $4, $5)
"""
_LOCK_WAITING = """
select e.id, e.customer, e.requested_by_kind, c.given_name, c.status, p.value as email, p.key as email_key,
       coalesce((select g.zone from programme g where g.is_default), 'UTC') as zone
from personal_export e join customer c on c.id = e.customer
left join contact_point p on p.customer = c.id and p.kind = 'email' and p.is_primary and p.status = 'verified'
where e.id = $1 and e.state = 'waiting' for update of e
"""
# An erasure locks the person first and then takes the copies away; so does this, or each would wait for the other.
_HOLD_PERSON = """
select 1 from customer where id = (select customer from personal_export where id = $1) for key share
"""
_ADD_PART = "insert into personal_export_part (id, export, number, content) values ($1, $2, $3, $4)"
_FINISH = """
update personal_export set state = 'ready', ready_at = $2, expires_at = $3, bytes_count = $4
where id = $1 and state = 'waiting' returning id
"""
_VIEWS = """
select id, customer, state, requested_by_kind, requested_at, ready_at, expires_at, bytes_count from personal_export
where {condition} order by requested_at desc, id desc limit 50
"""
_OF_CUSTOMER = _VIEWS.format(condition="customer = $1")
_ONE = _VIEWS.format(condition="id = $1")
_COUNT_SINCE = "select count(*)::int from personal_export where customer = $1 and requested_at > $2"
_PART = """
select p.content from personal_export_part p join personal_export e on e.id = p.export
where p.export = $1 and p.number = $2 and e.state = 'ready' and e.expires_at > $3
"""
_OVER = "select id from personal_export where state = 'ready' and expires_at <= $1 order by expires_at limit 100"
_DELETE_PARTS = "delete from personal_export_part where export = any($1::uuid[])"
_EXPIRE = "update personal_export set state = 'expired' where id = any($1::uuid[]) and state = 'ready'"
_STUCK = "select id from personal_export where state = 'waiting' and requested_at < $1 order by requested_at limit 100"


async def stream(section: Section, customer_ids: Sequence[UUID]) -> AsyncIterator[bytes]:
    """Yield the rows of a section as JSON objects; inside a transaction, whose snapshot they are of."""
    sql = f"select row_to_json(t)::text as row from ({section.sql}) t"
    async with DB.connection() as connection:
        async for row in connection.cursor(sql, list(customer_ids), prefetch=100):
            yield row["row"].encode()


async def insert_export(ctx: Context, customer_id: UUID) -> UUID:
    """Add an export that waits for its job, and return its id."""
    export_id = new_id()
    await DB.fetch(_INSERT, export_id, customer_id, ctx.actor.kind, ctx.actor.id, ctx.now)
    return export_id


async def lock_waiting(export_id: UUID) -> Row | None:
    """Lock an export that is to be made, with the person's proven address; None if it was made, or is gone.

    Whoever locks the person, as an erasure does, waits until the transaction is over.
    """
    await DB.fetch(_HOLD_PERSON, export_id)
    return await DB.fetch_row(_LOCK_WAITING, export_id)


async def add_part(export_id: UUID, number: int, content: bytes) -> None:
    """Add a piece of the file."""
    await DB.fetch(_ADD_PART, new_id(), export_id, number, content)


async def finish(ctx: Context, export_id: UUID, *, expires_at: datetime, bytes_count: int) -> None:
    """Mark an export as ready."""
    row = await DB.fetch_row(_FINISH, export_id, ctx.now, expires_at, bytes_count)
    assert row is not None, "the export is locked"


async def list_exports(customer_id: UUID) -> list[Row]:
    """Return a customer's newest exports."""
    return await DB.fetch(_OF_CUSTOMER, customer_id)


async def find_export(export_id: UUID) -> Row | None:
    """Return an export."""
    return await DB.fetch_row(_ONE, export_id)


async def count_since(customer_id: UUID, since: datetime) -> int:
    """Return how many exports of a customer were asked for since an instant."""
    count = await DB.fetch_value(_COUNT_SINCE, customer_id, since)
    assert isinstance(count, int)
    return count


async def find_part(export_id: UUID, number: int, now: datetime) -> bytes | None:
    """Return a piece of the file; None behind the last one, and when the export is over."""
    content = await DB.fetch_value(_PART, export_id, number, now)
    assert content is None or isinstance(content, bytes)
    return content


async def expire(now: datetime) -> int:
    """Delete the files of exports that are over, and return how many; in a transaction."""
    ids = [row["id"] for row in await DB.fetch(_OVER, now)]
    await DB.fetch(_DELETE_PARTS, ids)
    await DB.fetch(_EXPIRE, ids)
    return len(ids)


async def list_stuck(before: datetime) -> list[UUID]:
    """Return exports that have waited since before an instant."""
    return [row["id"] for row in await DB.fetch(_STUCK, before)]
