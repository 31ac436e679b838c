"""An order that comes again posts the difference only, and the same end is reached whatever way it came."""

import itertools
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.db.engine import DB
from server.ledger import movements
from server.ledger.lapsing import expire_lapsed
from server.ledger.movements import Origin
from server.orders.rules import KnownOrder, decide_fate
from shared.enums import OrderState
from shared.programmes import Expiry
from tests.app import SignedUp, World, expect, problem
from tests.ledgers import assert_verified, figures, locked
from tests.tills import add_rules, push, sale


def changed(body: dict[str, Any], revision: int, **fields: object) -> dict[str, Any]:
    return body | {"revision": revision} | fields


def lines(*money: int) -> list[dict[str, Any]]:
    return [{"line_id": str(number), "net_minor": minor} for number, minor in enumerate(money, 1)]


async def entries() -> list[tuple[str, int]]:
    rows = await DB.fetch("select kind, points from ledger_entry order by posted_at, id")
    return [(row["kind"], row["points"]) for row in rows]


async def spend(world: World, member: SignedUp, points: int) -> None:
    async with locked(member.membership_id) as membership:
        await movements.spend(world.ctx, membership, points, Origin(source_key=f"test:{points}"))


async def test_a_line_added_posts_only_its_points(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    first = expect(await push(world, key, body), 201)
    result = expect(await push(world, key, changed(body, 1, lines=lines(1000, 300))), 201)
    assert (result["order_id"], result["points"], result["revision"]) == (first["order_id"], 13, 1)
    assert await entries() == [("EARN", 10), ("CORRECTION", 3)]
    assert await figures(member.membership_id) == (13, 13, 0, 0)
    await assert_verified(world)


async def test_a_line_changed_and_one_removed_take_back_only_the_difference(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000, 500, 200))
    expect(await push(world, key, body), 201)
    result = expect(await push(world, key, changed(body, 1, lines=lines(700, 500))), 201)
    assert [(line["line_id"], line["points"]) for line in result["lines"]] == [("1", 7), ("2", 5)]
    assert await entries() == [("EARN", 17), ("CORRECTION", -5)]
    assert await figures(member.membership_id) == (12, 12, 0, 0)
    await assert_verified(world)


