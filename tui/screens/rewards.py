"""What points buy: the catalogue, and what points are worth at the till."""

from textual import on
from textual.app import ComposeResult
from textual.widgets import Static

from shared.rewards import RedemptionTermsView, RewardChange, RewardList, RewardStatus, RewardView
from shared.staff import ProgrammeView
from tui.calls import call
from tui.errors import ConsoleError, Refused
from tui.formatting import counted
from tui.pages import Handlers, Page, bindings_for
from tui.reward_words import reward_row, terms_words
from tui.safe import join, lines, safe
from tui.widgets.line_list import Column, LineList

_COLUMNS = (
    Column("Reward", -3),
    Column("Takes off", -3),
    Column("Points", 9, right=True),
    Column("Issued", 12, right=True, from_width=76),
    Column("Limit", 8, right=True, from_width=96),
    Column("State", 15),
)


class RewardsPage(Page):
    """The catalogue of a programme, cheapest first; managers add, change and retire.

    As a top-level page it is that of the programme which members join.
    """

    PAGE = "rewards"
    CSS_PATH = "rewards.tcss"
    AUTO_FOCUS = "#rewards"
    BINDINGS = bindings_for("rewards")

    def __init__(self, programme: ProgrammeView | None = None) -> None:
        super().__init__()
        self._programme = programme
        self._rewards: tuple[RewardView, ...] = ()
        self._terms: RedemptionTermsView | None = None
        self._retires: str | None = None  # The reward whose retiring was asked for once.

    def compose_body(self) -> ComposeResult:
        yield Static(id="terms")
        yield LineList(_COLUMNS, id="rewards")
        yield Static(id="reward-words")

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.refresh_data()

    def refresh_data(self) -> None:
        code = self._programme.code if self._programme is not None else None
        call(self, "terms", lambda client: client.get_redemption_terms(code), done=self._fetched_terms)

    def _fetched(self, rewards: RewardList) -> None:
        session, terms = self.console.session, self._terms
        if session is None or terms is None:
            return
        self._rewards = tuple(reward for reward in rewards.items if reward.programme_code == terms.programme_code)
        others = len(rewards.items) - len(self._rewards)
        told = [join((" At the till: ", "$text-muted"), (terms_words(terms), "bold"))]
        if others:
            told.append(safe(f" {counted(others, 'reward', 'rewards')} of other programmes: F8, then w", "$text-muted"))
        self.query_one("#terms", Static).update(lines(*told))
        listed = self.query_one("#rewards", LineList)
        listed.empty_words = "Points buy nothing but money off yet. n adds the first reward."
        listed.set_rows([reward_row(reward, now=self.console.now(), zone=session.zone) for reward in self._rewards])
        self.frame_changed()

    def _fetched_terms(self, terms: RedemptionTermsView) -> None:
        self._terms = terms
        call(self, "rewards", lambda client: client.list_rewards(), done=self._fetched)

    def _current(self) -> RewardView | None:
        key = self.query_one("#rewards", LineList).current_key
        return next((reward for reward in self._rewards if str(reward.id) == key), None)

    @on(LineList.Highlighted, "#rewards")
    def _highlighted(self) -> None:
        reward = self._current()
        self._retires = None
        words = f" {reward.code}  {reward.description}" if reward else ""
        self.query_one("#reward-words", Static).update(join((words, "$text-muted")))
        self.frame_changed()

    @on(LineList.Chosen, "#rewards")
    def _chosen(self) -> None:
        self.console.perform("rewards.open")

    # Acts -------------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        from tui.screens.reward_forms import RewardPage

        assert self._terms is not None
        self.app.push_screen(RewardPage(self._terms, self._current()))

    def _new(self) -> None:
        from tui.screens.reward_forms import RewardPage

        assert self._terms is not None
        self.app.push_screen(RewardPage(self._terms, None))

    def _change_terms(self) -> None:
        from tui.screens.reward_forms import TermsPage

        assert self._terms is not None
        self.app.push_screen(TermsPage(self._terms))

    def _retire(self) -> None:
        reward = self._current()
        assert reward is not None
        if self._retires != str(reward.id):
            self._retires = str(reward.id)
            what = "is offered no more; vouchers stay good" if reward.status == "active" else "is offered again"
            self.console.say(f"x again: {reward.name} {what}.", "warn")
            return
        self._retires = None
        status = RewardStatus.RETIRED if reward.status == "active" else RewardStatus.ACTIVE
        change = RewardChange(version=reward.version, status=status)
        reward_id = reward.id
        call(
            self,
            "retire",
            lambda client: client.change_reward(reward_id, change),
            done=self._retired,
            failed=self._not_retired,
            is_write=True,
            waiting="Saving…",
        )

    def _retired(self, reward: RewardView) -> None:
        state = "retired" if reward.status == "retired" else "in the catalogue again"
        self.console.say(f"{reward.name} is {state}. x takes that back.", "good")
        self.refresh_data()

    def _not_retired(self, error: ConsoleError) -> None:
        # Whatever it was, what is shown may be old.
        self.show_failure(error)
        if isinstance(error, Refused):
            self.refresh_data()

    # The page ---------------------------------------------------------------------------------------------------------

    def crumbs(self) -> str:
        return f"Programme › {self._programme.name} › Rewards" if self._programme is not None else "Rewards"

    def handlers(self) -> Handlers:
        return {
            "rewards.open": self._open,
            "rewards.new": self._new,
            "rewards.retire": self._retire,
            "rewards.terms": self._change_terms,
            "app.back": self._back,
        }

    def _back(self) -> None:
        if self.console.stop_waiting(self):
            return
        if self._programme is not None:
            self.dismiss()
        else:
            self.console.go_home()

    def unavailable(self, action_id: str) -> str | None:
        if action_id in {"rewards.open", "rewards.retire"} and self._current() is None:
            return "there is no reward to do it with"
        if action_id in {"rewards.open", "rewards.new", "rewards.terms"} and self._terms is None:
            return "the terms are not here yet"
        return None

    def show_failure(self, error: ConsoleError) -> None:
        super().show_failure(error)
        listed = self.query_one("#rewards", LineList)
        if not listed.rows:
            listed.empty_words = "This could not be fetched. F5 asks again."
