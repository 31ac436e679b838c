"""What surrounds every operation: methods, hosts, ids, parameters, headers, and trouble inside."""

import re
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from server.cursors import encode_cursor
from server.db.engine import DB
from server.db.ids import new_id
from shared.endpoints import ENDPOINTS
from shared.enums import Role
from tests.api.conformity import SECURITY_HEADERS, check_problem
from tests.api.mutations import some_of
from tests.api.shop import Shop
from tests.app import START_AT, World, expect, open_world, problem

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "BREW")


async def test_methods_that_the_table_lacks_are_refused_and_change_nothing(shop: Shop) -> None:
    before = await shop.snapshot()
    for row in {row.path: row for row in ENDPOINTS}.values():
        path = shop.path(row)
        allowed = {other.method for other in ENDPOINTS if other.path == row.path}
        for method in set(METHODS) - allowed:
            answer = await shop.client.request(method, path, headers=shop.headers(row))
            assert answer.status_code == 405, f"{method} {path}"
            assert set(answer.headers["allow"].split(", ")) == allowed | {"OPTIONS"}, path
    assert await shop.snapshot() == before


async def test_options_tells_the_methods_and_allows_no_other_origin(shop: Shop) -> None:
    before = await shop.snapshot()
    origin = {"Origin": "https://evil.test", "Access-Control-Request-Method": "GET"}
    for row in ENDPOINTS:
        answer = await shop.client.options(shop.path(row), headers=origin)
        assert answer.status_code == 204
        assert row.method in answer.headers["allow"].split(", ")
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert await shop.snapshot() == before


UNKNOWN_PATHS = (
    "/", "/v1", "/v1/", "/v2/me", "/V1/ME", "/v1/me;x=1", "/v1/me.json", "/v1/me%00", "/v1/me%E2%80%AE", "/.env", "/.git/config",
    "/admin", "/openapi.json", "/schema/swagger", "/schema/openapi.yaml", "/schema/..%2F..%2Fetc%2Fpasswd",
    "/pages/..%2F..%2Fsettings.py", "/pages/..%5C..%5Csettings.py", "/pages/links.html", "/pages/", "/links/nonsense", "/links/",
    "/%ff%fe", "/" + "a" * 8000, "/v1/me/memberships/entries", "/health", "/favicon.ico",
)  # fmt: skip


async def test_an_unknown_address_is_not_found(shop: Shop) -> None:
    for path in UNKNOWN_PATHS:
        answer = await shop.client.get(path, headers=shop.ana.headers)
        assert check_problem(answer).code == "NOT_FOUND", path


async def test_another_spelling_of_an_address_is_no_way_around_its_guard(shop: Shop) -> None:
    for path in ("/v1/staff%2Faudit", "/v1/staff/audit/", "/v1//staff/audit", "/v1/me%2F..%2Fstaff%2Faudit"):
        answer = await shop.client.get(path, headers=shop.ana.headers)
        assert answer.status_code in (401, 404), answer.text


IDS = sorted({name for row in ENDPOINTS for name in re.findall(r"\{(\w+_id)\}", row.path)})
WITH_IDS = [row for row in ENDPOINTS if "_id}" in row.path]
WRONG_IDS = (
    "1", "0", "-1", "x", "null", "undefined", "%00", "%ff", "'", "%27%20or%201=1", "..%2F..", "*", "a" * 36, "a" * 5000,
    "00000000-0000-0000-0000-00000000000g", "00000000-0000-0000-0000-0000000000000", "\u0660" * 32, "{id}", "%20", "1e5", "NaN",
)  # fmt: skip


async def test_what_is_no_id_is_not_found(shop: Shop) -> None:
    before = await shop.snapshot()
    for turn, row in enumerate(WITH_IDS):
        for wrong in some_of(WRONG_IDS, 5, turn=turn):
            path = shop.path(row, **dict.fromkeys(IDS, wrong))
            answer = await shop.send(row, path=path)
            assert answer.status_code == 404, f"{path}: {answer.text}"
    assert await shop.snapshot() == before


async def test_an_id_of_nobody_is_not_found(shop: Shop) -> None:
    before = await shop.snapshot()
    for row in WITH_IDS:
        path = shop.path(row, **dict.fromkeys(IDS, new_id()))
        assert check_problem(await shop.send(row, path=path)).code == "NOT_FOUND"
    assert await shop.snapshot() == before


WITH_QUERY = [row for row in ENDPOINTS if row.query]
PAGES = [row for row in ENDPOINTS if "cursor" in row.query]


async def test_a_parameter_given_twice_or_with_control_characters_is_refused_by_name(shop: Shop) -> None:
    before = await shop.snapshot()
    for row in WITH_QUERY:
        for name in row.query:
            twice = await shop.send(row, params=[(name, "5"), (name, "5")])
            assert problem(twice) == (400, "INVALID_REQUEST", [name])
            for character in ("\x00", "\x1b", "\x7f", "\u202e", "\u2028"):
                answer = await shop.send(row, params={name: f"a{character}b"})
                assert problem(answer) == (400, "INVALID_REQUEST", [name])
    assert await shop.snapshot() == before


async def test_no_query_is_too_much(shop: Shop) -> None:
    for row in WITH_QUERY:
        queries = [
            f"?{name}={value}"
            for name in row.query
            for value in ("%ff", "%", "%zz", "+", "%F0%9F%98%80", "'", "x" * 3000, "=&=")
        ]
        for query in (*queries, "?", "?&&&", "?=", "?a[b]=1", "?" + "&".join(f"p{i}=1" for i in range(300))):
            answer = await shop.send(row, path=shop.path(row) + query)
            assert answer.status_code in (200, 400, 404), f"{query}: {answer.text}"


