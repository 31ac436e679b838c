"""Cursors come back as they were given out, and anything else is refused."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.cursors import decode_cursor, encode_cursor
from server.errors import Invalid


def fields_refused(text: str) -> list[str]:
    """Return the fields that reading a cursor complains of."""
    try:
        decode_cursor(text)
    except Invalid as refused:
        return [problem.field for problem in refused.fields]
    return []


@given(at=st.datetimes(timezones=st.just(UTC)), identity=st.uuids())
def test_a_cursor_comes_back_as_it_was_given_out(at: datetime, identity: UUID) -> None:
    assert decode_cursor(encode_cursor(at, identity)) == (at, identity)


@given(text=st.text(max_size=120))
@example(text="é")
@example(text="=")
@example(text="A")
@example(text="\ud800")
@example(text=base64.urlsafe_b64encode(b"[" * 5000).decode())
@example(text=base64.urlsafe_b64encode(b'["2026-01-01T00:00:00","00000000-0000-0000-0000-000000000000"]').decode())
def test_any_text_is_a_cursor_or_a_refusal_that_names_it(text: str) -> None:
    assert fields_refused(text) == ([] if text == "" else ["cursor"])


@given(raw=st.binary(max_size=80))
def test_any_bytes_behind_a_cursor_are_read_or_refused(raw: bytes) -> None:
    assert fields_refused(base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) in ([], ["cursor"])


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_outside_of_utc_is_refused(at: str) -> None:
    raw = f'["{at}","00000000-0000-0000-0000-000000000000"]'.encode()
    assert fields_refused(base64.urlsafe_b64encode(raw).decode()) == ["cursor"]
