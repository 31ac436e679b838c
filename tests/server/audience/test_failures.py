"""Nothing is lost and nobody is blamed for another's fault, whatever Mailchimp answers."""

import asyncio
from datetime import timedelta

import pytest

from server.audience.gateway import MailchimpMisconfigured
from server.audience.pusher import Pusher
from server.db.engine import DB
from tests.server.audience.builders import Shop, new_tools, shop_settings
from tests.standins.mailchimp import MailchimpStandIn

PATIENT = {"connect_seconds": 1.0, "read_seconds": 0.4}


async def resume_when_due(shop: Shop) -> None:
    state = await shop.state()
    assert state["retry_at"] is not None, state["paused_reason"]
    shop.clock.set(state["retry_at"])
    await shop.push()


async def assert_pushed(shop: Shop, email: str = "ana@shop.test", *, points: int = 120) -> None:
    assert shop.mailchimp.contact(email).merge_fields["POINTS"] == points
    row = await shop.row(email)
    assert (row["is_dirty"], row["attempts"], row["parked_reason"], row["lease_until"]) == (False, 0, None, None)
    assert (await shop.state())["paused_reason"] is None


@pytest.mark.parametrize("contacts", [1, 3])
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("problem", 429), ("empty", 429), ("empty", 403), ("empty", 500), ("html", 502), ("broken_json", 500),
        ("close", 0), ("drop_answer", 0), ("html", 200), ("problem", 503), ("empty", 302),
    ],
)  # fmt: skip
async def test_throttling_and_outages_pause_the_queue_and_end_by_themselves(
    shop: Shop, kind: str, status: int, contacts: int
) -> None:
    pusher = shop.pusher()
    await pusher.push_due()
    for number in range(contacts):
        await shop.add_customer(f"m{number}@shop.test")
    # After a JSON error about one contact the audience is asked whether it is well; here it is not.
    count = 2 if (kind, status, contacts) == ("problem", 503, 1) else 1
    shop.mailchimp.fail_next(kind, status=status or 500, count=count)  # type: ignore[arg-type]
    await pusher.push_due()

    paused = await shop.state()
    assert paused["paused_reason"]
    assert timedelta(seconds=2) < paused["retry_at"] - shop.clock.now() <= timedelta(seconds=30)
    shop.mailchimp.clear_requests()
    await shop.push()
    assert shop.mailchimp.requests() == [], "a pause is kept"
    await resume_when_due(shop)

    for number in range(contacts):
        await assert_pushed(shop, f"m{number}@shop.test")
    assert len(shop.mailchimp.contacts()) == contacts


async def test_a_mailchimp_that_never_answers_is_given_up_and_tried_again(shop: Shop) -> None:
    await shop.push()
    await shop.add_customer()
    shop.mailchimp.fail_next("never", path="members")
    await shop.push(shop.gateway(**PATIENT))

    paused = await shop.state()
    assert paused["paused_reason"] == "Mailchimp did not answer in time."
    assert paused["retry_at"] - shop.clock.now() == timedelta(seconds=30)
    await resume_when_due(shop)
    await assert_pushed(shop)


async def test_an_answer_that_comes_in_drops_is_given_up_too(shop: Shop) -> None:
    gateway = shop.gateway(**PATIENT)
    gateway._deadline_seconds = 0.2
    await shop.add_customer()
    shop.mailchimp.fail_next("never")
    await shop.push(gateway)

    assert (await shop.state())["paused_reason"] == "Mailchimp did not answer in time."


async def test_nobody_listening_pauses_the_queue(shop: Shop) -> None:
    await shop.push()
    await shop.add_customer()
    shop.mailchimp.stop()
    await shop.push()
    assert (await shop.state())["paused_reason"] == "Mailchimp cannot be reached."
    shop.mailchimp.start()
    await resume_when_due(shop)

    await assert_pushed(shop)


async def test_pauses_grow_from_seconds_to_a_quarter_of_an_hour_and_calls_shrink(shop: Shop) -> None:
    await shop.push()
    for number in range(4):
        await shop.add_customer(f"m{number}@shop.test")
    waits = []
    for _ in range(10):
        shop.mailchimp.fail_next("empty", status=429)
        await shop.push()
        state = await shop.state()
        waits.append((state["retry_at"] - shop.clock.now()).total_seconds())
        shop.clock.set(state["retry_at"])

    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    await shop.push()
    assert len(shop.live()) == 4
    assert (await shop.state())["failures"] == 0


@pytest.mark.parametrize(
    ("status", "title"), [(401, "API Key Invalid"), (403, "User Disabled"), (426, "Upgrade Required")]
)
async def test_a_wrong_configuration_stops_the_queue_until_somebody_resumes(
    shop: Shop, status: int, title: str
) -> None:
    await shop.push()
    await shop.add_customer()
    shop.mailchimp.fail_next("problem", status=status, title=title, path="members")
    await shop.push()
    state = await shop.state()
    assert title in state["paused_reason"]
    assert state["retry_at"] is None

    shop.clock.advance(timedelta(days=2))
    shop.mailchimp.clear_requests()
    await shop.push()
    assert shop.mailchimp.requests() == []
    assert (await shop.row("ana@shop.test"))["attempts"] == 0


