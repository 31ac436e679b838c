"""Link a POS record to a customer: which record, how staff know, and the sales that will earn points."""

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer

from shared import limits
from shared.codes import is_card_number
from shared.links import Attestation, LinkMade, LinkPreview, LinkRequest, RecordHit, RecordHits
from shared.merges import MergeState, MergeView
from shared.staff import CustomerDetail
from tui.actions import Action
from tui.calls import call
from tui.client import Client
from tui.formatting import counted, full_name, points
from tui.forms import form_row
from tui.link_words import effect_words, record_row, record_words
from tui.obstacles import obstacles
from tui.pages import Handlers, bindings_for
from tui.safe import join, lines, safe
from tui.screens.choosing import Chosen
from tui.screens.preview_form import PreviewForm
from tui.widgets.choice import NO_YES, Choice, Option
from tui.widgets.field import Field
from tui.widgets.line_list import Column, LineList
from tui.wording import blocker_words

_SAME_ADDRESS = Option("match", "same address", "a")
_KNOWN_BY = (
    _SAME_ADDRESS,
    Option(Attestation.SAW_ID.value, "saw ID", "i"),
    Option(Attestation.CARD_IN_HAND.value, "has card", "c"),
    Option(Attestation.KNOWS_LAST_PURCHASE.value, "knows last sale", "k"),
)
_COLUMNS = (
    Column("Record", 12),
    Column("Name", -2),
    Column("Email", -2),
    Column("Phone", 6, from_width=60),
    Column("Sales", 6, right=True),
    Column("Last sale", 15, from_width=90),
    Column("Whose", -2),
)
_BY_ITSELF = "empty: by email, phone, name"


