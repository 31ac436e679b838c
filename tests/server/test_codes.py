"""Card numbers catch what goes wrong when people type and scanners read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codes import check_digit, is_card_number, make_card_number, normalise_card_number
from shared.limits import CARD_LENGTH, CARD_PREFIX

random_parts = st.text("0123456789", min_size=CARD_LENGTH - 3, max_size=CARD_LENGTH - 3)


# Published examples: a GTIN-13 of the GS1 specifications, and two GTIN-8 and GTIN-12 in common use.
@pytest.mark.parametrize("number", ["6291041500213", "96385074", "036000291452"])
def test_the_check_digit_is_that_of_gs1(number: str) -> None:
    assert check_digit(number[:-1]) == number[-1]


@given(digits=random_parts)
def test_a_made_number_is_one_of_ours(digits: str) -> None:
    number = make_card_number(digits)
    assert len(number) == CARD_LENGTH
    assert number.startswith(CARD_PREFIX)
    assert is_card_number(number)


@given(digits=random_parts, position=st.integers(0, CARD_LENGTH - 1), step=st.integers(1, 9))
def test_every_single_wrong_digit_is_caught(digits: str, position: int, step: int) -> None:
    number = make_card_number(digits)
    wrong = str((int(number[position]) + step) % 10)
    assert not is_card_number(number[:position] + wrong + number[position + 1 :])


@given(digits=random_parts, position=st.integers(0, CARD_LENGTH - 2))
def test_swapped_neighbours_are_caught_unless_they_differ_by_five(digits: str, position: int) -> None:
    number = make_card_number(digits)
    first, second = number[position], number[position + 1]
    swapped = number[:position] + second + first + number[position + 2 :]
    # With weights 3 and 1 a swap shifts the sum by twice the difference: only a difference of five goes unseen.
    goes_unseen = abs(int(first) - int(second)) in (0, 5) and swapped.startswith(CARD_PREFIX)
    assert is_card_number(swapped) == goes_unseen


@given(digits=random_parts, length=st.integers(0, CARD_LENGTH - 1))
def test_a_number_cut_short_is_none_of_ours(digits: str, length: int) -> None:
    assert not is_card_number(make_card_number(digits)[:length])


@given(text=st.text(max_size=40))
def test_no_text_upsets_the_reading_of_a_card(text: str) -> None:
    normalised = normalise_card_number(text)
    assert normalise_card_number(normalised) == normalised
    assert is_card_number(normalised) in (True, False)


def test_digits_of_other_scripts_are_not_digits_of_a_card() -> None:
    number = make_card_number("12345678901")
    assert not is_card_number(number.replace("1", "\u0661"))
    assert not is_card_number(number.replace("2", "\uff12"))


@given(digits=random_parts, gap=st.integers(1, 6))
def test_blanks_and_dashes_do_not_matter(digits: str, gap: int) -> None:
    number = make_card_number(digits)
    spaced = " - ".join(number[i : i + gap] for i in range(0, len(number), gap))
    assert normalise_card_number(f" {spaced}\t") == number
