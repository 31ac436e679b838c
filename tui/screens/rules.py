"""New rules as a form: what most shops change. The rest, promotions above all, is edited as text."""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from shared.money import minor_digits
from shared.programmes import BonusRules, EarningRules, TierRules
from shared.staff import ProgrammeView
from tui.actions import Action
from tui.formatting import counted
from tui.forms import form_row
from tui.pages import Handlers, bindings_for
from tui.rule_words import (
    differences,
    headline,
    plain_words,
    promotion_words,
    read_categories,
    read_count,
    read_expiry,
    read_money,
    read_skus,
    read_tiers,
    survives,
    write_expiry,
    write_goods,
    write_money,
    write_tiers,
)
from tui.safe import join, lines, safe
from tui.screens.confirmed_form import ConfirmedForm
from tui.screens.lock_session import zone_named
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

_BASES = (Option("gross", "tax included", "i"), Option("net", "without tax", "w"))
_ROUNDINGS = (Option("floor", "down", "d"), Option("half_up", "to the nearest", "n"))
_OVERLAPS = (Option("article", "the article's", "a"), Option("best", "the better", "b"), Option("sum", "both", "s"))
_PERIODS = (Option("calendar_year", "calendar year", "c"), Option("rolling_year", "last twelve months", "l"))
_BONUSES: Final = ("sign_up", "birthday", "first_purchase", "referrer", "referred")
_COUNTS: Final = ("points", "visit_points", "pending_days", "kept_years", *_BONUSES)
_MONIES: Final = ("per_minor", "minimum_minor", "visit_minimum_minor")
_CAPS: Final = ("order_points_max", "day_points_max")
_CHOICES: Final = ("basis", "rounding", "overlap", "period")
_LIST_LENGTH_MAX = 4_000
_TEXT_ONLY = "Only as text (Ctrl+Y): a name in it cannot be written on one line."
# Where a field of the rules stands in the form, by the beginning of its path.
_PLACES = (
    ("categories", "categories"),
    ("skus", "skus"),
    ("promotions", "promotions"),
    ("tiers.levels", "levels"),
    ("tiers.period", "period"),
    ("tiers.kept_years", "kept_years"),
    ("bonuses.", ""),
    ("expiry", "expiry"),
)


def place_of(path: str) -> str:
    """Return the form's field for a path below `rules`, such as tiers.levels[0].from_points."""
    for beginning, field_id in _PLACES:
        if path.startswith(beginning):
            return field_id or path.removeprefix(beginning)
    return re.split(r"[.\[]", path, maxsplit=1)[0]


