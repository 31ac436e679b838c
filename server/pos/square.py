"""The connector to Square: six calls over HTTP.

Square's own SDK brings an HTTP client and a model library of its own for what are six calls here, so this is a thin client
over the HTTP client that we have. It is checked against Square's published API description and signature vectors.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

import httpx
import msgspec

from server.pos import square_reading
from server.pos.json_texts import without_unkeepable
from server.pos.protocol import (
    AlreadyThere,
    Capability,
    Fetched,
    Limited,
    NewRecord,
    Page,
    PosRefused,
    PosUnavailable,
    ReadOrder,
    Unreadable,
)
from server.pos.square_reading import SquareCustomer
from shared.limits import CYCLE_PAGES_MAX, POS_CALL_SECONDS
from shared.links import PosRecord

API_VERSION: Final = "2025-08-20"
_LOCATIONS_MAX: Final = 10
"""Square takes no more in one search."""
_CUSTOMERS_AT_ONCE: Final = 100
_ORDERS_AT_ONCE: Final = 500
_FOUND_MAX: Final = 50
_TRIES_MAX: Final = 3
_FIRST_WAIT_SECONDS: Final = 0.5
_WAIT_SECONDS_MAX: Final = 5.0
_ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
_OLDEST: Final = datetime(2000, 1, 1, tzinfo=UTC)

Json = dict[str, object]


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    field: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    """What any of the six answers may hold; items stay as they came."""

    customers: tuple[msgspec.Raw, ...] = ()
    customer: msgspec.Raw = msgspec.Raw()
    orders: tuple[msgspec.Raw, ...] = ()
    cursor: str | None = None
    errors: tuple[_Error, ...] = ()


class _Stamp(msgspec.Struct, frozen=True):
    id: str
    updated_at: datetime | None = None
    created_at: datetime | None = None


class Square(Limited):
    """A Square account; use it as a context manager.

    Args:
        token: Access token.
        base_url: https://connect.squareup.com, the sandbox's address, or a stand-in.
        stores: Our store codes by Square's location ids.
        pages_max: After which a list is taken for endless.
    """

    name = "square"
    is_remote = True
    # Profiles can be merged by people only, in Square's dashboard.
    capabilities = frozenset(
        {
            Capability.SEARCH,
            Capability.FIND_BY_EMAIL,
            Capability.CUSTOMERS_SINCE,
            Capability.ORDERS_SINCE,
            Capability.CREATE,
            Capability.WRITE_EMAIL,
        }
    )

    def __init__(
        self, *, token: str, base_url: str, stores: Mapping[str, str], pages_max: int = CYCLE_PAGES_MAX
    ) -> None:
        self._stores = dict(stores)
        self._pages_max = pages_max
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Square-Version": API_VERSION, "Accept": "application/json"},
            timeout=POS_CALL_SECONDS,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def search(self, text: str) -> tuple[PosRecord, ...]:
        """Return the profiles whose address or number holds a text."""
        name = "email_address" if "@" in text else "phone_number"
        if name == "phone_number" and not any(letter.isdigit() for letter in text):
            return ()
        return await self._find(name, {"fuzzy": text})

    async def find_by_email(self, email: str) -> tuple[PosRecord, ...]:
        """Return the profiles with this address."""
        return await self._find("email_address", {"exact": email})

    async def customers_since(self, since: datetime | None) -> AsyncIterator[Page]:
        """Yield profiles; Square cannot sort them by their changes."""
        query: Json = {"sort": {"field": "CREATED_AT", "order": "ASC"}}
        if since is not None:
            query["filter"] = {"updated_at": {"start_at": _rfc3339(since)}}
        async for answer in self._pages("/v2/customers/search", {"limit": _CUSTOMERS_AT_ONCE, "query": query}):
            yield Page(items=_fetched(answer.customers), is_in_order=False)

    async def orders_since(self, since: datetime | None) -> AsyncIterator[Page]:
        """Yield orders by the time of their last change."""
        locations = sorted(self._stores)
        for first in range(0, len(locations), _LOCATIONS_MAX):
            body: Json = {
                "location_ids": locations[first : first + _LOCATIONS_MAX],
                "limit": _ORDERS_AT_ONCE,
                "query": {
                    # The field of the sort must be that of the filter.
                    "filter": {"date_time_filter": {"updated_at": {"start_at": _rfc3339(since or _OLDEST)}}},
                    "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
                },
            }
            async for answer in self._pages("/v2/orders/search", body):
                yield Page(items=_fetched(answer.orders), is_in_order=len(locations) <= _LOCATIONS_MAX)

    def read_customer(self, payload: bytes) -> PosRecord:
        """Return what a profile says."""
        return square_reading.read_customer(payload)

    def read_order(self, payload: bytes) -> ReadOrder:
        """Return what an order says."""
        return square_reading.read_order(payload, self._stores)

    async def create(self, record: NewRecord) -> PosRecord:
        """Make a profile that bears our reference; the one that bears it already is returned."""
        known = await self._find("reference_id", {"exact": record.reference})
        if known:
            return known[0]
        fields = {
            "given_name": record.given_name,
            "family_name": record.family_name,
            "email_address": record.email,
            "phone_number": record.phone,
        }
        if record.email and (others := await self.find_by_email(record.email)):
            raise AlreadyThere(others[0])
        # Square finds a new profile only after a while, so it is the key that makes a second try harmless.
        body: Json = {"idempotency_key": record.reference, "reference_id": record.reference}
        answer = await self._call(
            "POST", "/v2/customers", body | {key: value for key, value in fields.items() if value}
        )
        return self._record(answer)

    async def write_email(self, external_id: str, email: str) -> None:
        """Put an address onto a profile, unless it bears it."""
        path = f"/v2/customers/{quote(external_id, safe='')}"
        customer = _decode_customer(await self._call("GET", path, None))
        if (customer.email_address or "").casefold() != email.casefold():
            await self._call("PUT", path, {"email_address": email, "version": customer.version})

    def _record(self, answer: _Answer) -> PosRecord:
        return square_reading.record_of(_decode_customer(answer))

    async def _find(self, name: str, condition: Json) -> tuple[PosRecord, ...]:
        body: Json = {"limit": _FOUND_MAX, "query": {"filter": {name: condition}}}
        answer = await self._call("POST", "/v2/customers/search", body)
        try:
            return tuple(square_reading.read_customer(bytes(raw)) for raw in answer.customers)
        except Unreadable as error:
            # Whose the others are cannot be said without it.
            raise PosRefused(f"A profile is not as described: {error.detail}") from error

    async def _pages(self, path: str, body: Json) -> AsyncIterator[_Answer]:
        """Yield pages until there is no cursor; one that comes again would go on for ever."""
        cursor, seen = None, set[str]()
        for _ in range(self._pages_max):
            answer = await self._call("POST", path, body | ({"cursor": cursor} if cursor else {}))
            yield answer
            cursor = answer.cursor
            if not cursor:
                return
            if cursor in seen:
                raise PosRefused(f"{path}: the same cursor came twice.")
            seen.add(cursor)
        # What was left out must not look as if it had come.
        raise PosUnavailable(f"{path}: more than {self._pages_max} pages.")

    async def _call(self, method: str, path: str, body: Json | None) -> _Answer:
        wait_seconds = _FIRST_WAIT_SECONDS
        for tries in range(1, _TRIES_MAX + 1):
            try:
                response = await self._client.request(method, path, json=body)
            except httpx.HTTPError as error:
                raise PosUnavailable(f"{path}: {type(error).__name__}") from error
            if response.status_code not in (429, 503) or tries == _TRIES_MAX:
                return _read(path, response)
            await asyncio.sleep(_wait(response, wait_seconds))
            wait_seconds *= 2
        raise AssertionError("the last try returns or raises")


def _read(path: str, response: httpx.Response) -> _Answer:
    if len(response.content) > _ANSWER_BYTES_MAX:
        raise PosRefused(f"{path}: the answer is too large.")
    status = response.status_code
    if status == 429 or status >= 500:
        raise PosUnavailable(f"{path}: HTTP {status}")
    try:
        answer = msgspec.json.decode(without_unkeepable(response.content), type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PosUnavailable(f"{path}: HTTP {status} with an answer that is not as described") from error
    if status >= 400 or answer.errors:
        # Codes and field names only: what was sent may be somebody's address.
        words = ", ".join(f"{one.code} {one.field or ''}".strip() for one in answer.errors)
        if any(one.code == "CONFLICT" for one in answer.errors):
            raise PosUnavailable(f"{path}: {words}")
        raise PosRefused(f"{path}: HTTP {status} {words}".strip())
    return answer


def _wait(response: httpx.Response, seconds: float) -> float:
    told = response.headers.get("retry-after", "")
    return min(float(told) if told.isascii() and told.isdigit() else seconds, _WAIT_SECONDS_MAX)


def _fetched(items: Sequence[msgspec.Raw]) -> tuple[Fetched, ...]:
    fetched = []
    for raw in items:
        payload = bytes(raw)
        try:
            stamp = msgspec.json.decode(payload, type=_Stamp)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PosRefused("An item without an id or with a strange time.") from error
        changed_at = stamp.updated_at or stamp.created_at or _OLDEST
        fetched.append(Fetched(external_id=stamp.id, changed_at=changed_at, payload=payload))
    return tuple(fetched)


def _decode_customer(answer: _Answer) -> SquareCustomer:
    try:
        return msgspec.json.decode(bytes(answer.customer), type=SquareCustomer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PosUnavailable("Square's answer holds no customer.") from error


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
