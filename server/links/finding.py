"""Staff find POS records, in the directory and in the tills, and see what waits for them.

Nothing is linked here.
"""

import asyncio
from uuid import UUID

from server.audit.store import record as audit
from server.context import Context, system_context
from server.cursors import cut_page, decode_cursor
from server.customers import store as customers
from server.db.engine import DB
from server.errors import NotFound
from server.links import directory_store, rules, store, todo_store, todos
from server.links.tills import keep, open_tills
from server.links.views import hit_of, link_view, review_views
from server.pos.protocol import Capability, Connector, PosRefused, PosUnavailable
from shared.limits import POS_SEARCH_SECONDS, SEARCH_ROWS_MAX
from shared.links import (
    CustomerLinks,
    LinkReviewPage,
    LinkState,
    RecordHits,
    ReviewSettling,
    WaitingLink,
    WaitingLinkPage,
)

_HINT = "Type a part of an address or a name, at least two letters; or at least four digits of a number or card."


async def search(ctx: Context, text: str) -> RecordHits:
    """Return the POS records that a text finds: in the directory, and in the tills that can be asked.

    Tills get two seconds; what they find is kept in the directory, and the answer names those that were silent.
    """
    query = rules.read_query(text)
    if query.is_empty:
        return RecordHits(items=(), hint=_HINT)
    silent = await _search_tills(ctx, text)
    rows = await directory_store.search(query, SEARCH_ROWS_MAX + 1)
    return RecordHits(
        items=tuple(hit_of(row) for row in rows[:SEARCH_ROWS_MAX]),
        truncated=len(rows) > SEARCH_ROWS_MAX,
        remote_failed=silent,
    )


async def _search_tills(ctx: Context, text: str) -> tuple[str, ...]:
    silent = []
    async with open_tills(ctx.tools) as tills:
        for connection_id, connector in tills.items():
            # What is kept here is searched for all of them together.
            if not connector.is_remote or Capability.SEARCH not in connector.capabilities:
                continue
            if not await _search_till(ctx, connection_id, connector, text):
                silent.append(connector.name)
    return tuple(silent)


async def _search_till(ctx: Context, connection_id: UUID, connector: Connector, text: str) -> bool:
    try:
        async with asyncio.timeout(POS_SEARCH_SECONDS):
            records = await connector.search(text)
    except (TimeoutError, PosUnavailable, PosRefused):
        return False
    if records:
        async with DB.transaction():
            await keep(system_context(ctx.tools), connection_id, connector, records)
    return True


async def get_links(customer_id: UUID) -> CustomerLinks:
    """Return everything about a customer's POS records.

    Raises:
        NotFound: There is no such customer.
    """
    if not await customers.exists(customer_id):
        raise NotFound
    check = await store.find_check(customer_id)
    links = tuple(link_view(row) for row in await store.list_links(customer_id))
    is_linked = any(link.state == "linked" for link in links)
    state = LinkState.LINKED if is_linked else LinkState.UNLINKED
    if check is not None and check["state"] != LinkState.LINKED:
        # A record that needs a person is worth telling beside one that is linked.
        state = LinkState(check["state"]) if not is_linked or check["state"] == LinkState.NEEDS_HELP else state
    return CustomerLinks(
        state=state,
        checked_at=check["checked_at"] if check else None,
        next_check_at=check["next_check_at"] if check else None,
        links=links,
        reviews=await review_views(await store.list_reviews(customer_id, limit=SEARCH_ROWS_MAX)),
        todos=await todos.views(await todo_store.list_of_customer(customer_id, SEARCH_ROWS_MAX)),
    )


async def list_waiting(*, cursor: str, limit: int) -> WaitingLinkPage:
    """Return a page of the links that wait for a second person, oldest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_waiting_links(after=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="created_at")
    return WaitingLinkPage(
        items=tuple(
            WaitingLink(link=link_view(row), customer_id=row["customer"], customer_name=row["customer_name"])
            for row in page
        ),
        next_cursor=next_cursor,
    )


async def list_reviews(*, cursor: str, limit: int) -> LinkReviewPage:
    """Return a page of the matches that wait for a person, oldest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await store.list_reviews(None, after=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="created_at")
    return LinkReviewPage(
        items=await review_views(page),
        next_cursor=next_cursor,
    )


async def settle_review(ctx: Context, review_id: UUID, form: ReviewSettling) -> None:
    """Close a match that needs nobody any more.

    Raises:
        NotFound: There is no such match.
    """
    async with DB.transaction():
        customer_id = await store.settle_review(ctx, review_id, note=form.note)
        if customer_id is None:
            if not await store.has_review(review_id):
                raise NotFound
            return
        await audit(
            ctx,
            "link_review.settled",
            subject_kind="link_review",
            subject_id=review_id,
            customer_id=customer_id,
            reason=form.note,
        )
