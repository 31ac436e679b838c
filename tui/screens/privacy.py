"""What the law gives a customer: a copy of everything, and being forgotten; of one customer, or of the whole shop."""

import asyncio
from datetime import datetime, tzinfo
from pathlib import Path

from shared.enums import Permission
from shared.privacy import (
    DormantBatch,
    DormantErasing,
    DormantPreview,
    DormantSearch,
    ErasureCancelling,
    ErasureDecision,
    ErasurePage,
    ErasureSettling,
    ErasureState,
    ErasureView,
    ExportList,
    ExportState,
    ExportView,
)
from shared.staff import CustomerDetail
from tui.calls import call
from tui.client import Client
from tui.errors import ConsoleError
from tui.files import FileTrouble, write_file
from tui.formatting import Row, full_name
from tui.pages import Handlers, bindings_for
from tui.privacy_words import (
    effect_words,
    erasure_notes,
    erasure_row,
    erasure_said,
    export_notes,
    export_row,
)
from tui.screens.danger import Danger
from tui.screens.dormant import YEARS, dormant_question, dormant_said
from tui.screens.list_page import Listing, ListPage, ListTab
from tui.screens.reason import Answer, DecisionPage, Question, ReasonPage
from tui.widgets.line_list import Column

_COLUMNS = (Column("Asked for", 15, from_width=70), Column("What", -1), Column("State", 11), Column("When", 18))
_OPEN = (ErasureState.WAITING, ErasureState.COOLING)
_OF_ONE = {"privacy.export", "privacy.erase"}
PrivacyItem = ErasureView | ExportView


