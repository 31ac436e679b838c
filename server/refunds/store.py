"""SQL of refunds."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from server.db.engine import DB, Row
from server.db.ids import new_id
from server.orders.returns import ReturnedLine, SoldLine
from shared.refunds import PosRefund

# Who sends the same refund at the same time waits here for the first one's end, before anything else is locked.
_INSERT = """
with sent as (
    insert into refund (id, connection, external_id, original_external_id, store, completed_at, currency, content_hash,
                        state, created_at, customer)
    select $1, $2, $3, $4, s.id, $6, $7, $8, case when $4::text is null then 'blind' else 'parked' end, $9, $11
    from store s where s.code = $5
    on conflict (connection, external_id) do nothing
    returning id
), lines as (
    insert into refund_line (id, refund, line_id, quantity, net_minor, points_part_minor)
    select l.id, sent.id, l.line_id, l.quantity, l.net_minor, l.points_part_minor
    from sent, jsonb_to_recordset($10::jsonb) as l(
        id uuid, line_id text, quantity numeric, net_minor int8, points_part_minor int8)
)
select id from sent
"""
_FIND = "select * from refund where id = $1"
_LOCK = "select id from refund where id = $1 for update"
_FIND_SENT = "select id, content_hash from refund where connection = $1 and external_id = $2"
_LINES = """
select line_id, quantity, net_minor, points_part_minor, points from refund_line where refund = $1 order by id
"""
_SOLD = """
select line_id, sku, quantity, net_minor, net_minor + tax_minor as gross_minor, points, points_paid_minor
from order_line where "order" = $1 order by position
"""
_RESTORED = """select coalesce(sum(points_restored), 0)::bigint from refund where "order" = $1"""
_POST = """
with lines as (
    update refund_line l set "order" = $2, points = coalesce(t.points, 0)
    from refund_line own left join unnest($8::text[], $9::bigint[]) as t(line_id, points) on t.line_id = own.line_id
    where own.refund = $1 and l.id = own.id
)
update refund set state = 'posted', "order" = $2, posted_at = $3, points_taken = $4, points_exempt = $5, points_owed = $6,
                  points_restored = $7, points_written_off = $10,
                  customer_differs = refund.customer is not null
                      and (select coalesce(c.merged_into, c.id) from customer c where c.id = refund.customer)
                          is distinct from (select o.customer from orders o where o.id = $2)
where id = $1
"""
_NEWEST = """select id from refund where "order" = $1 order by posted_at desc, id desc limit 1"""
_ADD_RESTORED = "update refund set points_restored = points_restored + $2 where id = $1"
_REFUSE = "update refund set state = 'refused', refused_for = $2 where id = $1 and state = 'parked' returning id"
_RESOLVE = "update refund set resolved_by = $2, resolved_at = $3, resolved_reason = $4 where id = $1"
_DISMISS = (
    "update refund set state = 'dismissed', resolved_by = $2, resolved_at = $3, resolved_reason = $4 where id = $1"
)
# As it was: refused by its sale, without one, or waiting for it.
_REOPEN = """
update refund
set resolved_by = null, resolved_at = null, resolved_reason = '',
    state = case when refused_for is not null then 'refused' when original_external_id is null then 'blind' else 'parked' end
where id = $1
"""
# Those that waited and whose sale is here by now.
_DUE = """
select r.id, o.id as "order" from refund r
join orders o on o.connection = r.connection and o.external_id = r.original_external_id and o.state <> 'open'
where r.state = 'parked' and ($1::uuid is null or r.id > $1) order by r.id limit $2
"""
_PAGE = """
select r.*, s.name as store_name, o.number as order_number
from (
    select * from refund where ($1::timestamptz is null or (created_at, id) < ($1, $2::uuid)){condition}
    order by created_at desc, id desc limit $3
) r
join store s on s.id = r.store left join orders o on o.id = r."order"
order by r.created_at desc, r.id desc
"""
_ONE = """
select r.*, s.name as store_name, o.number as order_number
from refund r join store s on s.id = r.store left join orders o on o.id = r."order" where r.id = $1
"""
_ALL = _PAGE.format(condition="")
_DIFFERING = _PAGE.format(condition=" and customer_differs")
_WAITING = _PAGE.format(
    condition=" and state in ('blind', 'refused', 'parked') and (state <> 'parked' or created_at < $4)"
)
_IN_STATE = _PAGE.format(condition=" and state = $4")


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund did: of what it has `taken`, some was `owed`, and of that some `written_off`."""

    taken: int
    exempt: int
    owed: int
    written_off: int
    restored: int
    points_by_line: tuple[tuple[str, int], ...]


