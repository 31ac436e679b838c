"""A reward as a form, and what points are worth at the till."""

import re

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shared import limits
from shared.money import minor_digits, money
from shared.rewards import (
    NewReward,
    RedemptionSettings,
    RedemptionTermsView,
    RewardChange,
    RewardKind,
    RewardList,
    RewardView,
)
from tui.calls import call
from tui.formatting import NOTHING, points
from tui.forms import form_row
from tui.pages import bindings_for
from tui.reward_words import terms_words
from tui.rule_words import read_count, read_money, write_money
from tui.safe import plain, safe
from tui.screens.confirmed_form import ConfirmedForm, instant_reader, write_instant
from tui.widgets.choice import Choice, Option
from tui.widgets.field import Field

_KINDS = (
    Option("amount_off", "money off", "m"),
    Option("percent_off", "percent off", "p"),
    Option("product", "an article", "a"),
)
# What may be changed later; kind, percentage, article and code stay what they were when the reward was added.
_CHANGEABLE = (
    "name", "points_cost", "value_minor", "description", "valid_days", "stock", "member_limit", "active_from", "active_until",
)  # fmt: skip
_LABELS = {
    "name": "Name", "points_cost": "Points", "value_minor": "Worth", "description": "Description", "valid_days": "Valid",
    "stock": "Stock", "member_limit": "Each member", "active_from": "Offered from", "active_until": "Offered until",
}  # fmt: skip


