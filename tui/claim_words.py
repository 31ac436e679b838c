"""Claim codes in words: rows and sentences. Pure, as `tui.formatting` is."""

from datetime import datetime, tzinfo

from shared.claims import (
    ClaimBatchPreview,
    ClaimBatchView,
    ClaimCause,
    ClaimCodeView,
    ClaimFound,
    ClaimRefusal,
    ClaimState,
)
from tui.formatting import NOTHING, Cell, Row, counted, moment, points

_STATES: dict[ClaimState, Cell] = {
    ClaimState.LIVE: Cell("good", "good"),
    ClaimState.USED: Cell("used", "muted"),
    ClaimState.EXPIRED: Cell("too old", "muted"),
    ClaimState.REVOKED: Cell("ended", "muted"),
}
_KINDS = {"till": "made at the till", "letter": "in a letter", "text": "texted", "receipt": "on a receipt"}
_ENDED: dict[str, str] = {
    "staff": "by staff",
    "reissued": "a newer one was made",
    "merged": "its account was merged",
    "batch": "with all letters of its batch",
    "wrong_checks": "the second answer was wrong too often",
}
_CAUSES: dict[ClaimCause, str] = {
    ClaimCause.UNKNOWN: "There is no such code; a letter may be wrong.",
    ClaimCause.USED: "It was used already.",
    ClaimCause.EXPIRED: "It is too old. Make a new one.",
    ClaimCause.REVOKED: "It was ended, or a newer one was made.",
    ClaimCause.WRONG_CHECK: "The second answer (name, post code or phone digits) was wrong.",
    ClaimCause.SUBJECT_HAS_LOGIN: "Its account has a sign-in of its own by now: merge the two instead (m).",
    ClaimCause.SUBJECT_GONE: "Its account is no longer there.",
    ClaimCause.ORDER_TAKEN: "Its sale counts for somebody already.",
    ClaimCause.ISSUED_BY_ONESELF: "Whoever made it tried to use it for themselves.",
}


def claim_row(code: ClaimCodeView, *, now: datetime, zone: tzinfo, is_own: bool = False) -> Row:
    """Return a code; `is_own` for one that the customer has used for another account."""
    what = _KINDS[code.kind] + (f", sale {code.order_number}" if code.order_number else "")
    if is_own:
        what = f"brought the points of {code.customer_name or f'sale {code.order_number}'}"
    return Row(
        key=str(code.id),
        cells=(
            Cell(moment(code.issued_at, now=now, zone=zone)),
            Cell(what),
            _STATES[code.state],
            Cell(moment(code.expires_at, now=now, zone=zone)),
            Cell(code.issued_by or NOTHING),
        ),
    )


def refusal_row(refusal: ClaimRefusal, *, key: str, now: datetime, zone: tzinfo) -> Row:
    """Return a try of the customer that was refused, with the cause, which the customer was not told."""
    at = moment(refusal.at, now=now, zone=zone)
    return Row(
        key=key, cells=(Cell(at), Cell(_CAUSES[refusal.cause], "warn"), Cell("refused", "bad"), Cell(""), Cell(""))
    )


def claim_notes(code: ClaimCodeView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened code says besides its row."""
    told = [f"For {code.customer_name}." if code.customer_name else f"For sale {code.order_number}."]
    if code.used_at is not None:
        merged = " The two accounts are one since then; u takes it back on the customer." if code.merge_id else ""
        told.append(f"Used by {code.used_by_name or 'a member'}, {moment(code.used_at, now=now, zone=zone)}.{merged}")
    if code.revoked_at is not None:
        reason = code.revoked_reason or ""
        told.append(f"Ended {moment(code.revoked_at, now=now, zone=zone)}: {_ENDED.get(reason, reason)}.")
    return told


def found_words(found: ClaimFound, *, now: datetime, zone: tzinfo) -> list[Cell]:
    """Return what is known of a code that somebody shows."""
    told = []
    if found.cause is None:
        told.append(Cell("✓ This code can be used: in the app, under “I have a code”.", "good"))
    else:
        told.append(Cell(f"✗ {_CAUSES[found.cause]}", "bad"))
    if found.code is not None:
        told.append(Cell(f"  {_KINDS[found.code.kind]}, {moment(found.code.issued_at, now=now, zone=zone)}"))
        told += [Cell(f"  {note}") for note in claim_notes(found.code, now=now, zone=zone)]
    return told


# Letters for many -----------------------------------------------------------------------------------------------------


def batch_row(batch: ClaimBatchView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a batch of codes with how far it has come."""
    is_over = batch.revoked_at is not None
    until = NOTHING if batch.expires_at is None else moment(batch.expires_at, now=now, zone=zone)
    return Row(
        key=str(batch.id),
        cells=(
            Cell(moment(batch.created_at, now=now, zone=zone)),
            Cell(points(batch.codes), "strong"),
            Cell(points(batch.used), "good" if batch.used else "muted"),
            _file_state(batch, batch.csv_written_at, now=now),
            _file_state(batch, batch.pdf_written_at, now=now),
            Cell("ended", "bad") if is_over else Cell(until),
            Cell(batch.requested_by or "the service"),
        ),
    )


def _file_state(batch: ClaimBatchView, written_at: datetime | None, *, now: datetime) -> Cell:
    if written_at is not None:
        return Cell("written", "good")
    is_over = batch.revoked_at is not None or now > batch.files_until
    return Cell("too late", "muted") if is_over else Cell("not yet", "warn")


def batch_notes(batch: ClaimBatchView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened batch says besides its row."""
    share = f" ({batch.used * 100 // batch.codes} %)" if batch.codes else ""
    told = [f"{points(batch.used)} of {counted(batch.codes, 'code', 'codes')} used{share}."]
    files = (("List", batch.csv_written_at), ("Letters", batch.pdf_written_at))
    told += [f"{what} written {moment(at, now=now, zone=zone)}." for what, at in files if at is not None]
    if batch.revoked_at is not None:
        return [*told, f"Ended {moment(batch.revoked_at, now=now, zone=zone)}: no letter of it works any more."]
    if now <= batch.files_until and not (batch.csv_written_at and batch.pdf_written_at):
        told.append(f"w writes a file, once each, until {moment(batch.files_until, now=now, zone=zone)}.")
    if batch.expires_at is not None:
        told.append(f"The codes are good until {moment(batch.expires_at, now=now, zone=zone)}.")
    return told


def batch_effect_words(preview: ClaimBatchPreview, *, reissue: bool) -> list[str]:
    """Return who would get a letter."""
    told = [f"{counted(preview.customers, 'person gets', 'people get')} a code for a letter."]
    if preview.with_live_code:
        live = counted(preview.with_live_code, "person has a code that works", "people have a code that works")
        told.append(f"{live}: {'it ends, and they get a new one' if reissue else 'they are passed over'}.")
    if preview.without_address:
        lacks = counted(preview.without_address, "of them has", "of them have")
        told.append(f"{lacks} no postal address: hand those letters over at the till.")
    return told
