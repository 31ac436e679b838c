"""POS records, links, and what tills tell, in words: rows and sentences. Pure, as `tui.formatting` is."""

from datetime import datetime, tzinfo

from shared.links import (
    ConnectionState,
    CustomerLinks,
    CycleView,
    Finding,
    LinkEffect,
    LinkReviewView,
    LinkState,
    LinkView,
    PosTodoState,
    PosTodoView,
    QuarantinedItem,
    RecordHit,
    WaitingLink,
)
from tui.formatting import NOTHING, Cell, Row, counted, moment, points, skipped

_LINK_STATES: dict[str, Cell] = {
    "linked": Cell("linked", "good"),
    "waiting": Cell("waits", "warn"),
    "ended": Cell("over", "muted"),
}
_METHODS: dict[str, str] = {
    "email": "by the proven address",
    "phone_and_email": "by address and number",
    "card_and_email": "by address and card",
    "staff_match": "by staff, same address",
    "staff_attest": "by staff, who were sure",
    "import": "with an import",
    "pushed": "as we sent it to the till",
}
_EVIDENCE: dict[str, str] = {
    "saw_id": "saw an ID",
    "card_in_hand": "had the card in hand",
    "knows_last_purchase": "customer knew the last purchase",
}
_ENDED: dict[str, str] = {
    "unlinked": "taken off by staff",
    "merged_in_pos": "merged in the till",
}
STATES: dict[LinkState, Cell] = {
    LinkState.UNLINKED: Cell("not linked", "warn"),
    LinkState.CHECKING: Cell("the till has not answered yet", "warn"),
    LinkState.WAITING: Cell("waits a day, as the address is new there", "warn"),
    LinkState.NEEDS_HELP: Cell("somebody must decide", "bad"),
    LinkState.LINKED: Cell("linked", "good"),
}
_REVIEWS: dict[str, str] = {
    "ambiguous": "several records bear the address",
    "taken": "is another customer's",
    "merged_in_pos": "was merged in the till into another's",
    "disputed": "somebody says the record is not theirs",
}
_CYCLE_STATES: dict[str, Cell] = {
    "running": Cell("running", "warn"),
    "done": Cell("done", "good"),
    "failed": Cell("failed", "bad"),
}
_CAUSES: dict[str, str] = {"clock": "by itself", "staff": "asked for", "webhook": "the till called"}
_FIGURES: tuple[tuple[str, str, str], ...] = (
    ("orders_fetched", "sale fetched", "sales fetched"),
    ("orders_new", "is new", "are new"),
    ("orders_changed", "changed", "changed"),
    ("orders_unchanged", "known already", "known already"),
    ("points", "point given", "points given"),
    ("refunds", "return", "returns"),
    ("customers_fetched", "customer record fetched", "customer records fetched"),
    ("customers_new", "new record", "new records"),
    ("customers_changed", "changed record", "changed records"),
    ("linked", "member linked", "members linked"),
    ("attached", "sale attached late", "sales attached late"),
    ("pushed", "member made known to the till", "members made known to the till"),
    ("quarantined", "set aside", "set aside"),
)
_SKIPPED = "skipped_"


# Records --------------------------------------------------------------------------------------------------------------


def record_row(hit: RecordHit, *, now: datetime, zone: tzinfo) -> Row:
    """Return a POS record with whom it belongs to."""
    last = NOTHING if hit.last_order_at is None else moment(hit.last_order_at, now=now, zone=zone)
    owner = Cell("nobody", "good") if hit.customer_id is None else Cell(hit.customer_name or "linked", "warn")
    return Row(
        key=str(hit.id),
        cells=(
            Cell(hit.external_id),
            Cell(hit.name or NOTHING),
            Cell(hit.email_masked or "no email", "plain" if hit.email_masked else "muted"),
            Cell(f"…{hit.phone_ending}" if hit.phone_ending else NOTHING),
            Cell(points(hit.orders)),
            Cell(last),
            owner,
        ),
    )


def record_words(hit: RecordHit) -> str:
    """Return a record in one line, with what tells it from others."""
    told = [hit.external_id, hit.name, hit.email_masked or "no email"]
    told += [f"phone …{hit.phone_ending}"] if hit.phone_ending else []
    told += [f"card …{hit.card_ending}"] if hit.card_ending else []
    told.append(counted(hit.orders, "sale", "sales"))
    return ", ".join(words for words in told if words)


