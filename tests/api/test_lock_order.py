"""Every act locks people, then memberships, then vouchers, each by id, and the rest after them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import httpx
import pytest

from server.db.engine import DB
from server.links.checks import PUSH_BUYER_JOB, push_asked
from server.links.cycle import check_members
from server.links.directory import CHECK_JOB
from server.orders.giving import give_order
from server.orders.replacing import replace_written_down
from server.privacy.erasure_execution import ERASE_JOB, erase_due, sweep_erasures
from server.privacy.exports import EXPORT_JOB, make_export
from server.refunds.service import post_parked
from tests.api.lock_order import Gates, Stop
from tests.api.shop import Shop
from tests.api.test_idempotency import AGAIN, CASES, Caller, own_erasure, refund
from tests.app import PASSWORD, expect
from tests.server.accounts.test_recovery import choose, invite, reset_token
from tests.tills import sale

Act = tuple[str, Callable[[], Awaitable[object]]]

# Which can be done one after the other in one shop.
SHOPS = (
    ("sale", "batch of sales", "refund", "assignment", "recording", "registration", "POS record", "POS records",
     "record taking", "link approval", "link end", "email change", "correction", "correction of a proven address",
     "approved correction", "own voucher", "cancelled voucher", "hold", "capture", "adjustment", "approval",
     "undone adjustment", "rules", "further programme", "batch of claim codes", "own export", "export", "erasure"),
    ("sale without a customer", "refund attachment", "link", "undo", "lifted hold", "combination", "merging", "receipt code",
     "own erasure", "cancelled own erasure"),
    ("voucher at the till", "undone combination", "leaving", "undone leaving", "acceptance", "approved merge", "claim"),
    ("sharer", "undone merge", "claim code", "approved erasure"),
    ("undone sharer", "own leaving", "cancelled erasure"),
    ("letting go",),
)  # fmt: skip
# These end with a refusal, and with a session.
REFUSED = {"stolen token"}


@pytest.mark.parametrize("names", SHOPS, ids=lambda names: names[0])
async def test_people_are_locked_before_all_that_is_about_them(shop: Shop, names: tuple[str, ...]) -> None:
    async with Gates(str(shop.world.settings.database_url)) as gates:
        for name in names:
            answer, stops = await gates.watch(await _of_case(shop, name))
            assert answer.is_success, f"{name}: {answer.text}"
            _check(name, stops)


async def _of_case(shop: Shop, name: str) -> Callable[[], Awaitable[httpx.Response]]:
    if name in CASES:
        caller = await Caller.of(shop, name)
        return lambda: caller.send(f"of-{len(name)}-{name}".replace(" ", "-").ljust(20, "x"))
    operation, make = AGAIN[name]
    case = await make(shop)
    return lambda: shop.send(operation, path=case.path, json=case.body)


def test_no_idempotent_act_is_left_out() -> None:
    assert {name for names in SHOPS for name in names} == {*CASES, *AGAIN}


def _check(name: str, stops: list[Stop]) -> None:
    for at, statement, too_early in stops:
        assert not too_early, f"{name} has locked {too_early} when it waits for {at} with: {statement}"


async def sign_ins(shop: Shop) -> AsyncIterator[Act]:
    """What members do about their own access, also with links that are lying about."""
    world, ana, ben = shop.world, shop.ana, shop.ben
    yield "sign-in", lambda: world.sign_in(ana.email)
    first = expect(await world.sign_in(ana.email), 201)["refresh_token"]
    body = {"refresh_token": first}
    yield "renewal", lambda: world.client.post("/v1/sessions/refresh", json=body)
    world.advance(timedelta(hours=1))
    yield "stolen token", lambda: world.client.post("/v1/sessions/refresh", json=body)
    yield "asking for a reset", lambda: world.client.post("/v1/password-resets", json={"email": ana.email})
    token = await reset_token(world, ana.email)
    yield "reset", lambda: choose(world, token)
    yield "sign-up of a member", lambda: world.request_sign_up(ben.email)
    expect(await world.request_sign_up("cy@shop.test"), 202)
    yield "sign-up of whom the till knows", lambda: world.confirm_sign_up("cy@shop.test")
    _, invitation = await invite(world, "eve@shop.test")
    yield "invitation", lambda: choose(world, invitation)


async def profile(shop: Shop) -> AsyncIterator[Act]:
    """What needs no preparation, and what names another member."""
    code = expect(await shop.send("get_my_referral_code"), 200)["code"]
    path = f"/v1/me/memberships/{shop.ben.membership_id}/referrer"
    yield "referrer", partial(shop.send, "name_my_referrer", headers=shop.ben.headers, path=path, json={"code": code})
    wish = {"email": shop.ben.email, "password": PASSWORD}
    yield "invitation to share", partial(shop.send, "invite_to_share", json=wish)
    for operation in (
        "change_me", "get_my_referral_code", "request_email_change", "put_my_consents", "put_my_redemption_limit",
        "release_hold", "finish_pos_todo", "reopen_pos_todo", "retry_audience_contact", "change_reward",
        "text_customer_code", "put_redeem_policy", "put_my_redeem_policy", "end_my_session",
    ):  # fmt: skip
        yield operation, partial(shop.send, operation)


async def tills(shop: Shop) -> AsyncIterator[Act]:
    """Sales that come in steps, by whatever names their customer, and records of somebody."""
    for how in ({"pos_customer_id": "taken"}, {"email": shop.ben.email}, {"card_number": shop.ana.card_number}):
        sold = sale(shop.world, customer=how)
        for state, revision in (("open", 1), ("completed", 2), ("voided", 3)):
            body = sold | {"state": state, "revision": revision}
            yield f"{state} sale by {how}", partial(shop.send, "push_order", json=body)
        both = [sale(shop.world, customer=how), sale(shop.world, customer=None)]
        yield f"sales by {how}", partial(shop.send, "push_orders", json={"orders": both})
    given = sale(shop.world, customer=None)
    order_id = UUID(expect(await shop.send("push_order", json=given), 201)["order_id"])
    async with DB.transaction():
        await give_order(shop.world.ctx, order_id, UUID(str(shop.ben.customer_id)), reason="staff")
    named = given | {"customer": {"email": shop.ana.email}, "revision": 2}
    yield "sale of somebody else", partial(shop.send, "push_order", json=named)
    for how in ({"card_number": shop.ben.card_number}, {"pos_customer_id": "taken"}):
        returned = await refund(shop)
        sent = returned.body | {"external_id": str(how), "customer": how, "lines": [{"line_id": "1", "net_minor": 100}]}
        yield f"refund to another {how}", partial(shop.send, "push_refund", json=sent)
    ben = {"external_id": "taken", "given_name": "Ben", "email": shop.ben.email}
    yield "record", partial(shop.send, "push_pos_customer", json=ben)
    merged = {"customers": [ben | {"former_ids": ["double"]}]}
    yield "records that were merged", partial(shop.send, "push_pos_customers", json=merged)


async def jobs(shop: Shop) -> AsyncIterator[Act]:
    """What the worker does by itself."""
    world = shop.world
    world.jobs |= {
        EXPORT_JOB: make_export,
        ERASE_JOB: erase_due,
        CHECK_JOB: lambda tools, _: check_members(tools),
        PUSH_BUYER_JOB: push_asked,
    }
    ben = {"external_id": "p-ben", "given_name": "Ben", "email": shop.ben.email, "email_since": "2025-01-01T00:00:00Z"}
    expect(await shop.send("push_pos_customer", json=ben), 200)
    yield "links", world.run_jobs
    returned = await refund(shop)
    late = shop.order("late")
    expect(await shop.send("push_refund", json=returned.body | {"original_order": "late"}), 201)
    expect(await shop.send("push_order", json=late), 201)
    yield "refund that waited", partial(post_parked, world.tools)
    caller = await Caller.of(shop, "recording")
    written = expect(await caller.send("a-sale-that-is-written-down"), 201)["order"]
    lines = [{"line_id": "1", "net_minor": written["net_minor"], "tax_minor": written["tax_minor"]}]
    expect(
        await shop.send("push_order", json=late | {"external_id": "too", "number": written["number"], "lines": lines}),
        201,
    )
    yield "sale that was written down", partial(replace_written_down, world.tools)
    assert await DB.fetch_value("select state from orders where id = $1", UUID(written["id"])) == "voided"
    expect(await shop.send("request_my_export"), 202)
    yield "export", world.run_jobs
    wish = await own_erasure(shop)
    expect(await shop.send("request_my_erasure", json=wish.body), 202)
    await DB.fetch("update erasure set execute_after = requested_at")
    await sweep_erasures(world.tools)
    yield "erasure", world.run_jobs


@pytest.mark.parametrize("walk", [sign_ins, profile, tills, jobs])
async def test_people_are_locked_before_all_that_is_about_them_in_other_acts_too(
    shop: Shop, walk: Callable[[Shop], AsyncIterator[Act]]
) -> None:
    waited = 0
    async with Gates(str(shop.world.settings.database_url)) as gates:
        async for name, act in walk(shop):
            done, stops = await gates.watch(act)
            is_told = not isinstance(done, httpx.Response) or done.is_success or name in REFUSED
            assert is_told, f"{name}: {done}"
            _check(name, stops)
            waited += bool(stops)
    assert waited