class LinkPage(PreviewForm[LinkRequest, LinkPreview, LinkMade]):
    """Searches by itself with what is known of the customer; nothing is linked before its effect was shown."""

    PAGE = "link"
    AUTO_FOCUS = "#record"
    BINDINGS = bindings_for("link")
    WAITING_WORDS = "Linking, and giving the sales their points…"
    FIELD_OF = {"card_number": "card", "record_id": "record"}

    def __init__(
        self,
        detail: CustomerDetail,
        *,
        record_id: UUID | None = None,
        done: Callable[[LinkMade], None] | None = None,
    ) -> None:
        """Open the form.

        Args:
            record_id: The record, where it is known already; the search is left out then.
        """
        super().__init__()
        self._detail = detail
        self._record_id = record_id
        self._asks_record = record_id is None
        self._hits: dict[str, RecordHit] = {}
        self._pause: Timer | None = None
        self._done = done
        self._who = full_name(detail.given_name, detail.family_name)
        self.TITLE_WORDS = f"Link a POS record to {self._who}"

    def compose_form(self) -> ComposeResult:
        if self._asks_record:
            yield from form_row(
                "Search POS", Field(id="record", length_max=limits.SEARCH_LENGTH_MAX), beside=_BY_ITSELF
            )
            yield LineList(_COLUMNS, id="candidates")
        yield from form_row("You know by", Choice(_KNOWN_BY, value=_SAME_ADDRESS.value, id="known_by"))
        yield from form_row("Card", Field(id="card", length_max=32), beside="scan, if they have it")
        yield from form_row("Address to till", Choice(NO_YES, value="no", id="write_email"), beside="the proven email")
        yield from form_row("Note", Field(id="why", length_max=limits.REASON_LENGTH_MAX), beside="if needed")

    def on_mount(self) -> None:
        if self._asks_record:
            self.query_one("#candidates").add_class("candidates")
            self._find()
        else:
            self.query_one("#known_by").focus()
        if self._detail.email_status != "verified":
            self.query_one("#write_email", Choice).locked_because = "needs a proven email"
        super().on_mount()

    # Choosing the record ------------------------------------------------------------------------------------------------

    def edited(self, field_id: str) -> None:
        if field_id == "record":
            if self._pause is not None:
                self._pause.stop()
            self._pause = self.set_timer(self.console.options.typing_pause_seconds, self._find)
        elif field_id == "card" and is_card_number(self.text("card")):
            self.query_one("#known_by", Choice).value = Attestation.CARD_IN_HAND.value

    def _known(self) -> list[tuple[str, str]]:
        """Return what is known of the customer and may stand on a record, as (words, text)."""
        detail = self._detail
        known = (("the same email", detail.email), ("the same phone", detail.phone), ("the name", self._who))
        return [(words, text) for words, text in known if text]

    def _find(self) -> None:
        typed = self.text("record")
        tries = [("", typed)] if typed else self._known()
        call(
            self,
            "records",
            lambda client: _first_found(client, tries),
            done=partial(self._found, typed),
            waiting="Asking the tills…",
        )

    def _found(self, typed: str, answer: tuple[str, RecordHits]) -> None:
        session = self.console.session
        if session is None or typed != self.text("record"):
            return
        words, result = answer
        self._hits = {str(hit.id): hit for hit in result.items}
        candidates = self.query_one("#candidates", LineList)
        candidates.empty_words = (
            f"No record of a till has this. {result.hint}".strip()
            if typed
            else "No record has their email, phone or name. Type what the till may know."
        )
        now = self.console.now()
        rows = [record_row(hit, now=now, zone=session.zone) for hit in result.items]
        candidates.set_rows(rows, keep_cursor=False)
        more = f"first {len(rows)} of more: type more" if result.truncated else ""
        self.beside("record", more or (f"found by {words}" if words and rows else "" if typed else _BY_ITSELF))
        silent = ", ".join(result.remote_failed)
        self.note("record", f"{silent} did not answer; shown is what was known before." if silent else "", "warn")
        free = [hit for hit in result.items if hit.customer_id is None]
        # Of several records none is picked in silence.
        self._choose(free[0] if len(free) == 1 and not result.truncated else None)

    @on(LineList.Highlighted, "#candidates")
    def _highlighted(self, message: LineList.Highlighted) -> None:
        if message.line_list.was_moved:
            self._choose(self._hits.get(message.key or ""))

    @on(LineList.Chosen, "#candidates")
    def _chosen(self, message: LineList.Chosen) -> None:
        self._choose(self._hits.get(message.key))
        self.query_one("#known_by").focus()

    def _choose(self, hit: RecordHit | None) -> None:
        self._record_id, self.preview = (hit.id if hit else None), None
        if hit is not None:
            # A record without an address gets the proven one, so that it is found by it from then on.
            is_wanted = hit.email_masked is None and self._detail.email_status == "verified"
            self.query_one("#write_email", Choice).value = "yes" if is_wanted else "no"
        self.preview_soon()

    # What is asked for --------------------------------------------------------------------------------------------------

    def missing(self) -> dict[str, str]:
        return {} if self._record_id is not None else {"record": "Choose a record with ↓, or search for one."}

    def wish(self) -> LinkRequest | None:
        if self._record_id is None:
            return None
        known_by = self.answer("known_by")
        return LinkRequest(
            record_id=self._record_id,
            attestation=None if known_by == _SAME_ADDRESS.value else Attestation(known_by),
            card_number=self.text("card") or None,
            write_email=self.answer("write_email") == "yes",
            reason=self.text("why"),
        )

    def ask(self, client: Client, wish: LinkRequest) -> Awaitable[LinkPreview]:
        return client.preview_link(self._detail.id, wish)

    def send(self, client: Client, wish: LinkRequest, preview: LinkPreview) -> Awaitable[LinkMade]:
        return client.make_link(self._detail.id, replace(wish, preview_hash=preview.preview_hash), key=self.key)

    # In words -----------------------------------------------------------------------------------------------------------

    def blockers(self, preview: LinkPreview) -> tuple[str, ...]:
        return tuple(map(blocker_words, preview.blockers))

    def told(self, preview: LinkPreview) -> Content:
        session = self.console.session
        assert session is not None
        told = obstacles(preview.blockers, preview.warnings)
        told.append(safe(f"  {record_words(preview.record)}", "bold"))
        other = self._other(preview)
        if other is not None:
            told.append(safe(f"  It is {other.customer_name}'s. F9 merges the two, F2 opens them."))
        if preview.effect is not None:
            sentences = effect_words(preview.effect, now=self.console.now(), zone=session.zone)
            told += [safe(f"· {words}") for words in sentences]
        if not preview.blockers and self.answer("write_email") == "yes":
            told.append(safe(f"· {self._detail.email} is written onto the record in the till."))
        if preview.needs_second_person:
            told.append(join(("  Somebody else must approve this before anything changes.", "$warning")))
        return lines(*told)

    def _other(self, preview: LinkPreview | None) -> RecordHit | None:
        """Return the record when it is another customer's."""
        record = preview.record if preview is not None else None
        is_other = record is not None and record.customer_id not in (None, self._detail.id)
        return record if is_other else None

    def applied(self, answer: LinkMade) -> None:
        link, effect = answer.link, answer.effect
        if link.state == "waiting" or effect is None:
            self.console.say("Asked for. Nothing has changed yet; somebody else must approve it (L).", "warn")
        else:
            counted_words = counted(effect.orders_counted, "sale counts", "sales count")
            self.console.say(
                f"{link.external_id} is linked: {counted_words} now, {points(effect.points)} points.", "good"
            )
        if self._done is not None:
            self._done(answer)
        self.dismiss()

    # The page -----------------------------------------------------------------------------------------------------------

    def handlers(self) -> Handlers:
        own = super().handlers()
        own["link.merge"] = self._merge
        if self._other(self.preview) is not None:
            own["app.find"] = self._open_other
        return own

    def unavailable(self, action_id: str) -> str | None:
        if action_id == "link.merge" and self._other(self.preview) is None:
            return "choose a record that is another customer's"
        return super().unavailable(action_id)

    def _merge(self) -> None:
        """Open the merge of this customer and the one whose record it is: perhaps they are one person."""
        from tui.screens.merge import MergePage

        other = self._other(self.preview)
        assert other is not None
        own = Chosen(id=str(self._detail.id), name=self._who)
        owner = Chosen(id=str(other.customer_id), name=other.customer_name or "the owner")
        self.app.push_screen(MergePage(own, owner, done=self._merged))

    def _merged(self, merge: MergeView) -> None:
        self.is_saved = True
        if merge.state is MergeState.DONE:
            self.console.open_customer(str(merge.survivor_id), name=merge.survivor_name)
        else:
            self.dismiss()

    def _open_other(self) -> None:
        other = self._other(self.preview)
        assert other is not None
        self.is_saved = True  # Staff chose to look at the other customer instead.
        self.console.open_customer(str(other.customer_id), name=other.customer_name or "")

    def bar_actions(self) -> list[tuple[Action, str]]:
        needs_two = self.preview is not None and self.preview.needs_second_person
        words = {"form.commit": "Ask for approval" if needs_two else "Link"}
        if self._other(self.preview) is not None:
            words["app.find"] = "Open owner"
        return [(action, words.get(action.id, label)) for action, label in super().bar_actions()]

    def crumbs(self) -> str:
        return f"{self._who} › Link a POS record"

    def scan_words(self) -> str:
        return "A scanned card is the proof that the customer has it; anything else is searched for."

    def take_scan(self, code: str) -> None:
        if is_card_number(code) or not self._asks_record:
            self.query_one("#card", Field).value = code
        else:
            self.query_one("#record", Field).value = code


async def _first_found(client: Client, tries: list[tuple[str, str]]) -> tuple[str, RecordHits]:
    """Search with each text until one finds something, and return by what it was."""
    found = ("", RecordHits(items=()))
    for words, text in tries:
        found = (words, await client.search_pos_records(text))
        if found[1].items:
            break
    return found