async def test_an_audience_that_does_not_exist_stops_the_queue(
    database_url: str, shop: Shop, mailchimp: MailchimpStandIn
) -> None:
    tools = new_tools(shop_settings(database_url, mailchimp, mailchimp_list_id="nosuchlist"), shop.clock)
    other = Shop(tools, shop.clock, mailchimp)
    await other.push()
    tools.passwords.close()

    state = await shop.state()
    assert "mailchimp_list_id" in state["paused_reason"]
    assert state["retry_at"] is None


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"tag": "POINTS", "name": "Points", "type": "text"}, "POINTS is of type text"),
        ({"tag": "POINTS", "name": "Points", "type": "number", "public": True}, "POINTS is visible to contacts"),
        ({"tag": "TIER", "name": "Tier", "type": "text", "required": True}, "TIER is required"),
    ],
)
async def test_a_field_that_is_not_as_it_must_be_stops_the_queue_and_is_not_touched(
    shop: Shop, body: dict[str, object], complaint: str
) -> None:
    shop.gateway()._client.lists.add_list_merge_field(shop.mailchimp.list_id, body)
    await shop.add_customer()
    await shop.push()

    assert complaint in (await shop.state())["paused_reason"]
    assert shop.mailchimp.contacts() == []
    assert shop.mailchimp.merge_fields()[str(body["tag"])].type == body["type"]


async def test_fields_behind_the_first_page_are_found(shop: Shop) -> None:
    lists = shop.gateway()._client.lists
    for number in range(12):
        lists.add_list_merge_field(shop.mailchimp.list_id, {"tag": f"X{number}", "name": "x", "type": "text"})
    await shop.push()
    await shop.push()

    assert sum("POINTS" in tag for tag in shop.mailchimp.merge_fields()) == 1
    assert (await shop.state())["paused_reason"] is None


async def test_a_plan_without_room_for_our_fields_stops_the_queue(shop: Shop) -> None:
    lists = shop.gateway()._client.lists
    for number in range(25):
        lists.add_list_merge_field(shop.mailchimp.list_id, {"tag": f"X{number}", "name": "x", "type": "text"})
    await shop.push()

    assert "could not be created" in (await shop.state())["paused_reason"]


async def test_a_required_field_of_the_shops_own_does_not_keep_contacts_out(shop: Shop) -> None:
    body = {"tag": "SHOES", "name": "Shoe size", "type": "number", "required": True}
    shop.gateway()._client.lists.add_list_merge_field(shop.mailchimp.list_id, body)
    await shop.add_customer()
    await shop.push()

    await assert_pushed(shop)


