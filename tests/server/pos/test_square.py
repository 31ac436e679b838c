"""The connector to Square says what Square understands, and understands what Square says."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from server.pos.protocol import NewRecord, PosRefused, PosUnavailable, Unreadable
from server.pos.square import Square
from server.pos.square_reading import is_signed, read_customer, read_order
from tests.standins.square import TOKEN, SquareStandIn, line, sign

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
STORES = {"L1": "high-street"}
# From the tests of Square's own SDK (MIT).
HOOK = {
    "address": "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9",
    "key": "Ibxx_5AKakO-3qeNVR61Dw",
    "body": b'{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":'
    b'"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks",'
    b'"id":"bc368e64-01aa-407e-b46e-3231809b1129"}}',
    "signature": "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=",
}
BRACKETS = {
    "address": "https://webhook.site/webhooks",
    "key": "signature-key",
    "body": b'{"data":{"type":"webhooks","id":">id<"}}',
    "signature": "Cxt7+aTi4rKgcA0bC4g9EHdVtLSDWdqccmL5MvihU4U=",
}


@pytest.fixture
def standin() -> Iterator[SquareStandIn]:
    with SquareStandIn() as standin:
        yield standin


@pytest.fixture
async def square(standin: SquareStandIn) -> AsyncIterator[Square]:
    async with Square(token=TOKEN, base_url=standin.url, stores=STORES) as square:
        yield square


@pytest.mark.parametrize(
    ("fields", "good"),
    [
        (HOOK, True),
        (BRACKETS, True),
        (HOOK | {"address": "https://webhook.site/79a4f3a-dcfa-49ee-bac5-9d0edad886b9"}, False),
        (HOOK | {"key": "MCmhFRxGX82xMwg5FsaoQA"}, False),
        (HOOK | {"body": HOOK["body"].replace(b"MLEFB", b"MLEGB")}, False),  # type: ignore[attr-defined]
        (HOOK | {"signature": ""}, False),
        (HOOK | {"signature": "é"}, False),
    ],
)
def test_a_webhook_is_believed_by_its_signature_alone(fields: dict[str, object], good: bool) -> None:
    assert is_signed(**fields) is good  # type: ignore[arg-type]


async def test_customers_are_found_by_address_and_searched_by_parts(standin: SquareStandIn, square: Square) -> None:
    standin.state.put_customer(
        "C1", at=NOW, given_name="Ana", email_address="Ana@Shop.test", phone_number="+442079460018"
    )
    standin.state.put_customer("C2", at=NOW, given_name="Ben", email_address="ben@shop.test")
    (ana,) = await square.find_by_email("ana@shop.test")
    assert (ana.external_id, ana.given_name, ana.email, ana.changed_at) == ("C1", "Ana", "Ana@Shop.test", NOW)
    assert [one.external_id for one in await square.search("@shop")] == ["C1", "C2"]
    assert [one.external_id for one in await square.search("460018")] == ["C1"]
    assert await square.search("Ana") == ()


async def test_everything_that_changed_comes_page_by_page(standin: SquareStandIn, square: Square) -> None:
    standin.state.page_size = 2
    for number in range(5):
        at = NOW + timedelta(minutes=number)
        standin.state.put_customer(f"C{number}", at=at, given_name="Ana")
        standin.state.put_order(f"O{number}", at=at, state="COMPLETED", line_items=[line("1", 1000)])
    standin.state.put_order("elsewhere", at=NOW, state="COMPLETED", location_id="L9", line_items=[line("1", 1000)])
    since = NOW + timedelta(minutes=1)
    customers = [item.external_id async for page in square.customers_since(since) for item in page.items]
    orders = [item.external_id async for page in square.orders_since(since) for item in page.items]
    assert customers == ["C1", "C2", "C3", "C4"]
    assert orders == ["O1", "O2", "O3", "O4"]
    everything = [item.external_id async for page in square.orders_since(None) for item in page.items]
    assert everything[0] == "O0"


async def test_pages_that_do_not_move_end(standin: SquareStandIn, square: Square) -> None:
    standin.state.is_stuck = True
    standin.state.put_order("O1", at=NOW, state="COMPLETED", line_items=[line("1", 1000)])
    with pytest.raises(PosRefused, match="same cursor"):
        async for _ in square.orders_since(None):
            pass
    assert len(standin.state.log) == 2
    standin.state.is_stuck, standin.state.is_endless = False, True
    async with Square(token=TOKEN, base_url=standin.url, stores=STORES, pages_max=5) as careful:
        with pytest.raises(PosUnavailable, match="more than 5 pages"):
            async for _ in careful.customers_since(None):
                pass
    assert len(standin.state.log) == 7


async def test_trouble_is_waited_out_or_told_and_never_quotes_what_was_sent(
    standin: SquareStandIn, square: Square
) -> None:
    standin.state.put_customer("C1", at=NOW, email_address="ana@shop.test")
    standin.state.failures.extend([429, 429])
    assert len(await square.find_by_email("ana@shop.test")) == 1
    standin.state.failures.append(500)
    with pytest.raises(PosUnavailable, match="HTTP 500"):
        await square.find_by_email("ana@shop.test")
    with pytest.raises(PosRefused) as refused:
        await square.create(
            NewRecord(reference="x" * 101, given_name="A", family_name="", email="a@shop.test", phone=None)
        )
    assert "VALUE_TOO_LONG reference_id" in str(refused.value)
    assert "a@shop.test" not in str(refused.value)
    async with Square(token="wrong", base_url=standin.url, stores=STORES) as other:
        with pytest.raises(PosRefused, match="401 UNAUTHORIZED"):
            await other.find_by_email("ana@shop.test")
    async with Square(token=TOKEN, base_url="http://127.0.0.1:9", stores=STORES) as nobody:
        with pytest.raises(PosUnavailable):
            await nobody.find_by_email("ana@shop.test")


async def test_a_customer_is_made_once_even_before_square_finds_them(standin: SquareStandIn, square: Square) -> None:
    standin.state.hides_new = True
    wish = NewRecord(reference="our-id-1", given_name="Ana", family_name="Flores", email="ana@shop.test", phone=None)
    first, second = await square.create(wish), await square.create(wish)
    assert first == second
    standin.state.hidden.clear()
    assert await square.create(wish) == first
    assert [one["reference_id"] for one in standin.state.customers.values()] == ["our-id-1"]
    await square.write_email(first.external_id, "new@shop.test")
    await square.write_email(first.external_id, "NEW@shop.test")
    assert standin.state.customers[first.external_id]["version"] == 1
    # An id is an id, whatever it looks like in an address.
    for external_id in (f"{first.external_id}?", f"x/../{first.external_id}"):
        with pytest.raises(PosRefused):
            await square.write_email(external_id, "evil@shop.test")
    assert standin.state.customers[first.external_id]["email_address"] == "new@shop.test"
    with pytest.raises(PosRefused):
        await square.merge("C1", "C2")


def _order(**fields: object) -> bytes:
    order = {
        "id": "O1", "location_id": "L1", "state": "COMPLETED", "version": 4, "created_at": "2026-03-02T09:00:00Z",
        "updated_at": "2026-03-02T09:10:00Z", "closed_at": "2026-03-02T09:05:00Z", "customer_id": "C1",
        "line_items": [
            line("a", 1200, tax=200, quantity="2", variation_name="Large"),
            line("b", 500, quantity="0.00001"),
            line("c", 5000, item_type="GIFT_CARD"),
        ],
    }  # fmt: skip
    return json.dumps(order | fields).encode()


def test_an_order_is_read_as_the_sale_it_is() -> None:
    sale = read_order(_order(), STORES).sale
    assert sale is not None
    assert (sale.external_id, sale.store, sale.revision, sale.state) == ("O1", "high-street", 4, "completed")
    assert sale.completed_at == datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
    assert sale.customer is not None
    assert sale.customer.pos_customer_id == "C1"
    coffee, pinch, gift = sale.lines
    assert (coffee.line_id, coffee.net_minor, coffee.tax_minor, coffee.description) == (
        "a",
        1000,
        200,
        "Coffee - Large",
    )
    assert (pinch.quantity, gift.stored_value) == (Decimal("0.001"), True)
    of_tender = read_order(_order(customer_id=None, tenders=[{"customer_id": "C7"}]), STORES).sale
    assert of_tender is not None
    assert of_tender.customer is not None
    assert of_tender.customer.pos_customer_id == "C7"
    open_sale, void = (read_order(_order(state=state), STORES).sale for state in ("OPEN", "CANCELED"))
    assert open_sale is not None
    assert void is not None
    assert (open_sale.state, void.state) == ("open", "voided")
    assert read_order(_order(state="DRAFT"), STORES).sale is None


def test_returns_are_read_with_the_sale_they_belong_to() -> None:
    back = {
        "source_order_id": "O0",
        "return_line_items": [
            {"quantity": "1", "source_line_item_uid": "a", "total_money": {"amount": 600, "currency": "GBP"}},
            {"quantity": "1", "source_line_item_uid": "a", "total_money": {"amount": 600, "currency": "GBP"}},
        ],
    }
    read = read_order(_order(line_items=[], returns=[back]), STORES)
    assert read.sale is None
    (refund,) = read.refunds
    assert (refund.external_id, refund.original_order) == ("O1:0", "O0")
    assert [(one.line_id, one.quantity) for one in refund.lines] == [("a", Decimal(2))]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (_order(location_id="L9"), "unknown_location"),
        (_order(line_items=[{"quantity": "1"}]), "no_currency"),
        (_order(line_items=[line("a", 1, quantity="many")]), "not_as_described"),
        (_order(line_items=[line(str(number), 1) for number in range(201)]), "not_as_described"),
        (_order(closed_at=None, updated_at=None, created_at=None), "no_time"),
        (_order(line_items=[], returns=[{"return_line_items": [{"quantity": "1"}]}]), "return_without_line"),
        (b"{", "not_as_described"),
        (b'{"id": 7}', "not_as_described"),
    ],
)
def test_what_cannot_be_posted_says_why(payload: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as unreadable:
        read_order(payload, STORES)
    assert unreadable.value.reason == reason


def test_names_longer_than_ours_are_cut() -> None:
    record = read_customer(json.dumps({"id": "C1", "given_name": "x" * 300, "phone_number": ""}).encode())
    assert (len(record.given_name), record.phone) == (80, None)


async def test_whoever_drifts_from_squares_own_description_is_caught() -> None:
    drifting = SquareStandIn()
    drifting.state.put_order("O1", at=NOW, state="DONE", line_items=[line("1", 1000)])
    drifting.state.put_customer("C1", at=NOW, email_address="ana@shop.test", loves="coffee")
    drifting.__enter__()
    async with Square(token=TOKEN, base_url=drifting.url, stores=STORES) as square:
        with pytest.raises(PosUnavailable):
            await anext(square.orders_since(None))
        with pytest.raises(PosUnavailable):
            await square.find_by_email("ana@shop.test")
    headers = {"Authorization": f"Bearer {TOKEN}", "Square-Version": "2025-08-20"}
    async with httpx.AsyncClient(base_url=drifting.url, headers=headers) as careless:
        for body in ({"limit": "5"}, {"surprise": 1}, {"query": {"sort": {"field": "NAME"}}}):
            assert (await careless.post("/v2/customers/search", json=body)).status_code == 500
        assert (await careless.get("/v2/customers/C1/cards")).status_code == 500
    with pytest.raises(AssertionError, match="description is broken"):
        drifting.__exit__(None, None, None)
    said = "\n".join(drifting.proxy.broken)
    for words in (
        "'DONE' is not one of",
        "'loves' was",
        "limit: '5'",
        "'surprise' was",
        "'NAME' is not",
        "no such call",
    ):
        assert words in said


async def test_the_stand_in_refuses_what_square_refuses(standin: SquareStandIn) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Square-Version": "2025-08-20"}
    range_ = {"start_at": "2026-03-02T09:00:00Z"}
    bodies = {
        "ARRAY_EMPTY": {"location_ids": []},
        "ARRAY_LENGTH_TOO_LONG": {"location_ids": ["L1"] * 11},
        "UNKNOWN_BODY_PARAMETER": {"location_ids": ["L1"], "surprise": 1},
        "EXPECTED_INTEGER": {"location_ids": ["L1"], "limit": "5"},
        "VALUE_TOO_HIGH": {"location_ids": ["L1"], "limit": 1001},
        "INVALID_CURSOR": {"location_ids": ["L1"], "cursor": "x"},
        "INVALID_TIME": {
            "location_ids": ["L1"],
            "query": {"filter": {"date_time_filter": {"created_at": {"start_at": "today"}}}},
        },
        "BAD_REQUEST": {
            "location_ids": ["L1"],
            "query": {"filter": {"date_time_filter": {"updated_at": range_}}, "sort": {"sort_field": "CREATED_AT"}},
        },
    }
    async with httpx.AsyncClient(base_url=standin.bare_url, headers=headers) as client:
        for code, body in bodies.items():
            answer = await client.post("/v2/orders/search", json=body)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
    assert sign(b"x", key="k", address="a") != sign(b"x", key="k", address="b")
