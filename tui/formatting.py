"""What the service said, as rows, facts and short words. Pure: no terminal, no clock, no network.

A `Cell` is text and its tone; a widget gives each tone a colour of the theme. Tones only repeat what the words say.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

import msgspec

from shared.base import Birthday
from shared.enums import ConsentAnswer, EntryKind
from shared.members import (
    Balance,
    ConsentView,
    EntryView,
    LineReturn,
    LineView,
    MembershipView,
    OrderReturn,
    OrderView,
)
from shared.money import money
from shared.staff import (
    AudienceContactView,
    AuditEntryView,
    CardView,
    ContactPointView,
    CustomerDetail,
    CustomerHit,
    EmailChangeView,
)

Tone = Literal["plain", "muted", "strong", "good", "warn", "bad"]
NOTHING = "–"

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Cell(msgspec.Struct, frozen=True):
    """Text in one tone."""

    text: str
    tone: Tone = "plain"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list. A note is a line under a row: it spans the list and cannot be chosen."""

    key: str
    cells: tuple[Cell, ...]
    is_note: bool = False


def note_rows(key: str, notes: Sequence[str]) -> list[Row]:
    """Return notes as lines under a row."""
    return [Row(key=f"{key}/{index}", cells=(Cell(note),), is_note=True) for index, note in enumerate(notes)]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled value in a customer's header. The tail is shown whole even where the value must be cut."""

    label: str
    value: Cell
    tail: Cell = Cell("")


# Numbers, money, times --------------------------------------------------------------------------------------------


def points(count: int) -> str:
    """Return points with thousands marked: 3,249."""
    return f"{count:,}"


def signed(count: int) -> str:
    """Return a movement of points with its sign: +50, -20."""
    return f"{count:+,}"


def day(on: date, *, today: date) -> str:
    """Return a date, with its year only when it is not this year's: 3 Oct, 3 Oct 2025."""
    words = f"{on.day} {_MONTHS[on.month - 1]}"
    return words if on.year == today.year else f"{words} {on.year}"


def moment(at: datetime, *, now: datetime, zone: tzinfo) -> str:
    """Return an instant in the shop's time: 10:05 today, 28 Jan 10:05, or 28 Jan 2025."""
    local, today = at.astimezone(zone), now.astimezone(zone).date()
    if local.date() == today:
        return f"{local:%H:%M} today"
    if local.year == today.year:
        return f"{day(local.date(), today=today)} {local:%H:%M}"
    return day(local.date(), today=today)


def last_day(at: datetime, *, now: datetime, zone: tzinfo) -> str:
    """Return until when points are good that lapse at an instant: through 12 Mar, or until 12 Mar 10:05 within a day."""
    local = at.astimezone(zone)
    if local.time() != time():
        return f"until {moment(at, now=now, zone=zone)}"
    return f"through {day(local.date() - timedelta(days=1), today=now.astimezone(zone).date())}"


def span(duration: timedelta) -> str:
    """Return a length of time in its largest fitting unit: 40 s, 5 min, 23 h, 7 days."""
    seconds = max(0, int(duration.total_seconds()))
    for unit_seconds, word in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= unit_seconds:
            divisor = {"days": 86_400, "h": 3_600, "min": 60}[word]
            return f"{seconds // divisor} {word}"
    return f"{seconds} s"


def birthday(value: Birthday | None) -> str:
    """Return a birthday: 2 May, 2 May 1961, or a dash."""
    if value is None:
        return NOTHING
    words = f"{value.day} {_MONTHS[value.month - 1]}"
    return words if value.year is None else f"{words} {value.year}"


def counted(count: int, one: str, many: str) -> str:
    """Return a count with its noun: 1 customer, 4 customers."""
    return f"{points(count)} {one if count == 1 else many}"


# Words for states -------------------------------------------------------------------------------------------------

