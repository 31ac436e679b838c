"""New rules tried on past sales, month by month, and put in force from a day on."""

from datetime import datetime, timedelta, tzinfo
from functools import partial

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from shared import limits
from shared.money import money
from shared.problems import Code
from shared.programmes import (
    EarningRules,
    RulesPreview,
    RulesProposal,
    RulesPublication,
    RuleVersionList,
    RuleVersionView,
)
from shared.staff import ProgrammeView
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import NOTHING, Cell, Row, Tone, counted, moment, points, signed
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.rule_words import headline, read_day, read_instant
from tui.safe import join, lines, safe
from tui.screens.danger import Danger, make_sure
from tui.screens.lock_session import zone_named
from tui.trial_sums import Sums, looks_back, spans_of
from tui.widgets.chart import Bar, Chart
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import field_errors

TRIAL_DAYS = 90
_TIER_WORDS = " · Who has bought enough for a tier gets it within minutes; nobody loses one early."
_PROMOTIONS_SHOWN = 2
_GROUP = "trial"
_COLUMNS = (
    Column("Month", 8),
    Column("Store", -1),
    Column("Sales", 9, right=True, from_width=70),
    Column("Gave", 11, right=True),
    Column("Would give", 11, right=True),
    Column("Difference", 11, right=True),
    Column("Costs", 14, right=True, from_width=96),
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial is about: when the rules would begin (None: at once), and the past sales."""

    begins: datetime | None
    since: datetime
    until: datetime


class TrialPage(FormPage):
    """Counts by itself when it opens and when its days change; Esc stops it, F5 counts again, Ctrl+S publishes."""

    PAGE = "trial"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#reason"
    BINDINGS = bindings_for("trial")

    def __init__(
        self,
        programme: ProgrammeView,
        rules: EarningRules,
        *,
        newest: int,
        from_version: int | None = None,
        changes: list[tuple[str, str, str]] | None = None,
    ) -> None:
        super().__init__()
        self._programme = programme
        self._rules = rules
        self._newest = newest
        self._overtaken_by: RuleVersionView | None = None
        self._from_version = from_version
        self._changes = changes or []
        self.was_published = False
        self.refused: dict[str, str] = {}
        self._asked: Asked | None = None
        self._left: list[tuple[datetime, datetime]] = []
        self._spans_count = 0
        self._is_counting = False
        self._sums = Sums()
        self._last: RulesPreview | None = None

    @property
    def zone(self) -> tzinfo:
        return zone_named(self._programme.zone)

    def compose_body(self) -> ComposeResult:
        with Vertical(id="trial-box", classes="box form"):
            yield from form_row("Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX))
            yield from form_row("Begins", Field(id="begins", length_max=20), beside="empty: now; 1.4.2026 6:00")
            yield from form_row("Sales since", Field(id="since", length_max=12), beside="⏎ counts again")
            yield from form_row("Until", Field(id="until", length_max=12), beside="last day; empty: now")
        with VerticalScroll(id="trial-told"):
            yield Static(id="trial-sum")
        yield Chart(id="trial-chart")
        yield LineList(_COLUMNS, id="effects")

    def on_mount(self) -> None:
        box = self.query_one("#trial-box")
        version = f"version {self._from_version} again" if self._from_version else "new rules"
        box.border_title = safe(f"Try {version} on past sales, then publish")
        box.border_subtitle = "nothing changes before Ctrl+S"
        today = self.console.now().astimezone(self.zone).date()
        self.query_one("#since", Field).value = f"{(today - timedelta(days=TRIAL_DAYS)).replace(day=1)}"
        super().on_mount()
        self.refresh_data()

    # Counting -----------------------------------------------------------------------------------------------------------

    def _read(self) -> Asked | None:
        """Return what the form asks for; None, with the fields marked, when it cannot be read."""
        wrong: dict[str, str] = {}
        begins = since = until = None
        try:
            begins = read_instant(self.text("begins"), self.zone) if self.text("begins") else None
        except ValueError as error:
            wrong["begins"] = str(error)
        try:
            since = read_instant(f"{read_day(self.text('since'))}", self.zone)
        except ValueError as error:
            wrong["since"] = str(error)
        try:
            last = read_day(self.text("until")) if self.text("until") else None
            until = read_instant(f"{last + timedelta(days=1)}", self.zone) if last else self.console.now()
        except (ValueError, OverflowError) as error:
            wrong["until"] = str(error)
        if since is not None and until is not None and since >= until:
            wrong["since"] = "The days end before they begin."
        if wrong or since is None or until is None:
            self.show_errors(wrong)
            return None
        return Asked(begins=begins, since=since, until=until)

    def refresh_data(self) -> None:
        """Count from the start."""
        self.clear_notes()
        asked = self._read()
        if asked is None or self.is_sending:
            return
        self._asked, self._sums, self._last = asked, Sums(), None
        self._left = spans_of(self._rules, asked.since, asked.until, self.zone)
        self._spans_count = len(self._left)
        self._is_counting = True
        self._look_for_newer()
        self._count_next()

    def _look_for_newer(self) -> None:
        """Ask whether somebody has published since this draft was begun, as it would undo theirs."""
        programme_id = self._programme.id
        assert programme_id is not None
        call(self, "versions", lambda client: client.list_rule_versions(programme_id), done=self._found_versions)

    def _found_versions(self, versions: RuleVersionList) -> None:
        newest = max(versions.items, key=lambda version: version.version)
        self._overtaken_by = newest if newest.version > self._newest else None
        self._show()

    def _overtaken_words(self) -> str:
        newer = self._overtaken_by
        if newer is None:
            return ""
        who = newer.created_by or "somebody"
        return f"{who} published version {newer.version} since you began. These rules replace it."

    def _count_next(self) -> None:
        self._show()
        if not self._left or self._asked is None:
            self._is_counting = False
            self._show()
            return
        since, until = self._left[0]
        proposal = RulesProposal(
            rules=None if self._from_version else self._rules,
            from_version=self._from_version,
            valid_from=self._asked.begins,
            since=since,
            until=until,
        )
        programme_id = self._programme.id
        assert programme_id is not None
        call(
            self,
            _GROUP,
            lambda client: client.preview_rules(programme_id, proposal),
            done=partial(self._counted, self._asked),
            failed=self._count_failed,
            waiting="Counting…",
        )

    def _counted(self, asked: Asked, preview: RulesPreview) -> None:
        if asked is not self._asked or not self._is_counting:
            return
        self._last = preview
        self._sums.add(preview)
        _, until = self._left.pop(0)
        if not preview.is_complete:
            # The service stops after a while; what is left is a span of its own.
            self._left.insert(0, (preview.counted_until, until))
            self._sums.is_rough = looks_back(self._rules) or self._rules.day_points_max is not None
        self._count_next()

    def _count_failed(self, error: ConsoleError) -> None:
        self._is_counting = False
        errors = field_errors(error)
        if any(field == "rules" or field.startswith("rules.") for field in errors):
            self._send_back(errors)
            return
        self._show()
        if not self.show_errors({_FIELD_OF.get(field, field): words for field, words in errors.items()}):
            self.show_failure(error)

    def _send_back(self, errors: dict[str, str]) -> None:
        """Close and hand what is wrong with the rules to the form they were written in."""
        self.refused = {field.removeprefix("rules."): words for field, words in errors.items()}
        self.is_saved = True
        self.console.say("The service found something wrong with these rules.", "bad")
        self.dismiss()

    def stop(self) -> bool:
        """Stop counting and keep what was counted; False when nothing was going on."""
        was_counting, self._is_counting = self._is_counting, False
        if was_counting:
            self.workers.cancel_group(self, _GROUP)
            self._show()
            self.console.say("Stopped. What was counted stands below; F5 counts again.", "warn")
        return was_counting

    @on(Input.Submitted, "#begins")
    @on(Input.Submitted, "#since")
    @on(Input.Submitted, "#until")
    def _count_again(self) -> None:
        self.refresh_data()

    # Showing ------------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        if self.console.session is None:
            return
        self.query_one("#trial-sum", Static).update(self._sum_words())
        effects, currency = self._sums.effects(), self._programme.currency
        bars = [Bar(month, (then, now)) for month, then, now in self._sums.months()]
        self.query_one("#trial-chart", Chart).show(bars, ("gave", "would give"), keeps_last=True)
        listed = self.query_one("#effects", LineList)
        listed.empty_words = "" if self._is_counting else "No sale of a member in these days."
        listed.set_rows(
            [
                Row(
                    key=f"{effect.month}/{effect.store_code}",
                    cells=(
                        Cell(effect.month),
                        Cell(effect.store_name),
                        Cell(points(effect.orders)),
                        Cell(points(effect.points_then)),
                        Cell(points(effect.points_now)),
                        Cell(
                            signed(effect.points_now - effect.points_then),
                            _tone(effect.points_now - effect.points_then),
                        ),
                        Cell(NOTHING if effect.cost_minor is None else money(effect.cost_minor, currency)),
                    ),
                )
                for effect in effects
            ]
        )
        self.frame_changed()

    def _sum_words(self) -> Content:
        told: list[Content] = []
        sums = self._sums
        if self._is_counting and self._left:
            done = self._spans_count - len(self._left)
            month = f"{self._left[0][0].astimezone(self.zone):%Y-%m}"
            told.append(
                join((f" Counting {month}: {max(0, done)} of {self._spans_count} done, ", "$text-muted"),
                     (f"{counted(sums.orders, 'sale', 'sales')} so far.  Esc stops", "$text-muted"))
            )  # fmt: skip
        elif self._left:
            told.append(
                join(
                    (
                        f" Stopped: sales since {self._left[0][0].astimezone(self.zone):%Y-%m-%d %H:%M} are not counted.",
                        "$warning",
                    )
                )
            )
        if self._last is not None:
            more = sums.points_now - sums.points_then
            cost = ""
            if sums.cost_minor is not None:
                cost = (
                    f", worth {money(abs(sums.cost_minor), self._programme.currency)} {'more' if more >= 0 else 'less'}"
                )
            told.append(
                join(
                    " Would have given ", (points(sums.points_now), "bold"), f" instead of {points(sums.points_then)} points (",
                    (signed(more), "bold"), f"{cost}); {points(sums.orders_changed)} of {counted(sums.orders, 'sale', 'sales')} change.",
                )
            )  # fmt: skip
            told += [join((f" ! {warning}", "$warning")) for warning in self._last.warnings]
            if words := self._overtaken_words():
                told.append(join((f" ! {words}", "$warning")))
            if sums.is_rough:
                told.append(
                    join(
                        (
                            " ! So many sales that tiers and caps were counted in parts: take it as an estimate.",
                            "$warning",
                        )
                    )
                )
        # What is to be minded comes first: a low window shows only the beginning.
        told += self._promotion_words()
        told += [join((f" · {name}: {then} → {now}", "$text-muted")) for name, then, now in self._changes]
        if any(name.startswith("Tier") for name, _, _ in self._changes):
            told.append(join((_TIER_WORDS, "$text-muted")))
        if not self._changes:
            told.append(join((f" · {headline(self._rules, self._programme.currency)}", "$text-muted")))
        return lines(*told)

    def _promotion_words(self) -> list[Content]:
        """Return what each promotion gives of the points, the one that gives most first."""
        sums, given = self._sums, sorted(self._sums.promotions(), key=lambda one: -one[1])
        told = []
        for name, count, cost_minor in given[:_PROMOTIONS_SHOWN]:
            cost = f", worth {money(cost_minor, self._programme.currency)}" if sums.cost_minor is not None else ""
            told.append(join((f" · {name} gives {points(count)} of them{cost}", "$text-muted")))
        return told

    # Publishing -----------------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        self.clear_notes()
        asked = self._read()
        if asked is None:
            return
        if len(self.text("reason")) < 3:
            self.show_errors({"reason": "Say why, in a few words; it is kept in the audit."})
        elif self._last is None or self._asked is None or self._asked.begins != asked.begins:
            self.refresh_data()
            self.console.say("Read what it would have given, then Ctrl+S again.", "info")
        elif danger := self._danger():
            make_sure(self, danger, self._publish)
        else:
            self._publish()

    def _danger(self) -> Danger | None:
        """Return what to be sure about: members would get less, or not all was counted."""
        sums, last = self._sums, self._last
        assert last is not None
        told = []
        if sums.points_now < sums.points_then:
            told.append(
                f"Members get less: {points(sums.points_now)} instead of {points(sums.points_then)} points in these days."
            )
        if words := self._overtaken_words():
            told.append(words)
        if self._left:
            told.append("Not all sales of these days were counted.")
        told += last.warnings if sums.points_now < sums.points_then or not sums.points_now else []
        if not told:
            return None
        return Danger(title="Publish these rules", words=" ".join(told), code="", code_words="", commit_words="Publish")

    def _publish(self) -> None:
        last, asked, programme_id = self._last, self._asked, self._programme.id
        assert last is not None
        assert asked is not None
        assert programme_id is not None
        publication = RulesPublication(
            rules=None if self._from_version else self._rules,
            from_version=self._from_version,
            valid_from=asked.begins,
            reason=self.text("reason"),
            preview_hash=last.preview_hash,
        )
        self.sent()
        call(
            self,
            "publish",
            lambda client: client.publish_rules(programme_id, publication, key=self.key),
            done=self._published,
            failed=self.save_failed,
            is_write=True,
            waiting="Publishing…",
        )

    def _published(self, version: RuleVersionView) -> None:
        self.is_saved, self.is_sending, self.was_published = True, False, True
        at = moment(version.valid_from, now=self.console.now(), zone=self.zone)
        begins = "in force now" if version.state == "current" else f"in force from {at}"
        self.console.say(f"Version {version.version} is published, {begins}.", "good")
        self.dismiss()

    def save_failed(self, error: ConsoleError) -> None:
        self.came_back(error)
        if isinstance(error, Refused) and error.problem.code is Code.PREVIEW_STALE:
            self.refresh_data()
            self.show_failure(error)
            return
        self._count_failed(error)

    # The page -----------------------------------------------------------------------------------------------------------

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "form.commit" and self._is_counting:
            return "it is still counting"
        return super().unavailable(action_id)

    def leave_form(self) -> None:
        if not self.stop():
            super().leave_form()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Publish", "app.refresh": "Count again"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › Try and publish"


_FIELD_OF = {"valid_from": "begins"}


def _tone(difference: int) -> Tone:
    return "good" if difference > 0 else "warn" if difference < 0 else "muted"
