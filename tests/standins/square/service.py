"""The state of the stand-in, and its six operations."""

import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from tests.standins.square import contract
from tests.standins.square.contract import Broken

TOKEN = "EAAA-stand-in-token"
Document = dict[str, Any]
Answer = tuple[int, Document]


class SquareState:
    """Customers and orders of one account; tests change them between requests.

    `failures` are statuses that the next requests get instead of an answer, as all do with `is_down`; `refused` are addresses
    that it takes for none; `hidden` are customers whom a search does not find yet; with `is_stuck` every page bears the same
    cursor, with `is_endless` there is always another one.
    """

    def __init__(self) -> None:
        self.customers: dict[str, Document] = {}
        self.orders: dict[str, Document] = {}
        self.failures: deque[int] = deque()
        self.hidden: set[str] = set()
        self.hides_new = False
        self.is_stuck = False
        self.is_endless = False
        self.is_down = False
        self.refused: set[str] = set()
        self.calls = 0
        self.page_size = 1000
        self.log: list[tuple[str, str, Document]] = []
        self._made: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    # What tests put in -------------------------------------------------------------------------------------------------

    def put_customer(self, customer_id: str, *, at: datetime, **fields: object) -> Document:
        """Add a profile or change it."""
        known = self.customers.get(customer_id, {"id": customer_id, "created_at": stamp(at), "version": -1})
        changed = {**known, **fields, "updated_at": stamp(at), "version": known["version"] + 1}
        self.customers[customer_id] = changed
        return changed

    def put_order(self, order_id: str, *, at: datetime, **fields: object) -> Document:
        """Add an order or change it."""
        known = self.orders.get(order_id, {"id": order_id, "location_id": "L1", "created_at": stamp(at), "version": 0})
        changed = {**known, **fields, "updated_at": stamp(at), "version": known["version"] + 1}
        if changed.get("state") in ("COMPLETED", "CANCELED"):
            changed.setdefault("closed_at", stamp(at))
        self.orders[order_id] = changed
        return changed

    # Requests -----------------------------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer a request as Square does."""
        with self._lock:
            return self._answer(method, path, headers, body)

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.calls += 1
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED")
        if not contract.VERSION.fullmatch(headers.get("square-version", "")):
            return _error(400, "INVALID_REQUEST_ERROR", "INVALID_SQUARE_VERSION_FORMAT")
        if self.is_down:
            return _error(500, "API_ERROR", "INTERNAL_SERVER_ERROR")
        if self.failures:
            status = self.failures.popleft()
            category = "RATE_LIMIT_ERROR" if status == 429 else "API_ERROR"
            return _error(status, category, "RATE_LIMITED" if status == 429 else "INTERNAL_SERVER_ERROR")
        try:
            sent: Document = json.loads(body) if body else {}
        except ValueError:
            return _error(400, "INVALID_REQUEST_ERROR", "EXPECTED_JSON_BODY")
        self.log.append((method, path, sent))
        operation = self._operation(method, path)
        if operation is None:
            return _error(404, "INVALID_REQUEST_ERROR", "NOT_FOUND")
        try:
            return operation(sent)
        except Broken as broken:
            return _error(400, "INVALID_REQUEST_ERROR", broken.code, broken.field)

    def _operation(self, method: str, path: str) -> Callable[[Document], Answer] | None:
        match method, path.strip("/").split("/"):
            case "POST", ["v2", "customers", "search"]:
                return self._search_customers
            case "POST", ["v2", "orders", "search"]:
                return self._search_orders
            case "POST", ["v2", "customers"]:
                return self._create_customer
            case "GET", ["v2", "customers", customer_id] if customer_id in self.customers:
                return lambda _: (200, {"customer": self.customers[customer_id]})
            case "PUT", ["v2", "customers", customer_id] if customer_id in self.customers:
                return lambda sent: self._update_customer(customer_id, sent)
        return None

    def _search_customers(self, sent: Document) -> Answer:
        contract.check(sent, contract.SEARCH_CUSTOMERS)
        contract.check_customers_search(sent)
        query = sent.get("query", {})
        filters = query.get("filter", {})
        if filters.get("email_address", {}).get("exact") in self.refused:
            raise Broken("INVALID_EMAIL_ADDRESS", "query.filter.email_address")
        found = [
            one
            for one in self.customers.values()
            if one["id"] not in self.hidden and all(_fits(one, name, filters[name]) for name in filters)
        ]
        found.sort(key=lambda one: (one["created_at"], one["id"]), reverse=query.get("sort", {}).get("order") == "DESC")
        return self._page("customers", found, sent)

    def _search_orders(self, sent: Document) -> Answer:
        contract.check(sent, contract.SEARCH_ORDERS)
        contract.check_orders_search(sent)
        query = sent.get("query", {})
        filters = query.get("filter", {}).get("date_time_filter", {})
        states = query.get("filter", {}).get("state_filter", {}).get("states")
        found = [
            one
            for one in self.orders.values()
            if one["location_id"] in sent["location_ids"]
            and (not states or one["state"] in states)
            and all(_fits(one, name, filters[name]) for name in filters)
        ]
        sort = query.get("sort", {})
        name = sort.get("sort_field", "CREATED_AT").lower()
        found.sort(key=lambda one: (one.get(name, ""), one["id"]), reverse=sort.get("sort_order", "DESC") == "DESC")
        return self._page("orders", found, sent)

    def _page(self, name: str, found: list[Document], sent: Document) -> Answer:
        bare = json.dumps({key: value for key, value in sent.items() if key != "cursor"}, sort_keys=True)
        first = 0
        if self.is_stuck:
            return 200, {name: found[:1], "cursor": "123"}
        if self.is_endless:
            return 200, {name: found[:1], "cursor": str(next(self._numbers))}
        if cursor := sent.get("cursor"):
            offset, _, query = cursor.partition("|")
            if query != bare or not offset.isdigit():
                raise Broken("INVALID_CURSOR", "cursor")
            first = int(offset)
        size = min(self.page_size, sent.get("limit", self.page_size))
        answer: Document = {name: found[first : first + size]}
        if first + size < len(found):
            answer["cursor"] = f"{first + size}|{bare}"
        return 200, answer if found else {}

    def _create_customer(self, sent: Document) -> Answer:
        contract.check(sent, contract.CREATE_CUSTOMER)
        names = ("given_name", "family_name", "company_name", "email_address", "phone_number")
        if not any(sent.get(name) for name in names):
            raise Broken("MISSING_REQUIRED_PARAMETER", "given_name")
        key = sent.get("idempotency_key", "")
        if key in self._made:
            return 200, {"customer": self.customers[self._made[key]]}
        customer_id = f"SQ{next(self._numbers):024}"
        fields = {name: value for name, value in sent.items() if name != "idempotency_key"}
        made = self.put_customer(customer_id, at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC), **fields)
        if key:
            self._made[key] = customer_id
        if self.hides_new:
            self.hidden.add(customer_id)
        return 200, {"customer": made}

    def _update_customer(self, customer_id: str, sent: Document) -> Answer:
        contract.check(sent, contract.UPDATE_CUSTOMER)
        known = self.customers[customer_id]
        if "version" in sent and sent["version"] != known["version"]:
            return _error(409, "INVALID_REQUEST_ERROR", "CONFLICT", "version")
        fields = {name: value for name, value in sent.items() if name != "version"}
        return 200, {"customer": self.put_customer(customer_id, at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC), **fields)}


