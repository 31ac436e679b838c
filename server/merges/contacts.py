"""Addresses, consents and audience contacts of two customers who become one, or two again."""

from uuid import UUID

from server.audience.marks import close_contact, ensure_contact
from server.context import Context
from server.merges import store
from server.merges.effects import MovedPoint, PointState
from server.merges.rules import Address, Fields, Person, plan_consent

_CHANNELS = {"email": "email", "phone": "sms"}


async def merge_addresses(ctx: Context, survivor: Person, absorbed: Person, fields: Fields) -> tuple[MovedPoint, ...]:
    """Give the survivor every address; the one of each kind that was not chosen is retired, and still finds them."""
    chosen = {kind: (absorbed if getattr(fields, kind) == "absorbed" else survivor).primary(kind) for kind in _CHANNELS}
    before = await store.list_point_states([one.id for one in (*survivor.addresses, *absorbed.addresses)])
    moved = []
    for address in (*survivor.addresses, *absorbed.addresses):
        after = _place(ctx, address, chosen[address.kind], survivor_id=survivor.id, before=before[address.id])
        if after != before[address.id]:
            moved.append(MovedPoint(id=address.id, before=before[address.id], after=after))
    await store.write_points([(point.id, point.after) for point in moved])
    return tuple(moved)


async def return_addresses(points: tuple[MovedPoint, ...]) -> None:
    """Put addresses back where they were; one that has changed since stays as it is, but goes to whose it was."""
    now = await store.list_point_states([point.id for point in points])
    back = []
    for point in points:
        state = now[point.id]
        if state == point.after:
            back.append((point.id, point.before))
        elif state.customer != point.before.customer:
            back.append((point.id, _belonging_to(point.before.customer, state)))
    await store.write_points(back)


async def merge_consents(ctx: Context, survivor_id: UUID, absorbed_id: UUID) -> None:
    """Let the latest answer about each address in use hold; what was said of another address says nothing of it."""
    person = await store.find_person(survivor_id)
    assert person is not None
    for kind, channel in _CHANNELS.items():
        address = person.primary(kind)
        if address is None:
            continue
        events = await store.list_consents([survivor_id, absorbed_id], channel, address.key)
        state = plan_consent([(event["at"], event["state"]) for event in events])
        own = next((event["state"] for event in events if event["customer"] == survivor_id), None)
        if state is not None and state != own:
            wording = next((event["wording_version"] for event in events if event["state"] == state), None)
            await store.write_consent(ctx, survivor_id, channel, address.key, state=state, wording_version=wording)


async def settle_contacts(ctx: Context, survivor_id: UUID, absorbed_id: UUID) -> None:
    """Leave one live audience contact, that of the address in use; the others are retired."""
    person = await store.find_person(survivor_id)
    assert person is not None
    primary = person.primary("email")
    for customer_id in (absorbed_id, survivor_id):
        for email_key in await store.list_contact_emails(customer_id):
            if primary is None or email_key != primary.key:
                await close_contact(ctx, customer_id=customer_id, email_key=email_key)
    if primary is not None:
        await store.hand_over_contact(absorbed_id, survivor_id, primary.key)
        await ensure_contact(ctx, customer_id=survivor_id, email=primary.value, email_key=primary.key)


async def return_contacts(ctx: Context, survivor_id: UUID, absorbed_id: UUID) -> None:
    """Give each of two customers the audience contact of their own address again."""
    for customer_id, other_id in ((absorbed_id, survivor_id), (survivor_id, absorbed_id)):
        person = await store.find_person(customer_id)
        assert person is not None
        primary = person.primary("email")
        for email_key in await store.list_contact_emails(customer_id):
            if primary is None or email_key != primary.key:
                await close_contact(ctx, customer_id=customer_id, email_key=email_key)
        if primary is not None:
            await store.hand_over_contact(other_id, customer_id, primary.key)
            await ensure_contact(ctx, customer_id=customer_id, email=primary.value, email_key=primary.key)


def _place(
    ctx: Context, address: Address, chosen: Address | None, *, survivor_id: UUID, before: PointState
) -> PointState:
    """Return where an address stands after the merge."""
    is_chosen = chosen is not None and chosen.id == address.id
    stays = is_chosen or (address.customer == survivor_id and not address.is_primary and not _is_same(address, chosen))
    if stays:
        return PointState(
            customer=survivor_id,
            status=before.status,
            is_primary=is_chosen,
            retired_at=None,
            retired_reason=None,
        )
    return PointState(
        customer=survivor_id, status="retired", is_primary=False, retired_at=ctx.now, retired_reason="merged"
    )


def _is_same(address: Address, chosen: Address | None) -> bool:
    return chosen is not None and chosen.key == address.key


def _belonging_to(customer_id: UUID, state: PointState) -> PointState:
    """Return an address that was changed since, as another customer's; what was their only one is not primary here."""
    return PointState(
        customer=customer_id,
        status=state.status,
        is_primary=False,
        retired_at=state.retired_at,
        retired_reason=state.retired_reason,
    )
