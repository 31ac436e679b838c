"""Two customers side by side: whose fields stay, what comes along, and what stands against it. Pure."""

from datetime import datetime, tzinfo

import msgspec
from textual.content import Content

from shared.base import Birthday
from shared.duplicates import DuplicatePerson, DuplicateView
from shared.merges import MergeChoices, MergeField, MergeNeed, MergePreview, MergeSide, MergeState, MergeView
from tui.formatting import NOTHING, Cell, Row, Tone, birthday, counted, moment, points
from tui.obstacles import obstacles
from tui.safe import join

FIELDS = {"name": "Name", "email": "Email", "phone": "Phone", "birthday": "Birthday", "locale": "Language"}
NEEDS: dict[MergeNeed, str] = {
    MergeNeed.BOTH_HAVE_LOGINS: "both can sign in",
    MergeNeed.STAFF_LINKED: "one belongs to a staff member: an admin decides",
    MergeNeed.BLOCKED: "one of the two is blocked",
    MergeNeed.MANY_POINTS: "many points move",
}
STATES: dict[MergeState, Cell] = {
    MergeState.WAITING: Cell("waits", "warn"),
    MergeState.DONE: Cell("done", "good"),
    MergeState.REFUSED: Cell("refused", "bad"),
    MergeState.UNDONE: Cell("taken back", "muted"),
}
_SHARING = {
    None: "choose with ← →",
    "combine": "KEEP comes into it",
    "leave": "FOLD IN leaves it",
}


# Which of the two stays -----------------------------------------------------------------------------------------------


def keeps_the_other(preview: MergePreview) -> tuple[bool, str]:
    """Return whether the absorbed one had better be kept, and why whoever is kept is: linked, older, or busier."""
    survivor, absorbed = preview.survivor, preview.absorbed
    if bool(survivor.pos_links) != bool(absorbed.pos_links):
        return bool(absorbed.pos_links), "linked to the till"
    if survivor.created_at != absorbed.created_at:
        return absorbed.created_at < survivor.created_at, "known longer"
    return absorbed.orders > survivor.orders, "more sales" if absorbed.orders != survivor.orders else ""


# What is chosen -------------------------------------------------------------------------------------------------------


def choose(choices: MergeChoices, key: str, *, right: bool) -> MergeChoices:
    """Return the choices with that of one row to the left or to the right."""
    if key in FIELDS:
        return msgspec.structs.replace(choices, **{key: "absorbed" if right else "survivor"})
    if key == "sharing":
        return msgspec.structs.replace(choices, shared_membership="leave" if right else "combine")
    if key == "older":
        return msgspec.structs.replace(choices, count_older_orders=right)
    assert key == "changes", "only rows that can be chosen are"
    return msgspec.structs.replace(choices, cancel_email_changes=right)


def is_right(choices: MergeChoices, preview: MergePreview, key: str) -> bool:
    """Return whether a row stands at its right-hand choice."""
    if key == "sharing":
        return choices.shared_membership == "leave"
    if key == "older":
        return choices.count_older_orders
    if key == "changes":
        return choices.cancel_email_changes
    chosen = getattr(choices, key) or next((one.chosen for one in _fields(preview) if one.name == key), "survivor")
    return bool(chosen == "absorbed")


def choosable(preview: MergePreview, choices: MergeChoices) -> set[str]:
    """Return the keys of the rows in which something can be chosen."""
    keys = {one.name for one in _fields(preview) if one.may_choose and one.differs}
    if preview.absorbed.sharers:
        keys.add("sharing")
    if preview.effect is not None and preview.effect.older_orders:
        keys.add("older")
    if choices.cancel_email_changes or any("change of address" in blocker for blocker in preview.blockers):
        keys.add("changes")
    return keys


# Side by side ---------------------------------------------------------------------------------------------------------


def merge_rows(preview: MergePreview, choices: MergeChoices) -> list[Row]:
    """Return what differs first, then what is decided, then what comes along; fields that are equal are counted only."""
    can_choose = choosable(preview, choices)
    fields = _fields(preview)
    rows = [_field_row(one, choices, preview) for one in fields if one.name in can_choose]
    rows += _decisions(preview, choices, can_choose)
    rest = [one for one in fields if one.name not in can_choose]
    rows += [_field_row(one, choices, preview) for one in rest if one.survivor != one.absorbed]
    rows += _belongings(preview)
    same = [FIELDS[one.name].lower() for one in rest if one.survivor == one.absorbed]
    if same:
        words = f"{counted(len(same), 'field', 'fields')} the same: {', '.join(same)}"
        rows.append(Row(key="same", cells=(Cell(words),), is_note=True))
    return rows


def _fields(preview: MergePreview) -> tuple[MergeField, ...]:
    """Return the fields of both; of a merge that is blocked nothing is said about what stays."""
    if preview.effect is not None:
        return preview.effect.fields
    ours, theirs = preview.survivor, preview.absorbed
    return tuple(
        MergeField(
            name=name,
            survivor=getattr(ours, name) or None,
            absorbed=getattr(theirs, name) or None,
            after=None,
            chosen="survivor",
            may_choose=False,
            differs=getattr(ours, name) != getattr(theirs, name),
        )
        for name in FIELDS
    )


