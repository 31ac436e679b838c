"""Letters with claim codes for everybody whom no email reaches: how many, making them, their files, and ending them."""

from collections.abc import Awaitable
from datetime import date, datetime, tzinfo
from pathlib import Path

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared.claims import ClaimBatchPreview, ClaimBatchRequest, ClaimBatchView, ClaimRevocation
from tui.actions import Action
from tui.calls import call
from tui.claim_words import batch_effect_words, batch_notes, batch_row
from tui.client import Client
from tui.errors import AnswerNotUnderstood, ConsoleError, NoAnswer, Unreachable
from tui.files import FileTrouble, write_once
from tui.formatting import Row, counted, moment, points
from tui.forms import FormPage, form_row
from tui.obstacles import obstacles
from tui.pages import Handlers, bindings_for
from tui.safe import lines, safe
from tui.screens.danger import Danger, make_sure
from tui.screens.list_page import Listed, ListPage, ListTab
from tui.screens.preview_form import PreviewForm
from tui.screens.reason import Question, ReasonPage
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field
from tui.widgets.line_list import Column

_COLUMNS = (
    Column("Made", 15),
    Column("Codes", 6, right=True),
    Column("Used", 6, right=True, from_width=70),
    Column("List", 11),
    Column("Letters", 11),
    Column("Good until", 15, from_width=74),
    Column("By", -1, from_width=90),
)
_LETTERS = Option("letters", "letters to print (PDF)", "l")
_LIST = Option("list", "list for a letter shop (CSV)", "c")
_PATH_LENGTH_MAX = 1_000


class ClaimBatchesPage(ListPage[ClaimBatchView]):
    """Batches, newest first, with how many of their codes were used and which of their files were written."""

    PAGE = "claim-batches"
    BINDINGS = bindings_for("claim-batches")
    TABS = (
        ListTab(
            title="Claim letters",
            columns=_COLUMNS,
            empty="No claim letters yet. n counts who would get one; nothing is made before you confirm.",
        ),
    )

    def ask(self, client: Client, tab: int, cursor: str | None) -> Awaitable[Listed[ClaimBatchView]]:
        del tab
        return client.list_claim_batches(cursor=cursor)

    def row(self, item: ClaimBatchView, *, now: datetime, zone: tzinfo) -> Row:
        return batch_row(item, now=now, zone=zone)

    def notes(self, item: ClaimBatchView, *, now: datetime, zone: tzinfo) -> list[str]:
        return batch_notes(item, now=now, zone=zone)

    def _make(self) -> None:
        self.app.push_screen(ClaimBatchPage())

    def _write(self) -> None:
        assert self.current is not None
        session = self.console.session
        assert session is not None
        today = self.console.now().astimezone(session.zone).date()
        self.app.push_screen(ClaimFilePage(self.current, now=self.console.now(), today=today))

    def _end(self) -> None:
        batch = self.current
        assert batch is not None
        left = batch.codes - batch.used
        question = Question(
            title="End the codes of a batch",
            crumb="Claim letters › End",
            facts=(("Codes", points(batch.codes)), ("Used", points(batch.used))),
            sentences=("Whoever has a letter of this batch and has not used it cannot use it any more.",),
            commit_words="End them…",
            waiting_words="Ending the codes…",
            danger=Danger(
                title="End the codes of a batch",
                words=f"{counted(left, 'letter stops', 'letters stop')} working. This cannot be taken back.",
                code="",
                code_words="",
                commit_words="End them",
            ),
        )
        page = ReasonPage(
            question,
            send=lambda client, typed, _: client.revoke_claim_batch(batch.id, ClaimRevocation(reason=typed.reason)),
            done=lambda _: self.console.say("The codes of this batch are over.", "good"),
        )
        self.app.push_screen(page)

    def crumbs(self) -> str:
        return "Claim letters"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "claim-batches.new": self._make,
            "claim-batches.write": self._write,
            "claim-batches.end": self._end,
        }

    def unavailable(self, action_id: str) -> str | None:
        batch = self.current
        if action_id not in {"claim-batches.write", "claim-batches.end"}:
            return None
        if batch is None:
            return "there is no batch yet"
        if batch.revoked_at is not None:
            return "the codes of this batch are over"
        if action_id == "claim-batches.write" and self.console.now() > batch.files_until:
            return "its files could be written for a day only; a new batch makes new codes"
        if action_id == "claim-batches.write" and batch.csv_written_at and batch.pdf_written_at:
            return "both files were written; a new batch makes new codes"
        return None


