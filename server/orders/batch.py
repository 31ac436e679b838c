"""Many sales at once: one statement posts the plain ones, the others go step by step. In the caller's transaction."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from server.context import Context
from server.customers.rules import parse_email
from server.db.engine import Row
from server.db.ids import new_ids
from server.errors import Invalid, NotPermitted, Refused
from server.orders import batch_store, changes, differences, return_store, sales
from server.orders.fitting import is_plain
from server.orders.sales import BuyerMoved, Sale, Target
from server.programmes.service import get_default_programme
from shared.codes import normalise_card_number
from shared.enums import OrderState, SkippedReason
from shared.pos import LinePoints, PosCustomer, PosOrder, PosOrderResult
from shared.problems import Code, FieldProblem

# Other requests are answered between so many sales, as working out what they earn takes no waiting.
_PREPARED_AT_ONCE = 20


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The till system whose sales these are, and the stores it may speak for (none: all)."""

    connection_id: UUID
    stores: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one sale: its result or its refusal, and whether it was known already and is another one now."""

    external_id: str
    result: PosOrderResult | None = None
    refusal: Refused | None = None
    is_new: bool = False
    is_changed: bool = False


async def post_orders(ctx: Context, sender: Sender, orders: Sequence[PosOrder]) -> tuple[Outcome, ...]:
    """Post sales, each accepted or refused by itself, and return what became of them in their order.

    Memberships are locked first and in the order of their ids, so that two batches cannot wait for each other.

    Raises:
        Busy: Somebody else changed one of the orders, or who bought, just now; nothing of the batch has happened.
    """
    outcomes: dict[int, Outcome] = {}
    ready = await _prepare(ctx, sender, orders, outcomes)
    known = await _list_known(sender, ready)
    standing = _choose_standing(ready, known)
    outcomes |= await _repeat(standing)
    await differences.note(
        ctx, sender.connection_id, [(row, ready[number].order.customer) for number, row in standing.items()]
    )
    open_ones = {number: sale for number, sale in ready.items() if number not in standing}
    names = [sale.order.external_id for sale in open_ones.values()]
    finder = await _Finder.of(
        sender,
        list(open_ones.values()),
        [one for name in names if name in known for one in (known[name]["heir"], *known[name]["away"])],
    )
    plain = _choose_plain(open_ones, set(known), finder)
    results = await _write(ctx, sender, {number: (ready[number], plain[number]) for number in plain}, finder)
    for number, sale in open_ones.items():
        if number in results:
            outcomes[number] = Outcome(external_id=sale.order.external_id, result=results[number], is_new=True)
        else:
            name = sale.order.external_id
            outcomes[number] = await _step(ctx, sender, sale, is_new=name not in finder.seen, before=known.get(name))
            finder.seen.add(name)
    await return_store.wake_refunds(sender.connection_id, names)
    return tuple(outcomes[number] for number in range(len(orders)))


async def _prepare(
    ctx: Context, sender: Sender, orders: Sequence[PosOrder], outcomes: dict[int, Outcome]
) -> dict[int, Sale]:
    """Check every sale by itself; those refused get their outcome."""
    await get_default_programme(fresh=True)
    stores = await batch_store.list_stores({order.store for order in orders})
    ready = {}
    for number, (order, order_id) in enumerate(zip(orders, new_ids(len(orders)), strict=True)):
        if number % _PREPARED_AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            _check_store(sender, stores, order)
            _check_email(order)
            ready[number] = await sales.prepare_sale(ctx, order, order_id=order_id)
        except Refused as refusal:
            outcomes[number] = Outcome(external_id=order.external_id, refusal=refusal)
    return ready


async def _list_known(sender: Sender, ready: dict[int, Sale]) -> dict[str, Row]:
    rows = await batch_store.list_known(sender.connection_id, [sale.order.external_id for sale in ready.values()])
    return {row["external_id"]: row for row in rows}


def _choose_standing(ready: dict[int, Sale], known: dict[str, Row]) -> dict[int, Row]:
    """Return the known orders that come again unchanged, as a batch sent twice is full of."""
    times = Counter(sale.order.external_id for sale in ready.values())
    return {
        number: known[name]
        for number, sale in ready.items()
        if (name := sale.order.external_id) in known
        and times[name] == 1
        and known[name]["state"] != OrderState.OPEN
        and changes.fate_of(known[name], sale) == "stands"
    }


async def _repeat(standing: dict[int, Row]) -> dict[int, Outcome]:
    lines: dict[UUID, list[LinePoints]] = {row["id"]: [] for row in standing.values()}
    for line in await batch_store.list_line_points(list(lines)):
        lines[line["order"]].append(LinePoints(line_id=line["line_id"], points=line["points"], rule=line["rule"]))
    return {
        number: Outcome(
            external_id=row["external_id"], result=changes.result_as_it_stands(row, tuple(lines[row["id"]]))
        )
        for number, row in standing.items()
    }


def _check_store(sender: Sender, stores: set[str], order: PosOrder) -> None:
    if sender.stores and order.store not in sender.stores:
        raise NotPermitted("This key is not for this store.")
    if order.store not in stores:
        raise Invalid(FieldProblem(field="store", detail="We do not know this store."), code=Code.STORE_UNKNOWN)


def _check_email(order: PosOrder) -> None:
    if order.customer is not None and order.customer.email is not None:
        parse_email(order.customer.email, "customer.email")


class _Finder:
    """Who bought: customers and memberships of all cards and addresses of a batch, locked."""

    __slots__ = ("_cards", "_emails", "_locked", "_people", "_records", "seen")

    def __init__(
        self,
        cards: dict[str, Row],
        records: dict[str, Row],
        emails: dict[str, Row],
        *,
        locked: dict[UUID, Row],
        people: dict[tuple[UUID, UUID], datetime],
    ) -> None:
        self._cards = cards
        self._records = records
        self._emails = emails
        self._locked = locked
        self._people = people
        self.seen: set[str] = set()

    @classmethod
    async def of(cls, sender: Sender, prepared: Sequence[Sale], other_memberships: Sequence[UUID | None]) -> "_Finder":
        """Look everybody up in one statement a kind and lock the memberships, `other_memberships` included.

        Raises:
            BuyerMoved: Somebody was merged or forgotten, joined or left, or their points moved, between look and lock.
        """
        customers = [sale.order.customer for sale in prepared if sale.order.customer is not None]
        own_ids = {one.pos_customer_id for one in customers if one.pos_customer_id is not None}
        cards, records, emails = await _look_up(sender, customers)
        whole = (*cards.values(), *records.values(), *emails.values())
        found = [row["membership"] for row in whole if row["membership"]]
        ids = {*found, *(one for one in other_memberships if one is not None)}
        await batch_store.hold_people({row["customer"] for row in whole if row["customer"]}, ids)
        await batch_store.hold_records(sender.connection_id, own_ids)
        locked = await batch_store.lock_memberships(ids)
        people = {
            (row["customer"], row["membership"]): row["eligible_from"] for row in await batch_store.list_people(ids)
        }
        if own_ids or any((row["customer"], row["membership"]) not in people for row in whole):
            # Held as they are now, they may be somewhere else than at the first look, or nobody any more; and a record
            # may have come to be somebody's.
            again = await _look_up(sender, customers)
            if _places(again) != _places((cards, records, emails)):
                raise BuyerMoved
        return cls(cards, records, emails, locked=locked, people=people)

    def find(self, sale: Sale) -> Target:
        """Return whom a sale counts for."""
        customer = sale.order.customer
        if customer is None:
            return Target(skipped=sale.skipped or SkippedReason.NO_CUSTOMER)
        if customer.card_number is not None:
            found, reason = self._cards.get(normalise_card_number(customer.card_number)), "card"
        elif customer.email is not None:
            found, reason = self._emails.get(parse_email(customer.email, "customer.email").key), "email"
        else:
            found, reason = self._records.get(customer.pos_customer_id or ""), "pos"
        if found is None:
            return Target(skipped=sale.skipped or SkippedReason.CUSTOMER_UNKNOWN)
        locked = self._locked.get(found["membership"])
        eligible_from = self._people.get((found["customer"], found["membership"]))
        if locked is None or locked["status"] != "active" or eligible_from is None:
            skipped = sale.skipped or SkippedReason.NOT_MEMBER
            return Target(customer_id=found["customer"], reason=reason, skipped=skipped)
        return sales.target_of(sale, locked, found["customer"], reason, eligible_from=eligible_from)

    def is_stale(self, membership_id: UUID, ctx: Context) -> bool:
        """Return whether a membership's cached figures were out of date before the batch."""
        until = self._locked[membership_id]["figures_until"]
        return until is not None and until <= ctx.now