class RulesPage(ConfirmedForm):
    """A draft of rules. Ctrl+S goes on to try it on past sales; nothing is in force before that page publishes it."""

    PAGE = "rules"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#points"
    BINDINGS = bindings_for("rules")

    def __init__(self, programme: ProgrammeView, rules: EarningRules, *, newest: int) -> None:
        super().__init__()
        self._newest = newest
        self._programme = programme
        self._in_force = rules
        # What the form cannot show (promotions, lists with odd names) is kept here while the form is edited.
        self._draft = rules
        self._digits = minor_digits(programme.currency)

    def compose_body(self) -> ComposeResult:
        currency = self._programme.currency
        with Vertical(id="rules-box", classes="box form manager"):
            yield from form_row("Points", _number("points"), beside="a sale earns these…")
            yield from form_row("For every", _number("per_minor"), beside=f"…for every so much {currency}")
            yield from form_row("Money counts", Choice(_BASES, value="gross", id="basis"))
            yield from form_row("Rounding", Choice(_ROUNDINGS, value="floor", id="rounding"))
            yield from form_row("Smallest sale", _number("minimum_minor"), beside=f"{currency}; empty: every sale")
            yield from form_row("Visit points", _number("visit_points"), beside="for the sale as such")
            yield from form_row("Visit from", _number("visit_minimum_minor"), beside=f"{currency}; empty: every sale")
            yield from form_row("Categories", _list("categories"))
            yield from form_row("Articles", _list("skus"))
            yield from form_row("Where both", Choice(_OVERLAPS, value="article", id="overlap"))
            yield from form_row("Tiers", _list("levels"))
            yield from form_row("Tiers by", Choice(_PERIODS, value="calendar_year", id="period"))
            yield from form_row("Tiers kept", _number("kept_years"), beside="years")
            yield from form_row("Promotions", Static(id="promotions"))
            yield from form_row("Most per sale", _number("order_points_max"), beside="points; empty: no limit")
            yield from form_row("Most per day", _number("day_points_max"), beside="a member's; empty: no limit")
            yield from form_row("Spend after", _number("pending_days"), beside="days")
            yield from form_row("Lapse", Field(id="expiry", length_max=40), beside="like 365 days, month end +1")
            yield from form_row("Signing up", _number("sign_up"), beside="points, once")
            yield from form_row("Birthday", _number("birthday"), beside="points a year")
            yield from form_row("First purchase", _number("first_purchase"), beside="points, once")
            yield from form_row("Bringing one", _number("referrer"), beside="points to who brings a friend")
            yield from form_row("Being brought", _number("referred"), beside="points to the friend")
            yield Static(id="reading")
            yield Static(id="changes")

    def on_mount(self) -> None:
        box = self.query_one("#rules-box")
        box.border_title = safe(f"New rules of {self._programme.name}")
        box.border_subtitle = "nothing changes before it is published"
        self.query_one("#categories", Field).placeholder = "like books 200 %; gift cards 0 %; sandwich 5 points"
        self.query_one("#skus", Field).placeholder = "like ART-17 300 %; ART-18 10 points"
        self.query_one("#levels", Field).placeholder = "like Silver from 500 at 150 %; Gold from 2000 at 200 %"
        self._fill(self._in_force)
        super().on_mount()
        self._read_aloud()

    # Form and rules -----------------------------------------------------------------------------------------------------

    def _fill(self, rules: EarningRules) -> None:
        self._draft = rules
        flat = {**_flat(rules), **_flat(rules.tiers), **_flat(rules.bonuses)}
        for name in _COUNTS:
            self.put(name, str(flat[name]))
        for name in _MONIES:
            amount = flat[name]
            assert isinstance(amount, int)
            self.put(name, write_money(amount, self._digits) if amount else "")
        for name in _CAPS:
            self.put(name, "" if flat[name] is None else str(flat[name]))
        for name in _CHOICES:
            self.query_one(f"#{name}", Choice).value = str(flat[name])
        self.put("expiry", write_expiry(rules.expiry))
        self._fill_list(
            "categories",
            write_goods(rules.categories),
            fits=survives(write_goods(rules.categories), read_categories, rules.categories),
        )
        self._fill_list("skus", write_goods(rules.skus), fits=survives(write_goods(rules.skus), read_skus, rules.skus))
        levels = rules.tiers.levels
        self._fill_list("levels", write_tiers(levels), fits=survives(write_tiers(levels), read_tiers, levels))
        zone = zone_named(self._programme.zone)
        told = [f"{promotion.name}: {promotion_words(promotion, zone=zone)}" for promotion in rules.promotions]
        self.query_one("#promotions", Static).update(
            lines(*map(safe, told), safe("Ctrl+Y adds and changes them as text", "$text-muted"))
        )

    def _fill_list(self, field_id: str, written: str, *, fits: bool) -> None:
        field = self.query_one(f"#{field_id}", Field)
        can_edit = fits and len(written) <= _LIST_LENGTH_MAX
        field.disabled = not can_edit
        if can_edit:
            field.value = written
            return
        # An edit takes the note of its field away; this is none.
        with self.prevent(Input.Changed):
            field.value = ""
        self.note(field_id, _TEXT_ONLY, "warn")

    def _rules(self) -> EarningRules | None:
        """Return the rules as they stand in the form; None, with what is wrong kept, when they cannot be read."""
        counts = {name: self.read(name, read_count, empty=0) for name in _COUNTS if name != "points"}
        counts["points"] = self.read("points", read_count)
        amounts = {name: self.read(name, self._money, empty=0) for name in _MONIES if name != "per_minor"}
        amounts["per_minor"] = self.read("per_minor", self._money)
        caps = {name: self.read_optional(name, read_count) for name in _CAPS}
        categories = self._read_list("categories", read_categories, self._draft.categories)
        skus = self._read_list("skus", read_skus, self._draft.skus)
        levels = self._read_list("levels", read_tiers, self._draft.tiers.levels)
        expiry = self.read("expiry", read_expiry)
        if self._wrong:
            return None
        bonuses = {name: counts.pop(name) for name in _BONUSES}
        tiers = {"levels": levels, "period": self.answer("period"), "kept_years": counts.pop("kept_years")}
        body = {
            **_flat(self._draft), **counts, **amounts, **caps, "basis": self.answer("basis"),
            "rounding": self.answer("rounding"), "overlap": self.answer("overlap"), "categories": categories,
            "skus": skus, "tiers": tiers, "bonuses": bonuses, "expiry": expiry,
        }  # fmt: skip
        return self._convert(body)

    def _money(self, text: str) -> int:
        return read_money(text, self._digits)

    def _read_list(self, field_id: str, reader: Callable[[str], tuple[object, ...]], kept: object) -> object:
        if self.query_one(f"#{field_id}", Field).disabled:
            return kept
        return self.read(field_id, reader, empty=())

    def _convert(self, body: dict[str, object]) -> EarningRules | None:
        """Return a body as rules; what is out of bounds is kept by its field."""
        try:
            return msgspec.convert(msgspec.to_builtins(body), EarningRules)
        except msgspec.ValidationError as error:
            path, words = plain_words(error)
            self._wrong[place_of(path)] = words
            return None

    @on(Input.Changed)
    @on(Choice.Changed)
    def _read_aloud(self) -> None:
        """Say the draft in one line; while something cannot be read the last words stay."""
        rules = self._rules()
        self.wrong()
        if rules is not None:
            said = join(("Reads: ", "$text-muted"), (headline(rules, self._programme.currency), "bold"))
            self.query_one("#reading", Static).update(said)

    # As text ------------------------------------------------------------------------------------------------------------

    def _as_text(self) -> None:
        from tui.screens.rules_text import RulesTextPage

        rules = self._rules()
        if rules is None:
            self.show_errors(self.wrong())
            return
        page = RulesTextPage(self._programme, rules)
        self.app.push_screen(page, lambda _: self._take_over(page.rules))

    def _take_over(self, rules: EarningRules | None) -> None:
        if rules is not None:
            self.clear_notes()
            self._fill(rules)
            self._read_aloud()

    def values(self) -> dict[str, str]:
        return super().values() | {"draft": msgspec.json.encode(self._draft).decode()}

    # Going on -----------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        from tui.screens.trial import TrialPage

        self.clear_notes()
        rules = self._rules()
        wrong = self.wrong()
        if rules is None:
            self.show_errors(wrong)
            return
        zone = zone_named(self._programme.zone)
        changed = differences(self._in_force, rules, currency=self._programme.currency, zone=zone)
        if not changed and rules == self._in_force:
            self.console.say("Nothing was changed: these are the rules in force.", "info")
            return
        page = TrialPage(self._programme, rules, newest=self._newest, changes=changed)
        self.app.push_screen(page, lambda _: self._after_trial(page.was_published, page.refused))

    def _after_trial(self, was_published: bool, refused: dict[str, str]) -> None:  # noqa: FBT001  # Read off the page.
        if was_published:
            self.is_saved = True
            self.dismiss()
        elif refused:
            self.show_rule_errors(refused)

    def show_rule_errors(self, errors: dict[str, str]) -> None:
        """Show what the service finds wrong with the rules, each by its path below `rules`."""
        placed: dict[str, str] = {}
        for path, words in errors.items():
            place = place_of(path)
            # In a list the path says which of them is meant.
            told = f"{path}: {words}" if path != place else words
            placed[place] = f"{placed[place]} {told}" if place in placed else told
        rest = {place: words for place, words in placed.items() if not self.query(f"#{place}")}
        for place in ("promotions",):
            if place in placed:
                self.note(place, placed[place])
                self.query_one(f"#{place}").scroll_visible()
        if rest or not self.show_errors(placed):
            count = counted(len(errors), "thing is", "things are")
            self.console.say(" ".join(rest.values()) or f"{count} wrong with the promotions: Ctrl+Y.", "bad")

    # The page -----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        return super().handlers() | {"rules.text": self._as_text}

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Try it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › New rules"


def _number(field_id: str) -> Field:
    return Field(id=field_id, length_max=14)


def _list(field_id: str) -> Field:
    return Field(id=field_id, length_max=_LIST_LENGTH_MAX)


def _flat(rules: EarningRules | TierRules | BonusRules) -> dict[str, object]:
    return {name: getattr(rules, name) for name in rules.__struct_fields__}
