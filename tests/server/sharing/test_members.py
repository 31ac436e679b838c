"""Members share by themselves: an owner invites an address, and only its owner, signed in, accepts."""

from datetime import timedelta

from server.db.engine import DB
from tests.app import PASSWORD, SignedUp, World, expect, problem
from tests.ledgers import assert_verified, credit, figures
from tests.server.sharing.desk import Desk, two_members


async def invite(world: World, owner: SignedUp, email: str) -> dict[str, object]:
    path = f"/v1/me/memberships/{owner.membership_id}/sharing-invitations"
    return expect(await world.client.post(path, json={"email": email}, headers=owner.headers), 202)


async def received(world: World, member: SignedUp) -> list[dict[str, str]]:
    found: list[dict[str, str]] = expect(
        await world.client.get("/v1/me/sharing-invitations", headers=member.headers), 200
    )["received"]
    return found


async def test_an_invitation_tells_nobody_who_is_a_member_and_only_members_get_a_mail(world: World) -> None:
    ana, ben = await two_members(world)
    assert await invite(world, ana, "BEN@shop.test") == await invite(world, ana, "nobody@shop.test")
    assert "wants to share" in (await world.mails_to(ben.email))[-1].subject
    assert await world.mails_to("nobody@shop.test") == []
    assert [one["invited_by"] for one in await received(world, ben)] == ["Ana"]
    # Whoever signs up with the address finds it; nobody else does.
    late = await world.sign_up("nobody@shop.test")
    assert len(await received(world, late)) == 1
    assert await received(world, ana) == []


async def test_accepting_with_an_own_membership_asks_first_and_then_brings_the_points_along(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ana.membership_id, 250)
    await credit(world, ben.membership_id, 157, days=12)
    await invite(world, ana, ben.email)
    (invitation,) = await received(world, ben)
    path = f"/v1/me/sharing-invitations/{invitation['id']}/accept"
    assert problem(await desk.post(path, {}, headers=ana.headers))[0] == 404
    refused = await desk.post(path, {}, headers=ben.headers)
    assert problem(refused)[1] == "MEMBERSHIP_EXISTS"
    assert refused.json()["data"]["available"] == 157
    done = expect(await desk.post(path, {"combine": True}, headers=ben.headers), 200)
    assert (done["account"]["available"], done["card_number"]) == (407, ben.card_number)
    assert await received(world, ben) == []
    assert problem(await desk.post(path, {"combine": True}, headers=ben.headers))[0] == 404
    shown = await world.client.get(f"/v1/me/memberships/{ana.membership_id}/people", headers=ben.headers)
    assert [one["name"] for one in expect(shown, 200)["people"]] == ["Ana Flores", "Ben Flores"]
    await assert_verified(world)


async def test_only_owners_invite_it_needs_the_password_and_an_invitation_is_over_after_a_week(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    path = f"/v1/me/memberships/{ana.membership_id}/sharing-invitations"
    assert problem(await desk.post(path, {"email": "x@shop.test"}, headers=ben.headers))[0] == 404
    assert problem(await desk.post(path, {"email": ana.email}, headers=ana.headers))[1] == "EMAIL_SAME"
    wrong = await desk.post(path, {"email": ben.email, "password": "not-it-at-all"}, headers=ana.headers)
    assert problem(wrong)[1] == "SIGN_IN_FAILED" or problem(wrong)[1] == "REAUTH_REQUIRED"
    world.advance(timedelta(minutes=11))
    assert problem(await desk.post(path, {"email": ben.email}, headers=ana.headers))[1] == "REAUTH_REQUIRED"
    expect(await desk.post(path, {"email": ben.email, "password": PASSWORD}, headers=ana.headers), 202)
    (invitation,) = await received(world, ben)
    no = await world.client.delete(f"/v1/me/sharing-invitations/{invitation['id']}", headers=ben.headers)
    assert no.status_code == 204
    assert await received(world, ben) == []
    expect(await desk.post(path, {"email": ben.email, "password": PASSWORD}, headers=ana.headers), 202)
    world.advance(timedelta(days=7))
    fresh = expect(await world.sign_in(ben.email), 201)
    headers = {"Authorization": f"Bearer {fresh['access_token']}"}
    assert expect(await world.client.get("/v1/me/sharing-invitations", headers=headers), 200)["received"] == []


async def test_a_member_leaves_by_the_app_with_what_they_brought(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await desk.buy(ben.card_number, 60)
    expect(await desk.combine(ana.membership_id, ben.membership_id), 201)
    path = f"/v1/me/memberships/{ana.membership_id}/leave"
    assert problem(await desk.post(path, {"policy": "agreed"}, headers=ben.headers))[1] == "CONSENT_MISSING"
    shown = expect(await desk.post(f"{path}/preview", {}, headers=ben.headers), 200)
    assert shown["effect"]["going"]["available"] == 60
    assert problem(await desk.post(path, {}, headers=ben.headers))[1] == "PREVIEW_STALE"
    done = expect(await desk.post(path, {"preview_hash": shown["preview_hash"]}, headers=ben.headers), 201)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    assert done["card_number"] == ben.card_number
    assert problem(await desk.post(path, {}, headers=ben.headers))[0] == 404
    await assert_verified(world)


async def test_points_are_not_moved_out_of_reach_of_a_hold_after_a_change(world: World) -> None:
    ana, ben = await two_members(world)
    desk = await Desk.open(world)
    await credit(world, ben.membership_id, 100)
    until = world.clock.now() + timedelta(hours=1)
    await DB.fetch("update customer set redemption_held_until = $2 where id = $1", ben.customer_id, until)
    assert problem(await desk.combine(ana.membership_id, ben.membership_id))[1] == "REDEMPTION_HELD"
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
