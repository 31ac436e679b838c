"""Whatever bytes come in, they become a message or a refusal that names the field; nothing else."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.decoding import decode
from server.errors import Invalid
from shared import links, members, pos, staff
from shared.base import Request
from shared.endpoints import ENDPOINTS

KINDS = sorted({row.request for row in ENDPOINTS if row.request}, key=lambda kind: kind.__name__)
FORBIDDEN = "\x00\x07\x1b\x7f\x85\u061c\u200f\u2028\u202e\u2067\ufeff"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def refusal(body: bytes, kind: type[Request]) -> tuple[str, str]:
    """Return the field and the words of the one problem of a body."""
    with pytest.raises(Invalid) as caught:
        decode(body, kind)
    (problem,) = caught.value.fields
    return problem.field, problem.detail


def decodes_or_is_refused(body: bytes, kind: type[msgspec.Struct]) -> None:
    try:
        message = decode(body, kind)
    except Invalid as refused:
        for problem in refused.fields:
            assert not any(character in problem.field for character in FORBIDDEN)
            assert len(problem.field) < 200
    else:
        assert isinstance(message, kind)
        assert not any(character in body.decode() for character in FORBIDDEN)


@given(body=st.binary(max_size=400), kind=st.sampled_from(KINDS))
@example(body=b"[" * 60_000, kind=members.SignUp)
@example(body=b'{"email":' * 6_000, kind=members.SignUp)
@example(body=b'{"birthday":' + b"[" * 60_000, kind=members.SignUp)
@example(body=b"\xef\xbb\xbf{}", kind=members.SignUp)
@example(body='{"email":"a"}'.encode("utf-16"), kind=members.SignUp)
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, kind: type[msgspec.Struct]) -> None:
    decodes_or_is_refused(body, kind)


@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_no_json_raises_anything_but_a_refusal(data: st.DataObject, kind: type[msgspec.Struct]) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    body = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=8), json_values, max_size=6))
    decodes_or_is_refused(
        json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"), kind
    )


@given(text=st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1, max_size=80))
def test_ordinary_text_of_any_script_arrives_unchanged(text: str) -> None:
    form = decode(json.dumps({"email": "a@b.test", "password": "x", "given_name": text}).encode(), members.SignUp)
    assert form.given_name == text


@pytest.mark.parametrize("character", FORBIDDEN)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_text_with_control_or_direction_characters_is_refused_by_name(character: str, escaped: bool) -> None:
    form = {"email": "a@b.test", "password": "x", "given_name": f"An{character}a"}
    body = json.dumps(form, ensure_ascii=escaped or character < " ").encode()
    assert refusal(body, members.SignUp) == ("given_name", "This text holds control characters.")
    record = {"external_id": "7", "former_ids": ["1", f"2{character}"]}
    body = json.dumps(record, ensure_ascii=escaped or character < " ").encode()
    assert refusal(body, links.PosRecord) == ("former_ids[1]", "This text holds control characters.")


def test_longer_texts_may_hold_line_breaks_and_nothing_else_of_the_kind() -> None:
    assert decode(b'{"reason":"one\\ntwo\\tthree"}', staff.Undo).reason == "one\ntwo\tthree"
    assert refusal(b'{"reason":"one\\u001b[2J"}', staff.Undo)[0] == "reason"
    assert refusal(b'{"reason":" \\n "}', staff.Undo) == ("reason", "This is nothing but spaces.")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"email":"a@b.test","email":"c@d.test","password":"x","given_name":"A"}', "email"),
        (b'{"email":"a@b.test","password":"x","given_name":"A","consents":{"sms":true,"sms":true}}', "consents.sms"),
        (
            b'{"email":"a@b.test","password":"x","given_name":"A","birthday":{"month":1,"day":2,"day":2}}',
            "birthday.day",
        ),
        (b'{ "email" :\n"a@b.test", "password":":x", "given_name":"Zo\xc3\xab", "email"\t: "a@b.test"}', "email"),
        (b'{"email":"a@b.test","password":"x","given_name":"A\\u0042","password":"x"}', "password"),
    ],
)
def test_a_field_given_twice_is_refused_with_its_path(body: bytes, field: str) -> None:
    assert refusal(body, members.SignUp) == (field, "This field is given twice.")


ORDER = {"external_id": "1", "number": "1", "store": "s", "completed_at": "2026-03-02T09:30:00Z", "currency": "GBP"}


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ({"line_id": "1"}, "lines[0].net_minor", "This field is missing."),
        ({"line_id": "1", "net_minor": 1, "price": 2}, "lines[0].price", "There is no such field."),
        ({"line_id": "1", "net_minor": 1.0}, "lines[0].net_minor", "Expected `int`, got `float`."),
        ({"line_id": "1", "net_minor": "1"}, "lines[0].net_minor", "Expected `int`, got `str`."),
        ({"line_id": "1", "net_minor": True}, "lines[0].net_minor", "Expected `int`, got `bool`."),
        ({"line_id": "1", "net_minor": 2**70}, "lines[0].net_minor", "Expected `int` <= 1000000000."),
        ({"line_id": "1", "net_minor": 1, "sku": "\x1b"}, "lines[0].sku", "This text holds control characters."),
    ],
)
def test_a_wrong_field_deep_inside_is_named(line: dict[str, object], field: str, words: str) -> None:
    assert refusal(json.dumps(ORDER | {"lines": [line]}).encode(), pos.PosOrder) == (field, words)


def test_a_number_longer_than_python_reads_is_no_surprise() -> None:
    body = json.dumps(ORDER | {"lines": [{"line_id": "1", "net_minor": 1}]})
    huge = body.replace('"net_minor"', f'"quantity":{"9" * 5000},"net_minor"')
    assert decode(huge.encode(), pos.PosOrder).lines[0].quantity.adjusted() == 4999
    assert refusal(huge.replace('"line_id"', '"sku":"","sku":"","line_id"').encode(), pos.PosOrder) == (
        "lines[0].sku",
        "This field is given twice.",
    )


def test_a_refusal_repeats_no_value_that_was_sent() -> None:
    body = b'{"new_email":"a@b.test","mode":"my-secret","password":"x"}'
    assert refusal(body, members.EmailChangeRequest) == ("mode", "This is not one of the allowed values.")


def test_the_name_of_an_unknown_field_is_cut_and_cleaned() -> None:
    field, _ = refusal(json.dumps({"\x1b[2J\u202e" + "x" * 5000: 1}).encode(), members.SignIn)
    assert field.startswith("\ufffd[2J\ufffdxxx")
    assert len(field) <= 80
