"""Codes for everybody whom no email reaches: a list for a letter shop, or letters to print. Each file is written once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from server.audit.store import record
from server.auth import Staff
from server.claims import batch_store, store
from server.claims.issuing import link_of, make_code
from server.claims.letters import Letter, render_letters
from server.context import Context
from server.csv_cells import encode_rows
from server.cursors import cut_page, decode_cursor
from server.db.engine import DB, Row
from server.db.ids import new_id
from server.errors import NotFound, Refused
from server.tokens import claim_code
from shared.claims import ClaimBatchPage, ClaimBatchPreview, ClaimBatchView
from shared.limits import CLAIM_BATCH_MAX, CLAIM_FILES_LIFE
from shared.problems import Code

_FIRST = UUID(int=0)
_AT_ONCE = 1_000
_COLUMNS = ("code", "link", "name", "given_name", "family_name", "address", "post_code", "check", "valid_until")


async def preview(ctx: Context, *, reissue: bool) -> ClaimBatchPreview:
    """Return how many people would get a letter."""
    row = await batch_store.count_customers(ctx.now, reissue=reissue)
    return ClaimBatchPreview(**dict(row), largest=CLAIM_BATCH_MAX)


async def create(ctx: Context, *, reissue: bool) -> ClaimBatchView:
    """Make a code for everybody whom no email reaches, however many there are.

    Raises:
        NotFound: There is nobody.
    """
    async with DB.transaction():
        return await make(ctx, None, reissue=reissue, most=None)


async def make(ctx: Context, staff: Staff | None, *, reissue: bool, most: int | None) -> ClaimBatchView:
    """Make a code for everybody whom no email reaches, in the caller's transaction.

    Args:
        reissue: Also for those who have a live code, which is void then.
        most: Refuse for more people than this, as the files would take too long for a request.

    Raises:
        NotFound: There is nobody.
        Refused: CLAIM_CLOSED, there are too many.
    """
    batch_id = new_id()
    await batch_store.lock_batches()
    found = await batch_store.count_customers(ctx.now, reissue=reissue)
    if not found["customers"]:
        raise NotFound("Nobody needs a letter: there is an email address, a sign-in or a live code for everybody.")
    if most is not None and found["customers"] > most:
        detail = f"These are more than {most} people; have `regulars claim batch` run where the service runs."
        raise Refused(Code.CLAIM_CLOSED, detail, data={"customers": found["customers"]})
    await batch_store.insert_batch(ctx, batch_id)
    count = await _issue_all(ctx, batch_id, reissue=reissue)
    await batch_store.finish_batch(batch_id, count, staff.staff_id if staff else None)
    await record(
        ctx,
        "claim_batch.created",
        subject_kind="claim_batch",
        subject_id=batch_id,
        details={"codes": count, "reissue": reissue},
    )
    return await get(batch_id)


async def get(batch_id: UUID) -> ClaimBatchView:
    """Return a batch.

    Raises:
        NotFound: There is no such batch.
    """
    row = await batch_store.find_batch(batch_id)
    if row is None:
        raise NotFound
    return _view(row)


async def list_page(*, cursor: str, limit: int) -> ClaimBatchPage:
    """Return a page of batches, newest first.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    rows = await batch_store.list_batches(before=decode_cursor(cursor), limit=limit + 1)
    page, next_cursor = cut_page(rows, limit, at="created_at")
    return ClaimBatchPage(
        items=tuple(_view(row) for row in page),
        next_cursor=next_cursor,
    )


async def revoke(ctx: Context, batch_id: UUID, reason: str) -> ClaimBatchView:
    """Void all codes of a batch that are live, as when letters got lost.

    Raises:
        NotFound: There is no such batch.
        Refused: CLAIM_CLOSED, it was void before.
    """
    async with DB.transaction():
        await batch_store.lock_batches()
        await get(batch_id)
        revoked = await batch_store.revoke(ctx, batch_id)
        if revoked is None:
            raise Refused(Code.CLAIM_CLOSED, "This batch was void before.")
        await record(
            ctx,
            "claim_batch.revoked",
            subject_kind="claim_batch",
            subject_id=batch_id,
            reason=reason,
            details={"codes": revoked},
        )
    return await get(batch_id)


async def open_csv(ctx: Context, batch_id: UUID) -> AsyncIterator[bytes]:
    """Return the list of a batch as CSV, in parts, the only time that it is written.

    Raises:
        NotFound: There is no such batch.
        Refused: CLAIM_CLOSED, the list was written before, or it is too late, or the batch is void.
    """
    await _take(ctx, batch_id, "csv")
    return _write_csv(ctx, batch_id)


