"""The scan machine: no key is lost, the order is kept, a scan never leaks into commands."""

from hypothesis import given
from hypothesis import strategies as st

from tui.scan import BURST_LENGTH_MIN, Machine, Output, Pass, Press, Scan, is_code

CARD = "29000000000128"


def press(key: str, at: float) -> Press:
    return Press(key=key, character=key if len(key) == 1 else None, at=at)


def feed(machine: Machine, keys: list[tuple[str, float]], *, in_text: bool) -> list[Output]:
    """Feed keys with the gaps before them, letting go where a real timer would have."""
    outputs: list[Output] = []
    at = 100.0
    for key, gap in keys:
        wait = machine.wait_seconds
        if wait is not None and gap > wait:
            outputs += machine.let_go()
        at += gap
        outputs += machine.feed(press(key, at), in_text=in_text)
    return outputs + machine.let_go()


def typed(outputs: list[Output]) -> list[str]:
    return [output.press.key for output in outputs if isinstance(output, Pass)]


def scans(outputs: list[Output]) -> list[Scan]:
    return [output for output in outputs if isinstance(output, Scan)]


def burst(text: str, gap: float = 0.004, end: str = "enter") -> list[tuple[str, float]]:
    return [(text[0], 1.0), *((character, gap) for character in text[1:]), (end, gap)]


_KEYS = st.sampled_from([*"abcmxpu0123456789", "enter", "tab", "escape", "ctrl+s", "ctrl+b"])
_GAPS = st.sampled_from([0.0, 0.002, 0.01, 0.034, 0.036, 0.05, 0.06, 0.061, 0.2, 1.0, 1.5])
_STREAMS = st.lists(st.tuples(_KEYS, _GAPS), max_size=60)


@given(_STREAMS, st.booleans())
def test_every_key_is_passed_on_in_order_or_is_part_of_a_scan(stream: list[tuple[str, float]], in_text: bool) -> None:
    outputs = feed(Machine(), stream, in_text=in_text)
    rebuilt: list[str] = []
    for output in outputs:
        match output:
            case Pass(passed):
                rebuilt.append(passed.key)
            case Scan(text, leaked):
                rebuilt += text[leaked:]
    # What a scan ends with and begins with (Enter, the prefix) is used up; everything else is there, in order.
    expected = [key for key, _ in stream if key != "ctrl+b"]
    for scan in scans(outputs):
        end = next(key for key in ("enter", "tab") if key in expected)
        assert end in expected, scan
    if not scans(outputs):
        assert rebuilt == expected
    else:
        letters = [key for key in expected if len(key) == 1]
        assert [key for key in rebuilt if len(key) == 1] == letters


@given(_STREAMS)
def test_outside_text_fields_no_key_of_a_scan_is_passed_on(stream: list[tuple[str, float]]) -> None:
    assert all(scan.leaked == 0 for scan in scans(feed(Machine(), stream, in_text=False)))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20), st.floats(0.036, 0.3), st.booleans())
def test_a_person_typing_is_never_taken_for_a_scanner(text: str, gap: float, in_text: bool) -> None:
    outputs = feed(Machine(), [*((character, gap) for character in text), ("enter", gap)], in_text=in_text)
    assert typed(outputs) == [*text, "enter"]


@given(
    st.text(alphabet="0123456789", min_size=6, max_size=40),
    st.floats(0.0, 0.035),
    st.sampled_from(["enter", "tab"]),
    st.booleans(),
)
def test_a_burst_of_digits_is_one_scan(code: str, gap: float, end: str, in_text: bool) -> None:
    outputs = feed(Machine(), burst(code, gap, end), in_text=in_text)
    if len(set(code)) == 1:
        assert not scans(outputs)
    else:
        [scan] = scans(outputs)
        assert scan.text == code
        assert typed(outputs) == list(code[: scan.leaked])


def test_in_a_text_field_only_the_first_key_of_a_scan_is_seen() -> None:
    outputs = feed(Machine(), burst(CARD), in_text=True)
    assert typed(outputs) == ["2"]
    assert scans(outputs) == [Scan(CARD, 1)]


def test_words_that_arrive_in_a_clump_are_words() -> None:
    outputs = feed(Machine(), burst("martin scorpio", 0.001), in_text=True)
    assert typed(outputs) == [*"martin scorpio", "enter"]


def test_a_key_that_is_kept_down_is_shown_while_it_is_down() -> None:
    machine = Machine()
    outputs: list[Output] = []
    for index in range(8):
        outputs += machine.feed(press("0", 5.0 + index * 0.03), in_text=True)
    assert typed(outputs) == ["0"] * 8


def test_a_prefixed_scan_is_taken_at_any_speed_and_of_any_shape() -> None:
    keys = [("ctrl+b", 1.0), *((character, 0.4) for character in "ORDER A"), ("ctrl+c", 0.4)]
    assert feed(Machine(), keys, in_text=True) == [Scan("ORDER A", 0)]


def test_a_prefix_without_an_end_gives_its_keys_back() -> None:
    outputs = feed(Machine(), [("ctrl+b", 1.0), ("a", 0.2), ("b", 0.2), ("c", 3.0)], in_text=True)
    assert typed(outputs) == ["a", "b", "c"]


def test_a_slow_scanner_needs_the_longer_gap_of_its_setting() -> None:
    assert not scans(feed(Machine(), burst(CARD, 0.1), in_text=False))
    assert scans(feed(Machine(gap_seconds_max=0.15), burst(CARD, 0.1), in_text=False))


def test_enter_too_late_is_an_enter() -> None:
    keys = [*burst(CARD)[:-1], ("enter", 0.5)]
    assert typed(feed(Machine(), keys, in_text=False))[-1] == "enter"


@given(st.text(max_size=30))
def test_a_code_is_long_mixed_and_holds_digits(text: str) -> None:
    if is_code(text):
        assert len(text) >= BURST_LENGTH_MIN
        assert " " not in text
        assert sum(character.isdigit() for character in text) >= 4


def test_a_link_and_a_code_in_groups_need_no_digits() -> None:
    code = "ABCD-EFGH-JKMN-PQRB"
    link = f"https://shop.test/links/claim#{code}"
    assert is_code(code)
    assert is_code(link)
    assert scans(feed(Machine(), burst(link), in_text=False)) == [Scan(link, 0)]
    assert not any(map(is_code, (code[:-1] + "C", code.lower(), f"{link} and more")))
