"""What reaches Mailchimp, and what is never sent."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from server.audience import marks
from server.db.engine import DB
from server.db.ids import new_id
from tests.server.audience.builders import NOW, Shop

SYNC_ALL = {"mailchimp_sync_without_consent": True}


async def test_the_first_run_creates_the_fields_it_needs_and_hides_them(shop: Shop) -> None:
    await shop.push()

    fields = shop.mailchimp.merge_fields()
    ours = {tag: fields[tag] for tag in ("POINTS", "LASTSEEN", "CARDNO", "MEMBERSINC", "TIER", "STATE")}
    assert {tag: field.type for tag, field in ours.items()} == {
        "POINTS": "number", "LASTSEEN": "date", "CARDNO": "text", "MEMBERSINC": "date", "TIER": "text", "STATE": "text",
    }  # fmt: skip
    assert not any(field.public or field.required for field in ours.values())
    assert fields["LASTSEEN"].name == "Rewards Last Seen"


async def test_a_member_who_agreed_is_subscribed_with_balance_card_and_days(shop: Shop) -> None:
    await shop.add_customer(card="29000000000017", given_name="Šárka", family_name="Nguyễn")

    await shop.push()

    contact = shop.mailchimp.contact("ana@shop.test")
    assert contact.status == "subscribed"
    assert contact.merge_fields == {
        "POINTS": 120, "CARDNO": "29000000000017", "LASTSEEN": "2026-01-31", "MEMBERSINC": "2026-01-31",
        "TIER": "Gold", "STATE": "active", "FNAME": "Šárka", "LNAME": "Nguyễn",
    }  # fmt: skip
    row = await shop.row("ana@shop.test")
    assert not row["is_dirty"]
    assert (row["remote_id"], row["remote_status"]) == (contact.contact_id, "subscribed")
    assert row["lease_until"] is None


async def test_last_seen_is_the_day_of_the_last_order_where_the_shop_is(shop: Shop) -> None:
    customer_id = await shop.add_customer()
    await DB.fetch("update programme set zone = 'Asia/Tokyo'")
    store, connection = new_id(), new_id()
    await DB.fetch("insert into store (id, code, name, zone, created_at) values ($1, 's', 's', 'UTC', $2)", store, NOW)
    await DB.fetch("insert into pos_connection (id, code, name, created_at) values ($1, 't', 't', $2)", connection, NOW)
    await DB.fetch(
        "insert into orders (id, connection, external_id, number, store, completed_at, currency, net_minor, tax_minor, "
        "content_hash, customer, created_at) values ($1, $2, 'x', '1', $3, $4, 'GBP', 1, 0, '', $5, $4)",
        new_id(), connection, store, datetime(2026, 3, 1, 22, 0, tzinfo=UTC), customer_id,
    )  # fmt: skip

    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").merge_fields["LASTSEEN"] == "2026-03-02"


@pytest.mark.parametrize("opted_in", [None, False])
async def test_who_did_not_agree_is_not_sent(shop: Shop, opted_in: bool | None) -> None:
    await shop.add_customer(opted_in=opted_in)

    await shop.push()

    assert shop.mailchimp.contacts() == []
    assert not (await shop.row("ana@shop.test"))["is_dirty"]


@pytest.mark.parametrize("shop", [SYNC_ALL], indirect=True)
async def test_who_did_not_agree_is_kept_without_consent_if_the_shop_wants_so(shop: Shop) -> None:
    await shop.add_customer("never@shop.test", opted_in=None)
    await shop.add_customer("no@shop.test", opted_in=False)

    await shop.push()

    statuses = {one.email_address: one.status for one in shop.mailchimp.contacts()}
    assert statuses["never@shop.test"] == "transactional"
    assert statuses["no@shop.test"] == "unsubscribed"


async def test_a_change_of_points_reaches_everybody_in_the_membership(shop: Shop) -> None:
    ana = await shop.add_customer()
    ben = await shop.add_customer("ben@shop.test", given_name="Ben")
    membership_id = await DB.fetch_value("select membership from membership_person where customer = $1", ana)
    await DB.fetch("delete from membership_person where customer = $1", ben)
    await shop.join(ben, membership_id)  # type: ignore[arg-type]
    await shop.push()

    await shop.set_points(ana, 7)
    await shop.push()

    assert [one.merge_fields["POINTS"] for one in shop.mailchimp.contacts()] == [7, 7]


async def test_a_contact_that_is_as_it_was_costs_no_call(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    shop.mailchimp.clear_requests()

    await shop.set_points(ana, 120)
    await shop.push()

    assert shop.mailchimp.requests() == []
    assert not (await shop.row("ana@shop.test"))["is_dirty"]


async def test_five_hundred_contacts_go_in_one_call(shop: Shop) -> None:
    await DB.fetch("update audience_state set fields_checked_at = $1", NOW)
    for number in range(30):
        await shop.add_customer(f"m{number}@shop.test")
    await shop.push()

    assert [path for method, path in shop.writes() if "merge-fields" not in path] == [
        f"/lists/{shop.mailchimp.list_id}"
    ]
    assert len(shop.live()) == 30


async def test_a_blank_name_does_not_wipe_the_one_that_mailchimp_has(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    await DB.fetch("update customer set given_name = '', family_name = ' ' where id = $1", ana)
    await shop.set_points(ana, 5)
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").merge_fields["FNAME"] == "Ana"


async def test_a_change_made_while_its_push_is_under_way_is_pushed_too(shop: Shop) -> None:
    ana = await shop.add_customer()
    await shop.push()
    await shop.set_points(ana, 1)
    row = await shop.row("ana@shop.test")
    claimed = await shop.pusher()._claim(await _running(shop))
    await shop.set_points(ana, 2)

    await shop.pusher()._push(await _running(shop), claimed)

    after = await shop.row("ana@shop.test")
    assert after["pushed_seq"] == row["dirty_seq"]
    assert after["is_dirty"]


async def _running(shop: Shop):
    state = await shop.pusher()._running_state()
    assert state is not None
    return state


async def test_points_that_come_in_or_lapse_by_time_alone_are_pushed_at_their_hour(shop: Shop) -> None:
    ana = await shop.add_customer(points=10)
    membership_id = await DB.fetch_value("select membership from membership_person where customer = $1", ana)
    entry = new_id()
    due = NOW + timedelta(days=2)
    await DB.fetch(
        "insert into ledger_entry (id, membership, kind, points, occurred_at, posted_at, source_key, actor_kind) "
        "values ($1, $2, 'EARN', 40, $3, $3, 'k', 'system')",
        entry, membership_id, NOW,
    )  # fmt: skip
    await DB.fetch(
        "insert into lot (entry, membership, points, remaining, earned_at, available_at) values ($1, $2, 40, 40, $3, $4)",
        entry, membership_id, NOW, due,
    )  # fmt: skip
    await DB.fetch("update membership set pending = 40, figures_until = $2 where id = $1", membership_id, due)
    await shop.push()
    assert shop.mailchimp.contact("ana@shop.test").merge_fields["POINTS"] == 10

    await shop.pusher().mark_refreshes()
    assert not (await shop.row("ana@shop.test"))["is_dirty"]
    shop.clock.set(due + timedelta(seconds=1))
    await shop.pusher().mark_refreshes()
    await shop.push()

    assert shop.mailchimp.contact("ana@shop.test").merge_fields["POINTS"] == 40


async def test_an_address_that_two_customers_name_is_the_contact_of_the_one_who_has_proven_it(shop: Shop) -> None:
    ana = await shop.add_customer()
    ben = await shop.add_customer("ben@shop.test", given_name="Ben")
    await DB.fetch("update contact_point set status = 'unverified' where customer = $1", ana)
    await shop.choose(ben, "ana@shop.test", opted_in=True)
    await shop.in_transaction(
        lambda: marks.ensure_contact(shop.ctx, customer_id=ben, email="ana@shop.test", email_key="ana@shop.test")
    )
    assert (await shop.row("ana@shop.test"))["customer"] == ana

    await DB.fetch("update contact_point set key = 'ana@shop.test', value = 'ana@shop.test' where customer = $1", ben)
    await shop.in_transaction(
        lambda: marks.ensure_contact(shop.ctx, customer_id=ben, email="ana@shop.test", email_key="ana@shop.test")
    )
    assert (await shop.row("ana@shop.test"))["customer"] == ben


@pytest.mark.parametrize("status", ["merged", "erased"])
async def test_a_customer_who_is_no_more_loses_the_contact(shop: Shop, status: str) -> None:
    ana = await shop.add_customer()
    ben = await shop.add_customer("ben@shop.test")
    await shop.push()
    await DB.fetch(
        "update customer set status = $2, merged_into = case when $2 = 'merged' then $3::uuid end where id = $1",
        ana, status, ben,
    )  # fmt: skip
    await shop.mark(ana)
    await shop.push()

    contact = shop.mailchimp.contact("ana@shop.test")
    assert (contact.status, contact.merge_fields["POINTS"], contact.merge_fields["STATE"]) == ("archived", "", "closed")
    assert (await shop.row("ana@shop.test"))["state"] == "closed"


async def test_without_an_audience_marks_are_kept_and_no_job_is_made(database_url: str, shop: Shop) -> None:
    await DB.fetch("delete from pgqueuer")
    settings = type(shop.tools.settings)(database_url=database_url, audience="none")
    quiet = type(shop.ctx)(tools=type(shop.tools)(
        settings=settings, clock=shop.clock, tokens=shop.tools.tokens, passwords=shop.tools.passwords
    ), now=NOW)  # fmt: skip
    ana = await shop.add_customer(marked=False)
    await shop.in_transaction(
        lambda: marks.ensure_contact(quiet, customer_id=ana, email="ana@shop.test", email_key="ana@shop.test")
    )

    assert (await shop.row("ana@shop.test"))["is_dirty"]
    assert await DB.fetch("select 1 from pgqueuer") == []


async def test_all_changes_of_a_second_share_one_wake_up_and_roll_back_with_their_cause(shop: Shop) -> None:
    ana = await shop.add_customer()
    await DB.fetch("delete from pgqueuer")

    async def mark_and_fail() -> None:
        await marks.mark_customers(shop.ctx, [ana])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await shop.in_transaction(mark_and_fail)
    assert await DB.fetch("select 1 from pgqueuer") == []

    began_at = int(time.time())
    for _ in range(20):
        await shop.mark(ana)
    seconds = int(time.time()) - began_at + 1

    jobs = await DB.fetch("select dedupe_key, execute_after - created <= interval '1 second' as soon from pgqueuer")
    assert 1 <= len(jobs) <= seconds
    assert all(job["soon"] for job in jobs)
