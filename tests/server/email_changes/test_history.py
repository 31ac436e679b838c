"""What a member can still read after the rewards account was reissued."""

from tests.app import World, expect, problem
from tests.tills import push, sale


async def test_the_former_accounts_history_stays_readable_and_only_to_its_member(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    stranger = await world.sign_up("ben@shop.test")
    expect(await push(world, await world.pos_key(), sale(world, card=member.card_number)), 201)
    form = {"new_email": "ana.new@shop.test", "mode": "reissue", "password": member.password}
    expect(await world.client.post("/v1/me/email-changes", json=form, headers=member.headers), 202)
    mail = await world.mail_to("ana.new@shop.test", purpose="email-change")
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": mail.token}), 200)
    tokens = expect(await world.sign_in("ana.new@shop.test"), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    (membership,) = expect(await world.client.get("/v1/me/memberships", headers=headers), 200)["items"]
    assert membership["former_id"] == str(member.membership_id)
    path = f"/v1/me/memberships/{member.membership_id}/entries"
    entries = expect(await world.client.get(path, headers=headers), 200)["items"]
    assert [(entry["kind"], entry["points"]) for entry in entries] == [("TRANSFER_OUT", -12), ("EARN", 12)]
    assert problem(await world.client.get(path, headers=stranger.headers))[:2] == (404, "NOT_FOUND")
