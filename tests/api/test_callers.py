"""Who may do what: exactly what the tables say, and nothing else."""

from collections.abc import Iterator

import pytest

from server.db.engine import DB
from server.db.ids import new_id
from shared.endpoints import ENDPOINTS, Caller, Endpoint
from shared.enums import Permission, Role, Scope
from shared.permissions import PERMISSIONS
from tests.api.conformity import check_problem
from tests.api.mutations import some_of
from tests.api.shop import Shop

GUARDED = [row for row in ENDPOINTS if row.caller is not Caller.ANYONE]
STAFF = [row for row in ENDPOINTS if row.caller is Caller.STAFF]
KEYS = [row for row in ENDPOINTS if row.caller is Caller.KEY]
READING = {
    Permission.CUSTOMER_SEARCH,
    Permission.CUSTOMER_READ,
    Permission.AUDIENCE_READ,
    Permission.AUDIT_READ,
    Permission.PROGRAMME_READ,
    Permission.ADJUSTMENT_READ,
    Permission.REPORT_READ,
}


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_do_exactly_what_it_holds(shop: Shop, role: Role) -> None:
    # What it may not do first, as that changes nothing; its session goes last.
    before = await shop.snapshot()
    for is_allowed in (False, True):
        for row in STAFF:
            if (row.permission in PERMISSIONS[role]) is not is_allowed or row.operation == "end_staff_session":
                continue
            answer = await shop.send(row, add=shop.staff[role])
            refused = answer.status_code == 403 and answer.json()["detail"] == f"The role '{role}' may not do this."
            assert refused is not is_allowed, row.operation
        assert is_allowed or await shop.snapshot() == before
    assert (await shop.send("end_staff_session", headers=shop.staff[role])).status_code == 204
    assert (await shop.send("get_staff_session", headers=shop.staff[role])).status_code == 401


def test_nothing_that_changes_rides_on_a_permission_to_read() -> None:
    for row in STAFF:
        assert row.permission is not None, row.operation
        assert (row.method == "GET") or row.permission not in READING, row.operation


def test_whoever_reads_everything_changes_nothing() -> None:
    changing = {row.permission for row in STAFF if row.method != "GET"} - {Permission.OWN_SESSION}
    assert not changing & PERMISSIONS[Role.AUDITOR]


async def test_what_a_role_lacks_is_refused_before_its_body_is_read(shop: Shop) -> None:
    answer = await shop.send("change_email", add=shop.staff[Role.CASHIER], content=b"{")
    assert check_problem(answer).code == "NOT_PERMITTED"


