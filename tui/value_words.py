"""Points, orders, vouchers and refunds in words: rows and sentences. Pure, as `tui.formatting` is."""

import re
from datetime import date, datetime, timedelta, tzinfo

from shared.adjustments import AdjustmentState, AdjustmentView, AdjustReason
from shared.limits import QUEUE_COUNT_MAX
from shared.members import EntryView
from shared.money import money
from shared.orders import BalanceChange, OrderDifference, StaffOrder, StaffOrderDetail
from shared.programmes import TierView
from shared.refunds import RefundView
from shared.reports import ExpiryMonth, ExpirySchedule
from shared.rewards import RewardKind, RewardOffer, VoucherStatus, VoucherView
from shared.staff import StaffQueue
from tui.formatting import (
    NOTHING,
    Cell,
    Row,
    Tone,
    counted,
    day,
    moment,
    net_points,
    points,
    return_lines,
    sale_lines,
    signed,
    skipped,
)

REASONS: dict[AdjustReason, str] = {
    AdjustReason.MISSED_PURCHASE: "missed sale",
    AdjustReason.GOODWILL: "goodwill",
    AdjustReason.COMPLAINT: "complaint",
    AdjustReason.EVENT: "event",
    AdjustReason.CORRECTION: "put right",
    AdjustReason.OTHER: "other",
}
_ADJUSTMENT_STATES: dict[AdjustmentState, Cell] = {
    AdjustmentState.WAITING: Cell("waits", "warn"),
    AdjustmentState.POSTED: Cell("done", "good"),
    AdjustmentState.REFUSED: Cell("refused", "bad"),
    AdjustmentState.LAPSED: Cell("lapsed", "muted"),
    AdjustmentState.UNDONE: Cell("taken back", "muted"),
}
_REFUND_STATES: dict[str, Cell] = {
    "parked": Cell("waits for its sale", "warn"),
    "posted": Cell("done", "good"),
    "blind": Cell("names no sale", "bad"),
    "refused": Cell("does not fit", "bad"),
    "dismissed": Cell("dismissed", "muted"),
}
_REFUND_NEXT: dict[str, str] = {
    "parked": "Its sale is not here yet. Has the till sent it?",
    "blind": "It names no sale: no points were taken back. s finds its sale, x dismisses it.",
    "refused": "It did not fit its sale: no points were taken back. s finds another, x dismisses it.",
}
_VOUCHER_STATES: dict[str, Cell] = {
    "issued": Cell("can be used", "good"),
    "held": Cell("being used", "warn"),
    "redeemed": Cell("used", "muted"),
    "void": Cell("cancelled", "muted"),
    "expired": Cell("over", "muted"),
}


# Balances -------------------------------------------------------------------------------------------------------------


def change_words(before: int, after: int) -> str:
    """Return two figures with what lies between them: 1,240 → 1,290 (+50)."""
    difference = f" ({signed(after - before)})" if after != before else " (unchanged)"
    return f"{points(before)} → {points(after)}{difference}"


def balance_lines(change: BalanceChange) -> list[tuple[str, str]]:
    """Return what a membership's points were and will be, as (label, words)."""
    told = [("can spend", change_words(change.available_before, change.available_after))]
    if change.pending_before or change.pending_after:
        told.append(("pending", change_words(change.pending_before, change.pending_after)))
    if change.deficit_before or change.deficit_after:
        told.append(("owed", change_words(change.deficit_before, change.deficit_after)))
    return told


# Adjustments ----------------------------------------------------------------------------------------------------------


def adjustment_row(adjustment: AdjustmentView, *, now: datetime, zone: tzinfo) -> Row:
    """Return an adjustment, or a request for one."""
    return Row(
        key=str(adjustment.id),
        cells=(
            Cell(moment(adjustment.requested_at, now=now, zone=zone)),
            Cell(adjustment.customer_name),
            Cell(signed(adjustment.points), "good" if adjustment.points > 0 else "warn"),
            Cell(REASONS[adjustment.reason_code]),
            Cell(adjustment.requested_by),
            _ADJUSTMENT_STATES[adjustment.state],
        ),
    )


