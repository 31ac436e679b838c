"""Why purchases are missing: the causes, likeliest first, and what puts each right."""

from typing import Final
from uuid import UUID

from server.context import Context
from server.customers.rules import fold_name
from server.db.engine import Row
from server.errors import NotFound
from server.links import doctor_store, store
from server.programmes.service import get_shop_zone
from server.time_words import say_moment
from shared.enums import SkippedReason
from shared.limits import CYCLE_LATE, SEARCH_ROWS_MAX
from shared.links import DoctorFix, Finding, LinkDiagnosis, LinkState, MyFinding, MyLinkDiagnosis

_WHY: Final = {
    "card": "bears the customer's card",
    "phone": "bears the customer's number",
    "name": "bears the same name",
}
_ORDERS: Final = {
    SkippedReason.BEFORE_START: "made before the membership began",
    SkippedReason.NOT_MEMBER: "made while there was no membership",
    SkippedReason.PROGRAMME_INACTIVE: "made while the programme had no rules",
    SkippedReason.EXCLUDED_ITEMS: "with nothing on them that earns points",
    SkippedReason.BELOW_MINIMUM: "too small to earn points",
    SkippedReason.STORED_VALUE: "of gift cards and the like, which earn no points",
    SkippedReason.PAID_WITH_POINTS: "paid with points",
    SkippedReason.CAP_REACHED: "beyond what can be earned in a day",
    SkippedReason.OPEN: "not completed yet",
    SkippedReason.VOIDED: "voided",
}
_RETURNED: Final = "returned"
_NOT_FOUND: Final = MyFinding(
    cause="not_found",
    detail="We know of no purchases in the shop under your address. Show your card when you pay, or ask in the shop: "
    "your address may be missing at the till.",
)
_CHECKING: Final = MyFinding(cause="checking", detail="We are looking for your purchases in the shop just now.")


async def diagnose(ctx: Context, customer_id: UUID) -> LinkDiagnosis:
    """Return why a customer's purchases are missing, for staff.

    Raises:
        NotFound: There is no such customer.
    """
    person = await store.find_person(customer_id)
    if person is None:
        raise NotFound
    check = await store.find_check(customer_id)
    is_linked = await store.has_link(customer_id)
    state = LinkState(check["state"]) if check else LinkState.UNLINKED
    if is_linked and state is not LinkState.NEEDS_HELP:
        state = LinkState.LINKED
    findings = [*await _link_findings(person, check, is_linked=is_linked), *await _till_findings(ctx)]
    if person["membership"] is None:
        fix = DoctorFix(action="join", label="Open a membership")
        findings.append(Finding(cause="not_member", detail="The customer has no membership.", fix=fix))
    findings += await _order_findings(customer_id)
    return LinkDiagnosis(state=state, findings=tuple(findings))


async def diagnose_mine(ctx: Context, customer_id: UUID) -> MyLinkDiagnosis:
    """Return why a member's purchases are missing, for the member.

    Whether there are records that might be theirs, or that are somebody else's, makes no difference to the answer.
    """
    check = await store.find_check(customer_id)
    findings: list[MyFinding] = []
    if not await store.has_link(customer_id):
        is_first = check is not None and check["state"] == LinkState.CHECKING
        findings.append(_CHECKING if is_first else _NOT_FOUND)
    if await doctor_store.list_late(ctx.now - CYCLE_LATE):
        findings.append(
            MyFinding(cause="not_synced", detail="Purchases of the last day or two may still be on the way.")
        )
    for row in await doctor_store.list_reasons(customer_id):
        cause, orders = row["reason"], row["orders"]
        findings.append(MyFinding(cause=cause, detail=_count_words(cause, orders), orders=orders))
    return MyLinkDiagnosis(findings=tuple(findings))


async def _link_findings(person: Row, check: Row | None, *, is_linked: bool) -> list[Finding]:
    findings = []
    for review in await store.list_reviews(person["id"], limit=SEARCH_ROWS_MAX):
        fix = DoctorFix(action="decide", label="Decide whose it is", review_id=review["id"], record_id=review["record"])
        findings.append(Finding(cause=review["reason"], detail=_REVIEW_WORDS[review["reason"]], fix=fix))
    if is_linked or findings:
        return findings
    if not person["emails"]:
        fix = DoctorFix(action="invite", label="Send an invitation, which proves the address")
        detail = (
            "The customer has not proven an address." if person["unproven_emails"] else "There is no address on file."
        )
        findings.append(Finding(cause="no_proven_address", detail=detail, fix=fix))
    elif check is not None and check["state"] == LinkState.CHECKING:
        fix = DoctorFix(action="sync", label="Ask the till now")
        findings.append(Finding(cause="till_silent", detail="The till system has not answered yet.", fix=fix))
    elif check is not None and check["state"] == LinkState.WAITING:
        at = say_moment(check["next_check_at"], await get_shop_zone()) if check["next_check_at"] else "tomorrow"
        detail = f"The address came onto the POS record less than a day ago; it links by itself after {at}."
        findings.append(Finding(cause="address_new", detail=detail))
    else:
        detail = "No POS record bears this address, or the one that does was taken from this customer before."
        findings.append(Finding(cause="no_record", detail=detail))
    return [*await _likely_findings(person), *findings]


async def _likely_findings(person: Row) -> list[Finding]:
    rows = await doctor_store.list_likely(
        cards=person["cards"],
        phones=person["phones"],
        name_key=fold_name(f"{person['given_name']} {person['family_name']}"),
    )
    return [
        Finding(
            cause="likely_record",
            detail=f"POS record {row['external_id']} ({row['connection']}) {_WHY[row['why']]}.",
            fix=DoctorFix(action="link", label="Link this record", record_id=row["id"]),
        )
        for row in rows
    ]


async def _till_findings(ctx: Context) -> list[Finding]:
    late = await doctor_store.list_late(ctx.now - CYCLE_LATE)
    if not late:
        return []
    fix = DoctorFix(action="sync", label="Fetch purchases now")
    detail = f"Nothing was fetched for more than a day from: {', '.join(late)}."
    return [Finding(cause="not_synced", detail=detail, fix=fix)]


async def _order_findings(customer_id: UUID) -> list[Finding]:
    findings = []
    elsewhere = await doctor_store.find_elsewhere(customer_id)
    if elsewhere["orders"]:
        fix = DoctorFix(action="assign", label="Look at the newest of them", order_id=elsewhere["last_id"])
        detail = f"{_orders(elsewhere['orders'])} of the customer's POS record count for somebody else or nobody."
        findings.append(Finding(cause="elsewhere", detail=detail, orders=elsewhere["orders"], fix=fix))
    for row in await doctor_store.list_reasons(customer_id):
        detail = _count_words(row["reason"], row["orders"])
        findings.append(Finding(cause=row["reason"], detail=detail, orders=row["orders"]))
    return findings


_REVIEW_WORDS: Final = {
    "ambiguous": "Several POS records bear the address: a person has to say which is the customer's.",
    "taken": "A POS record with the address is another customer's: perhaps they are one person.",
    "disputed": "Somebody said that the POS record is not the customer's: look, then take its orders back or link it again.",
    "merged_in_pos": "The till merged the customer's record into another customer's.",
}


def _count_words(cause: str, orders: int) -> str:
    words = "returned, with their points" if cause == _RETURNED else _ORDERS.get(SkippedReason(cause), "without points")
    return f"{_orders(orders)} {words}."


def _orders(count: int) -> str:
    return "1 purchase" if count == 1 else f"{count} purchases"
