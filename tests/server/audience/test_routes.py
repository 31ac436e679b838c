"""What staff see of the audience, and its two repairs."""

import pytest

from server.db.engine import DB
from shared.enums import Role
from tests.app import World, expect, problem
from tests.server.audience.builders import Shop
from tests.standins.mailchimp import MailchimpStandIn


@pytest.fixture
async def shop(world: World, mailchimp: MailchimpStandIn) -> Shop:
    shop = Shop(world.tools, world.clock, mailchimp)
    shop.programme_id = await DB.fetch_value("select id from programme where is_default")  # type: ignore[assignment]
    return shop


async def test_marketing_sees_what_waits_and_what_needs_a_person_first(world: World, shop: Shop) -> None:
    shop.mailchimp.refuse_address("bad@shop.test", "fake")
    await shop.add_customer("bad@shop.test")
    await shop.add_customer("good@shop.test")
    await shop.push()
    await shop.add_customer("waiting@shop.test")
    headers = await world.staff_headers(Role.MARKETING)

    status = expect(await world.client.get("/v1/staff/audience", headers=headers), 200)

    assert {name: status[name] for name in ("mode", "paused_reason", "waiting", "parked", "pushed_today")} == {
        "mode": "mailchimp", "paused_reason": None, "waiting": 1, "parked": 1, "pushed_today": 1,
    }  # fmt: skip
    assert status["oldest_waiting_seconds"] is not None
    assert [item["email"] for item in status["items"]] == ["bad@shop.test", "waiting@shop.test"]
    assert "fake or invalid" in status["items"][0]["parked_reason"]


async def test_a_retry_takes_a_contact_back_and_is_audited(world: World, shop: Shop) -> None:
    shop.mailchimp.refuse_address("bad@shop.test", "fake")
    customer_id = await shop.add_customer("bad@shop.test")
    await shop.push()
    shop.mailchimp.refuse_address("bad@shop.test", None)
    contact_id = (await shop.row("bad@shop.test"))["id"]
    headers = await world.staff_headers(Role.MARKETING)

    view = expect(await world.client.post(f"/v1/staff/audience/{contact_id}/retry", headers=headers), 202)
    assert (view["waiting"], view["parked_reason"]) == (True, None)
    await shop.push()

    assert shop.mailchimp.contact("bad@shop.test").status == "subscribed"
    entry = await DB.fetch_row("select * from audit_entry where action = 'audience_contact.retried'")
    assert entry is not None
    assert (entry["subject_id"], entry["customer_id"], entry["actor_kind"]) == (contact_id, customer_id, "staff")


async def test_a_retry_of_what_is_not_there_is_not_found(world: World) -> None:
    headers = await world.staff_headers(Role.MARKETING)
    path = "/v1/staff/audience/018f0000-0000-7000-8000-000000000000/retry"
    assert problem(await world.client.post(path, headers=headers))[0] == 404


async def test_a_resume_checks_the_audience_again_and_is_audited(world: World, shop: Shop) -> None:
    lists = shop.gateway()._client.lists
    wrong = lists.add_list_merge_field(shop.mailchimp.list_id, {"tag": "POINTS", "name": "P", "type": "text"})
    await shop.add_customer()
    await shop.push()
    headers = await world.staff_headers(Role.MARKETING)
    status = expect(await world.client.get("/v1/staff/audience", headers=headers), 200)
    assert "POINTS is of type text" in status["paused_reason"]
    lists.delete_list_merge_field(shop.mailchimp.list_id, wrong["merge_id"])

    status = expect(await world.client.post("/v1/staff/audience/resume", headers=headers), 202)
    assert status["paused_reason"] is None
    await shop.push()

    assert shop.mailchimp.merge_fields()["POINTS"].type == "number"
    assert [one.status for one in shop.live()] == ["subscribed"]
    assert await DB.fetch_value("select count(*) from audit_entry where action = 'audience.resumed'") == 1


@pytest.mark.parametrize("role", [Role.CASHIER, Role.AUDITOR])
async def test_who_may_not_repair_may_not_repair(world: World, role: Role) -> None:
    headers = await world.staff_headers(role)
    assert problem(await world.client.post("/v1/staff/audience/resume", headers=headers))[0] == 403