_CONTACT_STATES: dict[str, Cell] = {
    "verified": Cell("proven", "good"),
    "unverified": Cell("not proven", "warn"),
    "bouncing": Cell("bounces", "bad"),
    "retired": Cell("retired", "muted"),
}
_CARD_STATES: dict[str, Cell] = {
    "active": Cell("active", "good"),
    "issued": Cell("blank", "muted"),
    "replaced": Cell("replaced", "muted"),
    "blocked": Cell("blocked", "bad"),
}
_CONSENTS: dict[ConsentAnswer, Cell] = {
    ConsentAnswer.OPTED_IN: Cell("yes", "good"),
    ConsentAnswer.OPTED_OUT: Cell("no", "warn"),
    ConsentAnswer.PENDING: Cell("waiting for a yes", "warn"),
    ConsentAnswer.NOT_ASKED: Cell("not asked", "muted"),
}
_KINDS: dict[EntryKind, str] = {
    EntryKind.OPENING: "Brought along",
    EntryKind.EARN: "Earned",
    EntryKind.BONUS: "Bonus",
    EntryKind.CORRECTION: "Corrected",
    EntryKind.CLAWBACK: "Taken back",
    EntryKind.REDEEM: "Spent",
    EntryKind.RESTORE: "Given back",
    EntryKind.EXPIRE: "Lapsed",
    EntryKind.FORFEIT: "Given up",
    EntryKind.TRANSFER_OUT: "Moved away",
    EntryKind.TRANSFER_IN: "Moved here",
    EntryKind.ADJUST: "By hand",
}
# What staff did not hear themselves, and may be asked about.
_CONSENT_SOURCES = {
    "mailchimp_unsubscribed": ": unsubscribed by a mail",
    "mailchimp_complaint": ": reported a mail as unwanted",
}
_HOLD_REASONS = {
    "email_change": "email changed",
    "email_change_undone": "email change taken back",
    "email_override": "email is about to change",
}
_CONSENTS_SHORT = {ConsentAnswer.PENDING: "waiting"}
_INVITED_BY = {"email": "by email", "sms": "by text", "code": "by code"}
_INVITATION_STATES = {
    "on_its_way": "on its way",
    "delivered": "delivered",
    "failed": "did not arrive",
    "handed_over": "handed over",
    "used": "used",
    "revoked": "ended",
}
_ORDER_REASONS: dict[str, str] = {
    "no_customer": "no customer was named",
    "customer_unknown": "the till named a customer we do not know",
    "not_member": "the customer was not a member",
    "before_start": "bought before joining",
    "programme_inactive": "the programme was not running",
    "excluded_items": "nothing on it earns points",
    "below_minimum": "below the smallest sale that earns",
    "stored_value": "gift cards earn nothing",
    "paid_with_points": "paid with points",
    "cap_reached": "no more points can be earned this day",
}


def contact_state(status: str | None) -> Cell:
    return _CONTACT_STATES.get(status or "", Cell(status or ""))


def card_state(status: str) -> Cell:
    return _CARD_STATES.get(status, Cell(status))


def consent(view: ConsentView, *, now: datetime, zone: tzinfo) -> Cell:
    """Return where a person stands on a channel, and since when."""
    cell = _CONSENTS[view.state]
    if view.since is None:
        return cell
    why = _CONSENT_SOURCES.get(view.source or "", "")
    return Cell(f"{cell.text}, since {moment(view.since, now=now, zone=zone)}{why}", cell.tone)


def skipped(reason: str) -> str:
    return _ORDER_REASONS.get(reason, reason.replace("_", " "))


def audience_state(contact: AudienceContactView, *, now: datetime, zone: tzinfo) -> Cell:
    """Return how one address stands with Mailchimp."""
    if contact.parked_reason:
        return Cell("needs a look", "bad")
    if contact.waiting:
        return Cell("waiting" if contact.attempts == 0 else "trying again", "warn")
    if contact.state in {"closing", "closed", "forgotten"}:
        return Cell({"closing": "closing", "closed": "retired", "forgotten": "erased"}[contact.state], "muted")
    if contact.pushed_at is None:
        return Cell("not sent yet", "muted")
    return Cell(f"up to date, {moment(contact.pushed_at, now=now, zone=zone)}", "good")


