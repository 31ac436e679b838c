"""`regulars verify` names what does not fit in the queue of possible duplicates."""

from server.db.engine import DB
from server.ledger.verification import verify
from shared.enums import Role
from tests.app import World, expect
from tests.server.duplicates.people import add, compare
from tests.server.duplicates.records import Known

_CHECK = "possible duplicates are pairs of two customers, as staff and the search left them"
_UNORDERED = "alter table duplicate_candidate drop constraint duplicate_candidate_ordered"

# What is done to the queue by hand, and how it is put right again.
_TAMPERED = (
    ("update duplicate_candidate set state = 'open', decided_by = null, decided_at = null where state = 'dismissed'",
     "update duplicate_candidate set state = 'dismissed', decided_at = now() where note = 'cousins'"),
    ("update duplicate_candidate set state = 'dismissed', decided_at = now() where state = 'open'",
     "update duplicate_candidate set state = 'open', decided_at = null where note = ''"),
    ("update duplicate_candidate set state = 'merged', decided_at = now() where state = 'open'",
     "update duplicate_candidate set state = 'open', decided_at = null where note = ''"),
    ("update duplicate_candidate set one = other, other = one", "update duplicate_candidate set one = other, other = one"),
    ("update duplicate_mark set marked_at = now() - interval '25 hours'", "delete from duplicate_mark"),
    ("delete from duplicate_candidate where state = 'dismissed'", None),
)  # fmt: skip


async def _is_right(world: World) -> bool:
    return _CHECK not in [outcome.name async for outcome in verify(world.clock.now()) if not outcome.is_right]


async def test_what_was_tampered_with_in_the_queue_is_named(world: World) -> None:
    for given in ("Robert", "Bob", "Rob"):
        await add(world.ctx, Known(given=given, family="Okonkwo-Hale", born=(1970, 5, 6)))
    await compare(world)
    headers = await world.staff_headers(Role.MANAGER)
    (found, *_) = expect(await world.client.get("/v1/staff/duplicates", headers=headers), 200)["items"]
    path = f"/v1/staff/duplicates/{found['id']}/dismiss"
    expect(await world.client.post(path, headers=headers, json={"note": "cousins"}), 200)
    await add(world.ctx, Known(given="Zoe"))
    assert await _is_right(world), "a mark that waits is no mistake"
    await DB.fetch(_UNORDERED)
    for wrong, right in _TAMPERED:
        await DB.fetch(wrong)
        assert not await _is_right(world), wrong
        if right:
            await DB.fetch(right)
            assert await _is_right(world), right


async def test_a_pair_of_somebody_who_is_nobody_any_more_is_named_unless_the_search_will_see_it(world: World) -> None:
    for given in ("Robert", "Bob"):
        await add(world.ctx, Known(given=given, family="Okonkwo-Hale", born=(1970, 5, 6)))
    await compare(world)
    await DB.fetch("update customer set status = 'erased', given_name = '', family_name = '' where given_name = 'Bob'")
    assert await _is_right(world)
    await DB.fetch("delete from duplicate_mark")
    assert not await _is_right(world)
    await DB.fetch("delete from duplicate_candidate")
    assert not await _is_right(world), "their keys are left"
    await DB.fetch("delete from duplicate_profile")
    assert await _is_right(world)
