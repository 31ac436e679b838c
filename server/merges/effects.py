"""What a merge did, as kept to undo it: the state before, and the ids of all that moved."""

from datetime import datetime
from uuid import UUID

import msgspec

from shared.merges import MergeEffect


class PointState(msgspec.Struct, frozen=True, kw_only=True):
    """Where an address stood."""

    customer: UUID
    status: str
    is_primary: bool
    retired_at: datetime | None
    retired_reason: str | None


class MovedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address that changed hands or stepped back."""

    id: UUID
    before: PointState
    after: PointState


class PersonFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a customer that a merge may change."""

    given_name: str
    family_name: str
    birth_year: int | None
    birth_month: int | None
    birth_day: int | None
    locale: str
    notes: str
    status: str
    created_at: datetime
    redemption_held_until: datetime | None
    redemption_held_reason: str | None
    postal_address: str = ""
    post_code: str = ""


class MovedPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a membership that went from the absorbed customer to the survivor.

    `new_id` is the survivor's place; None where the survivor had one already, `raised_id`, which became the owner's.
    """

    membership_id: UUID
    old_id: UUID
    new_id: UUID | None
    raised_id: UUID | None


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """All of a merge."""

    before: PersonFields
    after: PersonFields
    absorbed_status: str
    points: tuple[MovedPoint, ...]
    operations: tuple[UUID, ...]
    places: tuple[MovedPlace, ...]
    cards: tuple[UUID, ...]
    vouchers: tuple[UUID, ...]
    orders: tuple[UUID, ...]
    links: tuple[UUID, ...]
    login: str | None
    staff: tuple[UUID, ...]
    referrals: tuple[UUID, ...]
    referred: tuple[UUID, ...]
    codes: tuple[str, ...]
    contact_emails: tuple[str, ...]
    shown: MergeEffect
    reviews: tuple[UUID, ...] = ()
