"""Refreshing: every token works once, a lost answer can be asked for again, a stolen token ends the session."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from server.db.engine import DB
from shared.limits import REFRESH_REPLAY_WINDOW, SESSION_IDLE_MAX, SESSION_LIFE_MAX
from tests.app import World, expect, problem


async def refresh(world: World, token: str) -> httpx.Response:
    return await world.client.post("/v1/sessions/refresh", json={"refresh_token": token})


async def me(world: World, tokens: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return (await world.client.get("/v1/me", headers=headers)).status_code


async def test_a_refresh_gives_a_new_pair_and_ends_the_old_access_token(world: World) -> None:
    first = (await world.sign_up()).tokens
    second = expect(await refresh(world, first["refresh_token"]), 200)
    assert second["session_id"] == first["session_id"]
    assert {second["access_token"], second["refresh_token"]}.isdisjoint({first["access_token"], first["refresh_token"]})
    assert [await me(world, first), await me(world, second)] == [401, 200]


async def test_the_same_token_again_within_ten_seconds_gets_the_same_pair(world: World) -> None:
    first = (await world.sign_up()).tokens
    second = expect(await refresh(world, first["refresh_token"]), 200)
    world.advance(REFRESH_REPLAY_WINDOW)
    assert expect(await refresh(world, first["refresh_token"]), 200) == second
    assert await me(world, second) == 200


async def test_refreshes_at_the_same_moment_get_the_same_pair(world: World) -> None:
    first = (await world.sign_up()).tokens
    answers = await asyncio.gather(*(refresh(world, first["refresh_token"]) for _ in range(8)))
    pairs = [expect(answer, 200) for answer in answers]
    assert all(pair == pairs[0] for pair in pairs)
    assert await DB.fetch_value("select count(*) from refresh_token") == 2


async def test_the_same_token_later_ends_the_session_and_the_member_is_told(world: World) -> None:
    member = await world.sign_up()
    second = expect(await refresh(world, member.tokens["refresh_token"]), 200)
    world.advance(REFRESH_REPLAY_WINDOW + timedelta(seconds=1))
    assert problem(await refresh(world, member.tokens["refresh_token"]))[:2] == (401, "NOT_SIGNED_IN")
    assert await me(world, second) == 401
    expect(await refresh(world, second["refresh_token"]), 401)
    assert (await world.mails_to(member.email))[-1].subject == "We have signed a device out"
    assert await DB.fetch_value("select ended_reason from member_session") == "token_reused"


async def test_a_token_whose_successor_was_used_is_reuse_at_once(world: World) -> None:
    first = (await world.sign_up()).tokens
    second = expect(await refresh(world, first["refresh_token"]), 200)
    third = expect(await refresh(world, second["refresh_token"]), 200)
    expect(await refresh(world, first["refresh_token"]), 401)
    assert await me(world, third) == 401


async def test_reuse_ends_no_other_session(world: World) -> None:
    member = await world.sign_up()
    other = expect(await world.sign_in(member.email), 201)
    expect(await refresh(world, member.tokens["refresh_token"]), 200)
    world.advance(REFRESH_REPLAY_WINDOW + timedelta(seconds=1))
    expect(await refresh(world, member.tokens["refresh_token"]), 401)
    assert await me(world, other) == 200


async def test_a_session_that_is_not_used_for_long_is_over(world: World) -> None:
    first = (await world.sign_up()).tokens
    world.advance(SESSION_IDLE_MAX - timedelta(seconds=1))
    second = expect(await refresh(world, first["refresh_token"]), 200)
    world.advance(SESSION_IDLE_MAX)
    expect(await refresh(world, second["refresh_token"]), 401)


async def test_no_session_lives_longer_than_thirty_days(world: World) -> None:
    tokens = (await world.sign_up()).tokens
    for _ in range(2):
        world.advance(SESSION_IDLE_MAX - timedelta(seconds=1))
        tokens = expect(await refresh(world, tokens["refresh_token"]), 200)
    left = SESSION_LIFE_MAX - 2 * (SESSION_IDLE_MAX - timedelta(seconds=1))
    world.advance(left - timedelta(seconds=1))
    tokens = expect(await refresh(world, tokens["refresh_token"]), 200)
    world.advance(timedelta(seconds=1))
    expect(await refresh(world, tokens["refresh_token"]), 401)


async def test_an_access_token_is_no_refresh_token(world: World) -> None:
    tokens = (await world.sign_up()).tokens
    expect(await refresh(world, tokens["access_token"]), 401)
    assert await me(world, {"access_token": tokens["refresh_token"]}) == 401


@pytest.mark.parametrize("token", ["short", "x" * 129, "unknown-unknown-unknown"])
async def test_a_token_that_we_did_not_issue_is_refused(world: World, token: str) -> None:
    assert (await refresh(world, token)).status_code == (401 if 16 <= len(token) <= 128 else 400)
