"""Shared memberships in words: who shares, what each brought, and what joining, combining and leaving come to. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from uuid import UUID

from textual.content import Content

from shared.sharing import (
    Account,
    CombineEffect,
    CombinePreview,
    JoinPreview,
    RedeemPolicy,
    SharedMembership,
    SharingOperationView,
    SharingPerson,
    SplitEffect,
)
from shared.staff import LotView
from tui.formatting import Cell, Row, counted, moment, points
from tui.obstacles import obstacles
from tui.safe import join, lines, safe
from tui.value_words import change_words

LOTS_SHOWN_MAX = 5
OPERATION_KEY = "operation:"
POLICIES: dict[RedeemPolicy, str] = {
    RedeemPolicy.ANYONE: "everybody",
    RedeemPolicy.OWNER: "the owner only",
    RedeemPolicy.DAILY_CAP: "each up to a limit a day",
}
_KINDS = {"join": "Somebody joined", "combine": "Two became one", "leave": "Somebody left"}


def policy_words(policy: RedeemPolicy, daily_points: int | None) -> str:
    """Return who may spend."""
    if policy is RedeemPolicy.DAILY_CAP and daily_points is not None:
        return f"each up to {points(daily_points)} a day"
    return POLICIES[policy]


def and_names(names: Sequence[str]) -> str:
    """Return names as one says them: Ana, Ben and Cid."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def named(ids: Iterable[UUID], names: dict[UUID, str]) -> str:
    """Return the names of some customers; one whose name is not known here is called that."""
    return and_names([names.get(one) or "one more person" for one in ids])


# The membership tab ---------------------------------------------------------------------------------------------------


def sharing_rows(shared: SharedMembership, *, now: datetime, zone: tzinfo) -> list[Row]:
    """Return who shares a membership and what was done about it lately; nothing where nobody does or did."""
    rows = [_person_row(person, now=now, zone=zone) for person in shared.people] if len(shared.people) > 1 else []
    if rows:
        words = policy_words(shared.redeem_policy, shared.daily_points)
        rows.append(_row("policy", "May spend", words, "", f"up to {shared.sharers_max + 1} people"))
    return rows + [_operation_row(operation, shared, now=now, zone=zone) for operation in shared.operations]


def _row(key: str, label: str, words: str, figure: str, when: str) -> Row:
    return Row(key=key, cells=(Cell(label), Cell(words), Cell(figure), Cell(when, "muted")))


def _person_row(person: SharingPerson, *, now: datetime, zone: tzinfo) -> Row:
    since = f"since {moment(person.joined_at, now=now, zone=zone)}"
    return _row(
        f"person:{person.customer_id}", f"Shares ({person.role})", person.name, points(person.points_left), since
    )


def _operation_row(operation: SharingOperationView, shared: SharedMembership, *, now: datetime, zone: tzinfo) -> Row:
    names = {person.customer_id: person.name for person in shared.people}
    who = names.get(operation.customer_id) if operation.customer_id else None
    can_undo = "u takes it back" if is_undoable(operation, now=now) else ""
    words = ", ".join(part for part in (who or "", can_undo) if part) or "done"
    at = moment(operation.at, now=now, zone=zone)
    moved = points(operation.points) if operation.points else ""
    return _row(f"{OPERATION_KEY}{operation.id}", _KINDS.get(operation.kind, operation.kind), words, moved, at)


def is_undoable(operation: SharingOperationView, *, now: datetime) -> bool:
    """Return whether a joining, combining or leaving may still be taken back."""
    return operation.undo_until is not None and operation.undo_until > now


