"""Bringing opening balances over: read, staged, posted in steps that can be stopped and taken up again anywhere."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

import msgspec

from server.audience.marks import mark_customers
from server.audit.store import record
from server.context import Context
from server.csv_files import WrongFile, chunks
from server.db.again import again_while_busy
from server.db.engine import DB, Row
from server.imports import store
from server.imports.rules import LAPSED, BadLine, BalanceLine, Sorted, read_balances, sort_lines
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
    """What a run came to: rows posted and their points, rows posted by earlier runs, and lines refused, with reasons."""

    posted: int
    points: int
    known: int
    refused: tuple[BadLine, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was read: its batch's name, what tells it from every other file, and its lines."""

    name: str
    hash: bytes
    lines: tuple[BalanceLine, ...]
    refused: tuple[BadLine, ...]


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction did: rows posted and their points, and rows that cannot be."""

    posted: int
    points: int
    refused: tuple[BadLine, ...]


async def check_balances(ctx: Context, text: str, *, name: str) -> BalancesImported:
    """Read a file and say what importing it would do; nothing is written.

    Raises:
        WrongFile, NoProgramme: As in `import_balances`.
    """
    file = await _read(ctx, text, name=name)
    batch_id = await store.find_batch(name)
    lines = await _sort(ctx, file, batch_id)
    refused = [*file.refused, *lines.refused]
    posted = points = 0
    for chunk in chunks(lines.to_post, _STAGED_AT_ONCE):
        found = await store.resolve([(line.identified_by, line.identifier) for line in chunk])
        for place, line in enumerate(chunk):
            if reason := _why_not(line.identified_by, found.get(place)):
                refused.append(BadLine(line=line.line, row_key=line.row_key, reason=reason))
            else:
                posted, points = posted + 1, points + line.points
    return BalancesImported(posted=posted, points=points, known=lines.known, refused=_in_order(refused))


async def import_balances(ctx: Context, text: str, *, name: str, on_progress: Progress) -> BalancesImported:
    """Post the rows of a file as OPENING lots with their dates.

    Stopped at any point, or run again with the same `name`, it goes on with what is not posted yet; no row is posted
    twice. A row that says something else than when it was posted is refused. Rows that are refused are told and not kept.

    Args:
        name: Name of the batch.
        on_progress: Told how many rows were just done.

    Raises:
        WrongFile: The file cannot be read, or the very same was posted under another name.
        NoProgramme: The shop has none.
        Busy: The database did not keep up; run the import again.
    """
    file = await _read(ctx, text, name=name)
    batch_id, lines = await again_while_busy(partial(_stage, ctx, file))
    refused = [*file.refused, *lines.refused]
    if done_before := lines.known + len(refused):
        on_progress(done_before)
    posted = points = 0
    while step := await again_while_busy(partial(_post_some, ctx, batch_id)):
        posted, points = posted + step.posted, points + step.points
        refused += step.refused
        on_progress(step.posted + len(step.refused))
    async with DB.transaction():
        await store.finish(ctx, batch_id)
        await record(
            ctx,
            "balances.imported",
            subject_kind="import_batch",
            subject_id=batch_id,
            details={"posted": posted, "points": points, "known": lines.known, "refused": len(refused)},
        )
    return BalancesImported(posted=posted, points=points, known=lines.known, refused=_in_order(refused))


async def _read(ctx: Context, text: str, *, name: str) -> _File:
    file_hash = hashlib.sha256(text.encode()).digest()
    if other := await store.find_same_file(file_hash, but=name):
        raise WrongFile(f"it was imported before as the batch {other!r}; go on with that by --batch.")
    programme = await get_default_programme()
    read = [*read_balances(text, zone=programme.zone, country=ctx.settings.default_country, now=ctx.now)]
    return _File(
        name=name,
        hash=file_hash,
        lines=tuple(line for line in read if isinstance(line, BalanceLine)),
        refused=tuple(line for line in read if isinstance(line, BadLine)),
    )


async def _sort(ctx: Context, file: _File, batch_id: UUID | None) -> Sorted:
    posted = await store.list_posted(batch_id) if batch_id is not None else {}
    forgotten = {line.row_key for line in file.lines if posted and store.name_erased(ctx, line.row_key) in posted}
    return sort_lines(file.lines, posted, forgotten=forgotten)


async def _stage(ctx: Context, file: _File) -> tuple[UUID, Sorted]:
    """Write down all lines that are to be posted, instead of those that a run before this one left."""
    async with DB.transaction():
        batch_id = await store.open_batch(ctx, name=file.name, file_hash=file.hash)
        await store.drop_waiting(batch_id)
        lines = await _sort(ctx, file, batch_id)
        for chunk in chunks(lines.to_post, _STAGED_AT_ONCE):
            await store.stage(batch_id, chunk)
    return batch_id, lines


async def _post_some(ctx: Context, batch_id: UUID) -> _Step | None:
    """Post or refuse the next rows in one transaction; None if there are none.

    Rows of whoever was merged, left or combined between the first look and the lock wait for the next step.
    """
    async with DB.transaction():
        ctx = msgspec.structs.replace(ctx, now=ctx.tools.clock.now())
        rows = await store.lock_to_do(batch_id, _POSTED_AT_ONCE)
        if not rows:
            return None
        wanted = [(row["identified_by"], row["identifier"]) for row in rows]
        targets = {whom["membership"] for whom in (await store.resolve(wanted)).values() if whom["membership"]}
        locked = {row["id"]: row for row in await memberships.lock_memberships(sorted(targets))}
        found = await store.resolve(wanted)
        good, refused = [], []
        for place, row in enumerate(rows):
            if reason := _why_not_now(ctx, row, found.get(place)):
                refused.append((row["id"], BadLine(line=row["line"], row_key=row["row_key"], reason=reason)))
            elif found[place]["membership"] in locked:
                good.append((row, found[place]))
        await store.drop([row_id for row_id, _ in refused])
        step = _Step(
            posted=len(good), points=sum(row["points"] for row, _ in good), refused=tuple(bad for _, bad in refused)
        )
        if good:
            await _post(ctx, good, locked)
            details = {"posted": step.posted, "points": step.points}
            await record(ctx, "balances.posted", subject_kind="import_batch", subject_id=batch_id, details=details)
    return step


async def _post(ctx: Context, good: Sequence[tuple[Row, Row]], locked: Mapping[UUID, Row]) -> None:
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
    await mark_customers(ctx, await store.list_people(sorted({whom["membership"] for _, whom in good})))


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


def _in_order(refused: Sequence[BadLine]) -> tuple[BadLine, ...]:
    return tuple(sorted(refused, key=lambda line: line.line))


def _why_not_now(ctx: Context, row: Row, found: Row | None) -> str | None:
    """Return why a staged row cannot be posted, which may have waited long; None if it can."""
    if row["expires_at"] is not None and row["expires_at"] <= ctx.now:
        return LAPSED
    return _why_not(row["identified_by"], found)


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