# Customers --------------------------------------------------------------------------------------------------------


def full_name(given: str, family: str) -> str:
    return f"{given} {family}".strip()


def hit_row(hit: CustomerHit, *, today: date) -> Row:
    """Return a row of the search results."""
    last = NOTHING if hit.last_order_on is None else day(hit.last_order_on, today=today)
    return Row(
        key=str(hit.id),
        cells=(
            Cell(hit.name, "muted" if hit.status != "active" else "plain"),
            Cell(points(hit.available)),
            Cell(f"…{hit.phone_ending}" if hit.phone_ending else NOTHING),
            Cell(f"bounces: {hit.email_masked}", "bad") if hit.email_bouncing else Cell(hit.email_masked or NOTHING),
            Cell(f"…{hit.card_ending}" if hit.card_ending else NOTHING),
            Cell(last if hit.status == "active" else hit.status),
        ),
    )


def hit_facts(hit: CustomerHit, *, today: date) -> list[Fact]:
    """Return what the result pane says of the row under the cursor."""
    last = "never" if hit.last_order_on is None else day(hit.last_order_on, today=today)
    status = Cell(hit.status, "good" if hit.status == "active" else "warn")
    return [
        Fact(label="Points", value=Cell(points(hit.available), "strong")),
        Fact(label="Status", value=status),
        Fact(
            label="Email",
            value=Cell(hit.email_masked or NOTHING),
            tail=contact_state("bouncing") if hit.email_bouncing else Cell(""),
        ),
        Fact(label="Phone", value=Cell(f"…{hit.phone_ending}" if hit.phone_ending else NOTHING)),
        Fact(label="Card", value=Cell(f"…{hit.card_ending}" if hit.card_ending else NOTHING)),
        Fact(label="Birthday", value=Cell(hit.birthday or NOTHING)),
        Fact(label="Last order", value=Cell(last)),
    ]


def main_membership(detail: CustomerDetail) -> MembershipView | None:
    """Return the membership a till cares about: the active one, else the newest."""
    active = [membership for membership in detail.memberships if membership.status == "active"]
    return next(iter(active or detail.memberships), None)


def balance_words(balance: Balance) -> str:
    """Return a balance with what is set aside, still to come and owed: 3,249 (120 pending)."""
    extras = []
    if balance.held:
        extras.append(f"{points(balance.held)} set aside")
    if balance.pending:
        extras.append(f"{points(balance.pending)} pending")
    if balance.deficit:
        extras.append(f"{points(balance.deficit)} owed")
    return points(balance.available) + (f" ({', '.join(extras)})" if extras else "")


def header_facts(
    detail: CustomerDetail, membership: MembershipView | None, *, now: datetime, zone: tzinfo
) -> list[Fact]:
    """Return the facts above a customer's tabs, most wanted first; two by two they make the narrow header.

    Balance, card and programme are those of `membership`.
    """
    if membership is None:
        balance = Cell("no membership", "warn")
        since = NOTHING
    else:
        tone: Tone = "warn" if membership.balance.deficit else "strong"
        balance = Cell(f"{balance_words(membership.balance)} {membership.unit_many}", tone)
        since = f"{membership.programme_name}, {moment(membership.enrolled_at, now=now, zone=zone)}"
    others = max(0, len(detail.memberships) - 1)
    # With one membership also a card that stands alone, as one that was blocked, is told.
    cards = tuple(
        card for card in detail.cards if not others or membership is None or card.membership_id == membership.id
    )
    return [
        Fact(label="Balance", value=balance),
        _contact_fact("Email", detail.email, "bouncing" if detail.email_bouncing else detail.email_status),
        Fact(label="Card", value=_current_card(cards)),
        _contact_fact("Phone", detail.phone, detail.phone_status),
        Fact(label="Offers", value=_consents(detail)),
        Fact(label="Mailchimp", value=_audience(detail, now=now, zone=zone)),
        Fact(label="Member", value=Cell(since), tail=Cell(f"(n: {others} more)" if others else "")),
        Fact(label="Sign-in", value=_sign_in(detail)),
        Fact(label="Birthday", value=Cell(birthday(detail.birthday))),
        Fact(label="Last order", value=_maybe_moment(detail.last_order_at, now=now, zone=zone)),
        Fact(label="Came by", value=Cell(detail.enrolled_source.replace("_", " ") or NOTHING)),
        Fact(label="Known", value=Cell(moment(detail.created_at, now=now, zone=zone))),
    ]