class RewardPage(ConfirmedForm):
    """A new reward, or one to change; only what was changed is sent."""

    PAGE = "reward"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#name"
    BINDINGS = bindings_for("reward")

    def __init__(self, terms: RedemptionTermsView, reward: RewardView | None) -> None:
        super().__init__()
        self._programme_code = terms.programme_code or None
        self._currency = terms.currency
        self._digits = minor_digits(terms.currency)
        self._reward = reward

    @property
    def _zone(self) -> str:
        return str(self.console.session.zone) if self.console.session else "UTC"

    def compose_body(self) -> ComposeResult:
        with Vertical(id="reward-box", classes="box form manager"):
            yield from form_row("Name", Field(id="name", length_max=limits.NAME_LENGTH_MAX), beside="as members see it")
            if self._reward is None:
                yield from form_row("Code", Field(id="code", length_max=32), beside="like free-coffee")
                yield from form_row("It is", Choice(_KINDS, value="amount_off", id="kind"))
                yield from form_row("Percent", Field(id="percent", length_max=3), beside="of percent off only")
                yield from form_row("Article", Field(id="sku", length_max=64), beside="of an article only")
            yield from form_row("Points", Field(id="points_cost", length_max=12), beside="that it costs")
            yield from form_row("Worth", Field(id="value_minor", length_max=12), beside=f"{self._currency} at most")
            yield from form_row("Description", Field(id="description", length_max=500))
            yield from form_row("Voucher valid", Field(id="valid_days", length_max=4), beside="days; empty: for ever")
            yield from form_row("Stock", Field(id="stock", length_max=7), beside="vouchers; empty: no end")
            yield from form_row(
                "Each member", Field(id="member_limit", length_max=7), beside="vouchers; empty: no limit"
            )
            yield from form_row("Offered from", Field(id="active_from", length_max=20), beside="empty: at once")
            yield from form_row("Offered until", Field(id="active_until", length_max=20), beside="empty: no end")
            yield Static(id="changes")

    def on_mount(self) -> None:
        title = f"Change {self._reward.name}" if self._reward else "A new reward"
        self.query_one("#reward-box").border_title = safe(title)
        if self._reward is not None:
            for field_id, text in self._texts(self._reward).items():
                self.put(field_id, text)
        super().on_mount()

    def _texts(self, reward: RewardView) -> dict[str, str]:
        """Return a reward as the form shows it."""
        numbers = {name: getattr(reward, name) for name in ("points_cost", "valid_days", "stock", "member_limit")}
        return {
            "name": plain(reward.name),
            "description": plain(reward.description),
            "value_minor": write_money(reward.value_minor, self._digits),
            **{name: "" if number is None else str(number) for name, number in numbers.items()},
            "active_from": write_instant(reward.active_from, self._zone),
            "active_until": write_instant(reward.active_until, self._zone),
        }

    def _read(self) -> dict[str, object]:
        """Return what stands in the fields that may be changed."""
        if not self.text("name"):
            self._wrong["name"] = "A name is needed."
        instant = instant_reader(self._zone)
        return {
            "name": self.text("name"),
            "points_cost": self.read("points_cost", _read_positive),
            "value_minor": self.read("value_minor", lambda text: read_money(text, self._digits)),
            "description": self.text("description"),
            "valid_days": self.read_optional("valid_days", _read_positive),
            "stock": self.read_optional("stock", read_count),
            "member_limit": self.read_optional("member_limit", _read_positive),
            "active_from": self.read_optional("active_from", instant),
            "active_until": self.read_optional("active_until", instant),
        }

    def commit(self) -> None:
        self.clear_notes()
        values = self._read()
        if self._reward is None:
            self._commit_new(values)
        else:
            self._commit_change(self._reward, values)

    def _commit_new(self, values: dict[str, object]) -> None:
        kind = RewardKind(self.answer("kind"))
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,31}", self.text("code")):
            self._wrong["code"] = "Two or more small letters, digits and hyphens, like free-coffee."
        percent = self.read_optional("percent", _read_positive)
        if (kind is RewardKind.PERCENT_OFF) != bool(self.text("percent")):
            self._wrong["percent"] = "Give the percentage of percent off, and of nothing else."
        if (kind is RewardKind.PRODUCT) != bool(self.text("sku")):
            self._wrong["sku"] = "Give the number of an article, and of nothing else."
        if wrong := self.wrong():
            self.show_errors(wrong)
            return
        asked = NewReward(
            code=self.text("code"),
            kind=kind,
            percent=percent,
            sku=self.text("sku"),
            programme_code=self._programme_code,
            **values,  # type: ignore[arg-type]  # Read by name above.
        )
        told = [
            f"{asked.name} for {points(asked.points_cost)} points, worth {money(asked.value_minor, self._currency)} at most"
        ]
        if self.confirms(told, button="adds it"):
            self.sent()
            call(
                self, "reward", lambda client: client.create_reward(asked), done=self._saved,
                failed=self.save_failed, is_write=True, waiting="Adding it…",
            )  # fmt: skip

    def _commit_change(self, reward: RewardView, values: dict[str, object]) -> None:
        if wrong := self.wrong():
            self.show_errors(wrong)
            return
        before, typed = self._texts(reward), self.values()
        names = [name for name in _CHANGEABLE if typed[name].strip() != before[name].strip()]
        if not names:
            self.console.say("Nothing was changed.", "info")
            return
        change = replace(RewardChange(version=reward.version), **{name: values[name] for name in names})
        told = [f"{_LABELS[name]}: {before[name] or NOTHING} → {typed[name] or NOTHING}" for name in names]
        if self.confirms([*told, "Vouchers that were issued before stay as they are"]):
            reward_id = reward.id
            self.sent()
            call(
                self, "reward", lambda client: client.change_reward(reward_id, change), done=self._saved,
                failed=self.save_failed, is_write=True, waiting="Saving…",
            )  # fmt: skip

    def _saved(self, reward: RewardView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"{reward.name} is {'saved' if self._reward else 'in the catalogue'}.", "good")
        self.dismiss()

    def ask_theirs(self) -> None:
        call(self, "theirs", lambda client: client.list_rewards(), done=self._meet)

    def _meet(self, rewards: RewardList) -> None:
        reward = self._reward
        assert reward is not None
        found = next((other for other in rewards.items if other.id == reward.id), None)
        if found is not None:
            self._reward = found
            self.meet_theirs(self._texts(reward), self._texts(found))

    def crumbs(self) -> str:
        return f"Rewards › {self._reward.name if self._reward else 'New'}"