async def open_letters(ctx: Context, batch_id: UUID) -> AsyncIterator[bytes]:
    """Return the letters of a batch as PDF files of up to a thousand pages, the only time that they are written.

    Raises:
        NotFound: There is no such batch.
        Refused: CLAIM_CLOSED, as in `open_csv`.
    """
    await _take(ctx, batch_id, "pdf")
    return _write_letters(ctx, batch_id, at_once=_AT_ONCE)


async def write_letters(ctx: Context, batch_id: UUID) -> bytes:
    """Return the letters of a batch of a size that a request may have as one PDF, the only time that they are written.

    Raises:
        NotFound: There is no such batch.
        Refused: CLAIM_CLOSED, as in `open_csv`, or the batch is too large for one file.
    """
    if (await get(batch_id)).codes > CLAIM_BATCH_MAX:
        raise Refused(
            Code.CLAIM_CLOSED, f"One file takes {CLAIM_BATCH_MAX} letters; `regulars claim batch` makes more."
        )
    await _take(ctx, batch_id, "pdf")
    return b"".join([part async for part in _write_letters(ctx, batch_id, at_once=CLAIM_BATCH_MAX)])


async def _issue_all(ctx: Context, batch_id: UUID, *, reissue: bool) -> int:
    expires_at = ctx.now + timedelta(days=ctx.settings.claim_letter_days)
    count, last = 0, _FIRST
    # People come before their codes, as in every act that locks both.
    while held := await batch_store.hold_customers(ctx.now, reissue=reissue, after=last, limit=_AT_ONCE):
        last = held[-1]
        ids = await batch_store.list_customers(ctx.now, held, reissue=reissue)
        # An expired code is in the way of a new one too, so all are void first.
        await store.revoke_of_customers(ctx, ids)
        made = [make_code(ctx) for _ in ids]
        codes = [(code_id, code_hash, one) for (code_id, _, code_hash), one in zip(made, ids, strict=True)]
        added = await store.insert_codes(ctx, codes, kind="letter", expires_at=expires_at, batch_id=batch_id)
        count += len(added)
    return count


async def _take(ctx: Context, batch_id: UUID, file: str) -> None:
    take = batch_store.take_csv if file == "csv" else batch_store.take_pdf
    async with DB.transaction():
        await get(batch_id)
        if not await take(ctx, batch_id, made_after=ctx.now - CLAIM_FILES_LIFE):
            detail = "This file was written before, or its time is over. A new batch with `reissue` makes new codes."
            raise Refused(Code.CLAIM_CLOSED, detail)
        await record(
            ctx, "claim_batch.written", subject_kind="claim_batch", subject_id=batch_id, details={"file": file}
        )


async def _write_csv(ctx: Context, batch_id: UUID) -> AsyncIterator[bytes]:
    yield encode_rows([_COLUMNS])
    last = _FIRST
    while rows := await batch_store.list_letters(batch_id, after=last, limit=_AT_ONCE):
        last = rows[-1]["id"]
        yield encode_rows(
            [
                (
                    (code := claim_code(ctx.tokens, row["id"])), link_of(ctx, code), row["name"], row["given_name"],
                    row["family_name"], row["postal_address"], row["post_code"], _check_of(row),
                    _last_day(row),
                )
                for row in rows
            ]
        )  # fmt: skip


async def _write_letters(ctx: Context, batch_id: UUID, *, at_once: int) -> AsyncIterator[bytes]:
    last = _FIRST
    while rows := await batch_store.list_letters(batch_id, after=last, limit=at_once):
        last = rows[-1]["id"]
        letters = [_letter(ctx, row) for row in rows]
        settings = ctx.settings
        # Drawing takes a while, and others are served meanwhile.
        yield await asyncio.to_thread(render_letters, letters, shop_name=settings.shop_name, font=settings.letter_font)


def _letter(ctx: Context, row: Row) -> Letter:
    code = claim_code(ctx.tokens, row["id"])
    return Letter(
        name=row["name"],
        given_name=row["given_name"],
        address=row["postal_address"],
        post_code=row["post_code"],
        code=code,
        link=link_of(ctx, code),
        page=f"{ctx.settings.public_url}/links/claim",
        check=_check_of(row),
        valid_until=_last_day(row),
    )


def _last_day(row: Row) -> date:
    """Return the last day of the shop's on which a code works to the end: it lapses some time on the next."""
    lapses_at: datetime = row["expires_at"].astimezone(ZoneInfo(row["zone"]))
    return lapses_at.date() - timedelta(days=1)


def _check_of(row: Row) -> str:
    """Return in words what the person is asked for beside the code, "" where the shop knows nothing to ask for."""
    known = {
        "the last four digits of your phone number": row["phone_key"],
        "your family name": row["family_name"],
        "your post code": row["post_code"],
    }
    asked = [words for words, value in known.items() if value]
    return " or ".join(asked)


def _view(row: Row) -> ClaimBatchView:
    return ClaimBatchView(**dict(row), files_until=row["created_at"] + CLAIM_FILES_LIFE)