def effect_words(effect: LinkEffect, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what a link brings: sales that count, their points, and why others earn nothing."""
    found = counted(effect.orders_found, "sale", "sales")
    told = [f"{found} found, {points(effect.orders_counted)} will count: {points(effect.points)} points."]
    told += [
        f"{counted(one.orders, 'sale earns', 'sales earn')} nothing: {skipped(one.reason)}." for one in effect.skipped
    ]
    if effect.held_until is not None:
        told.append(f"Points cannot be spent until {moment(effect.held_until, now=now, zone=zone)}.")
    return told


# Links ----------------------------------------------------------------------------------------------------------------


def link_row(link: LinkView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a link in force, waiting or over."""
    at = link.ended_at or link.linked_at or link.created_at
    return Row(
        key=str(link.id),
        cells=(
            Cell(link.external_id, "muted" if link.ended_at else "plain"),
            _LINK_STATES.get(link.state, Cell(link.state)),
            Cell(_METHODS.get(link.method, link.method.replace("_", " "))),
            Cell(points(link.orders_found)),
            Cell(points(link.points), "good" if link.points else "muted"),
            Cell(moment(at, now=now, zone=zone)),
        ),
    )


def link_notes(link: LinkView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened link says besides its row."""
    told = [f"At {link.connection}, known as {', '.join((link.external_id, *link.aliases))}."]
    sure = f"; {_EVIDENCE[link.evidence]}" if link.evidence in _EVIDENCE else ""
    at = moment(link.linked_at or link.created_at, now=now, zone=zone)
    told.append(f"{'Linked' if link.linked_at else 'Asked for'} by {link.linked_by or 'the service'}, {at}{sure}.")
    if link.state != "waiting":  # What it will bring is counted when it is approved.
        found = counted(link.orders_found, "sale", "sales")
        told.append(f"{found} found with it, {points(link.orders_counted)} counted: {points(link.points)} points.")
    if link.ended_at is not None:
        reason = link.ended_reason or ""
        told.append(f"Over since {moment(link.ended_at, now=now, zone=zone)}: {_ENDED.get(reason, reason)}.")
    elif link.state == "waiting":
        told.append("It brings more points or sales than one person may link: somebody else decides.")
    return told


def state_words(links: CustomerLinks, *, now: datetime, zone: tzinfo) -> Cell:
    """Return where the search for a customer's records stands, and when it was looked at."""
    state = STATES[links.state]
    told = [state.text]
    if links.checked_at is not None:
        told.append(f"looked at {moment(links.checked_at, now=now, zone=zone)}")
    if links.next_check_at is not None and links.state is not LinkState.LINKED:
        told.append(f"next look {moment(links.next_check_at, now=now, zone=zone)}")
    return Cell(" · ".join(told), state.tone)


def finding_row(finding: Finding, *, key: str) -> Row:
    """Return one reason why purchases are missing, with what puts it right."""
    fix = Cell(f"⏎ {finding.fix.label}", "strong") if finding.fix is not None else Cell("nothing to do here", "muted")
    return Row(key=key, cells=(Cell(finding.detail, "warn" if finding.fix else "plain"), fix))


# Matches that somebody must decide ------------------------------------------------------------------------------------


def review_row(review: LinkReviewView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a match that waits for a person."""
    record = review.record
    return Row(
        key=str(review.id),
        cells=(
            Cell(moment(review.created_at, now=now, zone=zone)),
            Cell(review.customer_name),
            Cell(f"{record.external_id} {record.name}".strip()),
            Cell(_REVIEWS.get(review.reason, review.reason.replace("_", " ")), "warn"),
        ),
    )


def review_notes(review: LinkReviewView, *, now: datetime, zone: tzinfo) -> list[str]:
    record = review.record
    told = [f"Record {record_words(record)}."]
    if record.customer_name is not None:
        since = f" since {moment(record.linked_at, now=now, zone=zone)}" if record.linked_at else ""
        told.append(f"It is {record.customer_name}'s{since}.")
    merges = "m merges the two; " if review.other_customer_id is not None else ""
    told.append(f"l links it to the customer; {merges}x leaves it as it is, with a reason.")
    return told


def waiting_row(waiting: WaitingLink, *, now: datetime, zone: tzinfo) -> Row:
    """Return a link that waits for a second person."""
    link = waiting.link
    return Row(
        key=str(link.id),
        cells=(
            Cell(moment(link.created_at, now=now, zone=zone)),
            Cell(waiting.customer_name),
            Cell(f"{link.external_id} ({link.connection})"),
            Cell(link.linked_by),
        ),
    )


def waiting_notes(waiting: WaitingLink, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what a link that waits says besides its row."""
    return [*link_notes(waiting.link, now=now, zone=zone), "a approves it, r refuses it, o opens the customer."]


def todo_row(todo: PosTodoView, *, now: datetime, zone: tzinfo) -> Row:
    """Return what is to be done in a till."""
    at = todo.done_at or todo.created_at
    state = Cell("refused by the till", "bad") if todo.error else Cell("to do", "warn")
    if todo.state is PosTodoState.DONE:
        state = Cell(f"done by {todo.done_by or 'the till'}", "good")
    return Row(
        key=str(todo.id),
        cells=(
            Cell(moment(at, now=now, zone=zone)),
            Cell(todo.customer_name),
            Cell(f"{todo.absorbed.external_id} into {todo.kept.external_id}"),
            state,
        ),
    )


def todo_notes(todo: PosTodoView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what to do in the till, and what became of it."""
    told = [
        f"In the till {todo.connection}, merge record {record_words(todo.absorbed)}",
        f"into {record_words(todo.kept)}: both are {todo.customer_name}.",
    ]
    if todo.error:
        told.append(f"The till was asked to do it and refused: {todo.error}")
    if todo.done_at is not None:
        by = f" by {todo.done_by}" if todo.done_by else ", by the till itself"
        note = f" {todo.note}" if todo.note else ""
        return [*told, f"Done {moment(todo.done_at, now=now, zone=zone)}{by}.{note}", "u says that it is not done yet."]
    return [*told, "d says that it is done."]


# The exchange with tills ----------------------------------------------------------------------------------------------


def connection_words(connection: ConnectionState, *, now: datetime, zone: tzinfo) -> Cell:
    """Return how the exchange with one till system is doing, in one line."""
    if connection.is_running:
        state, tone = "is being fetched now", "warn"
    elif connection.last_success_at is None:
        state, tone = "was never fetched", "warn"
    else:
        at = moment(connection.last_success_at, now=now, zone=zone)
        state, tone = f"fetched {at}", "plain"
    if connection.is_late:
        state, tone = f"LATE: {state}", "bad"
    way = "sends by itself" if connection.connector == "directory" else connection.connector
    aside = f" · {points(connection.quarantined)} set aside" if connection.quarantined else ""
    return Cell(f"{connection.connection} ({way}): {state}{aside}", "bad" if tone == "bad" else "plain")


def cycle_row(cycle: CycleView, *, now: datetime, zone: tzinfo) -> Row:
    """Return one run with what it brought."""
    figures = cycle.figures
    return Row(
        key=str(cycle.id),
        cells=(
            Cell(moment(cycle.started_at, now=now, zone=zone)),
            Cell(cycle.connection),
            _CYCLE_STATES.get(cycle.state, Cell(cycle.state)),
            Cell(points(figures.get("orders_new", 0))),
            Cell(points(figures.get("points", 0))),
            Cell(points(figures.get("linked", 0))),
            Cell(points(figures.get("quarantined", 0)), "bad" if figures.get("quarantined") else "muted"),
            Cell(_CAUSES.get(cycle.cause, cycle.cause)),
        ),
    )


def cycle_notes(cycle: CycleView) -> list[str]:
    """Return the report of a run: every figure in words, and what stopped it."""
    told = [f"It stopped: {cycle.error}. The next run goes on where it was."] if cycle.error else []
    told += [f"{counted(cycle.figures[name], one, many)}" for name, one, many in _FIGURES if cycle.figures.get(name, 0)]
    told += [
        f"{counted(count, 'sale earned', 'sales earned')} nothing: {skipped(name.removeprefix(_SKIPPED))}"
        for name, count in sorted(cycle.figures.items())
        if name.startswith(_SKIPPED) and count
    ]
    told = told or ["Nothing came of it."]
    if cycle.finished_at is not None:
        told.append(f"It took {(cycle.finished_at - cycle.started_at).total_seconds():.0f} s.")
    return told


def quarantine_row(item: QuarantinedItem, *, now: datetime, zone: tzinfo) -> Row:
    """Return something that a till told and that could not be posted."""
    return Row(
        key=str(item.id),
        cells=(
            Cell(moment(item.staged_at, now=now, zone=zone)),
            Cell(item.connection),
            Cell(item.kind),
            Cell(item.external_id),
            Cell(item.detail or item.reason.replace("_", " "), "bad"),
        ),
    )


def quarantine_notes(item: QuarantinedItem, *, now: datetime, zone: tzinfo) -> list[str]:
    changed = moment(item.changed_at, now=now, zone=zone)
    told = [f"{item.reason.replace('_', ' ')}: {item.detail}" if item.detail else item.reason.replace("_", " ")]
    return [*told, f"Changed in the till {changed}. Put it right there; the next run takes it again."]