class PrivacyPage(ListPage[PrivacyItem]):
    """Copies and wishes to be forgotten, newest first; without a customer, all wishes of the shop with their clock."""

    PAGE = "privacy"
    BINDINGS = bindings_for("privacy")
    TABS = (ListTab(title="Privacy", columns=_COLUMNS, empty="Nobody has asked to be forgotten."),)

    def __init__(self, detail: CustomerDetail | None = None) -> None:
        super().__init__()
        self._detail = detail
        self._who = full_name(detail.given_name, detail.family_name) if detail is not None else ""

    # Data -------------------------------------------------------------------------------------------------------------

    async def ask(self, client: Client, tab: int, cursor: str | None) -> Listing[PrivacyItem]:
        """Ask for what this role may see."""
        del tab
        session, customer_id = self.console.session, self._detail.id if self._detail is not None else None
        exports, erasures = ExportList(items=()), ErasurePage(items=(), next_cursor=None)
        if session is not None and customer_id is not None and session.may(Permission.CUSTOMER_EXPORT) and not cursor:
            exports = await client.list_exports(customer_id)
        if session is not None and session.may(Permission.ERASURE_READ):
            erasures = await client.list_erasures(customer_id=customer_id, cursor=cursor)
        return Listing(items=(*erasures.items, *exports.items), next_cursor=erasures.next_cursor)

    def row(self, item: PrivacyItem, *, now: datetime, zone: tzinfo) -> Row:
        if isinstance(item, ErasureView):
            return erasure_row(item, now=now, zone=zone, is_named=self._detail is None)
        return export_row(item, now=now, zone=zone)

    def notes(self, item: PrivacyItem, *, now: datetime, zone: tzinfo) -> list[str]:
        if isinstance(item, ErasureView):
            return erasure_notes(item, now=now, zone=zone)
        return export_notes(item, now=now, zone=zone)

    def empty_words(self) -> str:
        if self._detail is not None:
            return "Nothing was asked for. e makes a copy of everything, x lets them be forgotten."
        return super().empty_words()

    def _erasure(self) -> ErasureView | None:
        return self.current if isinstance(self.current, ErasureView) else None

    def _export(self) -> ExportView | None:
        return self.current if isinstance(self.current, ExportView) else None

    # Asking -----------------------------------------------------------------------------------------------------------

    def _ask_export(self) -> None:
        from tui.screens.privacy_forms import CopyPage

        assert self._detail is not None
        self.app.push_screen(CopyPage(self._detail))

    def _ask_erasure(self) -> None:
        from tui.screens.privacy_forms import ErasePage

        assert self._detail is not None
        self.app.push_screen(ErasePage(self._detail))

    def _write(self) -> None:
        """Write a copy to a file of this machine, for whom no mail reaches. A file that exists is never replaced."""
        export = self._export()
        assert export is not None
        export_id, path = export.id, Path.cwd() / f"personal-data-{export.id}.zip"

        async def write(client: Client) -> Path:
            content = await client.get_export_file(export_id)
            await asyncio.to_thread(write_file, path, content, may_replace=False)
            return path

        call(self, "file", write, done=self._written, is_write=True, waiting="Writing the file…")

    def _written(self, path: Path) -> None:
        self.console.say(f"Written to {path}. Hand it to nobody but the customer, then delete it.", "good")

    # Deciding ---------------------------------------------------------------------------------------------------------

    def _approve(self) -> None:
        """Fetch the wish as it stands now, and ask before what cannot be taken back."""
        erasure = self._erasure()
        assert erasure is not None
        erasure_id = erasure.id
        call(
            self,
            "erasure",
            lambda client: client.get_erasure(erasure_id),
            done=self._ask_sure,
            waiting="Looking at what it will do…",
        )

    def _ask_sure(self, erasure: ErasureView) -> None:
        asked = _approval(erasure)
        if isinstance(asked, str):
            self.console.say(asked, "warn")
            self.refresh_data()
            return
        page = DecisionPage(
            erasure,
            question=_approval,
            ask=lambda client: client.get_erasure(erasure.id),
            send=lambda client, shown, typed, key: client.approve_erasure(
                shown.id, ErasureDecision(preview_hash=shown.preview_hash, note=typed.reason), key=key
            ),
            done=self._approved,
        )
        self.app.push_screen(page)

    def _approved(self, erasure: ErasureView) -> None:
        session = self.console.session
        if session is not None:
            self.console.say(erasure_said(erasure, now=self.console.now(), zone=session.zone), "good")
        self.refresh_data()

    def _cancel(self) -> None:
        erasure = self._erasure()
        assert erasure is not None
        question = Question(
            title="Cancel being forgotten",
            crumb="Privacy › Cancel",
            facts=(
                ("Customer", erasure.customer_name or "without a name"),
                ("Asked for by", erasure.requested_by),
                ("Reason", erasure.reason or "none"),
            ),
            sentences=("Nothing is erased. The customer can ask again at any time.",),
            commit_words="Cancel it",
            waiting_words="Cancelling…",
        )

        async def send(client: Client, typed: Answer, key: str) -> ErasureView:
            return await client.cancel_erasure(erasure.id, ErasureCancelling(reason=typed.reason), key=key)

        self.app.push_screen(
            ReasonPage(question, send=send, done=lambda _: self.console.say("Cancelled. Nothing was erased.", "good"))
        )

    def _settle(self) -> None:
        erasure = self._erasure()
        assert erasure is not None
        question = Question(
            title="Removed by hand",
            crumb="Privacy › Removed by hand",
            facts=(("At the till", ", ".join(erasure.pos_records)),),
            sentences=("Say how it was removed there. Then the wish is done everywhere.",),
            commit_words="It is removed",
            waiting_words="Writing it down…",
        )

        async def send(client: Client, typed: Answer, _: str) -> ErasureView:
            return await client.settle_erasure(erasure.id, ErasureSettling(note=typed.reason))

        self.app.push_screen(
            ReasonPage(question, send=send, done=lambda _: self.console.say("Done everywhere.", "good"))
        )

    def _show_dormant(self) -> None:
        call(self, "dormant", _ask_dormant, done=self._let_go, waiting="Looking who has not come…")

    def _let_go(self, shown: DormantPreview) -> None:
        asked = self._dormant(shown)
        if isinstance(asked, str):
            self.console.say(asked, "info")
            return
        page = DecisionPage(
            shown,
            question=self._dormant,
            ask=_ask_dormant,
            send=lambda client, seen, typed, key: client.erase_dormant(
                DormantErasing(years=seen.years, reason=typed.reason, preview_hash=seen.preview_hash), key=key
            ),
            done=self._let_gone,
        )
        self.app.push_screen(page)

    def _dormant(self, shown: DormantPreview) -> Question | str:
        session = self.console.session
        assert session is not None
        return dormant_question(shown, now=self.console.now(), zone=session.zone)

    def _let_gone(self, begun: DormantBatch) -> None:
        session = self.console.session
        if session is not None:
            self.console.say(dormant_said(begun, now=self.console.now(), zone=session.zone), "good")
        self.refresh_data()

    def _open_customer(self) -> None:
        erasure = self._erasure()
        assert erasure is not None
        self.console.open_customer(str(erasure.customer_id), name=erasure.customer_name)

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Find › {self._who} › Privacy" if self._detail is not None else "Privacy"

    def handlers(self) -> Handlers:
        return super().handlers() | {
            "privacy.export": self._ask_export,
            "privacy.write": self._write,
            "privacy.erase": self._ask_erasure,
            "privacy.approve": self._approve,
            "privacy.cancel": self._cancel,
            "privacy.settle": self._settle,
            "privacy.dormant": self._show_dormant,
            "privacy.customer": self._open_customer,
        }

    def unavailable(self, action_id: str) -> str | None:
        erasure, export = self._erasure(), self._export()
        state = erasure.state if erasure is not None else None
        if action_id in _OF_ONE:
            return self._why_not_one(action_id)
        match action_id:
            case "privacy.write" if export is None or export.state is not ExportState.READY:
                return "choose a copy that is ready"
            case "privacy.approve" if state is not ErasureState.WAITING:
                return "choose a wish that needs a yes"
            case "privacy.cancel" if state not in _OPEN:
                return "choose a wish that has not happened yet"
            case "privacy.settle" if erasure is None or state is not ErasureState.EXECUTED or not erasure.pos_records:
                return "nothing is left to be removed by hand"
            case "privacy.dormant" if self._detail is not None:
                return "see all wishes first: Ctrl+P, who asked to be forgotten"
            case "privacy.customer" if erasure is None or self._detail is not None:
                return "there is no customer to open"
            case _:
                return None

    def _why_not_one(self, action_id: str) -> str | None:
        """Return why nothing can be asked for here for a customer."""
        if self._detail is None:
            return "open the customer first"
        if self._detail.status in ("merged", "erased"):
            return f"this customer is {self._detail.status}"
        if action_id == "privacy.erase" and any(
            isinstance(item, ErasureView) and item.state in _OPEN for item in self.items
        ):
            return "this was asked for already"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        if isinstance(error, FileTrouble):
            self.console.say(error.words, "bad")
            return
        super().show_failure(error)


async def _ask_dormant(client: Client) -> DormantPreview:
    return await client.preview_dormant(DormantSearch(years=YEARS))


def _approval(erasure: ErasureView) -> Question | str:
    """Return the question before somebody's being forgotten is approved, or why it cannot be approved any more."""
    if erasure.state is not ErasureState.WAITING:
        return "Somebody else has decided on this meanwhile."
    if erasure.effect is None:
        return f"This cannot be approved as things stand: {erasure.blocked_by or 'something stands against it'}"
    facts = (
        ("Customer", erasure.customer_name or "without a name"),
        ("Asked for by", erasure.requested_by),
        ("Reason", erasure.reason or "none"),
    )
    return Question(
        title="Approve being forgotten",
        crumb="Privacy › Approve",
        facts=facts,
        sentences=("This cannot be taken back once it has happened.", *effect_words(erasure.effect)),
        commit_words="Approve…",
        waiting_words="Approving…",
        needs_reason=False,
        danger=Danger(
            title="Approve being forgotten",
            words=f"{erasure.customer_name or 'The customer'} will be forgotten for good.",
            code="",
            code_words="",
            commit_words="Approve",
        ),
    )