def foreign(shop: Shop, caller: Caller, *, turn: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield headers that must not let anybody in."""
    everybody = {
        Caller.MEMBER: shop.ana.headers,
        Caller.STAFF: shop.staff[Role.ADMIN],
        Caller.KEY: shop.key,
    }
    yield from ((f"a credential of a {kind}", headers) for kind, headers in everybody.items() if kind is not caller)
    token = everybody[caller]["Authorization"].removeprefix("Bearer ")
    yield "none", {}
    yield "a refresh token", {"Authorization": f"Bearer {shop.ana.tokens['refresh_token']}"}
    malformed = (
        "", "Bearer", "Bearer ", f"Basic {token}", f"Token {token}", token, f"Bearer {token[:-1]}", f"Bearer {token}x",
        f"Bearer {token} {token}", f"Bearer {token.swapcase()}", "Bearer " + "x" * 5000, "Bearer \xff\xfe", "Bearer '; --",
        "Bearer null", f"Bearer {new_id()}",
    )  # fmt: skip
    for words in some_of(malformed, 4, turn=turn):
        yield words[:40], {"Authorization": words}


async def test_nobody_gets_in_without_the_right_credential(shop: Shop) -> None:
    before = await shop.snapshot()
    for turn, row in enumerate(GUARDED):
        key = {"Idempotency-Key": f"test-{new_id()}"} if row.idempotent else {}
        for name, headers in foreign(shop, row.caller, turn=turn):
            encoded = {n: v.encode("latin-1") for n, v in (key | headers).items()}
            answer = await shop.send(row, headers=encoded)  # type: ignore[arg-type]
            assert check_problem(answer).code == "NOT_SIGNED_IN", f"{row.operation} with {name}"
    assert await shop.snapshot() == before


async def test_a_token_in_the_address_is_no_credential(shop: Shop) -> None:
    token = shop.ana.tokens["access_token"]
    for name in ("access_token", "token", "authorization"):
        assert (await shop.send("get_me", headers={}, params={name: token})).status_code == 401
    assert (await shop.send("get_me", headers={"Cookie": f"access_token={token}"})).status_code == 401


async def test_the_word_bearer_may_be_written_in_any_case(shop: Shop) -> None:
    token = shop.ana.tokens["access_token"]
    assert (await shop.send("get_me", headers={"Authorization": f"bEARER {token}"})).status_code == 200


async def test_disabled_staff_are_out_at_once(shop: Shop) -> None:
    await DB.fetch("update staff_member set status = 'disabled'")
    before = await shop.snapshot()
    for row in STAFF:
        assert (await shop.send(row)).status_code == 401, row.operation
    assert await shop.snapshot() == before


async def test_a_changed_role_holds_at_once(shop: Shop) -> None:
    assert (await shop.send("list_audit")).status_code == 200
    await DB.fetch("update staff_member set role = 'cashier' where id = $1", shop.staff_ids[Role.MANAGER])
    assert (await shop.send("list_audit")).status_code == 403


async def test_a_staff_session_ends_by_age_and_by_rest(shop: Shop) -> None:
    shop.later(minutes=59)
    assert (await shop.send("get_staff_session")).status_code == 200
    shop.later(minutes=59)
    assert (await shop.send("get_staff_session")).status_code == 200
    shop.later(minutes=61)
    assert (await shop.send("get_staff_session")).status_code == 401


async def test_a_members_token_ends_with_its_time_and_with_the_account(shop: Shop) -> None:
    members = [row for row in ENDPOINTS if row.caller is Caller.MEMBER]
    await DB.fetch("update customer set status = 'blocked' where id = $1", shop.ben.customer_id)
    for row in members:
        assert (await shop.send(row, add=shop.ben.headers)).status_code == 401, row.operation
    shop.later(minutes=16)
    for row in members:
        assert (await shop.send(row)).status_code == 401, row.operation


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row.operation)
async def test_a_key_does_only_what_its_scopes_say(shop: Shop, row: Endpoint) -> None:
    others = await shop.add_key([scope for scope in Scope if scope is not row.scope])
    before = await shop.snapshot()
    answer = await shop.send(row, add=others, **body_of(shop, row))
    assert check_problem(answer).code == "NOT_PERMITTED"
    assert await shop.snapshot() == before
    right = await shop.add_key([row.scope])  # type: ignore[list-item]
    assert (await shop.send(row, add=right, **body_of(shop, row))).is_success


async def test_a_revoked_or_expired_key_is_out_at_once(shop: Shop) -> None:
    now = shop.world.clock.now()
    keys = [await shop.add_key(list(Scope), **{column: now}) for column in ("revoked_at", "expires_at")]
    before = await shop.snapshot()
    for row in KEYS:
        for key in keys:
            assert (await shop.send(row, add=key, **body_of(shop, row))).status_code == 401, row.operation
    assert await shop.snapshot() == before


async def test_a_key_works_for_its_own_stores_only(shop: Shop) -> None:
    key = await shop.world.pos_key(connection="other", stores=["side-street"])
    before = await shop.snapshot()
    answer = await shop.send("push_order", add=key, json=shop.order("elsewhere"))
    assert check_problem(answer).code == "NOT_PERMITTED"
    assert await shop.snapshot() == before


def body_of(shop: Shop, row: Endpoint) -> dict[str, object]:
    """Return what a till sends."""
    bodies: dict[str, object] = {
        "push_order": shop.order(f"sale-{new_id()}"),
        "quote_redemption": shop.quote(),
        "text_presence_code": {"card_number": shop.ana.card_number, "store": "high-street"},
        "open_hold": shop.hold(f"sale-{new_id()}") | {"points": 100},
    }
    if row.operation in bodies:
        return {"json": bodies[row.operation]}
    if row.request is not None or row.method == "POST":
        return {}
    return {"params": {"card": shop.ana.card_number}}


MINE = [row for row in ENDPOINTS if row.caller is Caller.MEMBER and "{" in row.path]


async def test_what_is_another_persons_does_not_exist(shop: Shop) -> None:
    before = await shop.snapshot()
    ids = {"membership_id": shop.ben.membership_id, "session_id": shop.ben.tokens["session_id"]}
    for row in MINE:
        theirs = check_problem(await shop.send(row, path=shop.path(row, **ids)))
        nobodys = check_problem(await shop.send(row, path=shop.path(row, **dict.fromkeys(ids, new_id()))))
        assert theirs.code == "NOT_FOUND", row.operation
        assert (theirs.code, theirs.detail, theirs.data) == (nobodys.code, nobodys.detail, nobodys.data), row.operation
    assert await shop.snapshot() == before


async def test_members_see_nothing_of_one_another(shop: Shop) -> None:
    hidden = (str(shop.ana.customer_id), str(shop.ana.membership_id), shop.ana.card_number, "ana@shop.test")
    for row in ENDPOINTS:
        if row.caller is Caller.MEMBER and row.method == "GET" and "{" not in row.path:
            answer = await shop.send(row, headers=shop.ben.headers)
            assert answer.is_success, row.operation
            assert not any(text in answer.text for text in hidden), row.operation
