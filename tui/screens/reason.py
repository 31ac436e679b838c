"""One question before an act: what it does, and why it is done."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from shared import limits
from shared.problems import Code
from tui.actions import Action
from tui.calls import call
from tui.changes import CHANGED, Changes
from tui.client import Client, new_key
from tui.errors import ConsoleError, Refused
from tui.forms import FormPage, form_row
from tui.pages import bindings_for
from tui.safe import join, lines, safe
from tui.screens.danger import Danger, make_sure
from tui.widgets.field import Field
from tui.wording import field_errors

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)
SubjectT = TypeVar("SubjectT", bound=msgspec.Struct)
_REASON_LENGTH_MIN = 3
_PROVE_YOURSELF = {Code.REAUTH_REQUIRED, Code.SIGN_IN_FAILED}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: facts as (label, words), then sentences about what will happen; `danger` is asked once more."""

    title: str
    crumb: str
    facts: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]
    commit_words: str
    waiting_words: str
    needs_reason: bool = True
    danger: Danger | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was typed; the password only once the service has asked for it."""

    reason: str
    password: str | None = None


class ReasonPage(FormPage, Generic[AnswerT]):
    """Shows the question, asks why, and sends it under one key however often it is tried."""

    PAGE = "reason"
    CSS_PATH = "reason.tcss"
    AUTO_FOCUS = "#reason"
    BINDINGS = bindings_for("reason")

    def __init__(
        self,
        question: Question,
        *,
        send: Callable[[Client, Answer, str], Awaitable[AnswerT]],
        done: Callable[[AnswerT], None],
    ) -> None:
        """Ask a question.

        Args:
            send: Carries it out; it is given the client, what was typed and the idempotency key.
            done: Says what it came to.
        """
        super().__init__()
        self._question = question
        self._carry_out = send
        self._done = done
        self._changes = Changes()

    def compose_body(self) -> ComposeResult:
        beside = "is kept in the audit" if self._question.needs_reason else "if there is something to say"
        with Vertical(id="reason-box", classes="box form"):
            yield Static(id="reason-words")
            yield Static(classes="gap")
            label = "Reason" if self._question.needs_reason else "Note"
            yield from form_row(label, Field(id="reason", length_max=limits.REASON_LENGTH_MAX), beside=beside)
            with Vertical(id="proof"):
                password = Field(id="password", length_max=limits.PASSWORD_LENGTH_MAX, is_password=True)
                yield from form_row("Password", password, beside="your own, once more")

    def on_mount(self) -> None:
        self.query_one("#reason-box").border_title = safe(self._question.title)
        self.query_one("#reason-words", Static).update(self._words())
        self.query_one("#proof").display = False
        super().on_mount()

    def _words(self) -> Content:
        facts = [join((f"{label:<12}", "$text-muted"), (words, "bold")) for label, words in self._question.facts]
        return lines(*facts, Content(""), *(join(words) for words in self._question.sentences))

    def commit(self) -> None:
        self.clear_notes()
        reason = self.text("reason")
        if self._question.needs_reason and len(reason) < _REASON_LENGTH_MIN:
            self.show_errors({"reason": "Say why, in a few words."})
            return
        if self._question.danger is not None:
            make_sure(self, self._question.danger, self._send)
        else:
            self._send()

    def _send(self) -> None:
        typed = Answer(reason=self.text("reason"), password=self.query_one("#password", Field).value or None)
        self.sent()
        call(
            self,
            "reason",
            lambda client: self._carry_out(client, typed, self.key),
            done=self._answered,
            failed=self.save_failed,
            is_write=True,
            waiting=self._question.waiting_words,
        )

    def _answered(self, answer: AnswerT) -> None:
        self.is_saved, self.is_sending = True, False
        self._done(answer)
        self.dismiss()

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code in _PROVE_YOURSELF:
            self.query_one("#proof").display = True
            self.query_one("#password", Field).value = ""
            self.show_errors({"password": error.problem.detail or error.problem.title})
            return
        errors = field_errors(error)
        if "note" in errors:
            errors["reason"] = errors.pop("note")
        if not self.show_errors(errors):
            super().show_failure(error)

    def bar_actions(self) -> list[tuple[Action, str]]:
        words = {"form.commit": self._question.commit_words}
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return self._question.crumb


class DecisionPage(ReasonPage[AnswerT], Generic[SubjectT, AnswerT]):
    """Decides on something as it was shown: what has changed meanwhile is shown anew, with what is different."""

    def __init__(
        self,
        subject: SubjectT,
        *,
        question: Callable[[SubjectT], Question | str],
        ask: Callable[[Client], Awaitable[SubjectT]],
        send: Callable[[Client, SubjectT, Answer, str], Awaitable[AnswerT]],
        done: Callable[[AnswerT], None],
    ) -> None:
        """Ask for a decision.

        Args:
            question: Puts what is decided on into words, or says why nothing can be decided any more.
            ask: Fetches it as it stands now.
            send: Carries it out; it is given the client, what was shown, what was typed and the idempotency key.
            done: Says what it came to.
        """
        asked = question(subject)
        assert isinstance(asked, Question), "a page is opened for what can be decided on"
        super().__init__(asked, send=lambda client, typed, key: send(client, self._subject, typed, key), done=done)
        self._subject = subject
        self._to_question = question
        self._ask_again = ask
        self._is_stale = False

    def commit(self) -> None:
        if self._is_stale:
            # What stands there is over: nobody decides on what they have not read.
            self._look_again()
        else:
            super().commit()

    def _look_again(self) -> None:
        call(self, "again", self._ask_again, done=self._came_again, waiting="Looking at what changed…")

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, Refused) and error.problem.code is Code.PREVIEW_STALE:
            self._is_stale = True
            self._look_again()
            return
        super().show_failure(error)

    def _came_again(self, subject: SubjectT) -> None:
        question = self._to_question(subject)
        if isinstance(question, str):
            self.is_saved = True
            self.console.say(question, "warn")
            self.dismiss()
            return
        self._changes.stale(self._words())
        self._subject, self._question, self._is_stale = subject, question, False
        # The refused try had no effect; what is sent now is another decision.
        self.key = new_key()
        self._changes.came(self._words())
        self.query_one("#reason-words", Static).update(self._changes.above(self._words()))
        self.console.say(CHANGED, "warn")
