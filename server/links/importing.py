"""Bringing a till's customers in from a file, by the same way as its batches.

A record's external id makes it the same record, so an import that was stopped is run again; what has not changed is found
so.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import UUID

import msgspec

from server.context import Context
from server.csv_files import chunks
from server.db.again import again_while_busy
from server.db.engine import DB
from server.links.directory import Taken, take_records
from server.links.files import ReadRecord, read_records
from server.problems import say_refusal
from shared.limits import POS_RECORD_BATCH_MAX
from shared.links import PosRecord

Progress = Callable[[int], None]


class ImportedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the report: what became of a record (new, changed, unchanged, stale, refused), and why or what was left out."""

    line: int
    external_id: str
    result: str
    reason: str


class RecordsImported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to, by what became of the records, and the report."""

    counts: dict[str, int]
    records: tuple[ImportedRecord, ...]


async def import_records(ctx: Context, text: str, *, connection_id: UUID, on_progress: Progress) -> RecordsImported:
    """Keep the records of a file, batch by batch, each batch whole or not at all.

    Args:
        connection_id: The till system whose customers these are.
        on_progress: Told how many records were just done.

    Raises:
        WrongFile: It cannot be read.
        Busy: The database did not keep up; run the import again.
    """
    done: list[ImportedRecord] = []
    for chunk in chunks(read_records(text), POS_RECORD_BATCH_MAX):
        good = [one.record for one in chunk if one.record is not None]
        taken = iter(await again_while_busy(partial(_take, ctx, connection_id, good)))
        done += [_line_of(one, next(taken) if one.record is not None else None) for one in chunk]
        on_progress(len(chunk))
    return RecordsImported(counts=dict(Counter(line.result for line in done)), records=tuple(done))


async def _take(ctx: Context, connection_id: UUID, records: list[PosRecord]) -> tuple[Taken, ...]:
    async with DB.transaction():
        return await take_records(msgspec.structs.replace(ctx, now=ctx.tools.clock.now()), connection_id, records)


def _line_of(one: ReadRecord, taken: Taken | None) -> ImportedRecord:
    if taken is None:
        return ImportedRecord(line=one.line, external_id=one.external_id, result="refused", reason=one.reason)
    if taken.result is None:
        assert taken.refusal is not None
        reason = say_refusal(taken.refusal)
        return ImportedRecord(line=one.line, external_id=one.external_id, result="refused", reason=reason)
    return ImportedRecord(
        line=one.line,
        external_id=one.external_id,
        result=taken.result.outcome,
        reason="; ".join(taken.result.notes),
    )
