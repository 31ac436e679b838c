"""What Square demands of the requests we send, in our own words: fields, types, limits, and what must go together.

A field that is not here is refused, as Square refuses what it does not know.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

Json = Mapping[str, Any]

LOCATIONS_MAX: Final = 10
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")


class Broken(Exception):
    """A request that Square would refuse; `code` is Square's own."""

    def __init__(self, code: str, field: str) -> None:
        super().__init__(f"{code} {field}")
        self.code = code
        self.field = field


class Kind(msgspec.Struct, frozen=True):
    """What a field holds: a type, an object of fields, or a list of such."""

    type: type
    fields: Mapping[str, "Kind"] | None = None
    length_max: int | None = None
    values: tuple[str, ...] | None = None
    is_time: bool = False


def _text(length_max: int | None = None, *values: str) -> Kind:
    return Kind(str, None, length_max, values or None)


_TIME = Kind(str, None, None, None, True)
_RANGE = Kind(dict, {"start_at": _TIME, "end_at": _TIME})
_MATCH = Kind(dict, {"exact": _text(), "fuzzy": _text()})
_ORDER = _text(None, "ASC", "DESC")
_LIMIT = Kind(int)

SEARCH_CUSTOMERS: Final = Kind(
    dict,
    {
        "cursor": _text(),
        "limit": _LIMIT,
        "count": Kind(bool),
        "query": Kind(
            dict,
            {
                "filter": Kind(
                    dict,
                    {
                        "created_at": _RANGE, "updated_at": _RANGE, "email_address": _MATCH, "phone_number": _MATCH,
                        "reference_id": _MATCH,
                    },
                ),
                "sort": Kind(dict, {"field": _text(None, "DEFAULT", "CREATED_AT"), "order": _ORDER}),
            },
        ),
    },
)  # fmt: skip
SEARCH_ORDERS: Final = Kind(
    dict,
    {
        "location_ids": Kind(list),
        "cursor": _text(),
        "limit": _LIMIT,
        "return_entries": Kind(bool),
        "query": Kind(
            dict,
            {
                "filter": Kind(
                    dict,
                    {
                        "date_time_filter": Kind(
                            dict, {"created_at": _RANGE, "updated_at": _RANGE, "closed_at": _RANGE}
                        ),
                        "state_filter": Kind(dict, {"states": Kind(list)}),
                    },
                ),
                "sort": Kind(
                    dict,
                    {"sort_field": _text(None, "CREATED_AT", "UPDATED_AT", "CLOSED_AT"), "sort_order": _ORDER},
                ),
            },
        ),
    },
)
_PROFILE: Final[Mapping[str, Kind]] = {
    "given_name": _text(300), "family_name": _text(300), "company_name": _text(500), "nickname": _text(100),
    "email_address": _text(254), "phone_number": _text(20), "reference_id": _text(100), "note": _text(),
}  # fmt: skip
CREATE_CUSTOMER: Final = Kind(dict, {**_PROFILE, "idempotency_key": _text()})
UPDATE_CUSTOMER: Final = Kind(dict, {**_PROFILE, "version": Kind(int)})


def check(value: object, kind: Kind, field: str = "") -> None:
    """Refuse a value that is not of its kind.

    Raises:
        Broken: With Square's code and the path of the field.
    """
    if not isinstance(value, kind.type) or (kind.type is int and isinstance(value, bool)):
        names = {str: "EXPECTED_STRING", int: "EXPECTED_INTEGER", bool: "EXPECTED_BOOLEAN", list: "EXPECTED_ARRAY"}
        raise Broken(names.get(kind.type, "EXPECTED_OBJECT"), field)
    if isinstance(value, str):
        _check_text(value, kind, field)
    if isinstance(value, dict) and kind.fields is not None:
        for name, part in value.items():
            path = f"{field}.{name}" if field else name
            if name not in kind.fields:
                raise Broken("UNKNOWN_BODY_PARAMETER", path)
            check(part, kind.fields[name], path)


def _check_text(value: str, kind: Kind, field: str) -> None:
    if kind.length_max is not None and len(value) > kind.length_max:
        raise Broken("VALUE_TOO_LONG", field)
    if kind.values is not None and value not in kind.values:
        raise Broken("INVALID_ENUM_VALUE", field)
    if kind.is_time and not _RFC3339.fullmatch(value):
        raise Broken("INVALID_TIME", field)


def check_orders_search(body: Json) -> None:
    """Refuse an order search that is right by its types and wrong all the same.

    Raises:
        Broken: No locations or too many, a limit out of range, or a sort by another field than the filter's.
    """
    locations = body.get("location_ids")
    if not locations or len(locations) > LOCATIONS_MAX:
        raise Broken("ARRAY_EMPTY" if not locations else "ARRAY_LENGTH_TOO_LONG", "location_ids")
    _check_limit(body, 1000)
    query = body.get("query", {})
    filters = query.get("filter", {}).get("date_time_filter", {})
    if len(filters) > 1:
        raise Broken("CONFLICTING_PARAMETERS", "query.filter.date_time_filter")
    sort = query.get("sort", {}).get("sort_field", "CREATED_AT")
    for name in filters:
        if name.upper() != sort:
            raise Broken("BAD_REQUEST", "query.sort.sort_field")


def check_customers_search(body: Json) -> None:
    """Refuse a limit out of range.

    Raises:
        Broken: It is.
    """
    _check_limit(body, 100)


def _check_limit(body: Json, limit_max: int) -> None:
    limit = body.get("limit", limit_max)
    if not 1 <= limit <= limit_max:
        raise Broken("VALUE_TOO_HIGH" if limit > limit_max else "VALUE_TOO_LOW", "limit")