def sharing_notes(shared: SharedMembership, key: str | None, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened row of a person or an operation says."""
    for person in shared.people:
        if key == f"person:{person.customer_id}":
            return _person_notes(person)
    for operation in shared.operations:
        if key == f"{OPERATION_KEY}{operation.id}":
            return _operation_notes(operation, now=now, zone=zone)
    return []


def _person_notes(person: SharingPerson) -> list[str]:
    told = [
        f"Brought {points(person.points_earned)} in all, spent {points(person.points_spent)}.",
        f"Of what {person.name} brought, {points(person.points_left)} are left.",
        f"Card {person.card_number}" if person.card_number else "No card.",
    ]
    if person.daily_limit is not None:
        told.append(f"Wants at most {points(person.daily_limit)} to be spent in a day.")
    return told


def _operation_notes(operation: SharingOperationView, *, now: datetime, zone: tzinfo) -> list[str]:
    moved = f", {counted(operation.points, 'point', 'points')} moved" if operation.points else ""
    told = [f"{_KINDS.get(operation.kind, operation.kind)} {moment(operation.at, now=now, zone=zone)}{moved}."]
    if operation.undo_until is not None and is_undoable(operation, now=now):
        told.append(f"u takes it back until {moment(operation.undo_until, now=now, zone=zone)}.")
    else:
        told.append("It cannot be taken back here any more.")
    return told


# Previews -------------------------------------------------------------------------------------------------------------


def account_words(account: Account) -> str:
    """Return the figures of a membership: 250, 20 pending, 5 owed."""
    told = [points(account.available)]
    if account.pending:
        told.append(f"{points(account.pending)} pending")
    if account.deficit:
        told.append(f"{points(account.deficit)} owed")
    return ", ".join(told)


def join_words(preview: JoinPreview, *, host: str, guest: str) -> Content:
    """Return what a joining does."""
    told = obstacles(preview.blockers, preview.warnings)
    if preview.blockers:
        return lines(*told)
    both = counted(preview.account.available, "point", "points")
    told += [
        join((f"{guest} joins {host}.", "bold"), f" All see {both}; all earn and spend from them."),
        *(_balance_line(person.name, change_words(preview.account.available, preview.account.available))
          for person in preview.people if person.customer_id != preview.customer_id),
        _balance_line(guest, f"none → {points(preview.account.available)}"),
        safe(f"· {guest} gets a card that scans for the common points."),
        safe("· What anybody buys from now on counts for all. It can be taken back for 30 days."),
    ]  # fmt: skip
    return lines(*told)


def combine_words(
    preview: CombinePreview, *, host: str, guest: str, ahead: set[UUID], now: datetime, zone: tzinfo
) -> Content:
    """Return what a combination does, with the sums of before and after.

    Args:
        ahead: Who was in the membership that is kept.
    """
    told = obstacles(preview.blockers, preview.warnings)
    effect = preview.effect
    if effect is None:
        return lines(*told)
    told.append(combine_sum(effect, host=host, guest=guest))
    for person in effect.people:
        before = effect.kept_before if person.customer_id in ahead else effect.other_before
        told.append(_balance_line(person.name, change_words(before.available, effect.after.available)))
    told += lot_lines(effect.lots_before, effect.lots_after, now=now, zone=zone)
    if effect.debt_paid:
        told.append(safe(f"· {points(effect.debt_paid)} points pay what one of them owed"))
    told.append(safe(f"· {counted(len(effect.cards), 'card keeps', 'cards keep')} working, for the common points"))
    if effect.vouchers:
        told.append(safe(f"· {counted(effect.vouchers, 'voucher keeps its code', 'vouchers keep their codes')}"))
    if effect.tier:
        told.append(safe(f"· Tier {effect.tier}"))
    told.append(safe(f"· What {guest} did stays visible under their name. It can be taken back for 30 days."))
    return lines(*told)


def combine_sum(effect: CombineEffect, *, host: str, guest: str) -> Content:
    """Return the sum in one line: Ben 250 + Ann 157 = 407."""
    return join(
        ("Combine: ", "$text-muted"),
        f"{host} {account_words(effect.kept_before)} + {guest} {account_words(effect.other_before)} = ",
        (account_words(effect.after), "bold"),
    )


def split_words(effect: SplitEffect, *, staying: str, going: str, now: datetime, zone: tzinfo) -> list[Content]:
    """Return how points are divided: one membership before, two after."""
    before = effect.before.available
    told = [
        join(("Common points ", "$text-muted"), (account_words(effect.before), "bold")),
        _balance_line(f"{staying} keep" if " and " in staying else f"{staying} keeps",
                      change_words(before, effect.staying.available)),
        _balance_line(f"{going} gets", f"{account_words(effect.going)} of their own"),
    ]  # fmt: skip
    told += _listed(effect.lots_going, now=now, zone=zone)
    if effect.deficit_going:
        told.append(safe(f"· {points(effect.deficit_going)} owed points go along"))
    if effect.shortfall:
        told.append(join((f"! {points(effect.shortfall)} points were used since and do not come back", "$warning")))
    if effect.cards:
        told.append(safe(f"· Card {', '.join(effect.cards)} scans for {going} alone"))
    return told


def lot_lines(before: Sequence[LotView], after: Sequence[LotView], *, now: datetime, zone: tzinfo) -> list[Content]:
    """Return the proof that no date is lost: the sums of all lots, then the soonest to lapse."""
    sums = sum(lot.points for lot in before), sum(lot.points for lot in after)
    if not before:
        return []
    told = [
        safe(
            f"· {counted(len(after), 'lot keeps its date', 'lots keep their dates')}: {points(sums[0])} → {points(sums[1])}"
        )
    ]
    return told + _listed(after, now=now, zone=zone)


def _listed(lots: Sequence[LotView], *, now: datetime, zone: tzinfo) -> list[Content]:
    told = []
    for lot in lots[:LOTS_SHOWN_MAX]:
        lapses = "do not lapse" if lot.expires_at is None else f"until {moment(lot.expires_at, now=now, zone=zone)}"
        pending = f", from {moment(lot.available_at, now=now, zone=zone)}" if lot.available_at > now else ""
        told.append(join((f"    {points(lot.points):>8} {lapses}{pending}", "$text-muted")))
    if len(lots) > LOTS_SHOWN_MAX:
        told.append(join((f"             and {len(lots) - LOTS_SHOWN_MAX} more", "$text-muted")))
    return told


def _balance_line(name: str, words: str) -> Content:
    return join((f"  {name}: ", "$text-muted"), (words, "bold"))
