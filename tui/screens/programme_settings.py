"""What a programme decides beside its rules, and a further programme."""

import re
from zoneinfo import available_timezones

from msgspec import UNSET, ValidationError, convert, to_builtins
from msgspec.structs import replace
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from shared import limits
from shared.programmes import AdjustmentLimits, NewProgramme, ProgrammeChange, ProgrammeSettings, RoleLimits
from shared.staff import ProgrammeView
from tui.calls import call
from tui.formatting import NOTHING
from tui.forms import form_row
from tui.pages import bindings_for
from tui.rule_words import headline, plain_words, read_count
from tui.safe import safe
from tui.screens.confirmed_form import ConfirmedForm, instant_reader, write_instant
from tui.screens.lock_session import zone_named
from tui.screens.programmes import rules_of
from tui.setting_words import setting_readings
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field

_CLAWBACKS = (
    Option("allow_negative", "owed", "o"),
    Option("available_only", "written off", "w"),
    Option("refuse", "refused", "r"),
)
_REDEEMERS = (Option("anyone", "everybody", "e"), Option("owner", "the owner", "o"))
_DAYS = ("grace_days", "late_attach_days", "manager_late_attach_days", "reassign_days", "manager_reassign_days")
_TEXTS = ("name", "unit_one", "unit_many", "zone", "currency")
_LIMIT_FIELDS = ("each", "day", "month", "member_day", "member_month", "store_day")
_LIMITS_READ = (
    "Alone: points by hand without a second person, in this order: at a time, a day, 30 days; for one member a day, "
    "30 days; in a store a day."
)
_FIELD_OF = {"settings." + name: name for name in (*_DAYS, "max_sharers", "clawback_policy", "redeem_policy")} | {
    f"settings.adjustment_limits.{role}.{name}": role for role in ("cashier", "manager") for name in _LIMIT_FIELDS
}


def read_limits(text: str) -> AdjustmentLimits:
    """Read six numbers: a time, a day, 30 days; a member's day and 30 days; a store's day.

    Raises:
        ValueError: They are not six numbers.
    """
    words = text.replace(",", " ").split()
    if len(words) != len(_LIMIT_FIELDS):
        raise ValueError("Type six numbers: at a time, day, 30 days; a member's day, 30 days; the store's day.")
    return AdjustmentLimits(**dict(zip(_LIMIT_FIELDS, map(read_count, words), strict=True)))


def _texts(programme: ProgrammeView) -> dict[str, str]:
    """Return a programme as its form shows it."""
    settings = programme.settings
    roles = settings.adjustment_limits
    return {
        **{name: getattr(programme, name) for name in _TEXTS},
        "launch_at": write_instant(programme.launch_at, programme.zone),
        **{name: str(getattr(settings, name)) for name in (*_DAYS, "max_sharers")},
        "clawback_policy": settings.clawback_policy,
        "redeem_policy": settings.redeem_policy,
        "claw_visit_points": "yes" if settings.claw_visit_points else "no",
        "cashier": " ".join(str(getattr(roles.cashier, name)) for name in _LIMIT_FIELDS),
        "manager": " ".join(str(getattr(roles.manager, name)) for name in _LIMIT_FIELDS),
    }


