"""Which passwords may be chosen. There are no rules about kinds of characters."""

from pathlib import Path

import msgspec
import pytest

from server.errors import Invalid
from server.sessions.passwords import check_new_password
from server.settings import Settings
from shared.problems import Code

SETTINGS = Settings(data_dir=Path(), shop_name="Corner Bakery")
PERSONAL = ("ana.flores@shop.test", "Ana", "Flores")


@pytest.mark.parametrize(
    "password",
    [
        "wandering-teapot-71-gulls",
        "  blanks count, and stay  ",
        "плавучий самовар на крыше",
        "🫖🦢🪁🧲🛶🎏🧦🪕🥁🧵🪜🧨",
        "x7$kQ9!mZ2@p",
        "wandering teapot gulls " * 11,
    ],
)
def test_a_password_that_is_hard_to_guess_is_taken(password: str) -> None:
    check_new_password(SETTINGS, password, personal=PERSONAL)


@pytest.mark.parametrize(
    "password",
    [
        "",
        "x7$kQ9!mZ2@",
        "password1234",
        "Password1234!",
        "qwertyuiop12",
        "111111111111",
        "abcabcabcabc",
        "correct horse battery staple",
        "CorrectHorse-BatteryStaple",
        "To be, or not to be",
        "cornerbakery",
        "Corner Bakery 1",
        "anaflores1990",
        "ana.flores@shop.test",
        "Flores-Ana-2026",
        "loyalty points",
        "rewardsrewards",
        "regulars1234",
        "2" * 300,
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_with_advice(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_new_password(SETTINGS, password, personal=PERSONAL, field="password")
    assert refused.value.code is Code.PASSWORD_WEAK
    [problem] = refused.value.fields
    assert problem.field == "password"
    assert problem.detail.endswith(".")


def test_the_shortest_length_is_a_setting_and_counts_code_points() -> None:
    settings = msgspec.structs.replace(SETTINGS, password_length_min=15)
    check_new_password(settings, "🫖🦢🪁🧲🛶🎏🧦🪕🥁🧵🪜🧨🦜🪴🧭")
    with pytest.raises(Invalid) as refused:
        check_new_password(settings, "🫖🦢🪁🧲🛶🎏🧦🪕🥁🧵🪜🧨🦜🪴")
    assert "15" in refused.value.fields[0].detail


def test_the_same_word_in_two_unicode_forms_counts_the_same() -> None:
    # Eleven letters, which the decomposed form spells with twelve code points.
    with pytest.raises(Invalid):
        check_new_password(SETTINGS, "x7$kQ9!mZ2e\u0301")


def test_no_part_of_a_password_is_cut_off() -> None:
    # One letter that NFC spells with three: 256 code points would be more bytes than are hashed.
    with pytest.raises(Invalid) as refused:
        check_new_password(SETTINGS, "wandering-teapot-71-gulls" + "\U0001d160" * 200)
    assert "bytes" in refused.value.fields[0].detail