def _contact_fact(label: str, value: str | None, status: str | None) -> Fact:
    if value is None:
        return Fact(label=label, value=Cell(NOTHING, "muted"))
    return Fact(label=label, value=Cell(value), tail=contact_state(status))


def _sign_in(detail: CustomerDetail) -> Cell:
    """Return whether a customer can sign in, and what became of the invitation."""
    invitation = detail.invitation
    if detail.has_login or invitation is None:
        return Cell("has a password" if detail.has_login else "not set up yet")
    state = _INVITATION_STATES.get(invitation.state, invitation.state.replace("_", " "))
    tone: Tone = "bad" if invitation.state == "failed" else "plain"
    return Cell(f"invited {_INVITED_BY.get(invitation.channel, invitation.channel)}: {state}", tone)


def _current_card(cards: tuple[CardView, ...]) -> Cell:
    active = next((card for card in cards if card.status == "active"), None)
    if active is not None:
        return Cell(f"{active.code} active")
    return Cell(f"{cards[0].code} {card_state(cards[0].status).text}", "warn") if cards else Cell("none", "warn")


def _consents(detail: CustomerDetail) -> Cell:
    email, sms = (
        _CONSENTS_SHORT.get(view.state, _CONSENTS[view.state].text)
        for view in (detail.consents.email, detail.consents.sms)
    )
    return Cell(f"email {email} · text {sms}")


def _audience(detail: CustomerDetail, *, now: datetime, zone: tzinfo) -> Cell:
    if not detail.audience:
        return Cell("no contact", "muted")
    # The state that needs a person matters more than the ones that do not.
    contacts = sorted(detail.audience, key=lambda contact: (not contact.parked_reason, not contact.waiting))
    return audience_state(contacts[0], now=now, zone=zone)


def _maybe_moment(at: datetime | None, *, now: datetime, zone: tzinfo) -> Cell:
    return Cell(NOTHING) if at is None else Cell(moment(at, now=now, zone=zone))


def notices(detail: CustomerDetail, *, now: datetime, zone: tzinfo) -> list[Cell]:
    """Return what staff must know before they do anything with this customer, gravest first."""
    found: list[Cell] = []
    if detail.status == "merged":
        found.append(Cell("Merged into another customer: read only (Enter opens that one).", "bad"))
    elif detail.status != "active":
        found.append(Cell(f"This customer is {detail.status}: read only.", "bad"))
    if detail.shared_with:
        found.append(Cell(f"Shared with {', '.join(detail.shared_with)}: the balance is common.", "warn"))
    if is_held(detail, now=now):
        found.append(Cell(hold_words(detail, now=now, zone=zone), "warn"))
    if detail.email_bouncing:
        found.append(Cell(f"Mail to {detail.email} comes back: ask for another address (E).", "bad"))
    if not detail.has_login and detail.invitation is not None and detail.invitation.state == "failed":
        found.append(Cell("The invitation did not arrive: C makes a claim code to hand over.", "warn"))
    for change in detail.email_changes:
        if change.state == "pending":
            asked = moment(change.requested_at, now=now, zone=zone)
            if change.is_override:
                found.append(Cell(_override_words(change, now=now, zone=zone), "warn"))
                continue
            found.append(Cell(f"Email change to {change.new_email} waits for proof since {asked}.", "warn"))
        elif can_undo(change, now=now) and change.undo_until is not None:
            until = moment(change.undo_until, now=now, zone=zone)
            found.append(Cell(f"u takes the change back until {until}: email was {change.old_email}.", "muted"))
    return found


