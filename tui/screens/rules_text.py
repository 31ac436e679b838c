"""All rules as text: everything the service knows, in JSON, with errors that name the field and the line."""

import re

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.widgets import Static, TextArea

from shared.programmes import EarningRules
from shared.staff import ProgrammeView
from tui.actions import Action
from tui.forms import FormPage
from tui.pages import bindings_for
from tui.safe import safe
from tui.widgets.text_box import TextBox, escape_json

_BYTE = re.compile(r"\(byte (\d+)\)")
_PATH = re.compile(r"`\$\.?(.*)`$")

_HINT = (
    ' A promotion, for example: {"code": "spring", "name": "Spring", "percent": 200, "weekdays": ["sat"], '
    '"stores": ["high-street"], "from_at": "2026-04-01T00:00:00+01:00", "member_points_max": 500}'
)


def write_rules(rules: EarningRules) -> str:
    """Return rules as JSON of many lines, in which no character can drive a terminal."""
    return escape_json(msgspec.json.format(msgspec.json.encode(rules), indent=2).decode())


def read_rules(text: str) -> EarningRules:
    """Read rules from JSON.

    Raises:
        WrongText: With a sentence that names the field, and the line where it is known.
    """
    body = text.encode("utf-8", "replace")
    try:
        return msgspec.json.decode(body, type=EarningRules)
    except msgspec.ValidationError as error:
        words, _, where = str(error).partition(" - at ")
        found = _PATH.search(where)
        path = found[1] if found else ""
        raise WrongText(f"{path}: {words}." if path else f"{words}.", line=_line_of(text, path)) from error
    except msgspec.DecodeError as error:
        found = _BYTE.search(str(error))
        line = body[: int(found[1])].count(b"\n") + 1 if found else 1
        words = _BYTE.sub("", str(error)).removeprefix("JSON is malformed: ").strip()
        raise WrongText(f"Line {line} is no JSON: {words}.", line=line) from error


class WrongText(ValueError):
    """Text that is no rules."""

    def __init__(self, words: str, *, line: int) -> None:
        super().__init__(words)
        self.line = line


def _line_of(text: str, path: str) -> int:
    """Return the line of a path such as promotions[1].percent: its last name, sought in the item that it is of."""
    start = 0
    for name, place in re.findall(r"(\w+)(?:\[(\d+)\])?", path):
        found = text.find(f'"{name}"', start)
        if found < 0:
            break
        start = found
        if place:
            # The items of a list are told apart by their opening brackets.
            for _ in range(int(place) + 1):
                start = max(start, text.find("{", start + 1))
    return text.count("\n", 0, start) + 1


class RulesTextPage(FormPage):
    """Ctrl+S hands the rules back to the form; text that cannot be read stays as it is, with what is wrong."""

    PAGE = "rules-text"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#text"
    BINDINGS = bindings_for("rules-text")

    def __init__(self, programme: ProgrammeView, rules: EarningRules) -> None:
        super().__init__()
        self._programme = programme
        self._text = write_rules(rules)
        self.rules: EarningRules | None = None

    def compose_body(self) -> ComposeResult:
        yield TextBox(self._text, id="text")
        yield Static(safe(_HINT, "$text-muted"), id="text-wrong")

    def values(self) -> dict[str, str]:
        return {"text": self.query_one("#text", TextBox).text}

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self.query_one("#text-wrong", Static).update(safe(_HINT, "$text-muted"))

    def commit(self) -> None:
        box = self.query_one("#text", TextBox)
        try:
            self.rules = read_rules(box.text)
        except WrongText as error:
            self.query_one("#text-wrong", Static).update(safe(f" ✗ {error}", "$error"))
            self.console.say("Nothing was taken over; the text is as you left it.", "bad")
            box.go_to_line(error.line)
            return
        self.is_saved = True
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Take over"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def scan_words(self) -> str:
        return "A scan is written where the cursor is."

    def take_scan(self, code: str) -> None:
        box = self.query_one("#text", TextBox)
        box.replace(code, *box.selection)

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › New rules › As text"
