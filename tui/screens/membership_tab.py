"""What the membership tab of a customer shows: tier, what lapses when, and vouchers."""

import asyncio
from datetime import datetime, tzinfo
from uuid import UUID

import msgspec

from shared.members import MembershipView
from shared.programmes import TierView
from shared.reports import ExpirySchedule
from shared.rewards import VoucherView
from shared.sharing import SharedMembership
from tui.client import Client
from tui.formatting import Cell, Row, moment, points
from tui.screens.lock_session import zone_named
from tui.sharing_words import sharing_notes, sharing_rows
from tui.value_words import (
    expiry_notes,
    expiry_row,
    later_row,
    never_row,
    tier_rows,
    voucher_notes,
    voucher_row,
)


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched for the tab; without a membership there are only the vouchers of a former one."""

    view: MembershipView | None
    others: tuple[MembershipView, ...]
    tier: TierView | None
    schedule: ExpirySchedule | None
    vouchers: tuple[VoucherView, ...]
    shared: SharedMembership | None = None


async def fetch_membership(
    client: Client, customer_id: UUID, view: MembershipView | None, others: tuple[MembershipView, ...]
) -> Membership:
    """Ask for everything the tab shows, at once."""
    if view is None:
        vouchers = await client.list_vouchers(customer_id)
        return Membership(view=None, others=others, tier=None, schedule=None, vouchers=vouchers.items)
    vouchers, tier, schedule, shared = await asyncio.gather(
        client.list_vouchers(customer_id),
        client.get_tier(view.id),
        client.get_expiry(view.id),
        client.get_sharing(view.id),
    )
    return Membership(view=view, others=others, tier=tier, schedule=schedule, vouchers=vouchers.items, shared=shared)


def membership_rows(found: Membership, *, now: datetime, zone: tzinfo) -> list[Row]:
    """Return the rows, the programme first and the vouchers last."""
    rows = [_programme_row(view, now=now, zone=zone) for view in ((found.view,) if found.view else ()) + found.others]
    if found.shared is not None:
        rows += sharing_rows(found.shared, now=now, zone=zone)
    if found.tier is not None:
        rows += tier_rows(found.tier, now=now, zone=zone)
    if found.schedule is not None:
        today = now.astimezone(zone).date()
        rows += [expiry_row(month, today=today) for month in found.schedule.items]
        if found.schedule.next_cursor is not None:
            rows.append(later_row(found.schedule))
        if found.schedule.never:
            rows.append(never_row(found.schedule))
    return rows + [voucher_row(voucher, now=now, zone=zone) for voucher in found.vouchers]


def membership_notes(found: Membership, key: str | None, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened row says: the days on which points lapse, or what a voucher is."""
    for month in found.schedule.items if found.schedule else ():
        if key == f"expiry:{month.month}":
            # A lot's last day is one of the programme's calendar, wherever the shop's clock stands.
            return expiry_notes(month, zone=zone_named(found.schedule.zone) if found.schedule else zone)
    if found.shared is not None and (notes := sharing_notes(found.shared, key, now=now, zone=zone)):
        return notes
    voucher = find_voucher(found, key)
    return voucher_notes(voucher, now=now, zone=zone) if voucher is not None else []


def find_voucher(found: Membership | None, key: str | None) -> VoucherView | None:
    """Return the voucher of a row, None for any other row."""
    vouchers = found.vouchers if found is not None else ()
    return next((voucher for voucher in vouchers if str(voucher.id) == key), None)


def _programme_row(view: MembershipView, *, now: datetime, zone: tzinfo) -> Row:
    state = f"{view.role}, {view.status}" if view.role else view.status
    return Row(
        key=str(view.id),
        cells=(
            Cell(view.programme_name, "strong"),
            Cell(state, "plain" if view.status == "active" else "warn"),
            Cell(points(view.balance.available), "strong"),
            Cell(f"since {moment(view.enrolled_at, now=now, zone=zone)}", "muted"),
        ),
    )
