"""Bringing sales in from a file, by the same way as a till's batches.

An order's external id makes it the same order, so an import that was stopped is run again and goes on where it was: what
is there already is found so, batch by batch, and posts nothing.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import msgspec

from server.context import Context
from server.csv_files import chunks
from server.db.again import again_while_busy
from server.db.engine import DB
from server.orders import batch_store
from server.orders.batch import Outcome, Sender, post_orders
from server.orders.files import Defaults, ReadOrder, read_orders
from server.problems import say_refusal
from server.programmes.service import get_default_programme
from shared.limits import ORDER_BATCH_MAX

Progress = Callable[[int], None]


class ImportedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the report: what became of a sale (posted, changed, known, refused), its points, and why it has none."""

    row: int
    external_id: str
    result: str
    points: int
    reason: str


class OrdersImported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to: `posted` are new, `changed` and `known` were there, `refused` can be put right."""

    posted: int
    changed: int
    known: int
    refused: int
    points: int
    orders: tuple[ImportedOrder, ...]


async def read_sales(text: str) -> list[ReadOrder]:
    """Read the sales of a file.

    Raises:
        WrongFile: It cannot be read.
        NoProgramme: The shop has none.
    """
    programme = await get_default_programme()
    return read_orders(text, Defaults(currency=programme.currency, zones=await batch_store.list_zones()))


async def import_orders(
    ctx: Context, read: list[ReadOrder], *, connection_id: UUID, on_progress: Progress
) -> OrdersImported:
    """Post the sales of a file, batch by batch, each batch whole or not at all.

    Args:
        connection_id: The till system whose sales these are; the same one that pushes them, or they would count twice.
        on_progress: Told how many sales were just done.

    Raises:
        Busy: The database did not keep up; run the import again.
    """
    done: list[ImportedOrder] = []
    points = 0
    for chunk in chunks(read, ORDER_BATCH_MAX):
        outcomes = iter(await again_while_busy(partial(_post, ctx, connection_id, chunk)))
        for one in chunk:
            line = _line_of(one, next(outcomes) if one.order is not None else None)
            points += line.points if line.result == "posted" else 0
            done.append(line)
        on_progress(len(chunk))
    counts = {
        result: sum(line.result == result for line in done) for result in ("posted", "changed", "known", "refused")
    }
    return OrdersImported(**counts, points=points, orders=tuple(done))


async def _post(ctx: Context, connection_id: UUID, chunk: list[ReadOrder]) -> tuple[Outcome, ...]:
    orders = [one.order for one in chunk if one.order is not None]
    async with DB.transaction():
        ctx = msgspec.structs.replace(ctx, now=ctx.tools.clock.now())
        return await post_orders(ctx, Sender(connection_id=connection_id), orders)


def _line_of(one: ReadOrder, outcome: Outcome | None) -> ImportedOrder:
    if outcome is None:
        return ImportedOrder(row=one.row, external_id=one.external_id, result="refused", points=0, reason=one.reason)
    if outcome.result is None:
        assert outcome.refusal is not None
        reason = say_refusal(outcome.refusal)
        return ImportedOrder(row=one.row, external_id=one.external_id, result="refused", points=0, reason=reason)
    return ImportedOrder(
        row=one.row,
        external_id=one.external_id,
        result="posted" if outcome.is_new else "changed" if outcome.is_changed else "known",
        points=outcome.result.points,
        reason=str(outcome.result.skipped_reason or ""),
    )