class _LineRecord(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    line_id: str
    quantity: str | None
    net_minor: int | None
    points_part_minor: int | None


async def insert_refund(
    refund_id: UUID,
    connection_id: UUID,
    form: PosRefund,
    *,
    customer_id: UUID | None,
    content_hash: bytes,
    now: datetime,
) -> bool:
    """Write a refund as it came, blind or parked; False if its external id was sent before."""
    lines = [
        _LineRecord(
            id=new_id(),
            line_id=line.line_id,
            quantity=_text_of(line.quantity),
            net_minor=line.net_minor,
            points_part_minor=line.points_part,
        )
        for line in form.lines
    ]
    rows = await DB.fetch(
        _INSERT,
        refund_id,
        connection_id,
        form.external_id,
        form.original_order,
        form.store,
        form.completed_at,
        form.currency,
        content_hash,
        now,
        msgspec.json.encode(lines).decode(),
        customer_id,
    )
    return bool(rows)


async def find_refund(refund_id: UUID) -> Row:
    """Return a refund."""
    row = await DB.fetch_row(_FIND, refund_id)
    assert row is not None, "refunds are never deleted"
    return row


async def exists(refund_id: UUID) -> bool:
    """Return whether there is such a refund."""
    return await DB.fetch_row(_FIND, refund_id) is not None


async def lock_refund(refund_id: UUID) -> Row | None:
    """Lock a refund, before anything else of it, and return it; None if there is none."""
    if await DB.fetch_row(_LOCK, refund_id) is None:
        return None
    return await find_refund(refund_id)


async def get_view(refund_id: UUID) -> Row:
    """Return a refund as the list shows it."""
    row = await DB.fetch_row(_ONE, refund_id)
    assert row is not None, "refunds are never deleted"
    return row


async def resolve(refund_id: UUID, staff_id: UUID, reason: str, *, now: datetime) -> None:
    """Write who found the sale of a refund, and why it is that one."""
    await DB.fetch(_RESOLVE, refund_id, staff_id, now, reason)


async def dismiss(refund_id: UUID, staff_id: UUID, reason: str, *, now: datetime) -> None:
    """Write that a locked refund will have no effect, and who says so."""
    await DB.fetch(_DISMISS, refund_id, staff_id, now, reason)


async def reopen(refund_id: UUID) -> None:
    """Let a dismissed refund be as it was before."""
    await DB.fetch(_REOPEN, refund_id)


async def find_sent(connection_id: UUID, external_id: str) -> Row | None:
    """Return id and content of a refund that this till system sent before."""
    return await DB.fetch_row(_FIND_SENT, connection_id, external_id)


async def list_lines(refund_id: UUID) -> list[Row]:
    """Return the lines of a refund in the order in which they were sent."""
    return await DB.fetch(_LINES, refund_id)


async def list_sold(order_id: UUID) -> list[SoldLine]:
    """Return the lines of an order as they stand."""
    return [SoldLine(**dict(row)) for row in await DB.fetch(_SOLD, order_id)]


async def get_restored(order_id: UUID) -> int:
    """Return how many points that paid for an order its refunds have given back."""
    points = await DB.fetch_value(_RESTORED, order_id)
    assert isinstance(points, int)
    return points


async def find_newest(order_id: UUID) -> UUID | None:
    """Return the refund of an order that was posted last."""
    row = await DB.fetch_row(_NEWEST, order_id)
    return row["id"] if row else None


async def add_restored(refund_id: UUID, points: int) -> None:
    """Write that a refund has given back more points, those of payments that were told late."""
    await DB.fetch(_ADD_RESTORED, refund_id, points)


async def post_refund(refund_id: UUID, order_id: UUID, posted: Posted, now: datetime) -> None:
    """Write what a refund did, and that its lines count."""
    await DB.fetch(
        _POST,
        refund_id,
        order_id,
        now,
        posted.taken,
        posted.exempt,
        posted.owed,
        posted.restored,
        [line_id for line_id, _ in posted.points_by_line],
        [points for _, points in posted.points_by_line],
        posted.written_off,
    )


async def refuse_parked(refund_id: UUID, code: str) -> bool:
    """Write why a refund that waited has no effect; False if it does not wait any more."""
    return await DB.fetch_row(_REFUSE, refund_id, code) is not None


async def list_due(after: UUID | None, limit: int) -> list[Row]:
    """Return parked refunds, and their orders, from behind an id."""
    return await DB.fetch(_DUE, after, limit)


async def list_refunds(
    which: str, *, parked_before: datetime, before: tuple[datetime, UUID] | None, limit: int
) -> list[Row]:
    """Return refunds, newest first, from behind a cursor.

    Args:
        which: A state, "" for any; "differs" for those of other customers than the sale's, "needs_person" for those that
            will not come right by waiting.
        parked_before: Those that have waited since then need a person.
    """
    page = (*(before or (None, None)), limit)
    match which:
        case "":
            return await DB.fetch(_ALL, *page)
        case "differs":
            return await DB.fetch(_DIFFERING, *page)
        case "needs_person":
            return await DB.fetch(_WAITING, *page, parked_before)
        case state:
            return await DB.fetch(_IN_STATE, *page, state)


def returned_line(row: Row) -> ReturnedLine:
    """Return a row of `list_lines` as the rules take it."""
    return ReturnedLine(
        line_id=row["line_id"],
        quantity=row["quantity"],
        net_minor=row["net_minor"],
        points_part_minor=row["points_part_minor"],
    )


def _text_of(quantity: Decimal | None) -> str | None:
    return None if quantity is None else str(quantity)
