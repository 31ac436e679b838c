"""Merge fields: their definitions, and which values they take.

Two choices where the real service is not documented, both on the strict side: a value for a tag that the audience does not
define is refused (so that a client's set-up is proven to run first), and so is a tag that is not already upper-case.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
from msgspec import UNSET, UnsetType

from tests.standins.mailchimp.problems import FieldError, Problem, invalid_field, invalid_resource
from tests.standins.mailchimp.state import Audience, FieldType, MergeField, MergeValue

FIELDS_MAX = 30
TEXT_BYTES_MAX = 255
TAG_PATTERN = re.compile(r"[A-Z0-9_]{1,10}")
DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d-%m-%Y", "%m/%d/%Y")
ADDRESS_PARTS = ("addr1", "city", "state", "zip")
CHOICE_TYPES = ("radio", "dropdown")


class MergeFieldBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may say about a field, in POST and PATCH alike."""

    name: str | UnsetType = UNSET
    type: FieldType | UnsetType = UNSET
    tag: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    public: bool | UnsetType = UNSET
    default_value: str | UnsetType = UNSET
    help_text: str | UnsetType = UNSET
    display_order: int | UnsetType = UNSET
    options: dict[str, object] | UnsetType = UNSET


def add_field(audience: Audience, body: MergeFieldBody) -> MergeField:
    missing = [name for name in ("name", "type") if getattr(body, name) is UNSET]
    if missing or body.type is UNSET or body.name is UNSET:
        raise invalid_resource(*(FieldError(field=name, message="This field is required.") for name in missing))
    if len(audience.merge_fields) >= FIELDS_MAX:
        raise invalid_field("", f"This audience already has {FIELDS_MAX} merge fields, the most its plan allows.")
    merge_id = max((field.merge_id for field in audience.merge_fields.values()), default=0) + 1
    field = MergeField(merge_id=merge_id, tag=f"MMERGE{merge_id}", name=body.name, type=body.type)
    return _settled(audience, field, body)


def change_field(audience: Audience, field: MergeField, body: MergeFieldBody) -> MergeField:
    if body.type not in (UNSET, field.type):
        raise invalid_field("type", "The type of a merge field cannot be changed.")
    changed = _settled(audience, field, body)
    if changed.tag != field.tag:
        del audience.merge_fields[field.tag]
        _move_values(audience, field.tag, to_tag=changed.tag)
    return changed


def remove_field(audience: Audience, field: MergeField) -> None:
    """Delete a field and, as Mailchimp does, every value that any contact has in it."""
    del audience.merge_fields[field.tag]
    _move_values(audience, field.tag, to_tag=None)


def _settled(audience: Audience, field: MergeField, body: MergeFieldBody) -> MergeField:
    given = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
    changed = msgspec.structs.replace(field, **given)
    if not changed.name.strip():
        raise invalid_field("name", "A merge field needs a name.")
    if not TAG_PATTERN.fullmatch(changed.tag):
        raise invalid_field("tag", "A tag is 1 to 10 upper-case letters, digits or underscores.")
    taken = audience.merge_fields.get(changed.tag)
    if changed.tag == "EMAIL" or (taken is not None and taken.merge_id != field.merge_id):
        raise invalid_field("tag", f"A merge field with the tag {changed.tag} already exists.")
    if changed.type in CHOICE_TYPES and not changed.options.get("choices"):
        raise invalid_field("options.choices", "A field of this type needs choices.")
    audience.merge_fields[changed.tag] = changed
    return changed


def _move_values(audience: Audience, tag: str, *, to_tag: str | None) -> None:
    for key, contact in audience.contacts.items():
        if tag in contact.merge_fields:
            values = dict(contact.merge_fields)
            value = values.pop(tag)
            if to_tag is not None:
                values[to_tag] = value
            audience.contacts[key] = msgspec.structs.replace(contact, merge_fields=values)


def check_value_shapes(values: Mapping[str, object], *, prefix: str) -> None:
    """Refuse what no merge field takes, whatever its type: null, true, false, a list, a nested object.

    Raises:
        Problem: 400, naming every such field; in a bulk call this refuses the whole call.
    """
    errors = [
        FieldError(field=f"{prefix}merge_fields.{tag}", message="A merge value is a string, a number or an address.")
        for tag, value in values.items()
        if not _has_value_shape(value)
    ]
    if errors:
        raise invalid_resource(*errors)


