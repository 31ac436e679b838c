"""What an operation did, as kept to undo it."""

from uuid import UUID

import msgspec

from shared.sharing import CombineEffect


class MovedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who changed memberships; `new_id` is None for one who did not come along."""

    customer_id: UUID
    old_id: UUID
    new_id: UUID | None


class JoinEffects(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody joined."""

    agreed_by: tuple[UUID, ...]
    person_id: UUID


class CombineEffects(msgspec.Struct, frozen=True, kw_only=True):
    """Two memberships became one; `shown` is what was answered then."""

    agreed_by: tuple[UUID, ...]
    people: tuple[MovedPerson, ...]
    points: int
    lifetime: int
    deficit: int
    shown: CombineEffect


class LeaveEffects(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody left. `owner_id` is the place of whoever became the owner instead."""

    agreed_by: tuple[UUID, ...]
    policy: str
    old_person_id: UUID
    new_person_id: UUID
    owner_id: UUID | None
    points: int
    lifetime: int
    deficit: int