_TERMS = ("step_points", "cap_percent", "minimum_points", "card_daily_points", "restore_grace_days")


class TermsPage(ConfirmedForm):
    """What points are worth at the till from now on; open holds keep the money they promised."""

    PAGE = "terms"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#step_points"
    BINDINGS = bindings_for("terms")

    def __init__(self, terms: RedemptionTermsView) -> None:
        super().__init__()
        self._terms = terms
        self._digits = minor_digits(terms.currency)

    def compose_body(self) -> ComposeResult:
        currency = self._terms.currency
        with Vertical(id="terms-box", classes="box form manager"):
            yield from form_row("Step", Field(id="step_points", length_max=10), beside="points, spent in steps…")
            yield from form_row(
                "Worth", Field(id="step_minor", length_max=12), beside=f"…each takes so much {currency} off"
            )
            yield from form_row("Of a sale", Field(id="cap_percent", length_max=3), beside="percent at most")
            yield from form_row("At least", Field(id="minimum_points", length_max=10), beside="points at a time")
            yield from form_row(
                "Card alone", Field(id="card_daily_points", length_max=10), beside="points a day without proof"
            )
            yield from form_row(
                "Given back", Field(id="restore_grace_days", length_max=3), beside="days more after lapsing"
            )
            yield Static(id="changes")

    def on_mount(self) -> None:
        self.query_one("#terms-box").border_title = "What points are worth at the till"
        for field_id, text in self._texts(self._terms).items():
            self.put(field_id, text)
        super().on_mount()

    def _texts(self, terms: RedemptionTermsView) -> dict[str, str]:
        numbers = {name: str(getattr(terms, name)) for name in _TERMS}
        return numbers | {"step_minor": write_money(terms.step_minor, self._digits)}

    def commit(self) -> None:
        self.clear_notes()
        numbers = {name: self.read(name, read_count) for name in _TERMS}
        step_minor = self.read("step_minor", lambda text: read_money(text, self._digits))
        cap = numbers["cap_percent"]
        if cap is not None and cap > 100:
            self._wrong["cap_percent"] = "A hundred percent is all of it."
        for name, value in (("step_points", numbers["step_points"]), ("step_minor", step_minor)):
            if value == 0:
                self._wrong[name] = "More than nothing."
        if wrong := self.wrong():
            self.show_errors(wrong)
            return
        asked = RedemptionSettings(
            version=self._terms.version,
            step_minor=step_minor,  # type: ignore[arg-type]  # None is among `wrong`.
            **numbers,  # type: ignore[arg-type]
            programme_code=self._terms.programme_code or None,
        )
        after = replace(self._terms, step_minor=step_minor, **numbers)
        if after == self._terms:
            self.console.say("Nothing was changed.", "info")
        elif self.confirms([f"Was: {terms_words(self._terms)}", f"Will be: {terms_words(after)}"]):
            self.sent()
            call(
                self, "terms", lambda client: client.put_redemption_terms(asked), done=self._saved,
                failed=self.save_failed, is_write=True, waiting="Saving…",
            )  # fmt: skip

    def _saved(self, terms: RedemptionTermsView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"Saved: {terms_words(terms)}.", "good")
        self.dismiss()

    def ask_theirs(self) -> None:
        code = self._terms.programme_code or None
        call(self, "theirs", lambda client: client.get_redemption_terms(code), done=self._meet)

    def _meet(self, terms: RedemptionTermsView) -> None:
        before, self._terms = self._texts(self._terms), terms
        self.meet_theirs(before, self._texts(terms))

    def crumbs(self) -> str:
        return "Rewards › Terms"


def _read_positive(text: str) -> int:
    number = read_count(text)
    if number == 0:
        raise ValueError("Type a whole number of one or more.")
    return number
