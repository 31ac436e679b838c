"""Whose fields stay when two customers become one: pure functions over plain values."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from shared.limits import REASON_LENGTH_MAX
from shared.merges import MergeChoices, MergeField, Side

_PROVEN = ("verified", "bouncing")
_MERGED_NOTES = "From the merged customer:"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An email address or phone number on file."""

    id: UUID
    customer: UUID
    kind: str
    value: str
    key: str
    status: str
    is_primary: bool

    @property
    def is_proven(self) -> bool:
        """Whether its owner has proven it."""
        return self.status in _PROVEN


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with what a merge compares."""

    id: UUID
    kind: str
    status: str
    given_name: str
    family_name: str
    birth_year: int | None
    birth_month: int | None
    birth_day: int | None
    locale: str
    notes: str
    created_at: datetime
    redemption_held_until: datetime | None
    redemption_held_reason: str | None
    postal_address: str = ""
    post_code: str = ""
    merged_into: UUID | None
    has_login: bool
    addresses: tuple[Address, ...]

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.given_name} {self.family_name}".strip()

    @property
    def birthday(self) -> str | None:
        """The birthday in digits, with the year where it is known."""
        if self.birth_month is None:
            return None
        year = f"{self.birth_year:04}-" if self.birth_year is not None else ""
        return f"{year}{self.birth_month:02}-{self.birth_day:02}"

    def primary(self, kind: str) -> Address | None:
        """Return the address that this customer is reached at."""
        return next((one for one in self.addresses if one.kind == kind and one.is_primary), None)

    @property
    def has_proven_email(self) -> bool:
        """Whether the email address that this customer is reached at is proven."""
        email = self.primary("email")
        return email is not None and email.is_proven


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """Which side each field comes from."""

    name: Side
    birthday: Side
    locale: Side
    email: Side
    phone: Side


def plan_fields(survivor: Person, absorbed: Person, choices: MergeChoices) -> Fields:
    """Return whose fields stay: the chosen side's where it has a value, else the survivor's, else the other's."""
    return Fields(
        name=_pick(choices.name, survivor.name, absorbed.name),
        birthday=_pick(choices.birthday, survivor.birthday, absorbed.birthday),
        locale=_pick(choices.locale, survivor.locale, absorbed.locale),
        email=_pick_address(choices.email, survivor, absorbed, "email"),
        phone=_pick_address(choices.phone, survivor, absorbed, "phone"),
    )


def list_fields(survivor: Person, absorbed: Person, fields: Fields) -> tuple[MergeField, ...]:
    """Return each field of both side by side."""
    values = {
        "name": (survivor.name or None, absorbed.name or None),
        "birthday": (survivor.birthday, absorbed.birthday),
        "locale": (survivor.locale, absorbed.locale),
        "email": (_value(survivor, "email"), _value(absorbed, "email")),
        "phone": (_value(survivor, "phone"), _value(absorbed, "phone")),
    }
    shown = []
    for name, (ours, theirs) in values.items():
        chosen: Side = getattr(fields, name)
        shown.append(
            MergeField(
                name=name,
                survivor=ours,
                absorbed=theirs,
                after=ours if chosen == "survivor" else theirs,
                chosen=chosen,
                may_choose=ours is not None and theirs is not None,
                differs=ours is not None and theirs is not None and ours != theirs,
            )
        )
    return tuple(shown)


def join_notes(survivor: str, absorbed: str) -> str | None:
    """Return both notes, the absorbed one's under a heading; None if they are too long together."""
    if not absorbed or absorbed in survivor:
        return survivor
    notes = f"{survivor}\n{_MERGED_NOTES}\n{absorbed}".strip()
    return notes if len(notes) <= REASON_LENGTH_MAX else None


def plan_consent(states: Sequence[tuple[datetime, str]]) -> str | None:
    """Return what holds for an address both customers had: the latest answer; of two at one time the no."""
    if not states:
        return None
    latest = max(at for at, _ in states)
    answers = {state for at, state in states if at == latest}
    if len(answers) == 1:
        return answers.pop()
    return "opted_out"


def _pick(choice: Side | None, ours: str | None, theirs: str | None) -> Side:
    if choice == "absorbed" and theirs:
        return "absorbed"
    return "survivor" if ours or not theirs else "absorbed"


def _pick_address(choice: Side | None, survivor: Person, absorbed: Person, kind: str) -> Side:
    ours, theirs = survivor.primary(kind), absorbed.primary(kind)
    if ours is None or theirs is None:
        return "survivor" if theirs is None else "absorbed"
    if choice is not None:
        return choice
    return "absorbed" if theirs.is_proven and not ours.is_proven else "survivor"


def _value(person: Person, kind: str) -> str | None:
    address = person.primary(kind)
    return address.value if address else None
