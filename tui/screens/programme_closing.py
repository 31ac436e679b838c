"""Close a programme after a look at what that leaves, or open it again."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.problems import Code
from shared.programmes import ProgrammeClosing, ProgrammeOpening, ProgrammeStanding
from shared.staff import ProgrammeView
from tui.actions import Action
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import counted, moment, points
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.danger import Danger, make_sure
from tui.screens.lock_session import zone_named
from tui.widgets.field import Field
from tui.wording import field_errors


class ClosingPage(FormPage):
    """Shows members and what they have, asks why, and closes; a closed programme is opened again."""

    PAGE = "closing"
    CSS_PATH = "programme.tcss"
    AUTO_FOCUS = "#reason"
    BINDINGS = bindings_for("closing")

    def __init__(self, programme: ProgrammeView) -> None:
        super().__init__()
        self._programme = programme
        self._standing: ProgrammeStanding | None = None

    @property
    def is_closing(self) -> bool:
        return self._programme.status == "active"

    def compose_body(self) -> ComposeResult:
        with Vertical(id="closing-box", classes="box form"):
            yield Static(id="standing")
            yield Static(classes="gap")
            yield from form_row(
                "Reason", Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside="for the audit"
            )

    def on_mount(self) -> None:
        verb = "Close" if self.is_closing else "Open again:"
        self.query_one("#closing-box").border_title = safe(f"{verb} {self._programme.name}")
        self.query_one("#standing", Static).update(
            join("Members join and earn again. Sales made meanwhile stay without points.")
        )
        if self.is_closing:
            self.refresh_data()
        super().on_mount()

    def refresh_data(self) -> None:
        programme_id = self._programme.id
        assert programme_id is not None
        if self.is_closing:
            self.query_one("#standing", Static).update(join(("Asking the service…", "$text-muted")))
            call(self, "standing", lambda client: client.preview_programme_closing(programme_id), done=self._fetched)

    def _fetched(self, standing: ProgrammeStanding) -> None:
        self._standing = standing
        self.query_one("#standing", Static).update(self._words(standing))
        self.frame_changed()

    def _words(self, standing: ProgrammeStanding) -> Content:
        now, zone = self.console.now(), zone_named(self._programme.zone)
        lapses = "Some of them never lapse." if standing.has_points_for_ever else ""
        if standing.last_lapses_at is not None:
            lapses += f" The last dated ones lapse {moment(standing.last_lapses_at, now=now, zone=zone)}."
        return lines(
            join("Nobody joins any more and no sale earns. What members have stays theirs until it is spent or lapses."),
            Content(""),
            join(("Members   ", "$text-muted"), (points(standing.members), "bold")),
            join(("Points    ", "$text-muted"), (points(standing.points), "bold"), f" and {points(standing.pending_points)} pending. {lapses}"),
            join(("Vouchers  ", "$text-muted"), (points(standing.vouchers), "bold"), f"; {counted(standing.open_holds, 'open hold', 'open holds')}"),
            *(join((f"! {warning}", "$warning")) for warning in standing.warnings),
        )  # fmt: skip

    def commit(self) -> None:
        self.clear_notes()
        if len(self.text("reason")) < 3:
            self.show_errors({"reason": "Say why, in a few words; it is kept in the audit."})
        elif not self.is_closing:
            self._open_again()
        elif self._standing is None:
            self.refresh_data()
            self.console.say("Read what it leaves, then Ctrl+S again.", "info")
        else:
            members = counted(self._standing.members, "member", "members")
            danger = Danger(
                title=f"Close {self._programme.name}",
                words=f"{members} earn no more in {self._programme.name}.",
                code="",
                code_words="",
                commit_words="Close it",
            )
            make_sure(self, danger, self._close)

    def _close(self) -> None:
        assert self._standing is not None
        programme_id = self._programme.id
        assert programme_id is not None
        closing = ProgrammeClosing(reason=self.text("reason"), preview_hash=self._standing.preview_hash)
        self.sent()
        call(
            self, "close", lambda client: client.close_programme(programme_id, closing), done=self._done,
            failed=self.save_failed, is_write=True, waiting="Closing it…",
        )  # fmt: skip

    def _open_again(self) -> None:
        programme_id = self._programme.id
        assert programme_id is not None
        opening = ProgrammeOpening(version=self._programme.version, reason=self.text("reason"))
        self.sent()
        call(
            self, "open", lambda client: client.open_programme(programme_id, opening), done=self._done,
            failed=self.save_failed, is_write=True, waiting="Opening it…",
        )  # fmt: skip

    def _done(self, programme: ProgrammeView) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"{programme.name} is {'open' if programme.status == 'active' else 'closed'} now.", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.PREVIEW_STALE:
            self._standing = None
            self.refresh_data()
        if not self.show_errors(field_errors(error)):
            super().show_failure(error)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Close it" if self.is_closing else "Open it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › {'Close' if self.is_closing else 'Open again'}"