_Found = tuple[dict[str, Row], dict[str, Row], dict[str, Row]]


async def _look_up(sender: Sender, customers: Sequence[PosCustomer]) -> _Found:
    """Return who bought by card, by the till's own id and by address, in one statement each."""
    cards = {normalise_card_number(one.card_number) for one in customers if one.card_number is not None}
    records = {one.pos_customer_id for one in customers if one.pos_customer_id is not None}
    emails = {parse_email(one.email, "customer.email").key for one in customers if one.email is not None}
    return (
        await batch_store.resolve_cards(cards),
        await batch_store.resolve_records(sender.connection_id, records),
        await batch_store.resolve_emails(emails),
    )


def _places(found: _Found) -> list[dict[str, tuple[UUID, UUID | None]]]:
    return [{name: (row["customer"], row["membership"]) for name, row in one.items()} for one in found]


def _choose_plain(ready: dict[int, Sale], known: set[str], finder: _Finder) -> dict[int, Target]:
    """Return the sales that one statement can post: new ones, of members who owe nothing, under rules without history."""
    plain = {}
    finder.seen |= known
    for number, sale in ready.items():
        if sale.order.external_id in finder.seen:
            continue
        target = finder.find(sale)
        earns = not target.skipped and sale.plan.points
        if (earns and target.deficit) or not is_plain(sale, target):
            continue
        finder.seen.add(sale.order.external_id)
        plain[number] = target
    return plain


