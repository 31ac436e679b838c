"""A member's email change with a reissued rewards account (DESIGN 6, reissue): the same points, lot by lot, and the way back."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.db.engine import DB
from server.db.ids import new_id
from server.ledger.store import insert_debt
from server.ledger.verification import verify
from server.tokens import voucher_code
from tests.app import START_AT, World, expect, problem
from tests.server.email_changes.builders import (
    NEW,
    OLD,
    add_sharer,
    add_voucher,
    change,
    dump,
    give_points,
    home_of,
    not_me,
    request,
    snapshot,
    without_ids,
)


async def scan(world: World, card: str, headers: dict[str, str]) -> int:
    """Return the status of a till's look-up of a card."""
    answer = await world.client.get("/v1/pos/lookup", params={"card": card}, headers=headers)
    return answer.status_code


async def test_the_new_balance_equals_the_old_one_in_lots_of_the_same_dates(world: World) -> None:
    member = await world.sign_up(OLD)
    total = await give_points(world, member)
    before = await snapshot(member.customer_id)
    await change(world, member, mode="reissue")
    after = await snapshot(member.customer_id)
    assert without_ids(after) == without_ids(before)
    assert after["home"] != before["home"]
    assert sum(lot[0] for lot in after["lots"]) == total  # type: ignore[attr-defined]


