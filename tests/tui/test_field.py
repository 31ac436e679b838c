"""The text box: clean pastes, and the first key of a scan taken back."""

from textual import events
from textual.app import App, ComposeResult

from tui.widgets.field import Field, clean_paste


class OneField(App[None]):
    def compose(self) -> ComposeResult:
        yield Field(id="field", length_max=20)


def test_a_paste_is_its_first_line_without_controls_and_doubled_blanks() -> None:
    assert clean_paste("\n\n  Ann \t\x1b[2J Bright\nsecond", length_max=80) == ("Ann [2J Bright", False)
    assert clean_paste("abcdef", length_max=3) == ("abc", True)
    assert clean_paste("+44 (20) 7946-0123", length_max=80, phone=True) == ("+442079460123", False)
    assert clean_paste("\n \n", length_max=80) == ("", False)


async def test_what_a_scan_typed_is_taken_back_with_the_selection_it_replaced() -> None:
    async with OneField().run_test() as pilot:
        field = pilot.app.query_one(Field)
        field.value = "scorpio"
        field.action_select_all()
        await pilot.press("2")
        assert field.value == "2"
        field.post_message(Field.Retract(1))
        await pilot.pause()
        assert (field.value, field.selected_text) == ("scorpio", "scorpio")


async def test_what_was_put_there_since_stays() -> None:
    async with OneField().run_test() as pilot:
        field = pilot.app.query_one(Field)
        await pilot.press("2")
        field.value = "29000000000012"
        field.post_message(Field.Retract(1))
        await pilot.pause()
        assert field.value == "29000000000012"


async def test_a_long_paste_is_cut_and_says_so() -> None:
    async with OneField().run_test() as pilot:
        field = pilot.app.query_one(Field)
        field.post_message(events.Paste("x" * 300))
        await pilot.pause()
        assert field.value == "x" * 20
