"""Whoever has not come for years and has nothing to lose is let go of, told before, and stays if they come."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from server.customers.suppression import find_suppressed
from server.db.engine import DB
from server.db.ids import new_id
from shared.enums import Role
from shared.limits import DORMANT_NOTICE
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit
from tests.server.merges.desk import MergeDesk
from tests.server.privacy.desk import erasure_of, keyed, status_of, work
from tests.server.sharing.desk import two_members

_PATH = "/v1/staff/erasures/dormant"


class Owner:
    """An administrator who looks after what is kept for how long."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def preview(self, years: int = 3) -> dict[str, Any]:
        headers = await self.world.staff_headers(Role.ADMIN)
        shown: dict[str, Any] = expect(
            await self.world.client.post(f"{_PATH}/preview", json={"years": years}, headers=headers), 200
        )
        return shown

    async def begin(self, shown: dict[str, Any]) -> dict[str, Any]:
        headers = keyed(await self.world.staff_headers(Role.ADMIN))
        body = {"years": shown["years"], "reason": "tidying up", "preview_hash": shown["preview_hash"]}
        begun: dict[str, Any] = expect(await self.world.client.post(_PATH, json=body, headers=headers), 202)
        return begun


async def _register(desk: MergeDesk, name: str, **fields: object) -> dict[str, Any]:
    form = {"given_name": name, "email": f"{name.lower()}@shop.test", **fields}
    done: dict[str, Any] = expect(await desk.post("/v1/staff/customers", form), 201)
    return done


async def _three_years_later(world: World) -> tuple[MergeDesk, dict[str, dict[str, Any]], SignedUp]:
    """Return the desk, the people whom the till registered by name, and a member, all three years after they came."""
    desk = await MergeDesk.open(world)
    ana, ben = await two_members(world)
    names = ("Gone", "Buyer", "Keeper", "Claimed", "Rich", "Shared", "Voucher", "Edited")
    people = {name: await _register(desk, name) for name in names}
    people["Mute"] = await _register(desk, "Mute", email=None, phone="020 7946 0123")
    await credit(world, UUID(people["Rich"]["membership_id"]), 5)
    expect(await desk.combine(ben.membership_id, people["Shared"]["membership_id"]), 201)
    # Somebody at the till once gave the address that is a member's own, as people of one household do.
    shared = """
    insert into contact_point (id, customer, kind, value, key, is_primary, created_at)
    select $1, $2, kind, value, key, false, created_at from contact_point where key = $3
    """
    await DB.fetch(shared, new_id(), UUID(people["Gone"]["id"]), ana.email)
    world.advance(timedelta(days=3 * 365 + 5))
    desk = await MergeDesk.open(world)
    version = (await desk.customer(people["Edited"]["id"]))["version"]
    changed = await world.client.patch(
        f"/v1/staff/customers/{people['Edited']['id']}",
        json={"version": version, "notes": "moved"},
        headers=desk.headers,
    )
    expect(changed, 200)
    # What a till returned last week is something that was heard of them.
    await desk.buy(people["Voucher"]["card_number"], 1)
    return desk, people, ana


async def _answer(world: World, desk: MergeDesk, people: dict[str, dict[str, Any]]) -> None:
    """Let three of them stay: one by the mail, one by buying something, one by a code from the counter."""
    mail = await world.mail_to("keeper@shop.test", purpose="erasure-cancel")
    kept = await world.client.post("/v1/erasures/cancel", json={"token": mail.token})
    expect(kept, 200)
    assert not [text for text in ("Keeper", "tidying up") if text in kept.text], "nobody has proven that mailbox"
    await desk.buy(people["Buyer"]["card_number"], 10)
    code = await world.client.post(
        f"/v1/staff/customers/{people['Claimed']['id']}/claim-codes", headers=keyed(desk.headers)
    )
    zoe = await world.sign_up("zoe@shop.test")
    claimed = await world.client.post(
        "/v1/me/claims", json={"code": expect(code, 201)["code"]}, headers=keyed(zoe.headers)
    )
    expect(claimed, 201)


async def test_only_who_has_nothing_to_lose_is_let_go_of_and_only_if_they_do_not_come(world: World) -> None:
    desk, people, ana = await _three_years_later(world)
    owner = Owner(world)
    shown = await owner.preview()
    names_shown = [one["name"] for one in shown["first"]]
    assert names_shown == ["Gone", "Buyer", "Keeper", "Claimed", "Mute"], (
        "no member, no sharer, nobody with points, nobody of late"
    )
    assert (shown["customers"], shown["told"], shown["batch"]) == (5, 4, 5)
    assert (await owner.preview(years=4))["customers"] == 0
    assert problem(await world.client.post(f"{_PATH}/preview", json={}, headers=desk.headers))[0] == 403
    stale = await world.client.post(
        _PATH,
        json={"reason": "tidying up", "preview_hash": "0" * 64},
        headers=keyed(await world.staff_headers("admin")),
    )
    assert problem(stale)[1] == "PREVIEW_STALE"

    begun = await owner.begin(shown)
    assert (begun["erasures"], begun["told"], begun["left"]) == (5, 4, 0)
    assert (await erasure_of(UUID(people["Mute"]["id"])))["cause"] == "dormant"
    await _answer(world, desk, people)
    await work(world)
    assert await status_of(people["Gone"]["id"]) == "active", "not before the notice is over"
    world.advance(DORMANT_NOTICE + timedelta(minutes=1))
    await work(world)

    left = {name: await status_of(one["id"]) for name, one in people.items()}
    assert [name for name, status in left.items() if status == "erased"] == ["Gone", "Mute"]
    assert (left["Claimed"], await status_of(ana.customer_id)) == ("merged", "active")
    assert await find_suppressed(world.ctx, [("email", ana.email), ("email", "gone@shop.test")]) == {
        ("email", "gone@shop.test")
    }
    assert await DB.fetch_value("select count(*) from message where to_address = $1", ana.email), "hers stay"
    called_off = await erasure_of(UUID(people["Buyer"]["id"]))
    assert (called_off["state"], called_off["cause"]) == ("cancelled", "dormant")
    # Whoever said that they stay is not asked again for as long.
    world.advance(timedelta(days=365))
    assert (await owner.preview(years=2))["customers"] == 0
    assert await DB.fetch_value("select count(*) from erasure where state = 'cooling'") == 0
    await assert_verified(world)