async def _write(
    ctx: Context, sender: Sender, plain: dict[int, tuple[Sale, Target]], finder: _Finder
) -> dict[int, PosOrderResult]:
    """Write the plain ones and return their results; one that somebody else has sent meanwhile is not among them."""
    if not plain:
        return {}
    decided = await sales.drop_erased_names(ctx, sender.connection_id, list(plain.values()))
    batch = [(sale, target, sales.result_of(sale, target)) for sale, target in decided]
    results = {number: result for number, (_, _, result) in zip(plain, batch, strict=True)}
    late = await batch_store.record_many(ctx, sender.connection_id, batch)
    paid = {target.membership_id for _, target in plain.values() if target.membership_id and not target.skipped}
    await batch_store.refresh_many({one for one in paid if finder.is_stale(one, ctx)}, ctx.now)
    return {number: result for number, result in results.items() if result.order_id not in late}


async def _step(ctx: Context, sender: Sender, sale: Sale, *, is_new: bool, before: Row | None) -> Outcome:
    try:
        result = await changes.post_order(ctx, sender.connection_id, sale, stores=sender.stores)
    except Refused as refusal:
        # Refusals come before the first write, so there is nothing to take back.
        return Outcome(external_id=sale.order.external_id, refusal=refusal)
    is_changed = before is not None and (before["state"], before["revision"]) != (result.state, result.revision)
    return Outcome(external_id=sale.order.external_id, result=result, is_new=is_new, is_changed=is_changed)
