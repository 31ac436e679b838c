"""The directory of POS records: what tills send or connectors fetch, each record accepted or refused by itself."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from server.audit.store import record as audit
from server.auth import Key
from server.context import Context
from server.customers.suppression import Name, find_suppressed, pos_name
from server.db.engine import Row
from server.decoding import Unread
from server.errors import Refused
from server.jobs import enqueue
from server.links import directory_store, store, todo_store
from server.links.rules import RecordFacts, read_record
from shared.limits import ORDER_AHEAD_MAX
from shared.links import PosRecord, PosRecordResult, RecordOutcome

CHECK_JOB = "links.check"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record: its result or its refusal. `record_id` is the record, if it is kept."""

    external_id: str
    record_id: UUID | None = None
    result: PosRecordResult | None = None
    refusal: Refused | None = None


async def push_records(ctx: Context, key: Key, sent: Sequence[PosRecord | Unread]) -> tuple[Taken, ...]:
    """Take records from a till in the caller's transaction, but for those that are not as described."""
    taken = iter(await take_records(ctx, key.connection_id, [one for one in sent if isinstance(one, PosRecord)]))
    return tuple(
        next(taken) if isinstance(one, PosRecord) else Taken(external_id=one.external_id, refusal=one.refusal)
        for one in sent
    )


async def take_records(ctx: Context, connection_id: UUID, records: Sequence[PosRecord]) -> tuple[Taken, ...]:
    """Keep records of a till system, in the caller's transaction, and wake the members whom they concern.

    The same record twice in one batch counts in its order. A state older than the one that is known changes nothing.
    """
    taken: dict[int, Taken] = {}
    waiting: list[tuple[int, RecordFacts]] = []
    for number, sent in enumerate(records):
        try:
            facts = read_record(sent, country=ctx.settings.default_country, now=ctx.now, ahead_max=ORDER_AHEAD_MAX)
            waiting.append((number, facts))
        except Refused as refusal:
            taken[number] = Taken(external_id=sent.external_id, refusal=refusal)
    waiting, kept_out = await _keep_out(ctx, connection_id, waiting)
    taken |= kept_out
    await directory_store.hold_people(
        connection_id,
        {name for _, facts in waiting for name in (facts.external_id, *facts.former_ids)},
        {facts.email_key for _, facts in waiting if facts.email_key is not None},
    )
    email_keys: set[str] = set()
    while waiting:
        now_ones, waiting = _first_of_each(waiting)
        taken |= await _take_round(ctx, connection_id, now_ones, email_keys)
    if await directory_store.wake_members(ctx, sorted(email_keys)):
        await enqueue(CHECK_JOB)
    return tuple(taken[number] for number in range(len(records)))


async def _keep_out(
    ctx: Context, connection_id: UUID, waiting: list[tuple[int, RecordFacts]]
) -> tuple[list[tuple[int, RecordFacts]], dict[int, Taken]]:
    """Set aside the records of people who were erased; a number alone, which a household may share, is left out only."""
    names = {number: _names(connection_id, facts) for number, facts in waiting}
    suppressed = await find_suppressed(ctx, {name for own in names.values() for name in own})
    if not suppressed:
        return waiting, {}
    kept: list[tuple[int, RecordFacts]] = []
    out: dict[int, Taken] = {}
    for number, facts in waiting:
        found = names[number] & suppressed
        if any(kind != "phone" for kind, _ in found):
            result = PosRecordResult(external_id=facts.external_id, outcome=RecordOutcome.KEPT_OUT)
            out[number] = Taken(external_id=facts.external_id, result=result)
        elif found:
            notes = (*facts.notes, "phone: of a person whose data was erased")
            kept.append((number, msgspec.structs.replace(facts, phone=None, phone_key=None, notes=notes)))
        else:
            kept.append((number, facts))
    return kept, out


def _names(connection_id: UUID, facts: RecordFacts) -> set[Name]:
    names: set[Name] = {("pos", pos_name(connection_id, facts.external_id))}
    if facts.email_key:
        names.add(("email", facts.email_key))
    if facts.phone_key:
        names.add(("phone", facts.phone_key))
    if facts.card_number:
        names.add(("card", facts.card_number))
    return names