WRONG_LIMITS = (
    "0", "-1", "201", "", "x", "1.0", "1e2", "+5", " 5", "\u0665", "0x10", "0002000", "9" * 400, "true",
)  # fmt: skip


async def test_a_limit_is_a_number_in_range(shop: Shop) -> None:
    for row in PAGES:
        for limit in ("1", "200", "0050"):
            expect(await shop.send(row, params=shop.question(row) | {"limit": limit}), 200)
        for limit in WRONG_LIMITS:
            assert problem(await shop.send(row, params=shop.question(row) | {"limit": limit})) == (
                400,
                "INVALID_REQUEST",
                ["limit"],
            ), limit


async def test_a_cursor_is_one_of_ours(shop: Shop) -> None:
    for row in PAGES:
        good = encode_cursor(START_AT + timedelta(days=1), new_id())
        expect(await shop.send(row, params=shop.question(row) | {"cursor": good}), 200)
        for cursor in ("x", "=", "null", good[:-1], good + "x", good * 2, "\u00e9", "W10", "eyJhIjoxfQ", "a" * 5000):
            assert problem(await shop.send(row, params=shop.question(row) | {"cursor": cursor})) == (
                400,
                "INVALID_REQUEST",
                ["cursor"],
            ), cursor


# The lists in which three sales leave three lines.
FILLED = {"list_my_entries", "list_my_orders", "list_customer_entries", "list_customer_orders", "list_audit"}


async def test_pages_of_one_tell_the_same_as_one_page(shop: Shop) -> None:
    for i in range(3):
        expect(await shop.send("push_order", json=shop.order(f"page-{i}")), 201)
        shop.later(seconds=1)
    for row in PAGES:
        whole = expect(await shop.send(row, params=shop.question(row) | {"limit": "200"}), 200)
        assert whole["next_cursor"] is None
        seen, cursor = [], ""
        while cursor is not None:
            page = expect(await shop.send(row, params=shop.question(row) | {"limit": "1", "cursor": cursor}), 200)
            assert len(page["items"]) == min(1, len(whole["items"]))
            seen += page["items"]
            cursor = page["next_cursor"]
        assert seen == whole["items"]
        assert len(seen) >= 3 or row.operation not in FILLED


async def test_our_own_host_names_are_served(world: World) -> None:
    for host in ("localhost", "LOCALHOST", "localhost:8700", "127.0.0.1", "127.0.0.1:8700", "rewards.test"):
        assert (await world.client.get("/health/live", headers={"Host": host})).status_code == 200


FOREIGN_HOSTS = (
    "evil.test", "localhost.evil.test", "evil.test:8700", "localhost@evil.test", "", "[::1]", "[::1", "127.0.0.1.evil.test",
    "rewards.test.", "xn--rewards.test", "localhost,evil.test", "\xff\xfe",
)  # fmt: skip


async def test_other_host_names_are_refused(shop: Shop) -> None:
    before = await shop.snapshot()
    shop.client.event_hooks["response"].clear()
    for host in FOREIGN_HOSTS:
        for path in ("/health/live", "/v1/me", "/nowhere"):
            headers = shop.ana.headers | {"Host": host.encode("latin-1")}
            answer = await shop.client.get(path, headers=headers)  # type: ignore[arg-type]
            assert check_problem(answer).detail == "This host name is not served here.", host
            assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
    assert await shop.snapshot() == before


async def test_a_forwarded_host_reaches_no_mail(world: World) -> None:
    headers = {
        "X-Forwarded-Host": "evil.test",
        "Forwarded": "host=evil.test",
        "Origin": "https://evil.test",
        "Referer": "https://evil.test/",
    }
    form = {"email": "ana@shop.test", "password": "wandering-teapot-71-gulls", "given_name": "Ana"}
    assert (await world.client.post("/v1/signup", json=form, headers=headers)).status_code == 202
    mail = await world.mail_to("ana@shop.test", purpose="signup")
    assert mail.link.startswith("https://rewards.test/")
    assert "evil.test" not in mail.message.as_string()


async def test_headers_of_every_kind_of_answer(shop: Shop) -> None:
    # Each answer of the shop is checked as it arrives; this walks through the good ones.
    for row in ENDPOINTS:
        if row.method == "GET" and shop.has_all_of(row):
            answer = await shop.send(row, params=shop.question(row))
            assert answer.is_success, f"{row.operation}: {answer.text}"


async def test_too_many_tries_say_when_to_come_again(shop: Shop) -> None:
    form = {"email": "ana@shop.test", "password": "wrong-wrong-wrong"}
    answers = [await shop.send("sign_in", json=form) for _ in range(15)]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 1


async def test_trouble_inside_is_told_without_a_word_about_it(shop: Shop) -> None:
    shop.client.event_hooks["response"].clear()
    # The table of programmes is gone: what reads it fails in the middle of its work.
    await DB.fetch("alter table programme rename to programme_gone")
    answer = await shop.client.get("/v1/staff/programmes", headers=shop.staff[Role.ADMIN])
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body == {
        "type": "urn:regulars:problem:internal",
        "title": "Something went wrong on our side. Nothing was changed.",
        "status": 500,
        "code": "INTERNAL",
        "instance": f"urn:regulars:request:{answer.headers['x-request-id']}",
    }


async def test_a_database_without_a_free_connection_says_come_again(database_url: str, data_dir: Path) -> None:
    async with open_world(database_url, data_dir, database_pool_size=5, database_wait_seconds=0.05) as world:
        async with AsyncExitStack() as held:
            for _ in range(5):
                await held.enter_async_context(DB.connection())
            answer = await world.client.get("/health/ready")
        assert check_problem(answer).code == "BUSY"
        assert (await world.client.get("/health/ready")).status_code == 200