class ClaimBatchPage(PreviewForm[ClaimBatchRequest, ClaimBatchPreview, ClaimBatchView]):
    """Who would get a letter, counted before anything is made; ending codes that people hold is asked once more."""

    PAGE = "claim-batch"
    BINDINGS = bindings_for("claim-batch")
    AUTO_FOCUS = "#reissue"
    TITLE_WORDS = "Claim letters for everybody whom no email reaches"
    WAITING_WORDS = "Making the codes; with many people this takes a while…"

    def compose_form(self) -> ComposeResult:
        yield Static(
            safe("Each of them gets a code. With it, the app or the web site takes over their points."),
            classes="ahead",
        )
        yield from form_row("Codes anew", Choice(NO_YES, value="no", id="reissue"), beside="also who has a live code")

    def missing(self) -> dict[str, str]:
        return {}

    def wish(self) -> ClaimBatchRequest:
        return ClaimBatchRequest(reissue=self.answer("reissue") == "yes")

    def ask(self, client: Client, wish: ClaimBatchRequest) -> Awaitable[ClaimBatchPreview]:
        return client.preview_claim_batch(wish)

    def send(self, client: Client, wish: ClaimBatchRequest, preview: ClaimBatchPreview) -> Awaitable[ClaimBatchView]:
        del preview
        return client.create_claim_batch(wish, key=self.key)

    def blockers(self, preview: ClaimBatchPreview) -> tuple[str, ...]:
        if not preview.customers:
            return ("Nobody needs a letter: everybody has an email address, a sign-in or a live code.",)
        if preview.customers > preview.largest:
            most = points(preview.largest)
            return (f"More than {most} at once are made where the service runs, with `regulars claim batch`.",)
        return ()

    def told(self, preview: ClaimBatchPreview) -> Content:
        told = obstacles(self.blockers(preview))
        return lines(*told, *map(safe, batch_effect_words(preview, reissue=self.answer("reissue") == "yes")))

    def confirmed(self) -> None:
        preview = self.preview
        assert preview is not None
        if self.answer("reissue") == "no" or not preview.with_live_code:
            self.send_now()
            return
        ended = counted(preview.with_live_code, "code that somebody holds stops", "codes that people hold stop")
        danger = Danger(
            title="Make all codes anew",
            words=f"{ended} working, and new ones are made.",
            code="",
            code_words="",
            commit_words="Make them",
        )
        make_sure(self, danger, self.send_now)

    def applied(self, answer: ClaimBatchView) -> None:
        self.console.say(
            f"{counted(answer.codes, 'code is', 'codes are')} made. w writes them to a file, once.", "good"
        )
        self.dismiss()

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Make the codes"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "Claim letters › New"


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was written."""

    path: Path


class ClaimFilePage(FormPage):
    """Which file of a batch, and where. Each holds live codes and is handed out once, so that no copy lies about."""

    PAGE = "claim-file"
    CSS_PATH = "claims.tcss"
    AUTO_FOCUS = "#what"
    BINDINGS = bindings_for("claim-file")

    def __init__(self, batch: ClaimBatchView, *, now: datetime, today: date) -> None:
        super().__init__()
        self._batch = batch
        self._now = now
        self._today = today
        self._proposal = ""
        # What was handed out and could not be written, as on a full disk: it is tried again from here.
        self._handed_out: dict[str, bytes] = {}

    def compose_body(self) -> ComposeResult:
        files = [
            one
            for one, written_at in ((_LETTERS, self._batch.pdf_written_at), (_LIST, self._batch.csv_written_at))
            if written_at is None
        ]
        with Vertical(id="claim-file-box", classes="box form"):
            yield Static(safe("The file holds codes that work. It is written this once: if it is lost, so are they."))
            yield Static(id="claim-file-until")
            yield Static(classes="gap")
            yield from form_row("What", Choice(files, value=files[0].value, id="what"))
            yield from form_row("File", Field(id="path", length_max=_PATH_LENGTH_MAX))
            yield Static(safe(f"On this machine; without a folder it goes to {Path.cwd()}.", "$text-muted"))

    def on_mount(self) -> None:
        codes = counted(self._batch.codes, "code", "codes")
        self.query_one("#claim-file-box").border_title = safe(f"Write {codes} to a file")
        session = self.console.session
        assert session is not None
        until = moment(self._batch.files_until, now=self._now, zone=session.zone)
        self.query_one("#claim-file-until", Static).update(safe(f"It can be written until {until}.", "$text-muted"))
        self._propose()
        super().on_mount()

    @on(Choice.Changed, "#what")
    def _propose(self) -> None:
        """Propose a name, unless another one was typed."""
        field = self.query_one("#path", Field)
        if field.value == self._proposal:
            kind = "letters.pdf" if self.answer("what") == _LETTERS.value else "codes.csv"
            self._proposal = f"claim-{self._today.isoformat()}-{str(self._batch.id)[-4:]}-{kind}"
            field.value = self._proposal
            field.cursor_position = len(self._proposal)

    def commit(self) -> None:
        self.clear_notes()
        if not self.text("path"):
            self.show_errors({"path": "Name a file."})
            return
        path, batch_id = Path(self.text("path")).expanduser().absolute(), self._batch.id
        what, held = self.answer("what"), self._handed_out

        async def write(client: Client) -> Written:
            async def fetch() -> bytes:
                if what not in held:
                    ask = client.get_claim_letters if what == _LETTERS.value else client.get_claim_csv
                    held[what] = await ask(batch_id)
                return held[what]

            await write_once(path, fetch)
            del held[what]
            return Written(path=path)

        self.sent()
        waiting = "Writing the file; letters to many people take a while…"
        call(self, "file", write, done=self._written, failed=self.save_failed, is_write=True, waiting=waiting)

    def _written(self, written: Written) -> None:
        self.is_saved, self.is_sending = True, False
        self.console.say(f"Written to {written.path}. Delete it once the letters are sent.", "good")
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, FileTrouble):
            self.show_errors({"path": error.words})
        elif isinstance(error, Unreachable | NoAnswer | AnswerNotUnderstood) and error.maybe_done:
            self.console.say("We do not know if it was handed out. Ctrl+S asks again; Esc and F5 show it.", "bad")
        else:
            super().show_failure(error)

    def has_unsaved_work(self) -> bool:
        return bool(self._handed_out)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": "Write it"}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return "Claim letters › To file"