async def test_a_field_that_staff_deleted_is_made_again(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    lists = shop.gateway()._client.lists
    lists.delete_list_merge_field(shop.mailchimp.list_id, shop.mailchimp.merge_fields()["POINTS"].merge_id)
    await shop.set_points(ana, 5)
    await shop.push()
    assert (await shop.row("ana@shop.test"))["parked_reason"] is None
    shop.clock.advance(timedelta(minutes=2))
    await shop.push()

    await assert_pushed(shop, points=5)


async def test_one_refused_address_is_set_aside_with_its_reason_and_all_others_get_through(shop: Shop) -> None:
    shop.mailchimp.refuse_address("m1@shop.test", "fake")
    for number in range(4):
        await shop.add_customer(f"m{number}@shop.test")
    await shop.push()

    assert {one.email_address for one in shop.live()} == {"m0@shop.test", "m2@shop.test", "m3@shop.test"}
    row = await shop.row("m1@shop.test")
    assert "fake or invalid" in row["parked_reason"]
    shop.mailchimp.clear_requests()
    shop.clock.advance(timedelta(days=1))
    await shop.push()
    assert not shop.writes(), "what is set aside is not tried again by itself"


async def test_a_set_aside_contact_is_tried_again_when_its_data_change_but_not_for_points(shop: Shop) -> None:
    shop.mailchimp.refuse_address("ana@shop.test", "fake")
    ana = await shop.add_customer()
    await shop.push()
    shop.mailchimp.refuse_address("ana@shop.test", None)
    await shop.set_points(ana, 5)
    await shop.push()
    assert (await shop.row("ana@shop.test"))["parked_reason"]

    await shop.mark(ana)
    await shop.push()
    await assert_pushed(shop, points=5)


async def test_an_address_with_too_many_sign_ups_is_tried_once_more_after_days(shop: Shop) -> None:
    shop.mailchimp.refuse_address("ana@shop.test", "too_many_signups")
    await shop.add_customer()
    await shop.push()
    row = await shop.row("ana@shop.test")
    assert row["parked_reason"] is None
    assert row["next_try_at"] - shop.clock.now() == timedelta(days=3)

    shop.clock.set(row["next_try_at"])
    await shop.push()
    assert "very recently" in (await shop.row("ana@shop.test"))["parked_reason"]


async def test_an_opt_out_does_not_wait_for_the_end_of_a_contacts_own_backoff(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    pusher = shop.pusher()
    await shop.set_points(ana, 5)
    shop.mailchimp.fail_next("problem", status=500, path="members/")
    await pusher.push_due()
    assert (await shop.row("ana@shop.test"))["next_try_at"] > shop.clock.now()
    await shop.choose(ana, "ana@shop.test", opted_in=False)
    await pusher.push_due()

    assert shop.mailchimp.contact("ana@shop.test").status == "unsubscribed"


async def test_an_error_that_only_ever_one_contact_meets_sets_it_aside_after_five_tries(shop: Shop) -> None:
    await shop.push()
    await shop.add_customer()
    for _ in range(5):
        shop.mailchimp.fail_next("problem", status=500, path="members/")
        await shop.push()
        shop.clock.advance(timedelta(hours=7))

    row = await shop.row("ana@shop.test")
    assert row["parked_reason"]
    assert (await shop.state())["paused_reason"] is None


async def test_a_contact_that_makes_a_whole_call_fail_does_not_hold_up_the_others(shop: Shop) -> None:
    await shop.push()
    for number in range(4):
        await shop.add_customer(f"m{number}@shop.test")
    shop.mailchimp.fail_next("problem", status=400, title="Invalid Resource", method="POST", count=2)
    await shop.push()

    assert len(shop.live()) == 4


async def test_an_error_of_ours_with_one_contact_does_not_keep_the_others(shop: Shop) -> None:
    await shop.push()
    await shop.add_customer("bad@shop.test")
    await shop.add_customer("ben@shop.test")
    gateway = shop.gateway()
    put = gateway.put_contact

    async def faulty(contact):
        if contact.email == "bad@shop.test":
            raise KeyError("a fault")
        return await put(contact)

    gateway.put_contact = faulty  # type: ignore[method-assign]
    shop.mailchimp.fail_next("problem", status=400, title="Invalid Resource", method="POST")
    await shop.push(gateway)

    assert [one.email_address for one in shop.live()] == ["ben@shop.test"]
    assert (await shop.row("bad@shop.test"))["attempts"] == 1


async def test_two_workers_at_once_push_each_contact_once(shop: Shop) -> None:
    await shop.push()
    for number in range(40):
        await shop.add_customer(f"m{number}@shop.test")
    await DB.fetch("update audience_state set failures = 6")
    shop.mailchimp.clear_requests()
    first, second = Pusher(shop.tools, shop.gateway()), Pusher(shop.tools, shop.gateway())
    await asyncio.gather(first.push_due(), second.push_due())

    sent = [
        member["email_address"]
        for one in shop.mailchimp.requests(method="POST")
        if isinstance(one.body, dict)
        for member in one.body["members"]
    ]
    assert sorted(sent) == sorted(f"m{number}@shop.test" for number in range(40))


async def test_no_two_workers_hold_contacts_of_one_person(shop: Shop) -> None:
    ana = await shop.add_customer("old@shop.test")
    await shop.push()
    await shop.set_points(ana, 5)
    first = shop.pusher()
    state = await first._running_state()
    assert state is not None
    assert len(await first._claim(state)) == 1
    await shop.move(ana, "old@shop.test", "new@shop.test")

    assert await shop.pusher()._claim(state) == ()
    shop.clock.advance(timedelta(minutes=2))
    assert [one.email for one in await shop.pusher()._claim(state)] == ["new@shop.test"]


async def test_a_round_that_is_cut_off_gives_its_contacts_back(shop: Shop) -> None:
    await shop.push()
    await shop.add_customer()
    shop.mailchimp.fail_next("never", path="members")
    round_ = asyncio.create_task(shop.push())
    await asyncio.to_thread(shop.mailchimp.wait_for_requests, 1, path_part="members/")
    round_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await round_

    row = await shop.row("ana@shop.test")
    assert (row["lease_until"], row["is_dirty"]) == (None, True)


async def test_never_more_than_four_calls_are_under_way_over_as_many_connections(shop: Shop) -> None:
    await shop.push()
    customers = [await shop.add_customer(f"m{number}@shop.test") for number in range(20)]
    await shop.push()
    for number, customer_id in enumerate(customers):
        await shop.choose(customer_id, f"m{number}@shop.test", opted_in=False)
    shop.mailchimp.clear_requests()
    shop.mailchimp.fail_next("slow", count=20, seconds=0.02, method="PATCH")
    await shop.push()

    requests = shop.mailchimp.requests(method="PATCH")
    assert len(requests) == 20
    assert len({one.connection for one in requests}) <= 4
    assert shop.mailchimp.summary().in_flight_max <= 4


@pytest.mark.parametrize("list_id", ["", "a/../b", "x?y"])
def test_an_audience_id_that_would_change_the_path_is_refused(
    database_url: str, mailchimp: MailchimpStandIn, list_id: str
) -> None:
    from server.audience.gateway import Mailchimp

    with pytest.raises(MailchimpMisconfigured):
        Mailchimp(shop_settings(database_url, mailchimp, mailchimp_list_id=list_id))
