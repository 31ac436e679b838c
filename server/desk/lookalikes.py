"""Who may be the person that is being registered: looked up while staff type, from fields that may be half written."""

import re
from datetime import date
from uuid import UUID

import msgspec
from rapidfuzz.fuzz import token_sort_ratio

from server.customers.rules import fold_name, parse_email, parse_phone
from server.db.engine import Row
from server.desk import lookalike_store as store
from server.desk.search import mask_hit
from server.errors import Invalid
from shared.codes import normalise_card_number
from shared.limits import DUPLICATE_ROWS_MAX
from shared.staff import DuplicateCheck, Lookalike

# Two names of usual length that differ in one letter, or are the same in another order.
_SIMILAR_MIN = 82.0
_SAME_MIN = 99.0
_NAME_LETTERS_MIN = 3
_BIRTHDAY = re.compile(r"(?:(?P<year>\d{4})-)?(?P<month>\d{2})-(?P<day>\d{2})")


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """The fields as far as they can be read; what cannot is left out."""

    email_key: str | None
    phone_key: str | None
    card: str | None
    name: str
    birth_year: int | None
    birth_month: int | None
    birth_day: int | None
    post_code: str


class _Near(msgspec.Struct, frozen=True, kw_only=True):
    customer_id: UUID
    score: float
    reasons: tuple[str, ...]


def read_typed(*, email: str, phone: str, card: str, name: str, birthday: str, post_code: str, country: str) -> Typed:
    """Return what can be compared of what was typed so far; nothing here is wrong, only unfinished."""
    year, month, day = _read_birthday(birthday)
    return Typed(
        email_key=_email_key(email),
        phone_key=_phone_key(phone, country),
        card=normalise_card_number(card) or None,
        name=fold_name(name),
        birth_year=year,
        birth_month=month,
        birth_day=day,
        post_code="".join(post_code.split()).upper(),
    )


async def check_duplicates(typed: Typed) -> DuplicateCheck:
    """Return who has what was typed exactly, and who is nearly the same person; a few of each, the likeliest first."""
    exact = await store.find_exact(email_key=typed.email_key, phone_key=typed.phone_key, card=typed.card)
    certain = {row["id"]: row["is_certain"] for row in exact}
    near = [one for one in await _list_near(typed) if one.customer_id not in certain][:DUPLICATE_ROWS_MAX]
    shown = await store.show([*certain, *(one.customer_id for one in near)])
    return DuplicateCheck(
        exact=tuple(
            _view(shown[row["id"]], tuple(row["reasons"]), is_certain=row["is_certain"])
            for row in exact
            if row["id"] in shown
        ),
        near=tuple(
            _view(shown[one.customer_id], one.reasons, is_certain=False) for one in near if one.customer_id in shown
        ),
    )


async def _list_near(typed: Typed) -> list[_Near]:
    if len(typed.name) < _NAME_LETTERS_MIN:
        return []
    rows = await store.list_near(
        post_code=typed.post_code,
        name_key=typed.name,
        month=typed.birth_month,
        day=typed.birth_day,
        beginnings=sorted({word[:2] for word in typed.name.split()}),
    )
    found = [near for row in rows if (near := rate(typed, row)) is not None]
    return sorted(found, key=lambda near: (-near.score, near.customer_id))


def rate(typed: Typed, row: Row) -> _Near | None:
    """Return how alike a customer is; None unless the name is, with something else or to the letter."""
    name = fold_name(f"{row['given_name']} {row['family_name']}")
    likeness = 100.0 if name.startswith(typed.name) else token_sort_ratio(typed.name, name)
    if likeness < _SIMILAR_MIN:
        return None
    is_same_name = token_sort_ratio(typed.name, name) >= _SAME_MIN
    reasons = ["name" if is_same_name else "similar_name"]
    if typed.post_code and "".join(row["post_code"].split()).upper() == typed.post_code:
        reasons.append("post_code")
    if typed.birth_month and (row["birth_month"], row["birth_day"]) == (typed.birth_month, typed.birth_day):
        if typed.birth_year and row["birth_year"] and typed.birth_year != row["birth_year"]:
            # Born on the same day of another year: a namesake.
            return None
        reasons.append("birthday")
    if reasons == ["similar_name"]:
        return None
    return _Near(customer_id=row["id"], score=likeness + 20 * len(reasons), reasons=tuple(reasons))


def _view(row: Row, reasons: tuple[str, ...], *, is_certain: bool) -> Lookalike:
    return Lookalike(
        id=row["id"],
        name=f"{row['given_name']} {row['family_name']}".strip(),
        status=row["status"],
        is_certain=is_certain,
        reasons=reasons,
        **mask_hit(row),
    )


def _email_key(text: str) -> str | None:
    if "@" not in text:
        return None
    try:
        return parse_email(text, "email").key
    except Invalid:
        return None


def _phone_key(text: str, country: str) -> str | None:
    try:
        return parse_phone(text, country).key
    except Invalid:
        return None


def _read_birthday(text: str) -> tuple[int | None, int | None, int | None]:
    """Return year, month and day of 1990-05-17 or 05-17, none for anything else."""
    found = _BIRTHDAY.fullmatch(text.strip())
    if found is None:
        return None, None, None
    year = int(found["year"]) if found["year"] else None
    try:
        day = date(year or 2000, int(found["month"]), int(found["day"]))
    except ValueError:
        return None, None, None
    return year, day.month, day.day