def is_held(detail: CustomerDetail, *, now: datetime) -> bool:
    """Return whether the customer's points cannot be spent just now."""
    return detail.redemption_held_until is not None and detail.redemption_held_until > now


def hold_words(detail: CustomerDetail, *, now: datetime, zone: tzinfo) -> str:
    """Return until when the points of a customer whose spending is held cannot be spent, and why."""
    assert detail.redemption_held_until is not None
    until = moment(detail.redemption_held_until, now=now, zone=zone)
    reason = detail.redemption_held_reason or ""
    why = f" ({_HOLD_REASONS.get(reason, reason.replace('_', ' '))})" if reason else ""
    return f"Points cannot be spent until {until}{why}."


def _override_words(change: EmailChangeView, *, now: datetime, zone: tzinfo) -> str:
    if change.execute_after is None:
        return f"Correcting the email to {change.new_email} needs a second person (^P email corrections)."
    at = moment(change.execute_after, now=now, zone=zone)
    return f"The email becomes {change.new_email} on {at}, unless the old address stops it."


def can_undo(change: EmailChangeView, *, now: datetime) -> bool:
    """Return whether the service still lets this change be taken back."""
    return change.state == "confirmed" and change.undo_until is not None and change.undo_until > now


# Lists ------------------------------------------------------------------------------------------------------------


