"""Letting go of people who have not come for years: who they are, and what becomes of them."""

from datetime import datetime, tzinfo

from shared.limits import DORMANT_COUNTED_MAX
from shared.privacy import DormantBatch, DormantPreview
from tui.formatting import counted, moment
from tui.screens.danger import Danger
from tui.screens.reason import Question

YEARS = 3
_NAMED = 5


def dormant_question(shown: DormantPreview, *, now: datetime, zone: tzinfo) -> Question | str:
    """Return the question before a batch is let go of, or why there is none."""
    if not shown.batch:
        return f"Everybody has come in the last {shown.years} years, or has something to lose."
    names = ", ".join(one.name or "without a name" for one in shown.first[:_NAMED])
    more = f" and {shown.batch - _NAMED} more" if shown.batch > _NAMED else ""
    many = f"{DORMANT_COUNTED_MAX:,} or more" if shown.customers >= DORMANT_COUNTED_MAX else f"{shown.customers:,}"
    batch = counted(shown.batch, "customer", "customers")
    return Question(
        title="Let go of the long absent",
        crumb="Privacy › Long absent",
        facts=(
            ("Not seen for", f"{shown.years} years"),
            ("Customers", f"{many}; a mail reaches {shown.told:,} of them"),
            ("This time", f"{batch}: {names}{more}"),
            ("Forgotten", moment(shown.execute_after, now=now, zone=zone)),
        ),
        sentences=(
            "None of them has a sign-in, points or vouchers. Whom a mail reaches is told, with a link to stay.",
            "Whoever buys, signs up or answers before then stays; c cancels one of them.",
        ),
        commit_words="Let them go…",
        waiting_words="Beginning…",
        danger=Danger(
            title="Let go of the long absent",
            words=f"{batch} will be forgotten for good, unless they come.",
            code="",
            code_words="",
            commit_words="Let them go",
        ),
    )


def dormant_said(begun: DormantBatch, *, now: datetime, zone: tzinfo) -> str:
    """Return what was begun."""
    when = moment(begun.execute_after, now=now, zone=zone)
    left = f" {begun.left:,} more are left for next time." if begun.left else ""
    return f"{counted(begun.erasures, 'customer', 'customers')} will be forgotten on {when} unless they come.{left}"