def adjustment_notes(adjustment: AdjustmentView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened adjustment says besides its row."""
    told = [f"Note: {adjustment.note}"] if adjustment.note else []
    needs = "Needs" if adjustment.state is AdjustmentState.WAITING else "Needed"
    told += [f"{needs} a second person: {words}" for words in adjustment.needs_second_person]
    can_spend = f"{adjustment.customer_name} can spend {points(adjustment.available)} now"
    owed = f", owes {points(adjustment.deficit)}" if adjustment.deficit else ""
    told.append(f"{can_spend}{owed}.")
    if adjustment.state is AdjustmentState.WAITING and adjustment.lapses_at is not None:
        told.append(f"Lapses {moment(adjustment.lapses_at, now=now, zone=zone)} unless somebody decides.")
    if adjustment.decided_by is not None and adjustment.decided_at is not None:
        said = f": {adjustment.decision_note}" if adjustment.decision_note else ""
        told.append(f"Decided by {adjustment.decided_by}, {moment(adjustment.decided_at, now=now, zone=zone)}{said}")
    if adjustment.undone_by is not None and adjustment.undone_at is not None:
        told.append(f"Taken back by {adjustment.undone_by}, {moment(adjustment.undone_at, now=now, zone=zone)}")
    if can_take_back(adjustment, now=now) and adjustment.undo_until is not None:
        told.append(f"u takes it back until {moment(adjustment.undo_until, now=now, zone=zone)}.")
    return told


def can_take_back(adjustment: AdjustmentView, *, now: datetime) -> bool:
    """Return whether somebody may still take this back; the service says who."""
    is_posted = adjustment.state is AdjustmentState.POSTED
    return is_posted and adjustment.undo_until is not None and adjustment.undo_until > now


# Orders ---------------------------------------------------------------------------------------------------------------


def staff_order_row(order: StaffOrder, *, now: datetime, zone: tzinfo) -> Row:
    """Return an order with whom it counts for."""
    owner = Cell(order.customer_name or "nobody", "plain" if order.customer_name else "warn")
    state = Cell(order.state.value, "plain" if order.state == "completed" else "warn")
    if order.skipped_reason is not None:
        state = Cell(skipped(order.skipped_reason), "muted" if order.customer_id is None else "warn")
    return Row(
        key=str(order.id),
        cells=(
            Cell(moment(order.completed_at, now=now, zone=zone)),
            Cell(order.number),
            Cell(order.store_name),
            Cell(money(order.net_minor + order.tax_minor, order.currency)),
            net_points(order.points, order.points_returned),
            owner,
            state,
        ),
    )


def order_words(order: StaffOrder, *, now: datetime, zone: tzinfo) -> str:
    """Return an order in one line."""
    paid = money(order.net_minor + order.tax_minor, order.currency)
    return f"{order.number}, {paid}, {moment(order.completed_at, now=now, zone=zone)}, {order.store_name}"


def detail_notes(detail: StaffOrderDetail, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return an order's lines, each with what it earned and the rule that says why, and what came back of them."""
    order = detail.order
    told = sale_lines(detail.lines, order.currency, skipped_reason=order.skipped_reason)
    return told + return_lines(
        detail.returns, order.currency, earned=order.points, returned=order.points_returned, now=now, zone=zone
    )


def trace_notes(entry: EntryView, detail: StaffOrderDetail, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return why an entry has the points it has, from the lines of its order."""
    told = [f"Why {signed(entry.points)}? Line by line, as the sale stands now:"]
    return told + [f"  {words}" for words in detail_notes(detail, now=now, zone=zone)]


def difference_row(difference: OrderDifference, *, now: datetime, zone: tzinfo) -> Row:
    """Return a sale for which a till names somebody else than staff did."""
    order = difference.order
    return Row(
        key=str(order.id),
        cells=(
            Cell(moment(difference.last_seen_at, now=now, zone=zone)),
            Cell(order.number),
            Cell(money(order.net_minor + order.tax_minor, order.currency)),
            Cell(order.customer_name or "nobody", "plain" if order.customer_name else "warn"),
            Cell(difference.named_customer_name, "warn"),
        ),
    )


def difference_notes(difference: OrderDifference, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened difference says besides its row, and the next step."""
    order, named = difference.order, difference.named_customer_name
    return [
        f"Sale {order_words(order, now=now, zone=zone)}",
        f"Staff decided that it counts for {order.customer_name or 'nobody'}; that holds, whatever the till sends.",
        f"The till names {named} since {moment(difference.first_seen_at, now=now, zone=zone)}.",
        f"g gives it to {named} after all. Else put it right in the till.",
    ]


# Membership -----------------------------------------------------------------------------------------------------------


def tier_rows(tier: TierView, *, now: datetime, zone: tzinfo) -> list[Row]:
    """Return where a membership stands among the tiers; nothing where the programme has none."""
    if tier.since is None:
        return []
    until = "" if tier.until is None else f"kept until {moment(tier.until, now=now, zone=zone)}"
    missing = ""
    if tier.next_tier is not None and tier.next_points is not None:
        missing = (
            f"{tier.next_tier} at {points(tier.next_points)}, {points(max(0, tier.next_points - tier.points))} to go"
        )
    since = f"since {day(tier.since.astimezone(zone).date(), today=now.astimezone(zone).date())}"
    return [
        _fact("tier", "Tier", tier.tier or "none yet", until),
        _fact("qualifying", "Qualifying points", missing or "the highest tier is reached", since, points_=tier.points),
    ]


def _fact(key: str, label: str, value: str, when: str, *, points_: int | None = None) -> Row:
    shown = NOTHING if points_ is None else points(points_)
    return Row(key=key, cells=(Cell(label), Cell(value), Cell(shown), Cell(when, "muted")))


def expiry_row(month: ExpiryMonth, *, today: date) -> Row:
    """Return what lapses in a month."""
    is_soon = month.month <= today + timedelta(days=31)
    tone: Tone = "warn" if is_soon else "plain"
    return Row(
        key=f"expiry:{month.month}",
        cells=(
            Cell("Lapses", tone),
            Cell(f"{month.month:%B %Y}", tone),
            Cell(points(month.points), tone),
            Cell(f"on {counted(len({lot.at for lot in month.lots}), 'day', 'days')}", "muted"),
        ),
    )


def expiry_notes(month: ExpiryMonth, *, zone: tzinfo) -> list[str]:
    """Return the last days of a month's points, soonest first."""
    told = []
    for lot in month.lots:
        # What lapses at midnight was good through the day before.
        last = (lot.at.astimezone(zone) - timedelta(seconds=1)).date()
        told.append(f"{points(lot.points):>8} good through {last:%d %B %Y}")
    return told


def later_row(schedule: ExpirySchedule) -> Row:
    """Return that more lapses after what is listed."""
    return _fact("later", "Lapses", f"more, after {schedule.items[-1].month:%B %Y}", "")


def never_row(schedule: ExpirySchedule) -> Row:
    """Return the points that do not lapse."""
    return _fact("never", "Never lapse", "", "", points_=schedule.never)


def worth(kind: RewardKind, value_minor: int, currency: str, percent: int | None, sku: str = "") -> str:
    """Return what a reward does to a sale."""
    most = money(value_minor, currency)
    match kind:
        case RewardKind.AMOUNT_OFF:
            return f"{most} off"
        case RewardKind.PERCENT_OFF:
            return f"{percent} % off, {most} at most"
        case _:
            return f"{f'article {sku}' if sku else 'an article'}, {most} at most"


def voucher_row(voucher: VoucherView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a voucher without its code."""
    state = _VOUCHER_STATES[voucher.status.value]
    until = "" if voucher.valid_until is None else f"until {moment(voucher.valid_until, now=now, zone=zone)}"
    if voucher.ended_at is not None:
        until = moment(voucher.ended_at, now=now, zone=zone)
    return Row(
        key=str(voucher.id),
        cells=(
            Cell(f"Voucher …{voucher.code_ending}", state.tone if state.tone == "muted" else "plain"),
            Cell(f"{state.text}: {voucher.reward_name}", state.tone),  # The state is read where the name must be cut.
            Cell(points(voucher.points_cost), "muted"),
            Cell(until, "muted"),
        ),
    )


def voucher_notes(voucher: VoucherView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened voucher says besides its row."""
    cancelling = {
        VoucherStatus.ISSUED: "W cancels it and gives the points back.",
        VoucherStatus.HELD: "It is set aside for a sale just now; if that is given up, it can be cancelled.",
    }
    return [
        worth(voucher.kind, voucher.value_minor, voucher.currency, voucher.percent, voucher.sku),
        f"Issued {moment(voucher.issued_at, now=now, zone=zone)} for {points(voucher.points_cost)} points",
        cancelling.get(voucher.status, "It can no longer be cancelled."),
    ]


def offer_row(offer: RewardOffer) -> Row:
    """Return a reward that a customer may take."""
    left = "" if offer.left is None else f"{points(offer.left)} left"
    why_not = "none left" if offer.left == 0 else "not enough points"
    return Row(
        key=str(offer.id),
        cells=(
            Cell(offer.name, "plain" if offer.affordable else "muted"),
            Cell(points(offer.points_cost), "warn" if offer.points_cost > offer.spendable else "plain"),
            Cell(worth(offer.kind, offer.value_minor, offer.currency, offer.percent), "muted"),
            Cell(left if offer.affordable else why_not, "muted" if offer.affordable else "warn"),
        ),
    )


# Refunds --------------------------------------------------------------------------------------------------------------


def refund_row(refund: RefundView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a refund and what it waits for."""
    state = _REFUND_STATES.get(refund.state.value, Cell(refund.state.value))
    return Row(
        key=str(refund.id),
        cells=(
            Cell(moment(refund.received_at, now=now, zone=zone)),
            Cell(refund.external_id),
            Cell(refund.order_number or refund.original_order or NOTHING),
            Cell(refund.store_name),
            Cell(
                signed(-refund.points_taken) if refund.points_taken else "0", "warn" if refund.points_taken else "muted"
            ),
            Cell(state.text, "bad" if refund.needs_person else state.tone),
        ),
    )


def refund_notes(refund: RefundView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened refund says besides its row, and the next step."""
    told = [f"Goods went back {moment(refund.completed_at, now=now, zone=zone)} at {refund.store_name}"]
    if refund.points_taken or refund.points_restored:
        told.append(f"{points(refund.points_taken)} points taken back, {points(refund.points_restored)} given back")
    if refund.points_owed > refund.points_written_off:
        owed = refund.points_owed - refund.points_written_off
        told.append(f"{points(owed)} of those taken back had been spent and are owed")
    if refund.points_written_off:
        told.append(f"{points(refund.points_written_off)} of those taken back had been spent and are written off")
    if refund.points_exempt:
        told.append(f"{points(refund.points_exempt)} had lapsed and were not taken again")
    if refund.customer_differs:
        told.append("The till named another customer than the sale counts for")
    if refund.refused_for is not None:
        told.append(f"Why it does not fit: {refund.refused_for.value.replace('_', ' ').lower()}")
    if refund.resolved_at is not None:
        told.append(f"Settled {moment(refund.resolved_at, now=now, zone=zone)}: {refund.resolved_reason}")
    if refund.state.value in _REFUND_NEXT:
        told.append(_REFUND_NEXT[refund.state.value])
    return told


def queue_words(queue: StaffQueue) -> str:
    """Return what waits for a person, the gravest first, and the keys that lead there; empty when nothing does."""
    waiting = (
        (queue.late_erasures, "wish to be forgotten is LATE", "wishes to be forgotten are LATE", "^P privacy"),
        (queue.adjustments, "adjustment waits for approval", "adjustments wait for approval", "^R"),
        (queue.merges, "merge waits for approval", "merges wait for approval", "^D"),
        (queue.overrides, "email correction waits for approval", "email corrections wait for approval", "^P email"),
        (queue.links, "POS link waits for approval", "POS links wait for approval", "^P tills"),
        (queue.erasures, "wish to be forgotten needs a yes", "wishes to be forgotten need a yes", "^P privacy"),
        (queue.refunds, "refund needs a look", "refunds need a look", "^R"),
        (queue.orders, "sale of today without customer", "sales of today without customer", "F4"),
        (queue.link_reviews, "POS match to decide", "POS matches to decide", "^P tills"),
        (queue.pos_todos, "thing to do in a till", "things to do in a till", "^P tills"),
        (queue.duplicates, "possible duplicate", "possible duplicates", "^D"),
    )
    return " · ".join(f"{_many(count, one, many)} ({key})" for count, one, many, key in waiting if count)


def _many(count: int, one: str, many: str) -> str:
    return f"{count}+ {many}" if count >= QUEUE_COUNT_MAX else counted(count, one, many)


# Reading what was typed -----------------------------------------------------------------------------------------------


_AMOUNT = re.compile(r"(?P<whole>[0-9]*)(?:[.,](?P<decimals>[0-9]*))?")
_GROUPED_AMOUNT = re.compile(
    r"(?P<whole>[1-9][0-9]{0,2}(?P<mark>[.,])[0-9]{3}(?:(?P=mark)[0-9]{3})*)(?:(?!(?P=mark))[.,](?P<decimals>[0-9]*))?"
)


def parse_points(text: str, *, available: int) -> int:
    """Read a signed number of points, or with `=` the wanted balance: +50, -20, 1,000, =3300.

    Raises:
        ValueError: It is neither.
    """
    cleaned = text.replace(" ", "").replace(",", "").replace("−", "-")
    is_target = cleaned.startswith("=")
    number = int(cleaned.removeprefix("="))
    return number - available if is_target else number


def parse_money(text: str, minor_digits: int) -> int:
    """Read an amount of money with a point or a comma, in minor units: 42.10, 42,1, 1.234,56.

    A mark before three digits parts thousands where the currency has no three decimals, and nowhere else.

    Raises:
        ValueError: It is none, or has more decimals than the currency.
    """
    cleaned = "".join(text.split()).replace("'", "")
    found = _AMOUNT.fullmatch(cleaned)
    if found is None or len(found["decimals"] or "") > minor_digits:
        found = _GROUPED_AMOUNT.fullmatch(cleaned)
    whole, decimals = (re.sub("[.,]", "", found["whole"]), found["decimals"] or "") if found else ("", "")
    if not whole + decimals or len(decimals) > minor_digits:
        raise ValueError("not an amount")
    unit: int = 10**minor_digits
    return int(whole or "0") * unit + int(decimals.ljust(minor_digits, "0") or "0")


def parse_day(text: str, *, today: date) -> date:
    """Read a day: 13.3., 13.3.26, 13 Mar, 2026-03-13, today, yesterday; without a year the last such day.

    Raises:
        ValueError: It is none of these.
    """
    word = text.strip().lower()
    if word in {"today", ""}:
        return today
    if word == "yesterday":
        return today - timedelta(days=1)
    if "-" in word:
        return date.fromisoformat(word)  # Other numbers with dashes are receipts.
    parts = word.replace(".", " ").replace("/", " ").split()
    if len(parts) not in {2, 3}:
        raise ValueError("a day is day and month, and perhaps a year")
    month = int(parts[1]) if parts[1].isdigit() else _month_named(parts[1])
    if len(parts) == 3:
        century = today.year // 100 * 100 if len(parts[2]) == 2 else 0
        return date(century + int(parts[2]), month, int(parts[0]))
    this_year = date(today.year, month, int(parts[0]))
    return this_year if this_year <= today else this_year.replace(year=today.year - 1)


def _month_named(word: str) -> int:
    names = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    return names.index(word[:3]) + 1


def parse_moment(text: str, *, now: datetime, zone: tzinfo) -> datetime | None:
    """Read when a sale was made, in the shop's time: 10:52, 13.3. 10:52, yesterday 17:30. Empty text is now: None.

    Raises:
        ValueError: It is none of these.
    """
    words = text.split()
    if not words:
        return None
    hours, _, minutes = words[-1].partition(":")
    if not minutes:
        raise ValueError("a time has hours and minutes")
    on = parse_day(" ".join(words[:-1]), today=now.astimezone(zone).date())
    return datetime(on.year, on.month, on.day, int(hours), int(minutes), tzinfo=zone)