async def test_a_reissue_writes_only_transfer_pairs_of_equal_size(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    known = {row["id"] for row in await DB.fetch("select id from ledger_entry")}
    await change(world, member, mode="reissue")
    rows = await DB.fetch("select id, kind, points, related_entry, membership from ledger_entry")
    new = {row["id"]: row for row in rows if row["id"] not in known}
    outs = {key: row for key, row in new.items() if row["kind"] == "TRANSFER_OUT"}
    ins = {key: row for key, row in new.items() if row["kind"] == "TRANSFER_IN"}
    assert len(outs) == len(ins) == 4
    assert len(new) == 8
    for row in ins.values():
        assert outs[row["related_entry"]]["points"] == -row["points"]
    assert {row["membership"] for row in outs.values()} == {member.membership_id}


async def test_the_old_membership_is_closed_as_reissued_and_names_its_successor(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await change(world, member, mode="reissue")
    row = await DB.fetch_row(
        "select status, successor, balance, available from membership where id = $1", member.membership_id
    )
    assert row is not None
    assert tuple(row) == ("reissued", await home_of(member.customer_id), 0, 0)


async def test_the_old_card_stops_scanning_and_names_its_successor_to_staff(world: World) -> None:
    member = await world.sign_up(OLD)
    till = await world.pos_key()
    assert await scan(world, member.card_number, till) == 200
    done = await change(world, member, mode="reissue")
    assert done["card_number"] != member.card_number
    assert await scan(world, member.card_number, till) == 404
    assert await scan(world, done["card_number"], till) == 200
    manager = await world.staff_headers("manager")
    detail = expect(await world.client.get(f"/v1/staff/customers/{member.customer_id}", headers=manager), 200)
    cards = {card["code"]: (card["status"], card["successor_code"]) for card in detail["cards"]}
    assert cards == {member.card_number: ("replaced", done["card_number"]), done["card_number"]: ("active", None)}


async def test_unspent_vouchers_are_issued_again_at_equal_value_and_spent_ones_are_not(world: World) -> None:
    member = await world.sign_up(OLD)
    old = {await add_voucher(member, value_minor=500), await add_voucher(member, value_minor=1250)}
    held, redeemed = await add_voucher(member, status="held"), await add_voucher(member, status="redeemed")
    await change(world, member, mode="reissue")
    rows = {row["id"]: row for row in await DB.fetch("select * from voucher")}
    assert {rows[one]["status"] for one in old} == {"void"}
    assert (rows[held]["status"], rows[redeemed]["status"]) == ("held", "redeemed")
    new = [row for row in rows.values() if row["status"] == "issued"]
    assert sorted(row["value_minor"] for row in new) == [500, 1250]
    assert {row["id"] for row in new} == {rows[one]["replaced_by"] for one in old}
    assert {row["membership"] for row in new} == {await home_of(member.customer_id)}
    # While the mail waits, nothing in the database is a code; they are made when it leaves.
    waiting = str(await DB.fetch_value("select string_agg(parameters::text, '') from message"))
    (mail,) = [mail for mail in await world.mails_to(NEW) if mail.subject == "Your vouchers have new codes"]
    codes = [voucher_code(world.tools.tokens, row["id"]) for row in new]
    assert all(code in mail.text and code not in waiting for code in codes)
    for row in new:
        assert row["code_last4"] in mail.text
    assert await DB.fetch_value("select count(*) from message where parameters::text like '%codes%'") == 0


async def test_the_members_list_shows_the_new_account_and_its_entries(world: World) -> None:
    member = await world.sign_up(OLD)
    total = await give_points(world, member)
    await change(world, member, mode="reissue")
    tokens = expect(await world.sign_in(NEW), 201)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    (shown,) = expect(await world.client.get("/v1/me/memberships", headers=headers), 200)["items"]
    assert shown["balance"]["available"] + shown["balance"]["pending"] == total
    page = expect(await world.client.get(f"/v1/me/memberships/{shown['id']}/entries", headers=headers), 200)
    assert {entry["reason"] for entry in page["items"]} == {"Rewards account reissued"}


async def test_in_a_shared_membership_only_this_persons_card_and_sign_in_are_reissued(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await add_voucher(member)
    sharer = await add_sharer(world, member)
    others = await add_voucher(sharer)
    before, sharers = await snapshot(member.customer_id), await snapshot(sharer.customer_id)
    entries = await DB.fetch_value("select count(*) from ledger_entry")
    done = await change(world, member, mode="reissue")
    after = await snapshot(member.customer_id)
    assert after["home"] == before["home"]
    assert without_ids(after) == without_ids(before)
    assert after["cards"] == [done["card_number"]] != before["cards"]
    assert await snapshot(sharer.customer_id) == sharers
    assert await DB.fetch_value("select count(*) from ledger_entry") == entries
    assert await DB.fetch_value("select status from voucher where id = $1", others) == "issued"
    expect(await world.client.get("/v1/me", headers=sharer.headers), 200)


async def test_a_deficit_goes_along(world: World) -> None:
    member = await world.sign_up(OLD)
    async with DB.transaction():
        await insert_debt(
            new_id(), member.membership_id, 40, source_key="clawback", related_entry_id=None, reason_code="",
            now=world.clock.now(), actor=world.ctx.actor,
        )  # fmt: skip
    before = await snapshot(member.customer_id)
    await change(world, member, mode="reissue")
    after = await snapshot(member.customer_id)
    assert without_ids(after) == without_ids(before)
    assert await DB.fetch_value("select deficit from membership where id = $1", after["home"]) == 40
    expect(await not_me(world), 200)
    assert await snapshot(member.customer_id) == before


async def test_marketing_consent_starts_afresh_and_a_no_stays_a_no(world: World) -> None:
    yes = await world.sign_up(OLD, consents={"email": True, "sms": False})
    no = await world.sign_up("ben@shop.test")
    await world.client.put("/v1/me/consents", json={"email": False, "sms": False}, headers=no.headers)
    await change(world, yes, NEW, "reissue")
    await change(world, no, "ben.new@shop.test", "reissue")
    answers = {}
    for address in (NEW, "ben.new@shop.test"):
        tokens = expect(await world.sign_in(address), 201)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        answers[address] = expect(await world.client.get("/v1/me/consents", headers=headers), 200)["email"]["state"]
    assert answers == {NEW: "not_asked", "ben.new@shop.test": "opted_out"}
    (mail,) = [mail for mail in await world.mails_to(NEW) if mail.subject == "Your rewards account was reissued"]
    assert "switch them on" in mail.text


async def test_the_audience_gets_the_new_contact_and_retires_the_old_one(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member, mode="reissue")
    rows = await DB.fetch("select email, state from audience_contact order by email")
    assert sorted(map(tuple, rows)) == [(NEW, "live"), (OLD, "closing")]
    expect(await not_me(world), 200)
    rows = await DB.fetch("select email, state from audience_contact order by email")
    assert sorted(map(tuple, rows)) == [(NEW, "closing"), (OLD, "live")]


async def test_not_me_restores_address_card_membership_balance_and_vouchers(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await add_voucher(member)
    till = await world.pos_key()
    before = await snapshot(member.customer_id)
    done = await change(world, member, mode="reissue")
    undone = expect(await not_me(world), 200)
    assert undone["card_number"] == member.card_number
    assert await snapshot(member.customer_id) == before
    assert await scan(world, member.card_number, till) == 200
    assert await scan(world, done["card_number"], till) == 404
    new_card = await DB.fetch_row(
        "select n.status, o.code from card n join card o on o.id = n.replaced_by where n.code = $1", done["card_number"]
    )
    assert new_card is not None
    assert tuple(new_card) == ("replaced", member.card_number)
    assert await DB.fetch_value("select count(*) from voucher where status = 'issued'") == 1
    assert "Your vouchers have new codes" in [mail.subject for mail in await world.mails_to(OLD)]
    expect(await world.sign_in(OLD), 201)


async def test_points_earned_since_come_back_too(world: World) -> None:
    member = await world.sign_up(OLD)
    first = await give_points(world, member)
    await change(world, member, mode="reissue")
    later = await give_points(world, member, [(60, 0, 30), (5, 0, None)])
    reissued = await snapshot(member.customer_id)
    expect(await not_me(world), 200)
    after = await snapshot(member.customer_id)
    assert without_ids(after) == without_ids(reissued)
    assert after["home"] == member.membership_id
    assert sum(lot[0] for lot in after["lots"]) == first + later  # type: ignore[attr-defined]


async def test_a_reissued_account_that_is_shared_since_is_not_taken_back_by_a_link(world: World) -> None:
    member = await world.sign_up(OLD)
    await change(world, member, mode="reissue")
    await add_sharer(world, member)
    before = await snapshot(member.customer_id)
    assert problem(await not_me(world))[:2] == (409, "UNDO_NOT_LAST")
    assert await snapshot(member.customer_id) == before


async def test_there_and_back_twice_is_where_it_began(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    before = await snapshot(member.customer_id)
    for _ in range(2):
        world.advance(timedelta(minutes=1))
        tokens = expect(await world.sign_in(OLD), 201)
        body = {"new_email": NEW, "mode": "reissue", "password": member.password}
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        expect(await world.client.post("/v1/me/email-changes", json=body, headers=headers), 202)
        mail = await world.mail_to(NEW, purpose="email-change")
        expect(await world.client.post("/v1/email-changes/confirm", json={"token": mail.token}), 200)
        expect(await not_me(world), 200)
    assert await snapshot(member.customer_id) == before


@pytest.mark.parametrize(
    ("table", "event"),
    [
        ("contact_point", "insert"),
        ("membership", "insert"),
        ("card", "update"),
        ("lot", "insert"),
        ("voucher", "update"),
        ("member_session", "update"),
        ("audience_contact", "update"),
        ("email_change", "update"),
        ("audit_entry", "insert"),
        ("message", "insert"),
        ("pgqueuer", "insert"),
    ],
)
async def test_a_failure_at_any_step_leaves_everything_as_it_was(world: World, table: str, event: str) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await add_voucher(member)
    expect(await request(world, member, mode="reissue"), 202)
    mail = await world.mail_to(NEW, purpose="email-change")
    before = await dump(world)
    await DB.fetch("create function fail_now() returns trigger language plpgsql as $$ begin raise 'injected'; end $$")
    await DB.fetch(f"create trigger fail_now before {event} on {table} for each row execute function fail_now()")
    answer = await world.client.post("/v1/email-changes/confirm", json={"token": mail.token})
    assert answer.status_code == 500
    await DB.fetch(f"drop trigger fail_now on {table}")
    assert await dump(world) == before
    expect(await world.client.post("/v1/email-changes/confirm", json={"token": mail.token}), 200)


_lots = st.lists(
    st.tuples(
        st.integers(1, 10_000), st.integers(-30, 30), st.one_of(st.none(), st.integers(31, 60), st.integers(-1, 0))
    ),
    max_size=6,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lots=_lots, later=_lots)
async def test_whatever_the_lots_their_multiset_is_kept_there_and_back(
    world: World, lots: list[tuple[int, int, int | None]], later: list[tuple[int, int, int | None]]
) -> None:
    lots, later = _sound(lots), _sound(later)
    world.clock.set(START_AT)
    name = new_id().hex
    member = await world.sign_up(f"{name}@shop.test")
    await give_points(world, member, lots)
    before = await snapshot(member.customer_id)
    await change(world, member, f"{name}.new@shop.test", "reissue")
    assert without_ids(await snapshot(member.customer_id)) == without_ids(before)
    await give_points(world, member, later)
    grown = await snapshot(member.customer_id)
    expect(await not_me(world, f"{name}@shop.test"), 200)
    after = await snapshot(member.customer_id)
    assert without_ids(after) == without_ids(grown)
    assert (after["home"], after["cards"]) == (before["home"], before["cards"])
    await DB.fetch("delete from throttle_counter")


def _sound(lots: list[tuple[int, int, int | None]]) -> list[tuple[int, int, int | None]]:
    # A lot lapses after it became available.
    return [(points, start, end if end is None or end > start else None) for points, start, end in lots]


async def test_the_verification_finds_every_row_right_after_each_step(world: World) -> None:
    member = await world.sign_up(OLD)
    await give_points(world, member)
    await change(world, member, mode="reissue")
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []
    await give_points(world, member, [(60, 0, 30)])
    expect(await not_me(world), 200)
    assert [outcome async for outcome in verify(world.clock.now()) if not outcome.is_right] == []
