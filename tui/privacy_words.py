"""Copies of what is held about a person, and being forgotten, in words. Pure, as `tui.formatting` is."""

from datetime import datetime, tzinfo

from shared.privacy import (
    ErasureEffect,
    ErasureNeed,
    ErasureState,
    ErasureView,
    ExportState,
    ExportView,
)
from tui.formatting import NOTHING, Cell, Row, counted, moment, points

_EXPORTS: dict[ExportState, Cell] = {
    ExportState.WAITING: Cell("being made", "warn"),
    ExportState.READY: Cell("ready", "good"),
    ExportState.EXPIRED: Cell("over", "muted"),
}
_ERASURES: dict[ErasureState, Cell] = {
    ErasureState.WAITING: Cell("needs a yes", "warn"),
    ErasureState.COOLING: Cell("will happen", "warn"),
    ErasureState.EXECUTED: Cell("done here", "good"),
    ErasureState.DONE: Cell("done", "good"),
    ErasureState.CANCELLED: Cell("cancelled", "muted"),
}
NEEDS: dict[ErasureNeed, str] = {
    ErasureNeed.ASKED_BY_STAFF: "Staff ask for it, so a second person must approve it.",
    ErasureNeed.STAFF_LINKED: "The customer is one of the staff: the owner decides.",
}


def size_words(count: int) -> str:
    """Return a size as people read it: 12 KB, 3.4 MB."""
    return f"{count / 1_000_000:.1f} MB" if count >= 1_000_000 else f"{max(1, count // 1_000)} KB"


def export_row(export: ExportView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a copy of everything held about a person."""
    until = NOTHING if export.expires_at is None else f"until {moment(export.expires_at, now=now, zone=zone)}"
    by = "by staff" if export.by_staff else "by the customer"
    size = f", {size_words(export.bytes_count)}" if export.bytes_count else ""
    return Row(
        key=str(export.id),
        cells=(
            Cell(moment(export.requested_at, now=now, zone=zone)),
            Cell(f"Copy of everything{size} (asked {by})"),
            _EXPORTS[export.state],
            Cell(until),
        ),
    )


def erasure_row(erasure: ErasureView, *, now: datetime, zone: tzinfo, is_named: bool = True) -> Row:
    """Return a wish to be forgotten with its clock, and with the name where it is not clear whose it is."""
    who = f": {erasure.customer_name or 'name removed'}" if is_named else ""
    return Row(
        key=str(erasure.id),
        cells=(
            Cell(moment(erasure.requested_at, now=now, zone=zone)),
            Cell(f"Be forgotten{who} (asked by {erasure.requested_by})"),
            Cell("LATE", "bad") if erasure.is_late else _ERASURES[erasure.state],
            Cell(_clock(erasure, now=now, zone=zone), "bad" if erasure.is_late else "plain"),
        ),
    )


def _clock(erasure: ErasureView, *, now: datetime, zone: tzinfo) -> str:
    if erasure.state is ErasureState.COOLING and erasure.execute_after is not None:
        return f"on {moment(erasure.execute_after, now=now, zone=zone)}"
    ended = erasure.done_at or erasure.executed_at or erasure.cancelled_at
    if ended is not None:
        return moment(ended, now=now, zone=zone)
    return f"by {moment(erasure.answer_by, now=now, zone=zone)}"


def export_notes(export: ExportView, *, now: datetime, zone: tzinfo) -> list[str]:
    if export.state is ExportState.WAITING:
        return ["It is made in the background; F5 looks again. Whoever has a proven address is mailed a link."]
    if export.state is ExportState.READY and export.expires_at is not None:
        until = moment(export.expires_at, now=now, zone=zone)
        return [f"w writes it to a file, until {until}. Hand it to nobody but the customer."]
    return ["Its file is gone. e makes a new copy."]


def erasure_notes(erasure: ErasureView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened wish says besides its row."""
    told = [f"Reason: {erasure.reason}"] if erasure.reason else []
    told.append(f"It has to be done by {moment(erasure.answer_by, now=now, zone=zone)}.")
    told += [NEEDS[need] for need in erasure.needs if erasure.state is ErasureState.WAITING]
    if erasure.approved_by is not None:
        told.append(f"Approved by {erasure.approved_by}.")
    if erasure.execute_after is not None and erasure.state is ErasureState.COOLING:
        at = moment(erasure.execute_after, now=now, zone=zone)
        told.append(f"It happens by itself on {at}; c or the customer's link cancels it until then.")
    if erasure.blocked_by is not None:
        told.append(f"It could not be done yet: {erasure.blocked_by} It is tried again every minute.")
    if erasure.pos_records and erasure.state is ErasureState.EXECUTED:
        told.append(f"Remove by hand at the till: {', '.join(erasure.pos_records)}. s says that it is done.")
    return told + (effect_words(erasure.effect) if erasure.effect is not None else [])


def effect_words(effect: ErasureEffect) -> list[str]:
    """Return what being forgotten does, gravest first."""
    counts = (
        (effect.points_lost, "point is lost", "points are lost"),
        (effect.debt_written_off, "owed point is written off", "owed points are written off"),
        (effect.memberships_closed, "membership is closed", "memberships are closed"),
        (
            effect.memberships_left,
            "shared membership is left to the others",
            "shared memberships are left to the others",
        ),
        (effect.vouchers_void, "voucher stops working", "vouchers stop working"),
        (effect.cards_ended, "card stops scanning", "cards stop scanning"),
        (effect.addresses_removed, "address or number is removed", "addresses and numbers are removed"),
        (effect.records_merged, "former record of the person is emptied too", "former records are emptied too"),
        (effect.orders_kept, "sale stays in the books without a name", "sales stay in the books without a name"),
    )
    told = [f"{counted(count, one, many)}." for count, one, many in counts if count]
    if effect.pos_records:
        told.append(f"To be removed by hand at the till: {', '.join(effect.pos_records)}.")
    return told or ["Nothing but the name and what was written about the person."]


def erasure_said(erasure: ErasureView, *, now: datetime, zone: tzinfo) -> str:
    """Return what a wish that was just made comes to."""
    if erasure.state is ErasureState.WAITING:
        return "Asked for. Nothing has changed yet; a second person must approve it."
    if erasure.execute_after is not None and erasure.state is ErasureState.COOLING:
        return f"They will be forgotten on {moment(erasure.execute_after, now=now, zone=zone)}, unless it is cancelled."
    return f"They are being forgotten: {points(erasure.effect.points_lost if erasure.effect else 0)} points are lost."