def _row(key: str, cells: tuple[str, str, str, str], tones: tuple[Tone, Tone, Tone, Tone]) -> Row:
    return Row(key=key, cells=tuple(map(Cell, cells, tones)))


def _field_row(field: MergeField, choices: MergeChoices, preview: MergePreview) -> Row:
    ours, theirs, stays = (_value(field.name, text) for text in (field.survivor, field.absorbed, field.after))
    if not (field.may_choose and field.differs):
        filled = " (filled)" if field.after and field.survivor is None else ""
        after: Tone = "good" if filled else "plain"
        words = f"{stays}{filled}"
        return _row(field.name, (FIELDS[field.name], ours, theirs, words), ("plain", "plain", "plain", after))
    right = is_right(choices, preview, field.name)
    shown = (f"! {FIELDS[field.name]}", ours if right else f"[{ours}]", f"[{theirs}]" if right else theirs)
    return _row(field.name, (*shown, theirs if right else ours), ("warn", "plain", "plain", "strong"))


def _value(name: str, text: str | None) -> str:
    """Return a field's value; a birthday, which comes in digits, as people say it."""
    if name != "birthday" or not text:
        return text or NOTHING
    *year, month, day = text.split("-")
    return birthday(Birthday(year=int(year[0]) if year and year[0] else None, month=int(month), day=int(day)))


def _decisions(preview: MergePreview, choices: MergeChoices, can_choose: set[str]) -> list[Row]:
    """Return the rows in which it is not a field that is decided on."""
    ours, theirs = preview.survivor, preview.absorbed
    tones: tuple[Tone, Tone, Tone, Tone] = ("warn", "plain", "plain", "strong")
    rows = []
    if "sharing" in can_choose:
        cells = ("! Shares with", _sharers(ours), _sharers(theirs), _SHARING[choices.shared_membership])
        rows.append(_row("sharing", cells, tones))
    if "older" in can_choose and preview.effect is not None:
        effect = preview.effect
        does = "count" if choices.count_older_orders else "do not count"
        figure = counted(effect.older_orders, "sale", "sales")
        rows.append(_row("older", ("! Older sales", figure, f"+{points(effect.older_points)} points", does), tones))
    if "changes" in can_choose:
        does = "given up" if choices.cancel_email_changes else "goes on: give up?"
        rows.append(_row("changes", ("! Email change", "under way", "", does), tones))
    return rows


def _sharers(side: MergeSide) -> str:
    return counted(side.sharers, "other", "others") if side.sharers else NOTHING


def _belongings(preview: MergePreview) -> list[Row]:
    """Return sums before and after, and how much comes along."""
    ours, theirs, effect = preview.survivor, preview.absorbed, preview.effect
    sums = [("points", "Points", ours.available, theirs.available, effect.available_after if effect else None)]
    sums.append(("pending", "Pending", ours.pending, theirs.pending, effect.pending_after if effect else None))
    sums.append(("owed", "Owed", ours.deficit, theirs.deficit, effect.deficit_after if effect else None))
    rows = [
        _row(key, (label, points(a), points(b), NOTHING if c is None else points(c)), ("plain", "plain", "plain", "strong"))
        for key, label, a, b, c in sums
        if key == "points" or a or b or c
    ]  # fmt: skip
    along = [("orders", "Sales", ours.orders, theirs.orders), ("vouchers", "Vouchers", ours.vouchers, theirs.vouchers)]
    along.append(("pos_links", "POS records", ours.pos_links, theirs.pos_links))
    rows.append(_told("cards", "Cards", _cards(ours), _cards(theirs), "all go on working" if effect else NOTHING))
    for key, label, a, b in along:
        if a or b:
            rows.append(_told(key, label, points(a), points(b), f"{points(b)} come along" if effect else NOTHING))
    if ours.has_login or theirs.has_login:
        ended = counted(effect.sessions_ended, "session ends", "sessions end") if effect else NOTHING
        rows.append(_told("login", "Sign-in", _login(ours), _login(theirs), ended))
    return rows


def _told(key: str, label: str, ours: str, theirs: str, after: str) -> Row:
    return _row(key, (label, ours, theirs, after), ("plain", "plain", "plain", "plain"))


def _cards(side: MergeSide) -> str:
    return ", ".join(f"…{card[-4:]}" for card in side.cards) or NOTHING


def _login(side: MergeSide) -> str:
    return "has a password" if side.has_login else NOTHING


# In words -------------------------------------------------------------------------------------------------------------


