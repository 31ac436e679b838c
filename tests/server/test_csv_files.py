"""Files that come from elsewhere: every encoding and delimiter that tills and spreadsheets write."""

import pytest

from server.csv_files import WrongFile, read_rows, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_by_its_mark_or_as_utf_8(encoding: str) -> None:
    assert read_text("Café".encode(encoding), None, bytes_max=100).lstrip("\ufeff") == "Café"


def test_another_encoding_must_be_named() -> None:
    with pytest.raises(WrongFile, match="cp1252"):
        read_text("Café".encode("cp1252"), None, bytes_max=100)
    assert read_text("Café".encode("cp1252"), "cp1252", bytes_max=100) == "Café"
    with pytest.raises(WrongFile, match="no encoding"):
        read_text(b"x", "klingon", bytes_max=100)
    with pytest.raises(WrongFile, match="not in utf-8"):
        read_text("a,b\n".encode("utf-16-le"), None, bytes_max=100)
    with pytest.raises(WrongFile, match="2 MB"):
        read_text(b" " * 2_000_001, None, bytes_max=2_000_000)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_rows_are_read_whatever_divides_them(delimiter: str, ending: str) -> None:
    lines = (("Name", " points "), ("Anna\u2028Maria", " 5"), ("", " "), ('"two\n lines"', ""), ("Ben", "1", "more"))
    text = ending.join(delimiter.join(cells) for cells in lines)
    rows = list(read_rows(text, columns=("name", "points"), needed=("name",), rows_max=10))
    assert [row.values for row in rows] == [
        {"name": "Anna\u2028Maria", "points": "5"},
        {"name": "two\n lines"},
        {"name": "Ben", "points": "1"},
    ]
    assert [row.is_too_long for row in rows] == [False, False, True]


def test_a_column_that_nobody_knows_is_named_without_driving_the_terminal() -> None:
    for name, shown in (("balance", "unknown: balance;*"), ("\x1b[2J" + "x" * 99, r"unknown: '\\x1b\[2jx{36}'")):
        with pytest.raises(WrongFile, match=shown):
            list(read_rows(f"name,{name}\n", columns=("name",), needed=("name",), rows_max=1))


def test_one_of_several_columns_may_be_asked_for() -> None:
    with pytest.raises(WrongFile, match="missing: one of card, email"):
        list(
            read_rows(
                "points\n5\n",
                columns=("points", "card", "email"),
                needed=("points",),
                one_of=("card", "email"),
                rows_max=1,
            )
        )
