"""The customer search: the kind of text decides the index; every branch uses its own and is limited."""

import re
from uuid import UUID

import msgspec
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from server.desk import search_store
from server.desk.rules import CardQuery, DigitsQuery, EmailQuery, NameQuery, TooShort, read_query
from shared.enums import Role
from shared.staff import SearchResult
from tests.app import START_AT, World, expect, problem
from tests.server.email_changes.builders import give_points


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("Ana@Shop.TEST", EmailQuery(prefix="ana@shop.test")),
        ("ana@", EmailQuery(prefix="ana@")),
        ("ana@sh", EmailQuery(prefix="ana@sh")),
        ("07911 12", DigitsQuery(card="0791112", phone_prefix="+44791112", phone_reversed="2111970")),
        ("+1 (202) 5", DigitsQuery(card="12025", phone_prefix="+12025", phone_reversed="52021")),
        ("0044 7911", DigitsQuery(card="00447911", phone_prefix="+447911", phone_reversed="11974400")),
        ("123", DigitsQuery(card="123", phone_prefix="+44123", phone_reversed="")),
        (
            "2912345678901.12345678",
            DigitsQuery(card="2912345678901", phone_prefix="+442912345678901", phone_reversed="1098765432192"),
        ),
        ("M0000005.12345678", CardQuery(card="M0000005", name_prefix="m0000005")),
        ("M0000005", CardQuery(card="M0000005", name_prefix="m0000005")),
        ("  Scörpio, Bén ", NameQuery(prefix="scorpio ben")),
        ("O'Brien", NameQuery(prefix="obrien")),
    ],
)
def test_the_kind_of_text_decides_how_it_is_read(text: str, reading: object) -> None:
    assert read_query(text, "GB") == reading


@pytest.mark.parametrize("text", ["", " ", "a", "12", "@", "@shop.test", "%", "__", "'"])
def test_too_little_text_gets_a_hint_and_no_search(text: str) -> None:
    assert isinstance(read_query(text, "GB"), TooShort)


async def add(world: World, given: str, family: str = "", **contacts: str) -> UUID:
    headers = await world.staff_headers(Role.CASHIER) | {"Idempotency-Key": new_id().hex}
    contacts = contacts or {"phone": f"07911 {100000 + await DB.fetch_value('select count(*) from customer'):06}"}  # type: ignore[operator]
    form = {"given_name": given, "family_name": family, **contacts}
    answer = await world.client.post("/v1/staff/customers", json=form, headers=headers)
    return UUID(expect(answer, 201)["id"])


async def search(world: World, text: str) -> SearchResult:
    headers = await world.staff_headers(Role.CASHIER)
    answer = await world.client.get("/v1/staff/customers", params={"q": text}, headers=headers)
    return msgspec.convert(expect(answer, 200), SearchResult, strict=False)


async def found(world: World, text: str) -> list[UUID]:
    return [hit.id for hit in (await search(world, text)).items]


async def test_a_name_is_found_by_the_beginning_of_any_word_in_any_order(world: World) -> None:
    ben = await add(world, "Ben", "Scorpio Lima")
    await add(world, "Ann", "Bright")
    for text in ("sco", "ben", "lima", "ben scorpio", "Scorpio Lima, Ben", "lima ben", "SCÓRPIO"):
        assert await found(world, text) == [ben], text
    assert await found(world, "corpio") == []


async def test_an_address_is_found_by_its_beginning_and_marked_when_exact(world: World) -> None:
    one = await add(world, "Ana", email="ana@shop.test")
    other = await add(world, "Anabel", email="ana@shop.testing.example")
    hits = (await search(world, "ana@shop.test")).items
    assert [(hit.id, hit.exact) for hit in hits] == [(one, True), (other, False)]


