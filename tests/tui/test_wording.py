"""Refusals in the console's words, and what is different between two previews."""

from server.openapi.refusals import refusals_of
from shared.endpoints import ENDPOINTS, Caller
from shared.problems import Code, Problem
from tui.changes import what_changed
from tui.errors import Refused
from tui.wording import SENTENCES, blocker_words, sentence


def test_every_refusal_that_staff_can_meet_has_words_of_the_console() -> None:
    met = {code for endpoint in ENDPOINTS if endpoint.caller is Caller.STAFF for code in refusals_of(endpoint)}
    assert met - set(SENTENCES) == set()
    for code, words in SENTENCES.items():
        assert words[0].isupper(), code
        assert words.endswith((".", "?")), code
        assert blocker_words(code) == words
        refused = Refused(Problem(type="", title="The title.", status=409, code=code))
        assert sentence(refused) == words


def test_a_detail_of_the_service_says_more_than_the_kind() -> None:
    problem = Problem(type="", title="", status=409, code=Code.CARD_TAKEN, detail="This card is Ben's.")
    assert sentence(Refused(problem, retry_after_seconds=3)) == "This card is Ben's. Wait 3 s."


def test_what_changed_names_the_lines_that_went_and_came() -> None:
    before = ["Points   250", "Cards    2", ""]
    changed = [line.plain for line in what_changed(before, ["Points   300", "Cards    2", "1 voucher"])]
    assert changed == ["! was Points 250", "! now Points 300", "! now 1 voucher"]
    assert [line.plain for line in what_changed(before, before)] == [
        "! Something changed that does not show here. Read it once more."
    ]
    assert what_changed([str(number) for number in range(9)], [])[-1].plain == "! and 3 more"
