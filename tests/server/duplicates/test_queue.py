"""The duplicate queue: what comes into it, what staff see, what is remembered."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from server.db.engine import DB
from server.db.ids import new_id
from server.desk.queue_store import count_duplicates
from shared.enums import Role
from tests.app import World, expect
from tests.server.duplicates.people import add, compare, open_pairs
from tests.server.duplicates.records import Known

ANN = Known(given="Ann", family="Bright", emails=("ann.bright@example.com",), phones=("07700 900123",))
ANN_AGAIN = Known(given="Annie", family="Bright", emails=("ann.brigth@example.com",), phones=("07700 900123",))
BEN = Known(given="Ben", family="Bright", emails=("ann.bright@example.com",), phones=("07700 900123",))
ROBERT = Known(given="Robert", family="Okonkwo-Hale", born=(1970, 5, 6))
BOB = Known(given="Bob", family="Okonkwo Hale", born=(1970, 5, 6), phones=("07700 900456",))


async def _list(world: World, query: str = "", role: Role = Role.MANAGER) -> dict[str, Any]:
    headers = await world.staff_headers(role)
    return expect(await world.client.get(f"/v1/staff/duplicates{query}", headers=headers), 200)


async def test_staff_see_who_may_be_one_person_with_the_reasons_and_what_tells_the_two_apart(world: World) -> None:
    ann, again, ben = [await add(world.ctx, each) for each in (ANN, ANN_AGAIN, BEN)]
    robert, bob = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    await compare(world)

    page = await _list(world)

    assert [{item["one"]["id"], item["other"]["id"]} for item in page["items"]] == [
        {str(ann), str(again)},
        {str(robert), str(bob)},
    ]
    first, second = page["items"]
    assert [reason["text"] for reason in first["reasons"]] == [
        "The same phone number.",
        "One given name is a form of the other.",
        "The email addresses are alike, as those of people of alike names are.",
        "The same family name.",
    ]
    assert first["score"] == sum(reason["points"] for reason in first["reasons"])
    assert first["score"] >= second["score"]
    assert {first["one"]["email_masked"], first["other"]["email_masked"]} == {"a…@example.com"}
    assert second["one"]["birthday"] == "6 May 1970"
    assert {second["one"]["phone_ending"], second["other"]["phone_ending"]} == {None, "0456"}
    assert first["survivor_id"] == str(ann)
    assert str(ben) not in str(page)
    # Page by page it is the same list, and each of the two leads to the pair.
    turned = await _list(world, "?limit=1")
    assert turned["items"] == [first]
    assert (await _list(world, f"?limit=1&cursor={turned['next_cursor']}"))["items"] == [second]
    assert (await _list(world, f"?customer_id={again}"))["items"] == [first]
    assert (await _list(world, f"?customer_id={ben}"))["items"] == []


async def test_a_dismissed_pair_does_not_come_back_until_staff_take_that_back(world: World) -> None:
    robert, bob = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    await compare(world)
    (found,) = (await _list(world))["items"]
    manager = await world.staff_headers(Role.MANAGER)
    path = f"/v1/staff/duplicates/{found['id']}"

    dismissed = expect(await world.client.post(f"{path}/dismiss", headers=manager, json={"note": " cousins "}), 200)
    assert (dismissed["state"], dismissed["note"], dismissed["decided_by"]) == ("dismissed", "cousins", "Sam Till")
    again = expect(await world.client.post(f"{path}/dismiss", headers=manager, json={"note": "no"}), 200)
    assert again["note"] == "cousins", "the first word stands"

    # Even better evidence brings nothing back.
    await DB.fetch("update customer set given_name = 'Robert' where id = $1", bob)
    await compare(world)
    await DB.fetch("insert into duplicate_mark (id, customer, marked_at) values ($1, null, now())", new_id())
    await compare(world)
    assert (await _list(world))["items"] == []
    assert [item["id"] for item in (await _list(world, "?state=dismissed"))["items"]] == [found["id"]]

    reopened = expect(await world.client.post(f"{path}/undo", headers=manager), 200)
    assert (reopened["state"], reopened["note"], reopened["decided_by"]) == ("open", "", None)
    await compare(world)
    (back,) = (await _list(world))["items"]
    assert back["score"] > found["score"], "what changed meanwhile counts"
    rows = await DB.fetch("select action, customer_id from audit_entry where action like 'duplicate.%' order by id")
    assert [row["action"] for row in rows] == ["duplicate.dismissed"] * 2 + ["duplicate.reopened"] * 2
    assert {row["customer_id"] for row in rows} == {robert, bob}


async def test_only_those_who_merge_decide_and_pairs_of_nobody_are_not_found(world: World) -> None:
    await add(world.ctx, ROBERT)
    await add(world.ctx, BOB)
    await compare(world)
    (found,) = (await _list(world, role=Role.AUDITOR))["items"]
    for role, status in ((Role.AUDITOR, 403), (Role.CASHIER, 403)):
        headers = await world.staff_headers(role)
        for act in ("dismiss", "undo"):
            path = f"/v1/staff/duplicates/{found['id']}/{act}"
            answer = await world.client.post(path, headers=headers, json={} if act == "dismiss" else None)
            assert answer.status_code == status
    manager = await world.staff_headers(Role.MANAGER)
    answer = await world.client.post(f"/v1/staff/duplicates/{new_id()}/dismiss", headers=manager, json={})
    assert answer.status_code == 404
    for query in ("state=lost", "customer_id=7", "cursor=!", "limit=0"):
        answer = await world.client.get(f"/v1/staff/duplicates?{query}", headers=manager)
        assert answer.status_code == 400, query
    assert len(await open_pairs()) == 1


async def test_a_merge_closes_the_pair_at_once_and_an_undone_one_is_remembered_as_two_people(world: World) -> None:
    robert, bob = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    third = await add(world.ctx, Known(given="Rob", family="Okonkwo-Hale", born=(1970, 5, 6)))
    await compare(world)
    assert len(await open_pairs()) == 3
    manager = await world.staff_headers(Role.MANAGER)
    form = {"survivor_id": str(robert), "absorbed_id": str(bob), "reason": "the same passport"}
    preview = expect(await world.client.post("/v1/staff/merges/preview", headers=manager, json=form), 200)
    merged = expect(
        await world.client.post(
            "/v1/staff/merges",
            headers=manager | {"Idempotency-Key": "merge-the-two-of-them"},
            json=form | {"preview_hash": preview["preview_hash"]},
        ),
        201,
    )
    assert merged["state"] == "done"

    both = {str(robert), str(third)}
    assert [{item["one"]["id"], item["other"]["id"]} for item in (await _list(world))["items"]] == [both]
    assert await count_duplicates() == 1, "what waits at the desk is what the list shows"
    # Comparing everybody remembers it as well as comparing those who changed.
    await DB.fetch("insert into duplicate_mark (id, customer, marked_at) values ($1, null, now())", new_id())
    await compare(world)
    assert await open_pairs() == {frozenset((robert, third))}
    (closed,) = (await _list(world, "?state=merged"))["items"]
    assert closed["decided_by"] == "Sam Till"
    answer = await world.client.post(f"/v1/staff/duplicates/{closed['id']}/dismiss", headers=manager, json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "REQUEST_CLOSED")

    world.advance(timedelta(minutes=1))
    path = f"/v1/staff/merges/{merged['id']}/undo"
    preview = expect(await world.client.post(f"{path}/preview", headers=manager, json={"reason": "two people"}), 200)
    form = {"reason": "two people", "preview_hash": preview["preview_hash"]}
    headers = manager | {"Idempotency-Key": "take-the-merge-back"}
    expect(await world.client.post(path, headers=headers, json=form), 200)
    await compare(world)

    (kept,) = (await _list(world, "?state=dismissed"))["items"]
    assert (kept["id"], kept["note"]) == (closed["id"], "The merge of the two was taken back.")
    assert await open_pairs() == {frozenset((robert, third)), frozenset((bob, third))}


async def test_whoever_changes_is_compared_anew_and_nobody_else(world: World) -> None:
    robert, bob = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    others = [await add(world.ctx, Known(given="Zoe", family=f"Lin{letter}")) for letter in "abc"]
    await compare(world)
    before = {
        row["customer"]: row["made_at"] for row in await DB.fetch("select customer, made_at from duplicate_profile")
    }
    assert before.keys() == {robert, bob, *others}

    # Somebody else by the same day: the pair goes, and comes again with the change back.
    world.advance(timedelta(minutes=5))
    await DB.fetch("update customer set given_name = 'Chidi', birth_year = 1999 where id = $1", bob)
    await compare(world)
    assert await open_pairs() == set()
    rows = await DB.fetch("select customer from duplicate_profile where made_at = $1", world.clock.now())
    assert [row["customer"] for row in rows] == [bob]
    await DB.fetch("update customer set given_name = 'Bob', birth_year = 1970 where id = $1", bob)
    await compare(world)
    assert await open_pairs() == {frozenset((robert, bob))}

    # A change that says nothing about who somebody is makes no work.
    await DB.fetch("update customer set notes = 'likes tea', locale = 'de' where id = $1", bob)
    assert await DB.fetch("select 1 from duplicate_mark") == []


async def test_an_erased_customer_leaves_no_key_and_no_pair(world: World) -> None:
    robert, bob = await add(world.ctx, ROBERT), await add(world.ctx, BOB)
    await compare(world)
    await DB.fetch("update customer set status = 'erased', given_name = '', family_name = '' where id = $1", bob)
    assert (await _list(world))["items"] == [], "at once"
    await compare(world)
    assert [row["customer"] for row in await DB.fetch("select customer from duplicate_profile")] == [robert]
    assert await DB.fetch("select 1 from duplicate_candidate") == []


async def test_people_who_share_a_membership_are_two_people(world: World) -> None:
    one = await world.sign_up("kim.lee@shop.test", given_name="Kim", family_name="Lee")
    other = await add(world.ctx, Known(given="Kim", family="Lee", emails=("kim.lee+2@shop.test",)))
    await compare(world)
    assert await open_pairs() == {frozenset((one.customer_id, other))}
    sql = """
    insert into membership_person (id, membership, customer, programme, role, joined_at, eligible_from)
    select $1, membership, $2, programme, 'sharer', joined_at, eligible_from from membership_person where membership = $3
    """
    await DB.fetch(sql, new_id(), other, one.membership_id)
    await compare(world)
    assert await open_pairs() == set()


async def test_a_rebuild_finds_what_changes_found_and_a_broken_off_one_begins_again(world: World) -> None:
    ids = [await add(world.ctx, each) for each in (ANN, ANN_AGAIN, BEN, ROBERT, BOB)]
    await compare(world)
    found = await open_pairs()
    assert len(found) == 2
    # A pair found under other rules goes, what is missing comes.
    await DB.fetch("delete from duplicate_candidate where one = any($1)", ids[:2])
    await DB.fetch("delete from duplicate_profile")
    wrong = sorted((ids[2], ids[3]))
    sql = """
    insert into duplicate_candidate (id, one, other, score, signs, state, found_at, note)
    values ($1, $2, $3, 99, '{}', 'open', now(), '')
    """
    await DB.fetch(sql, new_id(), *wrong)
    mark: UUID = new_id()
    await DB.fetch("insert into duplicate_mark (id, customer, marked_at) values ($1, null, now())", mark)
    await compare(world)
    assert await open_pairs() == found