def _has_value_shape(value: object) -> bool:
    match value:
        case bool():
            return False
        case str() | int() | float():
            return True
        case dict():
            return all(isinstance(part, str) for part in value.values())
        case _:
            return False


def merged_values(
    audience: Audience, current: Mapping[str, MergeValue], given: Mapping[str, MergeValue], *, validate: bool
) -> dict[str, MergeValue]:
    """Return a contact's values after a write.

    Args:
        validate: False when the call asked for `skip_merge_validation`: types and required fields are then not looked
            at, and whatever came is stored.

    Raises:
        Problem: 400, naming each field that is unknown, of the wrong type, or required and empty.
    """
    errors: list[FieldError] = []
    values = dict(current)
    for tag, value in given.items():
        field = audience.merge_fields.get(tag)
        if field is None:
            errors.append(FieldError(field=tag, message="This audience has no merge field with this tag."))
            continue
        try:
            values[tag] = _stored(field, value, validate=validate)
        except ValueError as error:
            errors.append(FieldError(field=tag, message=str(error)))
    if validate:
        errors.extend(
            FieldError(field=tag, message="Please enter a value.")
            for tag, field in audience.merge_fields.items()
            if field.required and values.get(tag, "") == ""
        )
    if errors:
        raise Problem(400, "Invalid Resource", detail="Your merge fields were invalid.", errors=tuple(errors))
    return values


def _stored(field: MergeField, value: MergeValue, *, validate: bool) -> MergeValue:
    """Return the value as the field keeps it.

    Raises:
        ValueError: The field does not take this value, and `validate` is set.
    """
    if value == "":
        return ""
    try:
        return _typed(field, value)
    except ValueError:
        if validate:
            raise
        return value


def _typed(field: MergeField, value: MergeValue) -> MergeValue:
    match field.type:
        case "number":
            return _number(value)
        case "address":
            return _address(value)
        case "date":
            return _day(value).isoformat()
        case "text":
            return cut_text(_text(value))
        case _:
            return _patterned(field, _text(value))


def _text(value: MergeValue) -> str:
    if isinstance(value, dict):
        raise ValueError("An address does not fit into this field.")
    return str(value)


def cut_text(text: str) -> str:
    """Cut a text to 255 bytes of UTF-8 without a word, as Mailchimp does; a character is never halved."""
    return text.encode()[:TEXT_BYTES_MAX].decode(errors="ignore")


def _number(value: MergeValue) -> int | float:
    if isinstance(value, int):
        return value
    try:
        number = float(_text(value))
    except ValueError as error:
        raise ValueError("Please enter a number.") from error
    if not math.isfinite(number):
        raise ValueError("Please enter a number.")
    return int(number) if number.is_integer() else number


def _day(value: MergeValue) -> date:
    for pattern in DATE_FORMATS:
        try:
            return datetime.strptime(_text(value), pattern).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise ValueError("Please enter a date, such as 2026-11-20.")


def _address(value: MergeValue) -> dict[str, str]:
    if not isinstance(value, dict) or any(not value.get(part) for part in ADDRESS_PARTS):
        raise ValueError("Please enter a complete address.")
    return value


def _patterned(field: MergeField, text: str) -> str:
    patterns = {
        "birthday": r"(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])",
        "zip": r"\d{5}",
        "url": r"https?://\S+",
        "imageurl": r"https?://\S+",
    }
    pattern = patterns.get(field.type)
    if field.type == "phone" and field.options.get("phone_format") == "US":
        pattern = r"\(?\d{3}\)?[ -]?\d{3}[ -]?\d{4}"
    if pattern is not None and not re.fullmatch(pattern, text):
        raise ValueError(f"This is not a {field.type} as this field takes it.")
    choices = field.options.get("choices")
    if field.type in CHOICE_TYPES and isinstance(choices, list) and text not in choices:
        raise ValueError("This is not one of the choices.")
    return text
