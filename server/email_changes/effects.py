"""What an email change did, as ids only: all that is needed to take it back."""

from uuid import UUID

import msgspec


class MovedMembership(msgspec.Struct, frozen=True, kw_only=True):
    """A membership that was closed and the one opened in its place; `person` rows say who was in them."""

    old_id: UUID
    new_id: UUID
    old_person_id: UUID
    new_person_id: UUID


class ReplacedCard(msgspec.Struct, frozen=True, kw_only=True):
    """A card that stopped scanning and its successor."""

    old_id: UUID
    new_id: UUID


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that an email change made, retired or replaced.

    `old_status` is the status that the old contact point goes back to. `applied_by_staff` means that the new address
    was not proven when it was set. In the memberships of `shared_ids` only cards and vouchers were replaced. With
    `vouchers_renewed` unspent vouchers got new codes although the account was kept.
    """

    old_point_id: UUID | None = None
    new_point_id: UUID | None = None
    old_status: str = "verified"
    is_correction: bool = False
    applied_by_staff: bool = False
    memberships: tuple[MovedMembership, ...] = ()
    shared_ids: tuple[UUID, ...] = ()
    cards: tuple[ReplacedCard, ...] = ()
    vouchers_renewed: bool = False