def entry_row(entry: EntryView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a ledger entry with the balance after it."""
    tone: Tone = "good" if entry.points > 0 else "warn"
    return Row(
        key=str(entry.id),
        cells=(
            Cell(moment(entry.occurred_at, now=now, zone=zone)),
            Cell(_entry_words(entry)),
            Cell(signed(entry.points), tone),
            Cell(points(entry.balance_after)),
            Cell(entry.staff_name or entry.store_name or entry.by_name or NOTHING),
        ),
    )


def _entry_words(entry: EntryView) -> str:
    """Return the reason, with the order's number unless the reason names it already."""
    if entry.order_number is None or entry.order_number in entry.reason:
        return entry.reason
    return f"{entry.reason} {entry.order_number}"


def entry_notes(entry: EntryView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened entry says besides its row."""
    told = [f"{_KINDS[entry.kind]}: {entry.reason}"]
    if entry.order_number:
        told.append(f"Order {entry.order_number}{f' at {entry.store_name}' if entry.store_name else ''}")
    if entry.available_at is not None:
        word = "Available since" if entry.available_at <= now else "Pending until"
        told.append(f"{word} {moment(entry.available_at, now=now, zone=zone)}")
    if entry.expires_at is not None:
        told.append(f"Good {last_day(entry.expires_at, now=now, zone=zone)}")
    booked = f"Booked {moment(entry.posted_at, now=now, zone=zone)}"
    told.append(f"{booked} by {entry.staff_name}" if entry.staff_name else booked)
    if entry.by_name:
        told.append(f"For {entry.by_name}")
    return told


def order_row(order: OrderView, *, now: datetime, zone: tzinfo) -> Row:
    """Return an order with what it earned, less what went with returns."""
    state = Cell(order.state, "plain" if order.state == "completed" else "warn")
    if order.skipped_reason:
        state = Cell(skipped(order.skipped_reason), "warn")
    elif order.returns:
        state = Cell("some back", "warn")
    return Row(
        key=str(order.id),
        cells=(
            Cell(moment(order.completed_at, now=now, zone=zone)),
            Cell(order.number),
            Cell(order.store_name),
            Cell(money(order.net_minor + order.tax_minor, order.currency)),
            net_points(order.points, order.points_returned),
            state,
        ),
    )


def net_points(earned: int, returned: int) -> Cell:
    """Return what a sale brings by now."""
    return Cell(signed(earned - returned), "good") if earned > returned else Cell("0", "muted")


def order_notes(order: OrderView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return an opened order's lines, each with why it earned what it earned, and what came back of them."""
    told = sale_lines(order.lines, order.currency, skipped_reason=order.skipped_reason)
    return told + return_lines(
        order.returns, order.currency, earned=order.points, returned=order.points_returned, now=now, zone=zone
    )


def sale_lines(sold: Sequence[LineView], currency: str, *, skipped_reason: str | None) -> list[str]:
    """Return a sale's lines, each with what it earned and the rule that says why."""
    told = [_line(line, currency) for line in sold]
    if skipped_reason:
        told.append(f"Earned nothing: {skipped(skipped_reason)}.")
    return told or ["No lines were sent with this order."]


def return_lines(
    returns: Sequence[OrderReturn], currency: str, *, earned: int, returned: int, now: datetime, zone: tzinfo
) -> list[str]:
    """Return what came back of a sale and when, and what the sale brings by now."""
    told = []
    for back in returns:
        came = f"Came back {moment(back.completed_at, now=now, zone=zone)}:"
        told += [f"{came} {_returned(line, currency)}" for line in back.lines]
        if back.points_restored:
            told.append(f"  {points(back.points_restored)} points that had paid for it were given back.")
    if returned:
        told.append(
            f"Earned {points(earned)}, less {points(returned)} for what came back: {points(earned - returned)}."
        )
    return told


def _returned(line: LineReturn, currency: str) -> str:
    """Return what came back of a line: 1 × Coffee  -8, or 5.00 GBP of Coffee  -5."""
    name = line.description or f"line {line.line_id}"
    if line.quantity is not None:
        what = f"{line.quantity} × {name}"
    else:
        what = f"{money(abs(line.net_minor or 0), currency)} of {name}"
    return f"{what}  {signed(-line.points)}" if line.points else what


def _line(line: LineView, currency: str) -> str:
    """Return a line of a sale: 2 × Coffee  8.34 GBP  +8  1 point per 1.00."""
    name = line.description or line.category or "(no description)"
    amount = money(line.net_minor + line.tax_minor, currency)
    return f"{line.quantity} × {name}  {amount}  {signed(line.points)}  {line.rule}"


def card_row(card: CardView, *, programme: str = "", now: datetime, zone: tzinfo) -> Row:
    """Return a card and, when it was replaced, its successor; `programme` where there are several."""
    ended = NOTHING if card.ended_at is None else moment(card.ended_at, now=now, zone=zone)
    return Row(
        key=card.code,
        cells=(
            Cell(card.code),
            card_state(card.status),
            Cell(moment(card.issued_at, now=now, zone=zone)),
            Cell(ended),
            Cell(
                " ".join(part for part in (card.successor_code, f"in {programme}" if programme else "") if part)
                or NOTHING
            ),
        ),
    )


def consent_rows(detail: CustomerDetail, *, now: datetime, zone: tzinfo) -> list[Row]:
    """Return both channels with where the person stands."""
    channels = (
        ("email", "Offers by email", detail.consents.email, detail.email),
        ("sms", "Offers by text message", detail.consents.sms, detail.phone),
    )
    return [
        Row(
            key=key,
            cells=(Cell(words), consent(view, now=now, zone=zone), Cell(address or "no address", "muted")),
        )
        for key, words, view, address in channels
    ]


def contact_rows(detail: CustomerDetail, *, now: datetime, zone: tzinfo) -> list[Row]:
    """Return every address a customer has or had, the postal one and the notes last."""
    rows = [_contact_row(point, now=now, zone=zone) for point in detail.contact_points]
    postal = ", ".join(part for part in (detail.postal_address, detail.post_code) if part)
    if postal:
        rows.append(Row(key="postal", cells=(Cell("postal address"), Cell(postal), Cell(""), Cell(""))))
    if detail.notes:
        rows.append(Row(key="notes", cells=(Cell("note"), Cell(detail.notes), Cell(""), Cell(""))))
    return rows


def _contact_row(point: ContactPointView, *, now: datetime, zone: tzinfo) -> Row:
    if point.retired_at is not None:
        since = f"until {moment(point.retired_at, now=now, zone=zone)}"
        since += f", {point.retired_reason.replace('_', ' ')}" if point.retired_reason else ""
    elif point.verified_at is not None:
        since = f"since {moment(point.verified_at, now=now, zone=zone)}"
    else:
        since = NOTHING
    kind = f"{point.kind} (main)" if point.is_primary else point.kind
    return Row(
        key=f"{point.kind}:{point.value}",
        cells=(Cell(kind), Cell(point.value), contact_state(point.status), Cell(since, "muted")),
    )


def audience_row(contact: AudienceContactView, *, now: datetime, zone: tzinfo) -> Row:
    """Return one address's place in the Mailchimp queue."""
    upcoming = NOTHING if contact.next_try_at is None else moment(contact.next_try_at, now=now, zone=zone)
    return Row(
        key=str(contact.id),
        cells=(
            audience_state(contact, now=now, zone=zone),
            Cell(contact.email),
            Cell(contact.remote_status or NOTHING),
            Cell(points(contact.attempts)),
            Cell(upcoming),
            Cell(audience_why(contact) or NOTHING, "warn" if contact.parked_reason else "muted"),
        ),
    )


def audience_why(contact: AudienceContactView) -> str:
    """Return why an address waits for a person; empty when it does not."""
    if not contact.parked_reason:
        return ""
    return contact.parked_reason + (f" (field {contact.parked_field})" if contact.parked_field else "")


def audit_row(entry: AuditEntryView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a line of the audit trail."""
    return Row(
        key=str(entry.id),
        cells=(
            Cell(moment(entry.at, now=now, zone=zone)),
            Cell(entry.actor),
            Cell(entry.action.replace("_", " ").replace(".", ": ")),
            Cell(entry.subject_kind.replace("_", " ")),
            Cell(entry.reason or NOTHING),
        ),
    )


def audit_notes(entry: AuditEntryView) -> list[str]:
    """Return an opened audit entry's details, one line each."""
    told = [f"{name.replace('_', ' ')}: {_value(value)}" for name, value in entry.details.items()]
    if entry.subject_id is not None:
        told.append(f"id of the {entry.subject_kind.replace('_', ' ')}: {entry.subject_id}")
    return told or ["Nothing more was written down."]


def _value(value: object) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name}: {_value(inner)}" for name, inner in value.items())
        case list() | tuple():
            return ", ".join(_value(inner) for inner in value)
        case _:
            return str(value)


def rule_lines(rules: dict[str, object]) -> Iterable[tuple[str, str]]:
    """Yield a programme's rules as (name, value) in words."""
    for name, value in rules.items():
        yield name.replace("_", " "), _value(value)


# Reading what was typed -------------------------------------------------------------------------------------------


def parse_birthday(text: str) -> Birthday | None:
    """Read a birthday: 2.5.1961, 2/5, 2 May 1961 or 1961-05-02; day before month. Empty text is no birthday.

    Raises:
        ValueError: It is none of these, or no such day.
    """
    words = text.replace(".", " ").replace("/", " ").replace("-", " ").split()
    if not words:
        return None
    if len(words) == 3 and len(words[0]) == 4:
        words.reverse()
    if len(words) not in {2, 3}:
        raise ValueError("a birthday is day, month and perhaps year")
    on_day, month = int(words[0]), _month(words[1])
    year = int(words[2]) if len(words) == 3 else None
    date(year or 2000, month, on_day)  # 2000 was a leap year, so that 29 February needs no year.
    if year is not None and not 1900 <= year <= 2100:
        raise ValueError("the year must have four digits")
    return Birthday(month=month, day=on_day, year=year)


def _month(word: str) -> int:
    if word.isascii() and word.isdigit():
        return int(word)
    return [month.lower() for month in _MONTHS].index(word[:3].lower()) + 1