async def test_up_and_down_again_ends_where_it_began(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    for revision, money in enumerate((2500, 0, 400, 1000), 1):
        expect(await push(world, key, changed(body, revision, lines=lines(money))), 201)
        await assert_verified(world)
    assert await figures(member.membership_id) == (10, 10, 0, 0)


async def test_a_revision_that_arrives_late_or_twice_changes_nothing(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    newest = expect(await push(world, key, changed(body, 2, lines=lines(3000))), 201)
    for late in (body, changed(body, 1, lines=lines(2000)), changed(body, 2, lines=lines(3000))):
        assert expect(await push(world, key, late), 201) == newest
    assert await entries() == [("EARN", 10), ("CORRECTION", 20)]


async def test_other_content_without_a_higher_revision_stays_a_conflict(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000), revision=3)
    expect(await push(world, key, body), 201)
    assert problem(await push(world, key, body | {"lines": lines(2000)})) == (409, "ORDER_CONFLICT", [])
    assert await entries() == [("EARN", 10)]


async def test_a_change_counts_by_the_rules_of_the_sales_own_time(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    world.advance(timedelta(days=2))
    await add_rules(world, points=5, per_minor=100)
    expect(await push(world, key, changed(body, 1, lines=lines(1200))), 201)
    assert await entries() == [("EARN", 10), ("CORRECTION", 2)]


async def test_points_that_were_spent_become_a_deficit_when_the_order_shrinks(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    await spend(world, member, 9)
    expect(await push(world, key, changed(body, 1, lines=lines(400))), 201)
    assert await figures(member.membership_id) == (-5, 0, 0, 5)
    expect(await push(world, key, changed(body, 2, lines=lines(1100))), 201)
    assert await figures(member.membership_id) == (2, 2, 0, 0)
    await assert_verified(world)


async def test_points_that_lapsed_are_not_taken_twice_and_are_listed(world: World) -> None:
    await add_rules(world, points=1, per_minor=100, expiry=Expiry(kind="days", days=30))
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    world.advance(timedelta(days=40))
    await expire_lapsed(world.ctx)
    expect(await push(world, key, changed(body, 1, lines=lines(400))), 201)
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    assert await DB.fetch_value("select sum(points) from exemption") == 6
    expect(await push(world, key, body | {"state": "voided"}), 201)
    assert await DB.fetch_value("select sum(points) from exemption") == 10
    await assert_verified(world)


async def test_what_was_spent_is_written_off_where_the_programme_says_so(world: World) -> None:
    await DB.fetch("update programme set clawback_policy = 'available_only', version = version + 1")
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    await spend(world, member, 7)
    expect(await push(world, key, body | {"state": "voided"}), 201)
    assert await entries() == [("EARN", 10), ("REDEEM", -7), ("CLAWBACK", -10), ("ADJUST", 7)]
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_a_void_takes_everything_back_once(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    expect(await push(world, key, changed(body, 1, lines=lines(1500))), 201)
    void = expect(await push(world, key, body | {"state": "voided"}), 201)
    assert (void["points"], void["skipped_reason"], void["state"]) == (0, "voided", "voided")
    assert expect(await push(world, key, body | {"state": "voided"}), 201) == void
    assert expect(await push(world, key, body), 201) == void
    assert problem(await push(world, key, changed(body, 9, lines=lines(100))))[1] == "ORDER_CONFLICT"
    assert await figures(member.membership_id) == (0, 0, 0, 0)
    # The newest points are taken back first, each with its own entry.
    assert await entries() == [("EARN", 10), ("CORRECTION", 5), ("CLAWBACK", -5), ("CLAWBACK", -10)]
    await assert_verified(world)


async def test_a_void_that_overtakes_its_sale_leaves_nothing_to_earn(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body | {"state": "voided"}), 201)
    assert expect(await push(world, key, body), 201)["points"] == 0
    assert await entries() == []
    await assert_verified(world)


async def test_an_open_sale_earns_when_it_is_completed_and_not_before(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, lines=lines(500))
    opened = expect(await push(world, key, body | {"state": "open"}), 201)
    assert (opened["points"], opened["skipped_reason"], opened["state"]) == (0, "open", "open")
    with_card = body | {"customer": {"card_number": member.card_number}, "lines": lines(500, 700)}
    expect(await push(world, key, with_card | {"state": "open"}), 201)
    assert await entries() == []
    completed = expect(await push(world, key, with_card), 201)
    assert (completed["points"], completed["skipped_reason"], completed["state"]) == (12, None, "completed")
    # A cart that was on its way for long.
    assert expect(await push(world, key, body | {"state": "open"}), 201) == completed
    assert await entries() == [("EARN", 12)]
    await assert_verified(world)


async def test_a_changed_order_with_another_card_moves_its_points(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    key = await world.pos_key()
    body = sale(world, card=ana.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    moved = changed(body, 1, customer={"card_number": ben.card_number}, lines=lines(1100))
    expect(await push(world, key, moved), 201)
    assert await figures(ana.membership_id) == (0, 0, 0, 0)
    assert await figures(ben.membership_id) == (11, 11, 0, 0)
    assert await DB.fetch_value("select count(*) from assignment") == 1
    expect(await push(world, key, changed(body, 2, customer=None)), 201)
    assert await figures(ben.membership_id) == (0, 0, 0, 0)
    await assert_verified(world)


async def test_a_change_under_a_card_replaced_since_keeps_its_owner(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, key, body), 201)
    await DB.fetch("update card set status = 'blocked'")
    expect(await push(world, key, changed(body, 1, lines=lines(1300))), 201)
    assert await figures(member.membership_id) == (13, 13, 0, 0)


async def test_every_change_is_audited_in_the_name_of_the_till(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    body = sale(world, card=member.card_number)
    expect(await push(world, key, body | {"state": "open"}), 201)
    expect(await push(world, key, body), 201)
    expect(await push(world, key, changed(body, 1, lines=lines(1))), 201)
    expect(await push(world, key, body | {"state": "voided"}), 201)
    rows = await DB.fetch("select action from audit_entry where actor_kind = 'key' order by id")
    assert [row["action"] for row in rows] == ["order.posted", "order.completed", "order.changed", "order.voided"]


SENDINGS = st.builds(
    KnownOrder,
    state=st.sampled_from(OrderState),
    revision=st.integers(0, 3),
    content_hash=st.sampled_from((b"a", b"b")),
)


@given(st.lists(SENDINGS, min_size=2, max_size=6))
def test_an_order_never_goes_back_whatever_arrives(sendings: list[KnownOrder]) -> None:
    rank = list(OrderState).index
    known = sendings[0]
    for sent in sendings[1:]:
        fate = decide_fate(known, sent)
        if fate in ("replaced", "voided"):
            assert rank(sent.state) >= rank(known.state)
            assert sent.revision >= known.revision or fate == "voided"
            known = sent
        # Whatever was taken is taken once.
        assert fate == "refused" or decide_fate(known, sent) == "stands"


async def test_revisions_in_any_order_end_alike(world: World) -> None:
    member = await world.sign_up()
    key = await world.pos_key()
    for count, order in enumerate(itertools.permutations(range(3)), 1):
        body = sale(world, card=member.card_number)
        versions = [changed(body, revision, lines=lines(100 * (revision + 1))) for revision in range(3)]
        for number in order:
            expect(await push(world, key, versions[number]), 201)
        assert await figures(member.membership_id) == (3 * count, 3 * count, 0, 0), order
    await assert_verified(world)


async def test_a_change_to_somebody_we_do_not_know_takes_the_points_from_whom_it_counted_for(world: World) -> None:
    ana, ben = await world.sign_up("ana@shop.test"), await world.sign_up("ben@shop.test")
    await DB.fetch("update customer set status = 'blocked' where id = $1", ben.customer_id)
    key = await world.pos_key()
    named: tuple[dict[str, str], ...] = (
        {"pos_customer_id": "77"}, {"card_number": ben.card_number}, {"email": "cy@shop.test"},
    )  # fmt: skip
    for customer in named:
        body = sale(world, card=ana.card_number, lines=lines(1000))
        expect(await push(world, key, body), 201)
        result = expect(await push(world, key, changed(body, 1, customer=customer)), 201)
        assert (result["points"], result["skipped_reason"]) == (0, "customer_unknown")
        assert await figures(ana.membership_id) == (0, 0, 0, 0)
        known_by = "select pos_customer_id from orders where external_id = $1"
        assert await DB.fetch_value(known_by, body["external_id"]) == customer.get("pos_customer_id")
        # Whoever is linked to the record of that id later did not buy what is nobody's by now.
        expect(await push(world, key, changed(body, 2, customer=None)), 201)
        assert await DB.fetch_value(known_by, body["external_id"]) is None
    await assert_verified(world)


async def test_a_key_changes_and_voids_orders_of_its_own_stores_only(world: World) -> None:
    member = await world.sign_up()
    body = sale(world, card=member.card_number, lines=lines(1000))
    expect(await push(world, await world.pos_key(), body), 201)
    other = await world.pos_key(stores=("market",))
    for fields in ({"revision": 1}, {"state": "voided"}):
        assert problem(await push(world, other, body | {"store": "market"} | fields))[:2] == (403, "NOT_PERMITTED")
    assert await figures(member.membership_id) == (10, 10, 0, 0)
