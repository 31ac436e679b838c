"""SQL of counting what waits for a person. Each count stops early, so that a neglected queue costs no more."""

from datetime import datetime
from uuid import UUID

from server.db.engine import DB
from shared.limits import QUEUE_COUNT_MAX

_COUNT = "select count(*) from (select {what} limit $1) found"
_ADJUSTMENTS = _COUNT.format(what="from adjustment where state = 'waiting' and lapses_at > $2 and requested_by <> $3")
_REFUNDS = _COUNT.format(
    what="from refund where state in ('blind', 'refused') or (state = 'parked' and created_at < $2)"
)
_ORDERS = _COUNT.format(
    what="from orders where membership is null and store = $2 and completed_at >= $3 and completed_at < $4"
)
# As the list shows them: between a merge and the next look at its two customers the pair is open no more.
_DUPLICATES = _COUNT.format(
    what="from duplicate_candidate d join customer a on a.id = d.one join customer b on b.id = d.other "
    "where d.state = 'open' and a.status in ('stub', 'active', 'blocked') and b.status in ('stub', 'active', 'blocked')"
)
_MERGES = _COUNT.format(what="from merge where state = 'waiting' and lapses_at > $2 and requested_by <> $3")
_OVERRIDES = _COUNT.format(
    what="from email_change where is_override and state = 'pending' and approved_by is null and expires_at > $2 "
    "and requested_by_id <> $3"
)
_LINK_REVIEWS = _COUNT.format(what="from link_review where state = 'open'")
_LINKS = _COUNT.format(what="from pos_link where state = 'waiting' and actor_id is distinct from $2")
_POS_TODOS = _COUNT.format(what="from pos_todo where state = 'open'")
_ERASURES = _COUNT.format(what="from erasure where state = 'waiting' and requested_by_id is distinct from $2")
_LATE_ERASURES = _COUNT.format(what="from erasure where state in ('waiting', 'cooling') and answer_by < $2")
_ZONE = "select zone from store where id = $1"


async def count_adjustments(now: datetime, *, not_by: UUID) -> int:
    """Return how many adjustments of others wait for a decision."""
    return await _count(_ADJUSTMENTS, now, not_by)


async def count_refunds(parked_before: datetime) -> int:
    """Return how many refunds will not come right by waiting."""
    return await _count(_REFUNDS, parked_before)


async def count_orders(store_id: UUID, from_at: datetime, until_at: datetime) -> int:
    """Return how many of a store's orders of a time count for nobody."""
    return await _count(_ORDERS, store_id, from_at, until_at)


async def count_duplicates() -> int:
    """Return how many pairs of customers may be one person."""
    return await _count(_DUPLICATES)


async def count_merges(now: datetime, *, not_by: UUID) -> int:
    """Return how many merges that others asked for wait for a decision."""
    return await _count(_MERGES, now, not_by)


async def count_overrides(now: datetime, *, not_by: UUID) -> int:
    """Return how many corrections of proven addresses that others asked for wait for a yes."""
    return await _count(_OVERRIDES, now, not_by)


async def count_link_reviews() -> int:
    """Return how many matches of customers with POS records a person must decide on."""
    return await _count(_LINK_REVIEWS)


async def count_links(*, not_by: UUID) -> int:
    """Return how many links that others asked for wait for a yes."""
    return await _count(_LINKS, not_by)


async def count_pos_todos() -> int:
    """Return how much is to be done by hand in tills."""
    return await _count(_POS_TODOS)


async def count_erasures(*, not_by: UUID) -> int:
    """Return how many wishes to be forgotten that others took down wait for a yes."""
    return await _count(_ERASURES, not_by)


async def count_late_erasures(now: datetime) -> int:
    """Return how many wishes to be forgotten are not carried out although their month is over."""
    return await _count(_LATE_ERASURES, now)


async def get_zone(store_id: UUID) -> str:
    """Return a store's time zone."""
    return str(await DB.fetch_value(_ZONE, store_id))


async def _count(sql: str, *values: object) -> int:
    count = await DB.fetch_value(sql, QUEUE_COUNT_MAX, *values)
    assert isinstance(count, int)
    return count