def stamp(at: datetime) -> str:
    """Return an instant as Square writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(uid: str, amount: int, *, tax: int = 0, quantity: str = "1", **fields: object) -> Document:
    """Return a line of an order; `amount` is its total, tax included."""
    return {
        "uid": uid,
        "name": "Coffee",
        "quantity": quantity,
        "item_type": "ITEM",
        "total_money": {"amount": amount, "currency": "GBP"},
        "total_tax_money": {"amount": tax, "currency": "GBP"},
        **fields,
    }


def _fits(one: Document, name: str, wanted: Document) -> bool:
    value = str(one.get(name) or "")
    if name in ("created_at", "updated_at", "closed_at"):
        at = datetime.fromisoformat(value) if value else None
        return at is not None and all(
            # Both ends are inclusive.
            (at >= datetime.fromisoformat(limit)) if end == "start_at" else (at <= datetime.fromisoformat(limit))
            for end, limit in wanted.items()
        )
    if "exact" in wanted:
        return bool(value) and value.casefold() == wanted["exact"].casefold()
    digits = _digits(wanted.get("fuzzy", ""))
    return wanted.get("fuzzy", "").casefold() in value.casefold() or bool(digits and digits in _digits(value))


def _digits(text: Iterable[str]) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _error(status: int, category: str, code: str, field: str = "") -> Answer:
    error = {"category": category, "code": code, "detail": "The stand-in refuses this."}
    return status, {"errors": [error | ({"field": field} if field else {})]}
