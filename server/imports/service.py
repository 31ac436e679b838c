"""Bringing opening balances over: read, staged, posted in steps that can be stopped and taken up again anywhere."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

import msgspec

from server.audience.marks import mark_customers
from server.audit.store import record
from server.context import Context
from server.csv_files import chunks
from server.db.engine import DB, Row
from server.imports import store
from server.imports.rules import BadLine, BalanceLine, read_balances
from server.ledger.service import post_credit
from server.memberships import store as memberships
from server.programmes.service import get_default_programme
from shared.enums import EntryKind

_STAGED_AT_ONCE = 5_000
# A few hundred milliseconds of work, for which the members of these rows cannot buy.
_POSTED_AT_ONCE = 1_000
_WORDS = {"card": "card", "email": "email address", "phone": "phone number", "pos": "id of a till system"}

Progress = Callable[[int], None]


class BalancesImported(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch came to: rows posted (now or before) and their points, and the lines that were not, with reasons."""

    batch_id: UUID | None
    posted: int
    points: int
    refused: tuple[BadLine, ...]


async def check_balances(ctx: Context, text: str) -> BalancesImported:
    """Read a file and say what importing it would do; nothing is written.

    Raises:
        WrongFile: It cannot be read.
        NoProgramme: The shop has none.
    """
    posted = points = 0
    refused: list[BadLine] = []
    for chunk in chunks(await _read(ctx, text), _STAGED_AT_ONCE):
        good = [line for line in chunk if isinstance(line, BalanceLine)]
        refused += [line for line in chunk if isinstance(line, BadLine)]
        found = await store.resolve([(line.identified_by, line.identifier) for line in good])
        for place, line in enumerate(good):
            reason = _why_not(line.identified_by, found.get(place))
            if reason:
                refused.append(BadLine(line=line.line, row_key=line.row_key, reason=reason))
            else:
                posted, points = posted + 1, points + line.points
    return BalancesImported(batch_id=None, posted=posted, points=points, refused=tuple(refused))


async def import_balances(
    ctx: Context, text: str, *, name: str, file_hash: bytes, on_progress: Progress
) -> BalancesImported:
    """Post the rows of a file as OPENING lots with their dates.

    Stopped at any point, or run again with the same `name`, it goes on with what is not posted yet; no row is posted
    twice. A row that says something else than when it was posted is refused.

    Args:
        name: Name of the batch.
        on_progress: Told how many rows were just done.

    Raises:
        WrongFile: The file cannot be read.
        NoProgramme: The shop has none.
    """
    async with DB.transaction():
        batch_id = await store.open_batch(ctx, name=name, file_hash=file_hash)
    refused = await _stage(ctx, batch_id, text)
    while count := await _post_some(ctx, batch_id):
        on_progress(count)
    async with DB.transaction():
        counts = await store.finish(ctx, batch_id)
        await record(
            ctx,
            "balances.imported",
            subject_kind="import_batch",
            subject_id=batch_id,
            details={
                "posted": counts["posted"],
                "points": counts["points"],
                "refused": counts["refused"] + len(refused),
            },
        )
    refused += [
        BadLine(line=row["line"], row_key=row["row_key"], reason=row["reason"])
        async for row in store.iterate_report(batch_id)
        if row["state"] == "refused"
    ]
    return BalancesImported(
        batch_id=batch_id,
        posted=counts["posted"],
        points=counts["points"],
        refused=tuple(sorted(refused, key=lambda line: line.line)),
    )


async def _read(ctx: Context, text: str) -> Iterator[BalanceLine | BadLine]:
    programme = await get_default_programme()
    return read_balances(text, zone=programme.zone, country=ctx.settings.default_country, now=ctx.now)


async def _stage(ctx: Context, batch_id: UUID, text: str) -> list[BadLine]:
    """Write all readable lines down and return the others."""
    refused: list[BadLine] = []
    for chunk in chunks(await _read(ctx, text), _STAGED_AT_ONCE):
        good = [line for line in chunk if isinstance(line, BalanceLine)]
        refused += [line for line in chunk if isinstance(line, BadLine)]
        async with DB.transaction():
            forgotten = await store.list_forgotten(ctx, batch_id, good)
            different = await store.list_different(batch_id, good)
            left_out = forgotten | different
            await store.stage(batch_id, [line for line in good if line.row_key not in left_out])
        refused += [
            BadLine(line=line.line, row_key=line.row_key, reason="It was imported before, for somebody who was erased.")
            for line in good
            if line.row_key in forgotten
        ]
        refused += [
            BadLine(line=line.line, row_key=line.row_key, reason="It was imported before, with other content.")
            for line in good
            if line.row_key in different
        ]
    return refused


async def _post_some(ctx: Context, batch_id: UUID) -> int:
    """Post or refuse the next rows in one transaction and return how many there were."""
    async with DB.transaction():
        rows = await store.lock_to_do(batch_id, _POSTED_AT_ONCE)
        found = await store.resolve([(row["identified_by"], row["identifier"]) for row in rows])
        reasons = [_why_not(row["identified_by"], found.get(place)) for place, row in enumerate(rows)]
        await store.refuse([(row["id"], reason) for row, reason in zip(rows, reasons, strict=True) if reason])
        good = [(row, found[place]) for place, row in enumerate(rows) if not reasons[place]]
        await _post(ctx, good)
    return len(rows)


async def _post(ctx: Context, good: Sequence[tuple[Row, Row]]) -> None:
    targets = sorted({whom["membership"] for _, whom in good})
    if not targets:
        return
    locked = {row["id"]: row for row in await memberships.lock_memberships(targets)}
    # A deficit takes its part of each credit, and figures that are out of date must be summed: one by one.
    special = {
        key
        for key, row in locked.items()
        if row["deficit"] or (row["figures_until"] and row["figures_until"] <= ctx.now)
    }
    await store.post(ctx, [pair for pair in good if pair[1]["membership"] not in special])
    for row, whom in good:
        if whom["membership"] in special:
            await _post_one(ctx, row, whom)
    await mark_customers(ctx, await store.list_people(targets))


async def _post_one(ctx: Context, row: Row, whom: Row) -> None:
    (membership,) = await memberships.lock_memberships([whom["membership"]])
    entry_id = await post_credit(
        ctx,
        membership_id=membership["id"],
        deficit=membership["deficit"],
        kind=EntryKind.OPENING,
        points=row["points"],
        source_key=store.source_key(row),
        occurred_at=row["earned_at"],
        available_at=row["earned_at"],
        expires_at=row["expires_at"],
        customer_id=whom["customer"],
    )
    assert entry_id is not None, "a row that waits has no entry"
    await store.mark_posted(row["id"], customer_id=whom["customer"], membership_id=membership["id"], entry_id=entry_id)


def _why_not(identified_by: str, found: Row | None) -> str | None:
    """Return why a row cannot be posted, None if it can."""
    word = _WORDS[identified_by]
    if found is None and identified_by == "pos":
        return "No customer is linked to this record of that till system."
    if found is None:
        return f"Nobody has this {word}, or somebody typed it in and has not proven it."
    if found["people"] > 1:
        return f"{found['people']} customers have this {word}."
    if found["status"] == "blocked":
        return "The customer is blocked."
    if found["membership"] is None:
        return "The customer has no active membership."
    return None