def _first_of_each(
    waiting: list[tuple[int, RecordFacts]],
) -> tuple[list[tuple[int, RecordFacts]], list[tuple[int, RecordFacts]]]:
    seen: set[str] = set()
    first: list[tuple[int, RecordFacts]] = []
    later: list[tuple[int, RecordFacts]] = []
    for number, facts in waiting:
        (later if facts.external_id in seen else first).append((number, facts))
        seen.add(facts.external_id)
    return first, later


async def _take_round(
    ctx: Context, connection_id: UUID, facts: list[tuple[int, RecordFacts]], email_keys: set[str]
) -> dict[int, Taken]:
    known = await directory_store.lock_known(connection_id, [one.external_id for _, one in facts])
    outcomes = {number: _outcome_of(one, known.get(one.external_id)) for number, one in facts}
    new = [one for number, one in facts if outcomes[number] is RecordOutcome.NEW]
    changed = [one for number, one in facts if outcomes[number] is RecordOutcome.CHANGED]
    added = await directory_store.insert_records(ctx, connection_id, new) if new else {}
    # Somebody else has just added these; now they are known.
    late = [pair for pair in facts if outcomes[pair[0]] is RecordOutcome.NEW and pair[1].external_id not in added]
    if late:
        facts = [pair for pair in facts if pair not in late]
        new = [one for one in new if one.external_id in added]
    if changed:
        await directory_store.update_records(ctx, [(known[one.external_id]["id"], one) for one in changed])
    ids = added | {name: row["id"] for name, row in known.items()}
    for one in (*new, *changed):
        row = known.get(one.external_id)
        if one.former_ids and (row is None or row["merged_into"] is None):
            await merge_records(ctx, connection_id, kept_id=ids[one.external_id], former_ids=one.former_ids)
        if one.email_key and not one.removed:
            email_keys.add(one.email_key)
    if new or changed:
        details = {"new": len(new), "changed": len(changed)}
        await audit(
            ctx, "pos_records.received", subject_kind="pos_connection", subject_id=connection_id, details=details
        )
    taken = await _take_round(ctx, connection_id, late, email_keys) if late else {}
    return taken | {
        number: Taken(
            external_id=one.external_id,
            record_id=ids[one.external_id],
            result=PosRecordResult(external_id=one.external_id, outcome=outcomes[number], notes=one.notes),
        )
        for number, one in facts
    }


def _outcome_of(facts: RecordFacts, known: Row | None) -> RecordOutcome:
    if known is None:
        return RecordOutcome.NEW
    if known["content_hash"] == facts.content_hash:
        return RecordOutcome.UNCHANGED
    before, after = known["source_changed_at"], facts.changed_at
    return RecordOutcome.STALE if before and after and after < before else RecordOutcome.CHANGED


async def merge_records(ctx: Context, connection_id: UUID, *, kept_id: UUID, former_ids: Sequence[str]) -> None:
    """Make records that the till merged into another one its aliases, in the caller's transaction.

    Their link goes along. Where both were linked, to different customers, the record stays with whom it was and a person
    is asked to look.
    """
    await directory_store.insert_aliases(ctx, connection_id, former_ids, record_id=kept_id)
    await _make_aliases(ctx, connection_id, kept_id, former_ids)
    for done in await todo_store.finish_merged(ctx, kept_id):
        await audit(ctx, "pos_todo.done", subject_kind="pos_todo", subject_id=done["id"], customer_id=done["customer"])
    await todo_store.drop_stale(ctx, kept_id)


async def _make_aliases(ctx: Context, connection_id: UUID, kept_id: UUID, former_ids: Sequence[str]) -> None:
    for former in await directory_store.lock_former(connection_id, former_ids, record_id=kept_id):
        await directory_store.make_alias(ctx, former["id"], of=kept_id)
        if former["link"] is None:
            continue
        holder_id = await store.find_holder(kept_id)
        if holder_id is None:
            await store.move_link_to_record(former["link"], record_id=kept_id)
            continue
        await store.end_link(ctx, former["link"], reason="merged_in_pos")
        if holder_id != former["customer"]:
            await store.open_review(
                ctx, customer_id=former["customer"], record_id=kept_id, reason="merged_in_pos", other_id=holder_id
            )