class SettingsPage(ConfirmedForm):
    """Only what was changed is sent, with the version it was changed on."""

    PAGE = "settings"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#name"
    BINDINGS = bindings_for("settings")
    FIELD_OF = _FIELD_OF

    def __init__(self, programme: ProgrammeView) -> None:
        super().__init__()
        self._programme = programme

    def compose_body(self) -> ComposeResult:
        with Vertical(id="settings-box", classes="box form manager"):
            yield from form_row(
                "Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside="for the audit"
            )
            yield from form_row("Name", Field(id="name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("One is a", Field(id="unit_one", length_max=20), beside="point, star, bean…")
            yield from form_row("Many are", Field(id="unit_many", length_max=20))
            yield from form_row("Time zone", Field(id="zone", length_max=60), beside="fixed once it has members")
            yield from form_row("Money", Field(id="currency", length_max=3), beside="fixed once it has members")
            yield from form_row("Earns since", Field(id="launch_at", length_max=20), beside="fixed once it has members")
            yield from form_row("Before joining", _number("grace_days"), beside="days of sales count too")
            yield from form_row("Spent, returned", Choice(_CLAWBACKS, value="allow_negative", id="clawback_policy"))
            yield from form_row("Claw back visit", Choice(NO_YES, value="yes", id="claw_visit_points"))
            yield from form_row("Late, cashier", _number("late_attach_days"), beside="days back may be given")
            yield from form_row("Late, manager", _number("manager_late_attach_days"), beside="days")
            yield from form_row("Move, cashier", _number("reassign_days"), beside="days back may be moved")
            yield from form_row("Move, manager", _number("manager_reassign_days"), beside="days")
            yield from form_row("Sharing", _number("max_sharers"), beside="other people at most")
            yield from form_row("Who spends", Choice(_REDEEMERS, value="anyone", id="redeem_policy"))
            yield from form_row("Cashier alone", Field(id="cashier", length_max=80), beside="six numbers, as below")
            yield from form_row("Manager alone", Field(id="manager", length_max=80), beside="six numbers, as below")
            yield Static(safe(_LIMITS_READ, "$text-muted"))
            yield Static(id="changes")

    def on_mount(self) -> None:
        self.query_one("#settings-box").border_title = safe(f"Settings of {self._programme.name}")
        for field_id, text in _texts(self._programme).items():
            self.put_any(field_id, text)
        super().on_mount()

    def _read_settings(self) -> ProgrammeSettings | None:
        numbers = {name: self.read(name, read_count) for name in (*_DAYS, "max_sharers")}
        cashier, manager = self.read("cashier", read_limits), self.read("manager", read_limits)
        if self._wrong or cashier is None or manager is None:
            return None
        settings = numbers | {
            "clawback_policy": self.answer("clawback_policy"),
            "redeem_policy": self.answer("redeem_policy"),
            "claw_visit_points": self.answer("claw_visit_points") == "yes",
            "adjustment_limits": to_builtins(RoleLimits(cashier=cashier, manager=manager)),
        }
        try:
            return convert(settings, ProgrammeSettings)
        except ValidationError as error:
            path, words = plain_words(error)
            self._wrong[_FIELD_OF["settings." + path]] = words
            return None

    def _asked(self) -> ProgrammeChange | None:
        """Return what would be sent; None, with the fields marked, when it cannot be read."""
        before, typed = _texts(self._programme), self.values()
        reason = self.read_reason()
        for name in _TEXTS:
            if not typed[name].strip():
                self._wrong[name] = "This is needed."
        launch_at = self.read("launch_at", instant_reader(self._programme.zone))
        settings = self._read_settings()
        if wrong := self.wrong():
            self.show_errors(wrong)
            return None
        assert launch_at is not None
        texts = {name: typed[name].strip() for name in _TEXTS if typed[name].strip() != before[name]}
        return ProgrammeChange(
            version=self._programme.version,
            reason=reason,
            launch_at=launch_at if typed["launch_at"].strip() != before["launch_at"] else UNSET,
            settings=settings if settings is not None and settings != self._programme.settings else UNSET,
            **texts,
        )

    def _changes(self, asked: ProgrammeChange) -> list[str]:
        """Return what a change changes, in words."""
        names = (*_TEXTS, "launch_at", "settings")
        given = {name: value for name in names if (value := getattr(asked, name)) is not UNSET}
        now, zone = self.console.now(), zone_named(self._programme.zone)
        before = dict(setting_readings(self._programme, now=now, zone=zone))
        after = dict(setting_readings(replace(self._programme, **given), now=now, zone=zone))
        return [
            f"{name}: {before.get(name, NOTHING)} → {how}" for name, how in after.items() if before.get(name) != how
        ]

    def commit(self) -> None:
        self.clear_notes()
        asked = self._asked()
        if asked is None:
            return
        changes = self._changes(asked)
        if not changes:
            self.console.say("Nothing was changed.", "info")
        elif self.confirms(changes):
            self._send(asked)

    def _send(self, asked: ProgrammeChange) -> None:
        programme_id = self._programme.id
        assert programme_id is not None
        self.sent()
        call(
            self,
            "settings",
            lambda client: client.change_programme(programme_id, asked),
            done=self._changed,
            failed=self.save_failed,
            is_write=True,
            waiting="Saving…",
        )

    def _changed(self, programme: ProgrammeView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"The settings of {programme.name} are saved.", "good")
        self.dismiss()

    def ask_theirs(self) -> None:
        programme_id = self._programme.id
        assert programme_id is not None
        call(self, "theirs", lambda client: client.get_programme(programme_id), done=self._meet)

    def _meet(self, programme: ProgrammeView) -> None:
        before, self._programme = _texts(self._programme), programme
        self.meet_theirs(before, _texts(programme))

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › Settings"


class NewProgrammePage(ConfirmedForm):
    """A further programme, which begins with the rules of another."""

    PAGE = "new-programme"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#name"
    BINDINGS = bindings_for("new-programme")

    def __init__(self, model: ProgrammeView) -> None:
        super().__init__()
        self._model = model

    def compose_body(self) -> ComposeResult:
        with Vertical(id="settings-box", classes="box form manager"):
            yield from form_row("Name", Field(id="name", length_max=limits.NAME_LENGTH_MAX))
            yield from form_row("Code", Field(id="code", length_max=40), beside="like coffee-club")
            yield from form_row("One is a", Field(id="unit_one", length_max=20), beside="point, star, bean…")
            yield from form_row("Many are", Field(id="unit_many", length_max=20))
            yield from form_row("Time zone", Field(id="zone", length_max=60))
            yield from form_row("Money", Field(id="currency", length_max=3), beside="like GBP")
            yield from form_row("Earns since", Field(id="launch_at", length_max=20), beside="empty: from now on")
            yield Static(id="changes")

    def on_mount(self) -> None:
        self.query_one("#settings-box").border_title = safe(
            f"A further programme, with the rules of {self._model.name}"
        )
        for name in ("unit_one", "unit_many", "zone", "currency"):
            self.put(name, getattr(self._model, name))
        super().on_mount()

    def commit(self) -> None:
        self.clear_notes()
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", self.text("code")):
            self._wrong["code"] = "Small letters, digits and hyphens, like coffee-club."
        if not re.fullmatch(r"[A-Z]{3}", self.text("currency")):
            self._wrong["currency"] = "Three capital letters, like GBP."
        if self.text("zone") not in available_timezones():
            self._wrong["zone"] = "Not a time zone; write it like Europe/London."
        for name in ("name", "unit_one", "unit_many"):
            if not self.text(name):
                self._wrong[name] = "This is needed."
        zone = self._model.zone if "zone" in self._wrong else self.text("zone")
        launch_at = self.read_optional("launch_at", instant_reader(zone))
        rules = rules_of(self._model)
        if wrong := self.wrong():
            self.show_errors(wrong)
            return
        assert rules is not None
        asked = NewProgramme(
            code=self.text("code"),
            name=self.text("name"),
            unit_one=self.text("unit_one"),
            unit_many=self.text("unit_many"),
            zone=self.text("zone"),
            currency=self.text("currency"),
            launch_at=launch_at,
            rules=rules,
        )
        told = [
            f"Members can join {asked.name}, which counts {asked.unit_many} of its own",
            headline(rules, asked.currency),
            f"It earns since {write_instant(launch_at, zone) or 'now'}",
        ]
        if self.confirms(told, button="starts it"):
            self._send(asked)

    def _send(self, asked: NewProgramme) -> None:
        self.sent()
        call(
            self,
            "new programme",
            lambda client: client.create_programme(asked),
            done=self._created,
            failed=self.save_failed,
            is_write=True,
            waiting="Starting it…",
        )

    def _created(self, programme: ProgrammeView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"{programme.name} is there. Enter on it shows its rules.", "good")
        self.dismiss()

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and rules_of(self._model) is None:
            return "the rules it would begin with are newer than this console"
        return super().unavailable(action_id)

    def crumbs(self) -> str:
        return "Programme › New programme"


def _number(field_id: str) -> Field:
    return Field(id=field_id, length_max=8)
