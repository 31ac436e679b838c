"""A tiny stand-in for the service: the real messages and route table over a few customers in memory.

It exists for what the real service cannot be made to do on demand: to answer late, out of order, or not at all. The
flows themselves are tested against the real service in test_against_service.py.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID, uuid5

import httpx
import msgspec
from msgspec.structs import replace

from shared.adjustments import AdjustmentPage
from shared.codes import make_card_number
from shared.duplicates import DuplicatePage
from shared.endpoints import ENDPOINTS, Caller, Endpoint
from shared.enums import ConsentAnswer, EmailChangeMode, EntryKind, OrderState, Role
from shared.links import LinkReviewPage, PosTodoPage
from shared.members import (
    Accepted,
    Balance,
    Consents,
    ConsentView,
    EntryPage,
    EntryView,
    LineView,
    MembershipView,
    OrderPage,
    OrderView,
)
from shared.merges import MergePage
from shared.orders import StaffOrder, StaffOrderDetail, StaffOrderPage
from shared.permissions import PERMISSIONS
from shared.problems import Code, FieldProblem, Problem
from shared.programmes import CategoryRule, EarningRules, Promotion, RuleVersionList, RuleVersionView, TierView
from shared.refunds import RefundPage, RefundState, RefundView
from shared.reports import ExpirySchedule, ReportView
from shared.rewards import (
    RedemptionTermsView,
    RewardKind,
    RewardList,
    RewardStatus,
    RewardView,
    VoucherList,
    VoucherStatus,
    VoucherView,
)
from shared.sharing import RedeemPolicy, SharedMembership
from shared.staff import (
    AudienceContactView,
    AudienceStatus,
    AuditEntryView,
    AuditPage,
    CardView,
    ContactPointView,
    CustomerChange,
    CustomerDetail,
    CustomerHit,
    CustomerRegistered,
    DuplicateCheck,
    EmailChangeApplied,
    EmailChangePreview,
    EmailChangeView,
    EmailCorrection,
    Lookalike,
    LotView,
    ProgrammeList,
    ProgrammeView,
    RegisterCustomer,
    SearchResult,
    StaffEmailChange,
    StaffQueue,
    StaffSessionTokens,
    StaffSignIn,
    StaffView,
)

NOW = datetime(2026, 3, 14, 10, 30, tzinfo=UTC)
PASSWORD = "correct horse battery"
_SPACE = UUID("0198b0a0-0000-7000-8000-000000000000")
_STATUS = {
    Code.NOT_SIGNED_IN: 401,
    Code.SIGN_IN_FAILED: 401,
    Code.NOT_PERMITTED: 403,
    Code.NOT_FOUND: 404,
    Code.INTERNAL: 500,
    Code.BUSY: 503,
}


def made_id(name: str) -> UUID:
    return uuid5(_SPACE, name)


def card_number(number: int) -> str:
    return make_card_number(f"{number:011}")


class Refusal(Exception):
    """An answer other than a success."""

    def __init__(
        self,
        code: Code,
        *,
        detail: str = "",
        errors: tuple[FieldProblem, ...] = (),
        data: dict[str, object] | None = None,
    ) -> None:
        super().__init__(code)
        status = _STATUS.get(code, 409)
        self.problem = Problem(
            type=f"urn:regulars:problem:{code}",
            title=str(code),
            status=status,
            code=code,
            detail=detail,
            errors=errors,
            data=data or {},
        )


def _make_membership(number: int, points: int) -> MembershipView:
    return MembershipView(
        id=made_id(f"membership {number}"),
        programme_code="corner",
        programme_name="Corner Club",
        unit_one="point",
        unit_many="points",
        status="active",
        role="owner",
        tier="",
        enrolled_at=NOW - timedelta(days=300),
        card_number=card_number(number),
        balance=Balance(available=points, pending=0, deficit=0, lifetime=points, as_of=NOW),
    )


def make_customer(number: int, given: str, family: str = "", **changes: object) -> CustomerDetail:
    """Build a customer with a card, a membership, an email address and a phone number."""
    email: Any = changes.pop("email", f"customer{number}@example.com")
    points: Any = changes.pop("points", 1000 + number)
    membership = _make_membership(number, points)
    verified: Any = changes.get("email_status", "verified")
    points_of_contact = (
        ContactPointView(
            kind="email",
            value=email or "",
            status=verified,
            is_primary=True,
            verified_at=NOW,
            retired_at=None,
            retired_reason=None,
        ),
    )
    fields: dict[str, Any] = {
        "id": made_id(f"customer {number}"),
        "kind": "person",
        "status": "active",
        "merged_into": None,
        "given_name": given,
        "family_name": family,
        "email": email,
        "email_status": "verified",
        "phone": f"+44 7700 900{number:03}",
        "phone_status": "unverified",
        "birthday": None,
        "locale": "en",
        "notes": "",
        "has_login": False,
        "enrolled_source": "till",
        "created_at": NOW - timedelta(days=300),
        "redemption_held_until": None,
        "redemption_held_reason": None,
        "contact_points": points_of_contact if email else (),
        "memberships": (membership,),
        "cards": (
            CardView(
                code=card_number(number),
                status="active",
                issued_at=NOW - timedelta(days=300),
                ended_at=None,
                successor_code=None,
                membership_id=membership.id,
            ),
        ),
        "consents": Consents(
            email=ConsentView(state=ConsentAnswer.OPTED_IN, since=NOW - timedelta(days=2)),
            sms=ConsentView(state=ConsentAnswer.NOT_ASKED),
        ),
        "audience": (),
        "email_changes": (),
        "last_order_at": NOW - timedelta(days=3),
        "version": 1,
    }
    return CustomerDetail(**(fields | changes))


class FakeService:
    """An ASGI application. `held` operations wait for their event; `broken` ones fail once each time they are asked."""

    def __init__(self, *customers: CustomerDetail) -> None:
        self.customers = list(customers)
        self.calls: list[tuple[str, str]] = []
        self.keys: list[str] = []
        self.held: dict[str, asyncio.Event] = {}
        self.broken: dict[str, list[BaseException]] = {}
        self.after: dict[str, list[BaseException]] = {}
        self.entries_count = 3
        self.parked: tuple[AudienceContactView, ...] = ()
        self.paused_reason: str | None = None
        self.refunds: list[RefundView] = []  # Newest first; a page holds two.
        self.is_down = False
        self.sessions: dict[str, Role] = {}
        self._replies: dict[str, tuple[bytes, bytes]] = {}
        self._changes: dict[UUID, CustomerDetail] = {}

    def count(self, operation: str) -> int:
        return sum(name == operation for name, _ in self.calls)

    def find(self, customer_id: UUID) -> CustomerDetail:
        for customer in self.customers:
            if customer.id == customer_id:
                return customer
        raise Refusal(Code.NOT_FOUND)

    def put(self, customer: CustomerDetail) -> None:
        self.customers = [customer if other.id == customer.id else other for other in self.customers]

    async def __call__(
        self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if self.is_down:
            raise httpx.ConnectError("nobody listens")
        body = (await receive()).get("body", b"")
        status, content = await self._answer(scope, body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
        endpoint, path = _match(scope["method"], scope["path"])
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        operation = endpoint.operation
        self.calls.append((operation, query.get("q", "")))
        if operation in self.held:
            await self.held[operation].wait()
        try:
            if self.broken.get(operation):
                raise self.broken[operation].pop(0)
            role = self._check(endpoint, headers)
            answer = self._once(
                endpoint,
                body,
                headers,
                lambda: self._do(operation, role=role, path=path, query=query, body=body, endpoint=endpoint),
            )
            if self.after.get(operation):
                raise self.after[operation].pop(0)
        except Refusal as refusal:
            return refusal.problem.status, msgspec.json.encode(refusal.problem)
        return endpoint.status, answer

    def _check(self, endpoint: Endpoint, headers: dict[str, str]) -> Role | None:
        if endpoint.caller is not Caller.STAFF:
            return None
        role = self.sessions.get(headers.get("authorization", "").removeprefix("Bearer "))
        if role is None:
            raise Refusal(Code.NOT_SIGNED_IN)
        if endpoint.permission not in PERMISSIONS[role]:
            raise Refusal(Code.NOT_PERMITTED)
        return role

    def _once(self, endpoint: Endpoint, body: bytes, headers: dict[str, str], work: Callable[[], Any]) -> bytes:
        if not endpoint.idempotent:
            return msgspec.json.encode(work())
        key = headers["idempotency-key"]
        self.keys.append(key)
        if key in self._replies:
            earlier, reply = self._replies[key]
            if earlier != body:
                raise Refusal(Code.IDEMPOTENCY_CONFLICT)
            return reply
        reply = msgspec.json.encode(work())
        self._replies[key] = (body, reply)
        return reply

    # Operations -------------------------------------------------------------------------------------------------------

    def _do(  # noqa: C901  # One case an operation.
        self,
        operation: str,
        *,
        role: Role | None,
        path: dict[str, str],
        query: dict[str, str],
        body: bytes,
        endpoint: Endpoint,
    ) -> msgspec.Struct | dict[str, object]:
        asked: Any = msgspec.json.decode(body, type=endpoint.request) if endpoint.request else None
        match operation:
            case "health_live" | "end_staff_session":
                return {}
            case "staff_sign_in":
                return self._sign_in(asked)
            case "search_customers":
                return self._search(query["q"])
            case "check_duplicates":
                return self._lookalikes(query)
            case "get_customer":
                return self.find(UUID(path["customer_id"]))
            case "change_customer":
                return self._change(UUID(path["customer_id"]), asked)
            case "register_customer":
                return self._register(asked)
            case "invite_customer":
                return Accepted(detail="The invitation is on its way.")
            case "list_customer_entries":
                return self._entries(query.get("cursor"))
            case "list_customer_orders":
                return OrderPage(items=(_order(),))
            case "list_customer_audit" | "list_audit":
                return AuditPage(items=(_audit_entry(),))
            case "preview_email_change" | "preview_correction":
                return self._preview(UUID(path["customer_id"]), asked)
            case "change_email" | "correct_email":
                return self._change_email(UUID(path["customer_id"]), asked)
            case "undo_email_change":
                return self._undo(UUID(path["change_id"]))
            case "get_audience" | "resume_audience":
                if operation == "resume_audience":
                    self.paused_reason = None
                return AudienceStatus(
                    mode="mailchimp",
                    paused_reason=self.paused_reason,
                    waiting=3,
                    parked=len(self.parked),
                    pushed_today=41,
                    oldest_waiting_seconds=42,
                    items=self.parked,
                )
            case "retry_audience_contact":
                found = next(contact for contact in self.parked if str(contact.id) == path["contact_id"])
                self.parked = tuple(contact for contact in self.parked if contact is not found)
                return replace(found, parked_reason=None, waiting=True)
            case "find_orders":
                order = _staff_order()
                return StaffOrderPage(items=(order,) if query.get("number") in (None, order.number) else ())
            case "list_refunds":
                return self._refund_page(needs_person="needs_person" in query, start=int(query.get("cursor", "0")))
            case "get_report":
                return _report(path["name"])
            case _ if operation in _ALWAYS:
                return _ALWAYS[operation]()
            case _:
                raise Refusal(Code.NOT_FOUND)

    def _sign_in(self, asked: StaffSignIn) -> StaffSessionTokens:
        role = Role.__members__.get(asked.login.split("-")[0].upper())
        if role is None or asked.password != PASSWORD:
            raise Refusal(Code.SIGN_IN_FAILED)
        token = f"token-{asked.login}-{len(self.sessions)}"
        self.sessions[token] = role
        staff = StaffView(
            id=made_id(asked.login),
            login=asked.login,
            name=asked.login.capitalize(),
            role=role,
            store_code="high",
            store_name="High Street",
            permissions=tuple(sorted(PERMISSIONS[role])),
        )
        return StaffSessionTokens(
            access_token=token, expires_at=NOW + timedelta(hours=8), staff=staff, shop_name="Corner Books"
        )

    def _search(self, text: str) -> SearchResult:
        words = text.lower().split()
        found = []
        for customer in self.customers:
            name = f"{customer.given_name} {customer.family_name}".strip()
            exact = text in (customer.email, customer.cards[0].code if customer.cards else "", customer.phone)
            if exact or all(word in name.lower() for word in words):
                found.append(_hit(customer, name=name, exact=exact))
        read_as = "email" if "@" in text else "card" if text.isdigit() else "name"
        return SearchResult(query=text, read_as=read_as, items=tuple(found[:50]), more=len(found) > 50)

    def _lookalikes(self, typed: dict[str, str]) -> DuplicateCheck:
        found = [
            Lookalike(
                id=customer.id,
                name=f"{customer.given_name} {customer.family_name}".strip(),
                status=customer.status,
                email_masked=None,
                phone_ending=None,
                card_ending=None,
                birthday=None,
                is_certain=True,
                reasons=("email",),
            )
            for customer in self.customers
            if customer.email is not None and customer.email == typed.get("email")
        ]
        return DuplicateCheck(exact=tuple(found), near=())

    def _change(self, customer_id: UUID, asked: CustomerChange) -> CustomerDetail:
        customer = self.find(customer_id)
        if asked.version != customer.version:
            raise Refusal(Code.VERSION_CONFLICT)
        names = ("given_name", "family_name", "birthday", "postal_address", "post_code", "notes")
        changes = {name: getattr(asked, name) for name in names}
        given = {name: value for name, value in changes.items() if value is not msgspec.UNSET}
        self.put(replace(customer, version=customer.version + 1, **given))
        return self.find(customer_id)

    def _register(self, asked: RegisterCustomer) -> CustomerRegistered:
        for customer in self.customers:
            if asked.email and asked.email == customer.email:
                raise Refusal(
                    Code.DUPLICATE_CONTACT,
                    detail="This address is a customer's.",
                    data={"field": "email", "customer_id": str(customer.id)},
                )
        number = 500 + len(self.customers)
        customer = make_customer(
            number, asked.given_name, asked.family_name, email=asked.email, phone=asked.phone, points=0
        )
        self.customers.append(customer)
        return CustomerRegistered(
            id=customer.id,
            membership_id=customer.memberships[0].id,
            card_number=customer.cards[0].code,
            invited_by="email" if asked.email else None,
        )

    def _refund_page(self, *, needs_person: bool, start: int) -> RefundPage:
        found = [refund for refund in self.refunds if refund.needs_person or not needs_person]
        more = str(start + 2) if len(found) > start + 2 else None
        return RefundPage(items=tuple(found[start : start + 2]), next_cursor=more)

    def _entries(self, cursor: str | None) -> EntryPage:
        first = int(cursor or 0)
        last = min(first + 50, self.entries_count)
        items = tuple(_entry(index) for index in range(first, last))
        return EntryPage(items=items, next_cursor=str(last) if last < self.entries_count else None)

    def _preview(self, customer_id: UUID, asked: StaffEmailChange | EmailCorrection) -> EmailChangePreview:
        customer = self.find(customer_id)
        mode = asked.mode.value if isinstance(asked, StaffEmailChange) else "correction"
        taken = any(other.email == asked.new_email for other in self.customers)
        balance = customer.memberships[0].balance
        lots = (
            (LotView(points=balance.available, available_at=NOW, expires_at=NOW + timedelta(days=200)),)
            if mode == "reissue"
            else ()
        )
        return EmailChangePreview(
            mode=mode,
            old_email=customer.email,
            new_email=asked.new_email,
            blockers=("Another customer has proven this address.",) if taken else (),
            warnings=("Redemption is held for 24 hours.",),
            effects=("The sign-in name becomes the new address.",),
            balance_before=balance,
            balance_after=balance,
            lots=lots,
            cards_retired=tuple(card.code for card in customer.cards) if mode == "reissue" else (),
            sessions_ended=2,
            vouchers_reissued=0,
            preview_hash=f"hash-of-{mode}-{asked.new_email}-{customer.version}",
        )

    def _change_email(self, customer_id: UUID, asked: StaffEmailChange | EmailCorrection) -> EmailChangeApplied:
        customer = self.find(customer_id)
        preview = self._preview(customer_id, asked)
        if asked.preview_hash != preview.preview_hash:
            raise Refusal(Code.PREVIEW_STALE)
        undo_until = NOW + timedelta(days=7)
        card = customer.cards[0].code
        cards = customer.cards
        if preview.mode == "reissue":
            card = card_number(900)
            old = replace(customer.cards[0], status="replaced", ended_at=NOW, successor_code=card)
            cards = (replace(customer.cards[0], code=card, issued_at=NOW), old)
        change = EmailChangeView(
            id=made_id("change"),
            mode=asked.mode if isinstance(asked, StaffEmailChange) else EmailChangeMode.KEEP,
            state="confirmed",
            old_email=customer.email or "",
            new_email=asked.new_email,
            requested_at=NOW,
            confirmed_at=NOW,
            undo_until=undo_until,
        )
        self._changes[change.id] = customer
        self.put(
            replace(
                customer,
                email=asked.new_email,
                cards=cards,
                email_changes=(change,),
                redemption_held_until=NOW + timedelta(hours=24),
                version=customer.version + 1,
            )
        )
        return EmailChangeApplied(
            id=change.id,
            mode=preview.mode,
            email=asked.new_email,
            card_number=card,
            balance=preview.balance_after,
            undo_until=undo_until,
            redemption_held_until=NOW + timedelta(hours=24),
        )

    def _undo(self, change_id: UUID) -> EmailChangeApplied:
        before = self._changes[change_id]
        self.put(replace(before, version=before.version + 2))
        return EmailChangeApplied(
            id=change_id,
            mode="keep",
            email=before.email or "",
            card_number=before.cards[0].code,
            balance=before.memberships[0].balance,
            undo_until=None,
            redemption_held_until=None,
        )


def _match(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    for endpoint in ENDPOINTS:
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", endpoint.path), path)
        if found and endpoint.method == method:
            return endpoint, found.groupdict()
    raise AssertionError(f"the console asked for {method} {path}, which is not in the table")


def _hit(customer: CustomerDetail, *, name: str, exact: bool) -> CustomerHit:
    email = customer.email
    return CustomerHit(
        id=customer.id,
        name=name,
        status=customer.status,
        email_masked=f"{email[0]}…@{email.rpartition('@')[2]}" if email else None,
        phone_ending=customer.phone[-4:] if customer.phone else None,
        card_ending=customer.cards[0].code[-4:] if customer.cards else None,
        birthday=None,
        available=customer.memberships[0].balance.available,
        last_order_on=date(2026, 3, 11),
        exact=exact,
    )


def _entry(index: int) -> EntryView:
    return EntryView(
        id=made_id(f"entry {index}"),
        kind=EntryKind.EARN,
        points=17 + index,
        occurred_at=NOW - timedelta(hours=index),
        posted_at=NOW - timedelta(hours=index),
        reason=f"Order R-{2000 + index}",
        balance_after=3000 - index,
        order_number=f"R-{2000 + index}",
        store_name="High Street",
    )


def _order() -> OrderView:
    line = LineView(
        line_id="1",
        description="Novel",
        category="books",
        quantity="1",
        net_minor=1500,
        tax_minor=240,
        points=17,
        rule="1 point for each 1.00",
    )
    return OrderView(
        id=made_id("order"),
        number="R-2000",
        store_name="High Street",
        completed_at=NOW,
        currency="GBP",
        net_minor=1500,
        tax_minor=240,
        state="completed",
        points=17,
        skipped_reason=None,
        lines=(line,),
    )


def _staff_order() -> StaffOrder:
    return StaffOrder(
        id=made_id("order"),
        number="R-2000",
        external_id="sale-2000",
        store_code="high",
        store_name="High Street",
        completed_at=NOW,
        currency="GBP",
        net_minor=1500,
        tax_minor=240,
        state=OrderState.COMPLETED,
        points=17,
        skipped_reason=None,
        customer_id=made_id("customer 1"),
        customer_name="Ben Scorpio",
        membership_id=made_id("membership 1"),
        assignment_version=1,
        assignment_reason="card",
    )


def _voucher() -> VoucherView:
    return VoucherView(
        id=made_id("voucher"),
        reward_name="Coffee",
        kind=RewardKind.PRODUCT,
        value_minor=250,
        currency="GBP",
        percent=None,
        sku="COFFEE",
        points_cost=100,
        status=VoucherStatus.ISSUED,
        code_ending="4F2K",
        issued_at=NOW,
        valid_until=None,
        ended_at=None,
    )


def make_refund(name: str, state: RefundState, *, days_ago: int) -> RefundView:
    at = NOW - timedelta(days=days_ago)
    return RefundView(
        id=made_id(name),
        external_id=name,
        original_order=None,
        order_id=None,
        order_number=None,
        store_name="High Street",
        completed_at=at,
        received_at=at,
        posted_at=None,
        currency="GBP",
        state=state,
        needs_person=state is RefundState.BLIND,
        refused_for=None,
        points_taken=0,
        points_exempt=0,
        points_owed=0,
        points_restored=0,
    )


def _audit_entry() -> AuditEntryView:
    return AuditEntryView(
        id=made_id("audit"),
        at=NOW,
        actor="Manager",
        action="email.change",
        subject_kind="customer",
        subject_id=made_id("customer 1"),
        customer_id=made_id("customer 1"),
        reason="asked for",
        details={"mode": "keep"},
    )


def _programme() -> ProgrammeView:
    return ProgrammeView(
        code="corner",
        name="Corner Club",
        zone="Europe/London",
        currency="GBP",
        launch_at=NOW - timedelta(days=900),
        status="active",
        rule_version=2,
        rules=msgspec.to_builtins(_RULES),
        id=made_id("programme"),
    )


_RULES = EarningRules(
    points=1,
    per_minor=100,
    categories=(CategoryRule(category="gift [bold]cards[/]", percent=0),),
    promotions=(Promotion(code="spring", name="Spring [/]\x1b[2J", percent=200, weekdays=("sat", "sun")),),
)


def _rule_version(number: int) -> RuleVersionView:
    return RuleVersionView(
        id=made_id(f"rules {number}"),
        version=number,
        state="current" if number == 2 else "past",
        valid_from=NOW - timedelta(days=100 - number),
        created_at=NOW - timedelta(days=100),
        created_by="Mara [/] Till",
        rules=_RULES if number == 2 else EarningRules(points=1, per_minor=200),
    )


def _reward() -> RewardView:
    return RewardView(
        id=made_id("reward"),
        code="free-coffee",
        name="Free [/] coffee\u202e",
        kind=RewardKind.AMOUNT_OFF,
        description="A [@click=app.quit()]coffee[/]",
        points_cost=100,
        value_minor=350,
        currency="GBP",
        percent=None,
        sku="",
        valid_days=30,
        stock=10,
        issued=3,
        member_limit=1,
        active_from=None,
        active_until=None,
        status=RewardStatus.ACTIVE,
        version=1,
    )


def _terms() -> RedemptionTermsView:
    return RedemptionTermsView(
        version=1,
        step_points=50,
        step_minor=100,
        cap_percent=100,
        minimum_points=50,
        card_daily_points=200,
        restore_grace_days=30,
        currency="GBP",
    )


def _report(name: str) -> ReportView:
    return ReportView(
        name=name,
        title="Points that can still be spent",
        zone="Europe/London",
        since=None,
        until=None,
        columns=("programme", "month", "points", "pending", "lots"),
        rows=(("corner [/]", "2026-04", 1200, 200, 12), ("corner [/]", "never", 300, 0, 3)),
        as_of=NOW,
    )


def parked_contact(number: int, reason: str) -> AudienceContactView:
    return AudienceContactView(
        id=made_id(f"contact {number}"),
        customer_id=made_id(f"customer {number}"),
        email=f"customer{number}@example.com",
        state="live",
        remote_status="subscribed",
        waiting=False,
        attempts=5,
        next_try_at=None,
        pushed_at=None,
        parked_reason=reason,
        parked_field="BIRTHDAY",
    )


# What is answered the same whatever was asked and done before.
_ALWAYS: dict[str, Callable[[], msgspec.Struct]] = {
    "get_queue": lambda: StaffQueue(adjustments=0, refunds=0, orders=0),
    "get_customer_tier": lambda: TierView(
        tier="Gold", until=None, points=1200, since=NOW, next_tier=None, next_points=None
    ),
    "get_sharing": lambda: SharedMembership(
        membership_id=made_id("membership 1"),
        people=(),
        redeem_policy=RedeemPolicy.ANYONE,
        daily_points=None,
        sharers_max=4,
    ),
    "list_merges": lambda: MergePage(items=(), next_cursor=None),
    "list_duplicates": lambda: DuplicatePage(items=(), next_cursor=None),
    "get_customer_expiry": lambda: ExpirySchedule(zone="Europe/London", never=0, items=(), as_of=NOW),
    "list_customer_vouchers": lambda: VoucherList(items=(_voucher(),)),
    "get_order": lambda: StaffOrderDetail(order=_staff_order(), lines=_order().lines),
    "list_adjustments": lambda: AdjustmentPage(items=()),
    "list_link_reviews": lambda: LinkReviewPage(items=(), next_cursor=None),
    "list_pos_todos": lambda: PosTodoPage(items=(), next_cursor=None),
    "list_programmes": lambda: ProgrammeList(items=(_programme(),)),
    "get_programme": _programme,
    "list_rule_versions": lambda: RuleVersionList(items=(_rule_version(2), _rule_version(1))),
    "list_rewards": lambda: RewardList(items=(_reward(),)),
    "get_redemption_terms": _terms,
}