def merge_notes(preview: MergePreview, *, why_kept: str) -> list[Content]:
    """Return who is kept, what stands against it, who else decides, and what to mind."""
    survivor, absorbed = preview.survivor, preview.absorbed
    why = f" ({why_kept})" if why_kept else ""
    told = [
        join((survivor.name, "bold"), f" is kept{why}; ", (absorbed.name, "bold"), " is folded into this customer.")
    ]
    told += obstacles(preview.blockers, ())
    if preview.needs_second_person:
        needs = ", ".join(NEEDS.get(need, need.value) for need in preview.needs_second_person)
        told.append(join(("! ", "bold $warning"), (f"Somebody else must approve this: {needs}.", "$warning")))
    told += obstacles((), preview.warnings)
    return told


def row_words(row: Row | None, *, can_choose: bool) -> Content:
    """Return the row under the cursor in full, as a narrow window cuts long values."""
    if row is None or row.is_note:
        return Content("")
    label, ours, theirs, after = (cell.text for cell in row.cells)
    hint = "   ← → choose" if can_choose else ""
    return join(
        (f"{label.strip('! ')}: ", "$text-muted"), ours, ("  |  ", "$text-muted"), theirs,
        ("  →  ", "$text-muted"), (after, "bold"), (hint, "$accent"),
    )  # fmt: skip


def merge_row(merge: MergeView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a merge, or a wish for one, as a row of a list."""
    return Row(
        key=str(merge.id),
        cells=(
            Cell(moment(merge.done_at or merge.requested_at, now=now, zone=zone)),
            Cell(merge.survivor_name),
            Cell(merge.absorbed_name),
            Cell(merge.requested_by or "a claim"),
            Cell("disputed", "bad") if merge.disputed_at and merge.state is MergeState.DONE else STATES[merge.state],
        ),
    )


def merge_view_notes(merge: MergeView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return what an opened merge says besides its row."""
    told = [f"{merge.absorbed_name} into {merge.survivor_name}. Reason: {merge.reason}"]
    told += [f"Needs a second person: {NEEDS.get(need, need.value)}." for need in merge.needs]
    if merge.effect is not None:
        told.append(
            f"{counted(merge.effect.available_after, 'point', 'points')} together, {merge.effect.orders} sales came along."
        )
    if merge.disputed_at is not None:
        at = moment(merge.disputed_at, now=now, zone=zone)
        told.append(f"Somebody said {at} that this is another person: look into it, or take it back.")
    if merge.state is MergeState.WAITING and merge.lapses_at is not None:
        told.append(f"Lapses {moment(merge.lapses_at, now=now, zone=zone)} unless somebody decides.")
    if merge.decided_by is not None:
        told.append(f"Decided by {merge.decided_by}.")
    if is_merge_undoable(merge, now=now) and merge.undo_until is not None:
        told.append(f"u takes it back until {moment(merge.undo_until, now=now, zone=zone)}.")
    return told


def is_merge_undoable(merge: MergeView, *, now: datetime) -> bool:
    """Return whether a merge may still be taken back."""
    return merge.state is MergeState.DONE and merge.undo_until is not None and merge.undo_until > now


# Possible duplicates --------------------------------------------------------------------------------------------------


def ordered(pair: DuplicateView) -> tuple[DuplicatePerson, DuplicatePerson]:
    """Return who would be kept, and the other one."""
    return (pair.one, pair.other) if pair.survivor_id == pair.one.id else (pair.other, pair.one)


def duplicate_row(pair: DuplicateView) -> Row:
    """Return two customers who may be one person, with the weightiest reasons."""
    keep, fold = ordered(pair)
    why = "; ".join(reason.text for reason in pair.reasons) or NOTHING
    return Row(
        key=str(pair.id),
        cells=(
            Cell(str(pair.score), "strong"),
            Cell(keep.name),
            Cell(fold.name),
            Cell(why, "muted"),
            Cell(pair.decided_by or NOTHING, "muted"),
        ),
    )


def duplicate_notes(pair: DuplicateView, *, now: datetime, zone: tzinfo) -> list[str]:
    """Return both people's telling details, then what speaks for one person and what for two."""
    told = [_person_words(person, now=now, zone=zone) for person in ordered(pair)]
    told += [f"{reason.points:+d}  {reason.text}" for reason in pair.reasons]
    if pair.decided_by is not None and pair.decided_at is not None:
        note = f": {pair.note}" if pair.note else ""
        told.append(f"Decided by {pair.decided_by}, {moment(pair.decided_at, now=now, zone=zone)}{note}")
    return told


def _person_words(person: DuplicatePerson, *, now: datetime, zone: tzinfo) -> str:
    told = [
        person.email_masked or "",
        f"phone …{person.phone_ending}" if person.phone_ending else "",
        f"card …{person.card_ending}" if person.card_ending else "",
        f"born {person.birthday}" if person.birthday else "",
        person.post_code or "",
        counted(person.available, "point", "points"),
        "signs in" if person.has_login else "",
        "linked to the till" if person.pos_linked else "",
        f"known since {moment(person.created_at, now=now, zone=zone)}",
        person.status if person.status != "active" else "",
    ]
    return f"{person.name}: {', '.join(words for words in told if words)}"
