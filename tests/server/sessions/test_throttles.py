"""Limits on tries: counted first, shared by all processes, and no way to lock a member out."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from server.context import Context
from server.db.engine import DB
from server.errors import Throttled
from server.sessions import throttles
from server.sessions.throttles import ThrottlesUnavailable
from shared.limits import (
    ACCOUNT_TRIES,
    FORMS_PER_NETWORK,
    MAILS_PER_ADDRESS,
    MAILS_WINDOW,
    NETWORK_TRIES,
    NETWORK_WINDOW,
    SIGN_IN_TRIES,
    SIGN_IN_WINDOW,
    WAIT_MEMORY,
)
from tests.app import World

NAME = "ana@shop.test"


def at(world: World, network: str = "192.0.2.0/24") -> Context:
    return msgspec.structs.replace(world.ctx, network=network)


async def tries_until_refused(ctx: Context, name: str = NAME, *, most: int = 200) -> int:
    for count in range(most):
        try:
            await throttles.check_sign_in(ctx, "member", name)
        except Throttled:
            return count
    return most


async def test_tries_on_one_name_from_one_network_are_limited(world: World) -> None:
    assert await tries_until_refused(at(world)) == SIGN_IN_TRIES


async def test_another_name_and_another_kind_are_not_touched(world: World) -> None:
    await tries_until_refused(at(world))
    await throttles.check_sign_in(at(world, "192.0.3.0/24"), "member", NAME)
    await throttles.check_sign_in(at(world), "member", "bob@shop.test")
    await throttles.check_sign_in(at(world), "staff", NAME)


async def test_each_wait_is_longer_than_the_one_before(world: World) -> None:
    waits = []
    await tries_until_refused(at(world))
    for _ in range(8):
        with pytest.raises(Throttled) as refused:
            await throttles.check_sign_in(at(world), "member", NAME)
        waits.append(refused.value.retry_after)
        world.advance(refused.value.retry_after)
        await throttles.check_sign_in(at(world), "member", NAME)
    doubled = [SIGN_IN_WINDOW * 2**power for power in range(6)]
    assert waits == [*doubled, doubled[-1], doubled[-1]]


async def test_a_wait_is_not_prolonged_by_trying_during_it(world: World) -> None:
    await tries_until_refused(at(world))
    world.advance(SIGN_IN_WINDOW - timedelta(seconds=1))
    with pytest.raises(Throttled) as refused:
        await throttles.check_sign_in(at(world), "member", NAME)
    assert refused.value.retry_after == timedelta(seconds=1)


async def test_a_quiet_day_makes_good(world: World) -> None:
    await tries_until_refused(at(world))
    world.advance(SIGN_IN_WINDOW + WAIT_MEMORY)
    assert await tries_until_refused(at(world)) == SIGN_IN_TRIES


async def test_few_tries_are_forgotten_after_the_window(world: World) -> None:
    for _ in range(3):
        for _ in range(SIGN_IN_TRIES - 1):
            await throttles.check_sign_in(at(world), "member", NAME)
        world.advance(SIGN_IN_WINDOW)


async def test_a_success_clears_the_names_tries_but_not_the_networks(world: World) -> None:
    for _ in range(3):
        for _ in range(SIGN_IN_TRIES):
            await throttles.check_sign_in(at(world), "member", NAME)
        await throttles.clear_sign_in(at(world), "member", NAME)
    with pytest.raises(Throttled) as refused:
        await throttles.check_sign_in(at(world), "member", NAME)
    assert refused.value.retry_after == NETWORK_WINDOW


async def test_tries_of_one_network_are_limited_whatever_the_names(world: World) -> None:
    for number in range(NETWORK_TRIES):
        await throttles.check_sign_in(at(world), "member", f"{number}@shop.test")
    with pytest.raises(Throttled):
        await throttles.check_sign_in(at(world), "member", NAME)
    world.advance(NETWORK_WINDOW)
    await throttles.check_sign_in(at(world), "member", NAME)


async def test_guesses_from_many_networks_do_not_touch_a_network_the_member_uses(world: World) -> None:
    for number in range(ACCOUNT_TRIES):
        await throttles.check_sign_in(at(world, f"10.0.{number}.0/24"), "member", NAME)
    with pytest.raises(Throttled):
        await throttles.check_sign_in(at(world, "10.1.0.0/24"), "member", NAME)
    await throttles.check_sign_in(at(world, "10.2.0.0/24"), "member", NAME, network_is_known=True)


async def test_tries_at_the_same_moment_are_all_counted(world: World) -> None:
    tries = [throttles.check_sign_in(at(world), "member", NAME) for _ in range(SIGN_IN_TRIES * 2)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == SIGN_IN_TRIES


async def test_forms_of_a_network_are_limited(world: World) -> None:
    for _ in range(FORMS_PER_NETWORK):
        await throttles.check_form(at(world))
    with pytest.raises(Throttled):
        await throttles.check_form(at(world))


async def test_mails_to_an_address_are_limited_for_each_purpose(world: World) -> None:
    assert [await throttles.may_mail(at(world), "signup", NAME) for _ in range(MAILS_PER_ADDRESS + 1)] == [
        *[True] * MAILS_PER_ADDRESS,
        False,
    ]
    assert await throttles.may_mail(at(world), "password-reset", NAME)
    world.advance(MAILS_WINDOW)
    assert await throttles.may_mail(at(world), "signup", NAME)


async def test_no_address_stands_in_the_counters(world: World) -> None:
    await throttles.check_sign_in(at(world), "member", NAME)
    await throttles.may_mail(at(world), "signup", NAME)
    keys = await DB.fetch("select key from throttle_counter")
    assert not any("ana" in row["key"] or "@" in row["key"] for row in keys)


async def test_without_counters_nothing_may_be_tried(world: World) -> None:
    assert DB.pool is not None
    DB.pool.terminate()
    with pytest.raises(ThrottlesUnavailable):
        await throttles.check_sign_in(at(world), "member", NAME)
