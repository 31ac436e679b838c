"""The queue of pairs who may be one person, as staff see it and decide on it."""

from collections.abc import Mapping
from datetime import UTC, date
from uuid import UUID
from zoneinfo import ZoneInfo

from server.audit.store import record
from server.auth import Staff
from server.context import Context
from server.cursors import Cursor, read_cursor, write_cursor
from server.customers.rules import mask_email
from server.db.engine import DB, Row
from server.duplicates import store
from server.duplicates.scoring import POINTS, Sign
from server.duplicates.wording import WORDS
from server.errors import NotFound, Refused
from shared.duplicates import (
    DuplicatePage,
    DuplicatePerson,
    DuplicateReason,
    DuplicateState,
    DuplicateView,
)
from shared.problems import Code

_ENDING_DIGITS = 4
_MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]  # fmt: skip
_KNOWN_SIGNS = {str(sign): sign for sign in Sign}


class _PairCursor(Cursor, frozen=True, array_like=True):
    """The sort key of a pair: the score comes before time and id."""

    score: int = 0


async def list_duplicates(
    ctx: Context, state: DuplicateState, customer_id: UUID | None, *, cursor: str, limit: int
) -> DuplicatePage:
    """Return a page of pairs, the likeliest first, perhaps only those of one customer.

    Raises:
        Invalid: The cursor is not one of ours.
    """
    after = read_cursor(cursor, _PairCursor)
    rows = await store.list_pairs(
        state=state,
        customer_id=customer_id,
        after=(after.score, after.at, after.id) if after else None,
        limit=limit + 1,
    )
    page, more = rows[:limit], len(rows) > limit
    last = _PairCursor(page[-1]["found_at"], page[-1]["id"], page[-1]["score"]) if more else None
    return DuplicatePage(items=await _views(ctx, page), next_cursor=write_cursor(last) if last else None)


async def dismiss(ctx: Context, staff: Staff, pair_id: UUID, note: str) -> DuplicateView:
    """Remember that two customers are two people. Saying so again changes nothing.

    Raises:
        NotFound: There is no such pair, or it is none any more.
        Refused: REQUEST_CLOSED, the two were merged.
    """
    async with DB.transaction():
        pair = await _lock(pair_id)
        if pair["state"] == "open":
            await store.dismiss(ctx, pair_id, staff_id=staff.staff_id, note=note.strip())
            await _record(ctx, "duplicate.dismissed", pair, reason=note.strip() or None)
        return await _get_view(ctx, pair_id)


async def reopen(ctx: Context, pair_id: UUID) -> DuplicateView:
    """Let a dismissed pair be looked at again.

    Raises:
        NotFound: There is no such pair, or it is none any more.
        Refused: REQUEST_CLOSED, the two were merged.
    """
    async with DB.transaction():
        pair = await _lock(pair_id)
        if pair["state"] == "dismissed":
            await store.reopen(pair_id)
            # What is known of the two may have changed since.
            await store.mark([pair["one"], pair["other"]])
            await _record(ctx, "duplicate.reopened", pair)
        return await _get_view(ctx, pair_id)


async def _lock(pair_id: UUID) -> Row:
    pair = await store.lock_pair(pair_id)
    if pair is None:
        raise NotFound
    if pair["state"] == "merged":
        raise Refused(Code.REQUEST_CLOSED)
    return pair


async def _record(ctx: Context, action: str, pair: Row, *, reason: str | None = None) -> None:
    # Both customers' histories tell of it.
    for customer_id, other_id in ((pair["one"], pair["other"]), (pair["other"], pair["one"])):
        await record(
            ctx,
            action,
            subject_kind="duplicate",
            subject_id=pair["id"],
            customer_id=customer_id,
            reason=reason,
            details={"other_customer_id": str(other_id)},
        )


async def _get_view(ctx: Context, pair_id: UUID) -> DuplicateView:
    pair = await store.find_pair(pair_id)
    assert pair is not None, "the pair is locked"
    (view,) = await _views(ctx, [pair])
    return view


async def _views(ctx: Context, pairs: list[Row]) -> tuple[DuplicateView, ...]:
    ids = {customer for pair in pairs for customer in (pair["one"], pair["other"])}
    faces = await store.list_faces(ids, ctx.now)
    return tuple(_view(pair, faces) for pair in pairs)


def _view(pair: Row, faces: Mapping[UUID, Row]) -> DuplicateView:
    one, other = faces[pair["one"]], faces[pair["other"]]
    # A sign that a former release knew explains nothing any more.
    signs = [_KNOWN_SIGNS[name] for name in pair["signs"] if name in _KNOWN_SIGNS]
    return DuplicateView(
        id=pair["id"],
        state=DuplicateState(pair["state"]),
        score=pair["score"],
        reasons=tuple(DuplicateReason(code=sign, points=POINTS[sign], text=WORDS[sign]) for sign in signs),
        one=_person(one),
        other=_person(other),
        survivor_id=max(one, other, key=_rank)["id"],
        found_at=pair["found_at"],
        decided_by=pair["decided_by"],
        decided_at=pair["decided_at"],
        note=pair["note"],
    )


def _rank(face: Row) -> tuple[bool, bool, bool, float]:
    return face["has_login"], face["pos_linked"], face["has_membership"], -face["created_at"].timestamp()


def _person(face: Row) -> DuplicatePerson:
    return DuplicatePerson(
        id=face["id"],
        name=f"{face['given_name']} {face['family_name']}".strip(),
        kind=face["kind"],
        status=face["status"],
        email_masked=mask_email(face["email"]) if face["email"] else None,
        email_proven=face["email_status"] in ("verified", "bouncing"),
        phone_ending=face["phone"][-_ENDING_DIGITS:] if face["phone"] else None,
        birthday=_birthday(face),
        post_code=face["post_code"] or None,
        card_ending=face["card_code"][-_ENDING_DIGITS:] if face["card_code"] else None,
        has_login=face["has_login"],
        pos_linked=face["pos_linked"],
        available=face["available"],
        created_at=face["created_at"],
        last_order_on=_last_order_on(face),
    )


def _birthday(face: Row) -> str | None:
    if face["birth_month"] is None:
        return None
    year = f" {face['birth_year']}" if face["birth_year"] else ""
    return f"{face['birth_day']} {_MONTHS[face['birth_month'] - 1]}{year}"


def _last_order_on(face: Row) -> date | None:
    if face["last_order_at"] is None:
        return None
    found: date = face["last_order_at"].astimezone(ZoneInfo(face["zone"]) if face["zone"] else UTC).date()
    return found