async def test_a_phone_is_found_by_its_beginning_and_by_its_last_four_digits(world: World) -> None:
    one = await add(world, "Ana", phone="07911 123456")
    await add(world, "Ben", phone="07911 128888")
    for text in ("07911 123456", "+44 7911 123456", "00447911123456", "07911 123", "3456"):
        assert await found(world, text) == [one], text
    assert await found(world, "456") == []
    (hit,) = (await search(world, "07911123456")).items
    assert (hit.exact, hit.phone_ending) == (True, "3456")


async def test_a_card_is_found_by_its_whole_number_and_a_replaced_one_names_its_successor(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    (hit,) = (await search(world, f" {member.card_number} ")).items
    assert (hit.id, hit.exact, hit.card_ending) == (member.customer_id, True, member.card_number[-4:])
    assert await found(world, member.card_number[:-1]) == []
    successor = "29000000000001"
    await DB.fetch(
        "insert into card (id, code, membership, customer, issued_at) values ($1, $2, $3, $4, $5)",
        new_id(), successor, member.membership_id, member.customer_id, START_AT,
    )  # fmt: skip
    await DB.fetch(
        "update card set status = 'replaced', replaced_by = (select id from card where code = $2) where code = $1",
        member.card_number, successor,
    )  # fmt: skip
    result = await search(world, member.card_number)
    assert result.hint == f"This card was replaced by {successor}."
    assert [hit.id for hit in result.items] == [member.customer_id]


async def test_a_name_with_digits_is_found_when_no_card_is(world: World) -> None:
    studio = await add(world, "Studio54")
    result = await search(world, "studio5")
    assert (result.read_as, [hit.id for hit in result.items]) == ("name", [studio])


async def test_contact_data_is_masked(world: World) -> None:
    await add(world, "Ana", "Flores", email="ana.flores@shop.test", phone="07911 123456")
    headers = await world.staff_headers(Role.CASHIER)
    answer = await world.client.get("/v1/staff/customers", params={"q": "ana"}, headers=headers)
    assert "ana.flores@shop.test" not in answer.text
    assert "911123456" not in answer.text
    assert answer.json()["items"][0]["email_masked"] == "a…@shop.test"


@pytest.mark.parametrize(
    "text", ["an%", "a_a", "an\\", "%%%", "an'--", "an*", "[bold]an", "a{0}", "\U0010ffff\U0010ffff"]
)
async def test_characters_with_a_meaning_elsewhere_have_none_here(world: World, text: str) -> None:
    await add(world, "Ben", "Scorpio")
    assert await found(world, text) == []


async def test_control_characters_and_endless_texts_are_refused(world: World) -> None:
    headers = await world.staff_headers(Role.CASHIER)
    for text in ("an\x00a", "an\x1b[2J", "x" * 255):
        answer = await world.client.get("/v1/staff/customers", params={"q": text}, headers=headers)
        status, code, fields = problem(answer)
        assert (status, code, list(fields)) == (400, "INVALID_REQUEST", ["q"])


async def test_fifty_rows_at_most_and_more_says_there_are_others(world: World) -> None:
    await _fill(120, "Twin")
    result = await search(world, "twin")
    assert (len(result.items), result.more) == (50, True)
    await DB.fetch("update customer set status = 'blocked'")
    await DB.fetch("delete from customer_name_key where customer not in (select id from customer order by id limit 50)")
    result = await search(world, "twin")
    assert (len(result.items), result.more) == (50, False)


async def test_merged_and_erased_customers_are_not_found_and_old_typos_lead_nowhere(world: World) -> None:
    survivor = await add(world, "Ana", email="ana@shop.test")
    merged = await add(world, "Anna", email="anna@shop.test")
    await DB.fetch("update customer set status = 'merged', merged_into = $2 where id = $1", merged, survivor)
    assert await found(world, "ann") == []
    await DB.fetch(
        "update contact_point set status = 'retired', is_primary = false, retired_at = now(), retired_reason = 'correction' "
        "where customer = $1",
        survivor,
    )
    assert await found(world, "ana@shop.test") == []
    await DB.fetch("update contact_point set retired_reason = 'email_change' where customer = $1", survivor)
    (hit,) = (await search(world, "ana@shop.test")).items
    assert (hit.id, hit.exact) == (survivor, False), "a former address finds its person, but is not theirs now"


async def test_a_hit_shows_points_that_can_be_spent_now_and_the_last_purchase(world: World) -> None:
    member = await world.sign_up("ana@shop.test")
    await give_points(world, member)
    (hit,) = (await search(world, "ana")).items
    assert hit.available == 120 + 120 + 75
    assert hit.last_order_on is None


async def test_nobody_without_the_permission_searches(world: World) -> None:
    for role in (Role.MARKETING, Role.ADMIN):
        headers = await world.staff_headers(role)
        answer = await world.client.get("/v1/staff/customers", params={"q": "ana"}, headers=headers)
        assert problem(answer)[:2] == (403, "NOT_PERMITTED")
    assert (await world.client.get("/v1/staff/customers", params={"q": "ana"})).status_code == 401


async def _fill(count: int, given: str) -> None:
    """Add customers with two rotations of a name, an address, a phone and a card each."""
    await DB.run_script(
        f"""
        create table made as select gen_random_uuid() as id, n from generate_series(1, {count}) n;
        insert into customer (id, given_name, family_name, enrolled_source, created_at, updated_at)
            select id, '{given}' || n, 'Maker' || n % 997, 'import', now(), now() from made;
        insert into customer_name_key (id, customer, key)
            select gen_random_uuid(), id, lower('{given}' || n || ' Maker' || n % 997) from made
            union all select gen_random_uuid(), id, lower('Maker' || n % 997 || ' {given}' || n) from made;
        insert into contact_point (id, customer, kind, value, key, created_at)
            select gen_random_uuid(), id, 'email', key, key, now()
            from (select id, 'c' || n || '@shop' || n % 50 || '.test' as key from made) e
            union all select gen_random_uuid(), id, 'phone', key, key, now()
            from (select id, '+4479' || lpad(n::text, 8, '0') as key from made) p;
        insert into card (id, code, customer, membership, status, issued_at)
            select gen_random_uuid(), '29' || lpad(n::text, 12, '0'), id, null, 'issued', now() from made;
        drop table made;
        """
    )


_PLANS = {
    "name": (search_store._NAME, ("now", "maker1", "maker1\U0010ffff"), {"customer_name_key_prefix"}),
    "email": (search_store._EMAIL, ("now", "c1", "c1\U0010ffff"), {"contact_point_key_prefix"}),
    "digits": (
        search_store._DIGITS,
        ("now", "29000000001234", "+4479", "+4479\U0010ffff", "1234", "1234\U0010ffff"),
        {"card_code_key", "contact_point_key_prefix", "contact_point_phone_suffix"},
    ),
    "card": (search_store._CARD, ("now", "29000000001234"), {"card_code_key"}),
}


@pytest.mark.timeout(300)
async def test_every_branch_uses_its_index_among_forty_thousand_customers(world: World) -> None:
    await _fill(40_000, "Given")
    await DB.fetch("analyze")
    for name, (sql, arguments, indexes) in _PLANS.items():
        values = [START_AT if argument == "now" else argument for argument in arguments]
        for mode in ("force_custom_plan", "force_generic_plan"):
            async with DB.transaction():
                await DB.fetch(f"set local plan_cache_mode = {mode}")
                rows = await DB.fetch(f"explain (analyze, buffers off) {sql}", *values)
            plan = "\n".join(row[0] for row in rows)
            assert indexes <= set(re.findall(r"using (\w+)", plan)), f"{name}, {mode}:\n{plan}"
            assert "Seq Scan on customer" not in plan, f"{name}, {mode}:\n{plan}"
            assert "Seq Scan on contact_point" not in plan, f"{name}, {mode}:\n{plan}"
