"""Letting go of people who have not come for years: shown first, begun in batches, called off by whoever comes."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from server.context import Context
from server.db.engine import Row
from server.db.ids import new_id
from server.errors import NotFound, Refused
from server.messages.service import queue_mail
from server.privacy import retention_store as store
from server.privacy import rules
from server.privacy.erasure_execution import record_act
from server.sessions.links import Purpose, create_link
from server.time_words import say_day
from shared.limits import DORMANT_BATCH_MAX, DORMANT_COUNTED_MAX, DORMANT_NOTICE, DORMANT_SHOWN
from shared.privacy import DormantBatch, DormantCustomer, DormantErasing, DormantPreview
from shared.problems import Code


async def preview(ctx: Context, years: int) -> DormantPreview:
    """Return who has not come for so many years, has no sign-in and nothing to lose, and what one batch would begin."""
    since = rules.years_before(ctx.now, years)
    count = await store.count_dormant(since, most=DORMANT_COUNTED_MAX)
    rows = await store.list_dormant(since, DORMANT_BATCH_MAX)
    return DormantPreview(
        years=years,
        customers=count["customers"],
        told=count["told"],
        batch=len(rows),
        execute_after=ctx.now + DORMANT_NOTICE,
        first=tuple(
            DormantCustomer(
                id=row["id"], name=row["name"], last_seen_at=row["last_seen_at"], has_email=row["email"] is not None
            )
            for row in rows[:DORMANT_SHOWN]
        ),
        preview_hash=_hash(years, [row["id"] for row in rows]),
    )


async def begin(ctx: Context, form: DormantErasing) -> DormantBatch:
    """Begin to let go of the batch that was shown, in the caller's transaction; whom a mail reaches is told how to stay.

    Raises:
        NotFound: There is nobody.
        Refused: PREVIEW_STALE, they are others by now.
    """
    since = rules.years_before(ctx.now, form.years)
    rows = await store.list_dormant(since, DORMANT_BATCH_MAX)
    if not rows:
        raise NotFound("Everybody has come in that time, or has something to lose.")
    if form.preview_hash != _hash(form.years, [row["id"] for row in rows]):
        raise Refused(Code.PREVIEW_STALE)
    execute_after = ctx.now + DORMANT_NOTICE
    begun = await store.insert_erasures(
        ctx,
        [(new_id(), row["id"]) for row in rows],
        reason=form.reason,
        answer_by=rules.one_month_after(ctx.now),
        execute_after=execute_after,
    )
    told = 0
    for row in rows:
        if (erasure_id := begun.get(row["id"])) is not None:
            told += await _tell(ctx, row, erasure_id, execute_after)
            await record_act(
                ctx, "erasure.requested", erasure_id, row["id"], reason=form.reason, details={"years": form.years}
            )
    left = (await store.count_dormant(since, most=DORMANT_COUNTED_MAX))["customers"]
    return DormantBatch(erasures=len(begun), told=told, left=left, execute_after=execute_after)


async def _tell(ctx: Context, row: Row, erasure_id: UUID, execute_after: datetime) -> int:
    """Mail the link that keeps a person here; return 1 if there is an address to mail it to."""
    if row["email"] is None:
        return 0
    token = await create_link(
        ctx,
        purpose=Purpose.ERASURE_CANCEL,
        customer_id=row["id"],
        email_key=row["email_key"],
        subject=erasure_id,
        life=execute_after - ctx.now,
    )
    await queue_mail(
        ctx,
        to=row["email"],
        template="erasure_dormant",
        customer_id=row["id"],
        token=token,
        parameters={"given_name": row["given_name"], "day": say_day(execute_after, ZoneInfo(row["zone"]))},
    )
    return 1


def _hash(years: int, ids: Sequence[UUID]) -> str:
    return hashlib.sha256(msgspec.json.encode((years, ids))).hexdigest()
