"""Let a customer spend points again before a hold is over."""

from collections.abc import Callable
from datetime import datetime, tzinfo

from shared.staff import CustomerDetail, HoldLifted, HoldLifting
from tui.formatting import full_name, hold_words
from tui.screens.reason import Question, ReasonPage


def lift_page(
    detail: CustomerDetail, *, now: datetime, zone: tzinfo, done: Callable[[HoldLifted], None]
) -> ReasonPage[HoldLifted]:
    """Return the question before the hold on a customer's spending is lifted."""
    held_until = detail.redemption_held_until
    assert held_until is not None, "there is a hold to lift"
    who = full_name(detail.given_name, detail.family_name)
    question = Question(
        title="Let points be spent again",
        crumb=f"{who} › Lift the hold",
        facts=(("Customer", who), ("Now", hold_words(detail, now=now, zone=zone))),
        sentences=(
            "Points and vouchers can be spent again at once; the proven email address is told.",
            "A hold is there so that whoever took an account over cannot empty it.",
            "With Ctrl+S you say that you have checked who stands before you.",
        ),
        commit_words="Lift the hold",
        waiting_words="Lifting the hold…",
    )
    return ReasonPage(
        question,
        send=lambda client, typed, key: client.lift_hold(
            detail.id, HoldLifting(held_until=held_until, identity_attested=True, reason=typed.reason), key=key
        ),
        done=done,
    )
