"""API keys of tills."""

from datetime import timedelta

import pytest

from server.db.engine import DB
from server.errors import Invalid, NotFound, Refused
from server.staff.keys import create_api_key, list_api_keys, revoke_api_key
from tests.app import World, problem


async def look_up(world: World, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await world.client.get("/v1/pos/lookup", params={"card": "2900000000000"}, headers=headers)
    status, code, _ = problem(answer)
    return status, code


async def new_key(world: World, **changes: object) -> str:
    await world.add_store()
    wish: dict[str, object] = {
        "name": "till 2", "connection_code": "square", "scopes": ["lookup"], "stores": ["high-street"],
    }  # fmt: skip
    return await create_api_key(world.ctx, **(wish | changes))  # type: ignore[arg-type]


async def test_a_key_opens_its_scope_and_no_other(world: World) -> None:
    assert await look_up(world, await new_key(world)) == (404, "NOT_FOUND")
    assert await look_up(world, await new_key(world, scopes=["orders"])) == (403, "NOT_PERMITTED")


async def test_a_revoked_key_is_refused_at_the_next_request(world: World) -> None:
    token = await new_key(world)
    (key,) = await list_api_keys()
    await revoke_api_key(world.ctx, key.id)
    assert await look_up(world, token) == (401, "NOT_SIGNED_IN")
    with pytest.raises(NotFound):
        await revoke_api_key(world.ctx, key.id)


async def test_a_key_expires_on_its_day(world: World) -> None:
    token = await new_key(world, valid_days=30)
    world.advance(timedelta(days=30) - timedelta(seconds=1))
    assert await look_up(world, token) == (404, "NOT_FOUND")
    world.advance(timedelta(seconds=1))
    assert await look_up(world, token) == (401, "NOT_SIGNED_IN")


async def test_only_a_hash_of_a_key_is_stored(world: World) -> None:
    token = await new_key(world)
    prefix, secret = token[:14], token[14:]
    assert (prefix, len(secret)) == ("regulars_live_", 43)
    rows = await DB.fetch("select k::text as text from api_key k union all select a::text from audit_entry a")
    assert len(rows) == 2
    assert not any(secret in row["text"] for row in rows)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"valid_days": 0}, "valid_days"),
        ({"valid_days": 731}, "valid_days"),
        ({"name": " "}, "name"),
        ({"name": "till\x1b[2J"}, "name"),
        ({"connection_code": "Square Up"}, "connection"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(world: World, changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        await new_key(world, **changes)
    assert [problem.field for problem in refusal.value.fields] == [field]
    assert await list_api_keys() == ()


async def test_a_key_for_an_unknown_store_is_refused(world: World) -> None:
    with pytest.raises(Refused, match="STORE_UNKNOWN"):
        await new_key(world, stores=["nowhere"])
    assert await DB.fetch_value("select count(*) from pos_connection") == 0
