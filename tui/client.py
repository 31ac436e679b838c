"""The service's staff operations as typed calls. Knows HTTP and the messages; knows nothing of the terminal."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import TypeVar
from uuid import UUID

import httpx
import msgspec

from shared import limits
from shared.adjustments import (
    AdjustmentDecision,
    AdjustmentPage,
    AdjustmentPreview,
    AdjustmentRefusal,
    AdjustmentRequest,
    AdjustmentUndo,
    AdjustmentUndoPreview,
    AdjustmentView,
)
from shared.claims import (
    ClaimBatchPage,
    ClaimBatchPreview,
    ClaimBatchRequest,
    ClaimBatchView,
    ClaimCodeIssued,
    ClaimCodeView,
    ClaimFound,
    ClaimLookup,
    ClaimRevocation,
    CustomerClaims,
)
from shared.duplicates import DuplicateDismissal, DuplicatePage, DuplicateView
from shared.endpoints import BY_OPERATION, Endpoint
from shared.links import (
    CustomerLinks,
    CycleAsked,
    CycleRequest,
    Cycles,
    LinkApproval,
    LinkDiagnosis,
    LinkEnding,
    LinkEndingPreview,
    LinkMade,
    LinkPreview,
    LinkRequest,
    LinkReviewPage,
    PosTodoDone,
    PosTodoPage,
    PosTodoView,
    QuarantinePage,
    RecordHits,
    ReviewSettling,
    WaitingLinkPage,
)
from shared.members import Accepted, EntryPage, OrderPage
from shared.merges import (
    MergeDecision,
    MergePage,
    MergePreview,
    MergeRefusal,
    MergeRequest,
    MergeUndo,
    MergeUndone,
    MergeUndoPreview,
    MergeView,
)
from shared.orders import (
    AssignmentApplied,
    AssignmentPreview,
    OrderAssignment,
    OrderDifferencePage,
    OrderRecorded,
    OrderRecording,
    RecordingPreview,
    StaffOrderDetail,
    StaffOrderPage,
)
from shared.privacy import (
    DormantBatch,
    DormantErasing,
    DormantPreview,
    DormantSearch,
    ErasureCancelling,
    ErasureDecision,
    ErasurePage,
    ErasurePreview,
    ErasureSettling,
    ErasureView,
    ExportList,
    ExportView,
    StaffErasureRequest,
    StaffExportRequest,
)
from shared.problems import Code, FieldProblem, Problem
from shared.programmes import (
    NewProgramme,
    ProgrammeChange,
    ProgrammeClosing,
    ProgrammeJoined,
    ProgrammeJoining,
    ProgrammeOpening,
    ProgrammeStanding,
    RulesPreview,
    RulesProposal,
    RulesPublication,
    RuleVersionList,
    RuleVersionView,
    TierView,
)
from shared.refunds import RefundAttachment, RefundAttachmentPreview, RefundNote, RefundPage, RefundView
from shared.reports import ExpirySchedule, ReportView
from shared.rewards import (
    CancelVoucher,
    NewReward,
    PresenceTexted,
    RedemptionSettings,
    RedemptionTermsView,
    RewardChange,
    RewardList,
    RewardOffers,
    RewardView,
    StaffTakeReward,
    VoucherIssued,
    VoucherList,
    VoucherView,
)
from shared.sharing import (
    Combined,
    CombinePreview,
    Combining,
    Joined,
    Joining,
    JoinPreview,
    Leaving,
    Left,
    RedeemPolicyChange,
    SharedMembership,
    SharingUndo,
    SharingUndone,
    SplitPreview,
)
from shared.staff import (
    AudienceContactView,
    AudienceStatus,
    AuditPage,
    CustomerChange,
    CustomerDetail,
    CustomerRegistered,
    DuplicateCheck,
    EmailChangeApplied,
    EmailChangePreview,
    EmailCorrection,
    EmailOverrideDecision,
    EmailOverridePage,
    EmailOverrideRequest,
    EmailOverrideView,
    HoldLifted,
    HoldLifting,
    ProgrammeList,
    ProgrammeView,
    RegisterCustomer,
    SearchResult,
    StaffEmailChange,
    StaffQueue,
    StaffSessionTokens,
    StaffSignIn,
    Undo,
)
from tui.errors import AnswerNotUnderstood, NoAnswer, Refused, SignedOut, Unreachable

ViewT = TypeVar("ViewT", bound=msgspec.Struct)
ParamValue = str | int | None

_KEYED_TRIES = 3
_RETRY_WAIT_SECONDS = 0.3
_LONG_SECONDS = 40.0  # For what counts through past sales; the service itself stops before.
_LOOKS = {"find_claim_code", "staff_sign_in"}  # Sent as commands are, though nothing is there afterwards that was not.
# Raised before a request left this machine: it cannot have been carried out.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def new_key() -> str:
    """Return an idempotency key: one for each opened form, kept through all its tries."""
    return secrets.token_urlsafe(24)


class Client:
    """One staff member's calls.

    Every call raises `Refused` (with the service's reason), `SignedOut`, `Unreachable`, `NoAnswer` or
    `AnswerNotUnderstood`. Calls with an idempotency key are tried again by themselves when the connection fails, as
    the key makes sure that they are carried out once.
    """

    def __init__(self, http: httpx.AsyncClient, *, answer_seconds: float = 10.0) -> None:
        self._http = http
        self._answer_seconds = answer_seconds
        self._token: str | None = None

    @property
    def is_signed_in(self) -> bool:
        return self._token is not None

    # Sessions ---------------------------------------------------------------------------------------------------

    async def sign_in(self, login: str, password: str, *, terminal: str) -> StaffSessionTokens:
        self._token = None
        body = StaffSignIn(login=login, password=password, terminal=terminal)
        tokens = await self._ask("staff_sign_in", StaffSessionTokens, body=body)
        self._token = tokens.access_token
        return tokens

    async def sign_out(self) -> None:
        """End the session at the service; the token is dropped whatever comes of it."""
        token, self._token = self._token, None
        if token is not None:
            await self._send(BY_OPERATION["end_staff_session"], token=token)

    async def is_alive(self) -> bool:
        """Ask whether the service answers at all."""
        try:
            response = await self._send_once(
                BY_OPERATION["health_live"], httpx.Request("GET", self._url("/health/live"))
            )
        except (NoAnswer, Unreachable):
            return False
        return response.status_code == 200

    # Customers --------------------------------------------------------------------------------------------------

    async def search(self, text: str) -> SearchResult:
        return await self._ask("search_customers", SearchResult, query={"q": text})

    async def get_customer(self, customer_id: UUID) -> CustomerDetail:
        return await self._ask("get_customer", CustomerDetail, path={"customer_id": customer_id})

    async def list_entries(self, membership_id: UUID, *, cursor: str | None = None) -> EntryPage:
        path = {"membership_id": membership_id}
        return await self._ask("list_customer_entries", EntryPage, path=path, query={"cursor": cursor})

    async def list_orders(self, customer_id: UUID, *, cursor: str | None = None) -> OrderPage:
        path = {"customer_id": customer_id}
        return await self._ask("list_customer_orders", OrderPage, path=path, query={"cursor": cursor})

    async def list_customer_audit(self, customer_id: UUID, *, cursor: str | None = None) -> AuditPage:
        path = {"customer_id": customer_id}
        return await self._ask("list_customer_audit", AuditPage, path=path, query={"cursor": cursor})

    async def check_duplicates(self, typed: Mapping[str, str]) -> DuplicateCheck:
        """Ask who is like the person that is being registered; `typed` is by query parameter."""
        return await self._ask(
            "check_duplicates", DuplicateCheck, query={name: text or None for name, text in typed.items()}
        )

    async def register(self, form: RegisterCustomer, *, key: str) -> CustomerRegistered:
        return await self._ask("register_customer", CustomerRegistered, body=form, key=key)

    async def change_customer(self, customer_id: UUID, change: CustomerChange) -> CustomerDetail:
        return await self._ask("change_customer", CustomerDetail, path={"customer_id": customer_id}, body=change)

    async def join_programme(self, customer_id: UUID, joining: ProgrammeJoining, *, key: str) -> ProgrammeJoined:
        path = {"customer_id": customer_id}
        return await self._ask("join_programme", ProgrammeJoined, path=path, body=joining, key=key)

    async def invite(self, customer_id: UUID) -> Accepted:
        return await self._ask("invite_customer", Accepted, path={"customer_id": customer_id})

    # Email changes ----------------------------------------------------------------------------------------------

    async def preview_email_change(self, customer_id: UUID, change: StaffEmailChange) -> EmailChangePreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_email_change", EmailChangePreview, path=path, body=change)

    async def change_email(self, customer_id: UUID, change: StaffEmailChange, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "change_email", EmailChangeApplied, path={"customer_id": customer_id}, body=change, key=key
        )

    async def undo_email_change(self, change_id: UUID, undo: Undo, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "undo_email_change", EmailChangeApplied, path={"change_id": change_id}, body=undo, key=key
        )

    async def preview_correction(self, customer_id: UUID, correction: EmailCorrection) -> EmailChangePreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_correction", EmailChangePreview, path=path, body=correction)

    async def correct_email(self, customer_id: UUID, correction: EmailCorrection, *, key: str) -> EmailChangeApplied:
        return await self._ask(
            "correct_email", EmailChangeApplied, path={"customer_id": customer_id}, body=correction, key=key
        )

    async def preview_email_override(self, customer_id: UUID, wish: EmailOverrideRequest) -> EmailChangePreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_email_override", EmailChangePreview, path=path, body=wish)

    async def request_email_override(
        self, customer_id: UUID, wish: EmailOverrideRequest, *, key: str
    ) -> EmailOverrideView:
        path = {"customer_id": customer_id}
        return await self._ask("request_email_override", EmailOverrideView, path=path, body=wish, key=key)

    async def list_email_overrides(self, *, state: str = "", cursor: str | None = None) -> EmailOverridePage:
        query = {"state": state or None, "cursor": cursor}
        return await self._ask("list_email_overrides", EmailOverridePage, query=query)

    async def get_email_override(self, change_id: UUID) -> EmailOverrideView:
        return await self._ask("get_email_override", EmailOverrideView, path={"change_id": change_id})

    async def approve_email_override(
        self, change_id: UUID, decision: EmailOverrideDecision, *, key: str
    ) -> EmailOverrideView:
        path = {"change_id": change_id}
        return await self._ask("approve_email_override", EmailOverrideView, path=path, body=decision, key=key)

    async def lift_hold(self, customer_id: UUID, lifting: HoldLifting, *, key: str) -> HoldLifted:
        path = {"customer_id": customer_id}
        return await self._ask("lift_redemption_hold", HoldLifted, path=path, body=lifting, key=key)

    # Points --------------------------------------------------------------------------------------------------------

    async def preview_adjustment(self, customer_id: UUID, request: AdjustmentRequest) -> AdjustmentPreview:
        path = {"customer_id": customer_id}
        return await self._ask("preview_adjustment", AdjustmentPreview, path=path, body=request)

    async def adjust_points(self, customer_id: UUID, request: AdjustmentRequest, *, key: str) -> AdjustmentView:
        return await self._ask(
            "adjust_points", AdjustmentView, path={"customer_id": customer_id}, body=request, key=key
        )

    async def list_adjustments(
        self, *, state: str = "", customer_id: UUID | None = None, cursor: str | None = None
    ) -> AdjustmentPage:
        query = {"state": state or None, "customer_id": str(customer_id) if customer_id else None, "cursor": cursor}
        return await self._ask("list_adjustments", AdjustmentPage, query=query)

    async def approve_adjustment(
        self, adjustment_id: UUID, decision: AdjustmentDecision, *, key: str
    ) -> AdjustmentView:
        path = {"adjustment_id": adjustment_id}
        return await self._ask("approve_adjustment", AdjustmentView, path=path, body=decision, key=key)

    async def refuse_adjustment(self, adjustment_id: UUID, refusal: AdjustmentRefusal) -> AdjustmentView:
        path = {"adjustment_id": adjustment_id}
        return await self._ask("refuse_adjustment", AdjustmentView, path=path, body=refusal)

    async def preview_adjustment_undo(self, adjustment_id: UUID, undo: AdjustmentUndo) -> AdjustmentUndoPreview:
        path = {"adjustment_id": adjustment_id}
        return await self._ask("preview_adjustment_undo", AdjustmentUndoPreview, path=path, body=undo)

    async def undo_adjustment(self, adjustment_id: UUID, undo: AdjustmentUndo, *, key: str) -> AdjustmentView:
        path = {"adjustment_id": adjustment_id}
        return await self._ask("undo_adjustment", AdjustmentView, path=path, body=undo, key=key)

    async def get_expiry(self, membership_id: UUID) -> ExpirySchedule:
        path, query = {"membership_id": membership_id}, {"limit": str(limits.PAGE_SIZE_MAX)}
        return await self._ask("get_customer_expiry", ExpirySchedule, path=path, query=query)

    async def get_tier(self, membership_id: UUID) -> TierView:
        return await self._ask("get_customer_tier", TierView, path={"membership_id": membership_id})

    # Sharing --------------------------------------------------------------------------------------------------------

    async def get_sharing(self, membership_id: UUID) -> SharedMembership:
        return await self._ask("get_sharing", SharedMembership, path={"membership_id": membership_id})

    async def put_redeem_policy(self, membership_id: UUID, change: RedeemPolicyChange) -> SharedMembership:
        path = {"membership_id": membership_id}
        return await self._ask("put_redeem_policy", SharedMembership, path=path, body=change)

    async def preview_join(self, membership_id: UUID, joining: Joining) -> JoinPreview:
        return await self._ask("preview_join", JoinPreview, path={"membership_id": membership_id}, body=joining)

    async def join_membership(self, membership_id: UUID, joining: Joining, *, key: str) -> Joined:
        path = {"membership_id": membership_id}
        return await self._ask("join_membership", Joined, path=path, body=joining, key=key)

    async def preview_combine(self, membership_id: UUID, combining: Combining) -> CombinePreview:
        path = {"membership_id": membership_id}
        return await self._ask("preview_combine", CombinePreview, path=path, body=combining)

    async def combine_memberships(self, membership_id: UUID, combining: Combining, *, key: str) -> Combined:
        path = {"membership_id": membership_id}
        return await self._ask("combine_memberships", Combined, path=path, body=combining, key=key)

    async def preview_leave(self, membership_id: UUID, leaving: Leaving) -> SplitPreview:
        return await self._ask("preview_leave", SplitPreview, path={"membership_id": membership_id}, body=leaving)

    async def leave_membership(self, membership_id: UUID, leaving: Leaving, *, key: str) -> Left:
        path = {"membership_id": membership_id}
        return await self._ask("leave_membership", Left, path=path, body=leaving, key=key)

    async def preview_undo_combine(self, membership_id: UUID, operation_id: UUID, undo: SharingUndo) -> SplitPreview:
        path = {"membership_id": membership_id, "operation_id": operation_id}
        return await self._ask("preview_undo_combine", SplitPreview, path=path, body=undo)

    async def undo_sharing(
        self, kind: str, membership_id: UUID, operation_id: UUID, undo: SharingUndo, *, key: str
    ) -> SharingUndone:
        """Take a joining, combining or leaving back; `kind` is that of the operation."""
        path = {"membership_id": membership_id, "operation_id": operation_id}
        return await self._ask(f"undo_{kind}", SharingUndone, path=path, body=undo, key=key)

    # Merges ---------------------------------------------------------------------------------------------------------

    async def preview_merge(self, merge: MergeRequest) -> MergePreview:
        return await self._ask("preview_merge", MergePreview, body=merge)

    async def merge_customers(self, merge: MergeRequest, *, key: str) -> MergeView:
        return await self._ask("merge_customers", MergeView, body=merge, key=key)

    async def list_merges(
        self, *, state: str = "", customer_id: UUID | None = None, cursor: str | None = None
    ) -> MergePage:
        query = {"state": state or None, "customer_id": str(customer_id) if customer_id else None, "cursor": cursor}
        return await self._ask("list_merges", MergePage, query=query)

    async def get_merge(self, merge_id: UUID) -> MergeView:
        return await self._ask("get_merge", MergeView, path={"merge_id": merge_id})

    async def approve_merge(self, merge_id: UUID, decision: MergeDecision, *, key: str) -> MergeView:
        return await self._ask("approve_merge", MergeView, path={"merge_id": merge_id}, body=decision, key=key)

    async def refuse_merge(self, merge_id: UUID, refusal: MergeRefusal) -> MergeView:
        return await self._ask("refuse_merge", MergeView, path={"merge_id": merge_id}, body=refusal)

    async def preview_undo_merge(self, merge_id: UUID, undo: MergeUndo) -> MergeUndoPreview:
        return await self._ask("preview_undo_merge", MergeUndoPreview, path={"merge_id": merge_id}, body=undo)

    async def undo_merge(self, merge_id: UUID, undo: MergeUndo, *, key: str) -> MergeUndone:
        return await self._ask("undo_merge", MergeUndone, path={"merge_id": merge_id}, body=undo, key=key)

    async def list_duplicates(
        self, *, state: str = "", customer_id: UUID | None = None, cursor: str | None = None
    ) -> DuplicatePage:
        query = {"state": state or None, "customer_id": str(customer_id) if customer_id else None, "cursor": cursor}
        return await self._ask("list_duplicates", DuplicatePage, query=query)

    async def dismiss_duplicate(self, duplicate_id: UUID, dismissal: DuplicateDismissal) -> DuplicateView:
        path = {"duplicate_id": duplicate_id}
        return await self._ask("dismiss_duplicate", DuplicateView, path=path, body=dismissal)

    async def reopen_duplicate(self, duplicate_id: UUID) -> DuplicateView:
        return await self._ask("reopen_duplicate", DuplicateView, path={"duplicate_id": duplicate_id})

    # Orders and refunds ---------------------------------------------------------------------------------------------

    async def list_order_differences(self, *, cursor: str | None = None) -> OrderDifferencePage:
        return await self._ask("list_order_differences", OrderDifferencePage, query={"cursor": cursor})

    async def find_orders(
        self, *, number: str = "", day: str = "", store: str = "", cursor: str | None = None
    ) -> StaffOrderPage:
        query = {"number": number or None, "day": day or None, "store": store or None, "cursor": cursor}
        return await self._ask("find_orders", StaffOrderPage, query=query)

    async def get_order(self, order_id: UUID) -> StaffOrderDetail:
        return await self._ask("get_order", StaffOrderDetail, path={"order_id": order_id})

    async def preview_assignment(self, order_id: UUID, assignment: OrderAssignment) -> AssignmentPreview:
        return await self._ask("preview_assignment", AssignmentPreview, path={"order_id": order_id}, body=assignment)

    async def assign_order(self, order_id: UUID, assignment: OrderAssignment, *, key: str) -> AssignmentApplied:
        path = {"order_id": order_id}
        return await self._ask("assign_order", AssignmentApplied, path=path, body=assignment, key=key)

    async def preview_recording(self, recording: OrderRecording) -> RecordingPreview:
        return await self._ask("preview_recording", RecordingPreview, body=recording)

    async def record_order(self, recording: OrderRecording, *, key: str) -> OrderRecorded:
        return await self._ask("record_order", OrderRecorded, body=recording, key=key)

    async def list_refunds(self, *, needs_person: bool = False, cursor: str | None = None) -> RefundPage:
        query = {"needs_person": "true" if needs_person else None, "cursor": cursor}
        return await self._ask("list_refunds", RefundPage, query=query)

    async def preview_refund_attachment(self, refund_id: UUID, attachment: RefundAttachment) -> RefundAttachmentPreview:
        path = {"refund_id": refund_id}
        return await self._ask("preview_refund_attachment", RefundAttachmentPreview, path=path, body=attachment)

    async def attach_refund(self, refund_id: UUID, attachment: RefundAttachment, *, key: str) -> RefundView:
        return await self._ask("attach_refund", RefundView, path={"refund_id": refund_id}, body=attachment, key=key)

    async def dismiss_refund(self, refund_id: UUID, note: RefundNote) -> RefundView:
        return await self._ask("dismiss_refund", RefundView, path={"refund_id": refund_id}, body=note)

    async def reopen_refund(self, refund_id: UUID, note: RefundNote) -> RefundView:
        return await self._ask("reopen_refund", RefundView, path={"refund_id": refund_id}, body=note)

    async def get_queue(self) -> StaffQueue:
        return await self._ask("get_queue", StaffQueue)

    # POS records and tills --------------------------------------------------------------------------------------------

    async def search_pos_records(self, text: str) -> RecordHits:
        return await self._ask("search_pos_records", RecordHits, query={"q": text})

    async def get_links(self, customer_id: UUID) -> CustomerLinks:
        return await self._ask("get_customer_links", CustomerLinks, path={"customer_id": customer_id})

    async def diagnose_links(self, customer_id: UUID) -> LinkDiagnosis:
        return await self._ask("diagnose_links", LinkDiagnosis, path={"customer_id": customer_id})

    async def preview_link(self, customer_id: UUID, wish: LinkRequest) -> LinkPreview:
        return await self._ask("preview_link", LinkPreview, path={"customer_id": customer_id}, body=wish)

    async def make_link(self, customer_id: UUID, wish: LinkRequest, *, key: str) -> LinkMade:
        return await self._ask("make_link", LinkMade, path={"customer_id": customer_id}, body=wish, key=key)

    async def preview_link_approval(self, link_id: UUID) -> LinkPreview:
        path = {"link_id": link_id}
        return await self._ask("preview_link_approval", LinkPreview, path=path, body=LinkApproval())

    async def approve_link(self, link_id: UUID, approval: LinkApproval, *, key: str) -> LinkMade:
        return await self._ask("approve_link", LinkMade, path={"link_id": link_id}, body=approval, key=key)

    async def preview_link_end(self, link_id: UUID, ending: LinkEnding) -> LinkEndingPreview:
        return await self._ask("preview_link_end", LinkEndingPreview, path={"link_id": link_id}, body=ending)

    async def end_link(self, link_id: UUID, ending: LinkEnding, *, key: str) -> LinkMade:
        return await self._ask("end_link", LinkMade, path={"link_id": link_id}, body=ending, key=key)

    async def list_waiting_links(self, *, cursor: str | None = None) -> WaitingLinkPage:
        return await self._ask("list_waiting_links", WaitingLinkPage, query={"cursor": cursor})

    async def list_link_reviews(self, *, cursor: str | None = None) -> LinkReviewPage:
        return await self._ask("list_link_reviews", LinkReviewPage, query={"cursor": cursor})

    async def settle_link_review(self, review_id: UUID, settling: ReviewSettling) -> Accepted:
        endpoint = BY_OPERATION["settle_link_review"]
        await self._send(endpoint, path={"review_id": review_id}, body=settling, token=self._token)
        return Accepted(detail="Left as it is.")

    async def list_pos_todos(self, *, state: str, cursor: str | None = None) -> PosTodoPage:
        return await self._ask("list_pos_todos", PosTodoPage, query={"state": state, "cursor": cursor})

    async def finish_pos_todo(self, todo_id: UUID, done: PosTodoDone) -> PosTodoView:
        return await self._ask("finish_pos_todo", PosTodoView, path={"todo_id": todo_id}, body=done)

    async def reopen_pos_todo(self, todo_id: UUID) -> PosTodoView:
        return await self._ask("reopen_pos_todo", PosTodoView, path={"todo_id": todo_id})

    async def list_cycles(self) -> Cycles:
        return await self._ask("list_cycles", Cycles)

    async def run_cycle(self, request: CycleRequest) -> CycleAsked:
        return await self._ask("run_cycle", CycleAsked, body=request)

    async def list_quarantined(self, *, cursor: str | None = None) -> QuarantinePage:
        return await self._ask("list_quarantined", QuarantinePage, query={"cursor": cursor})

    # Claim codes ----------------------------------------------------------------------------------------------------

    async def list_claim_codes(self, customer_id: UUID) -> CustomerClaims:
        return await self._ask("list_claim_codes", CustomerClaims, path={"customer_id": customer_id})

    async def issue_claim_code(self, customer_id: UUID, *, key: str) -> ClaimCodeIssued:
        return await self._ask("issue_claim_code", ClaimCodeIssued, path={"customer_id": customer_id}, key=key)

    async def issue_receipt_code(self, order_id: UUID, *, key: str) -> ClaimCodeIssued:
        return await self._ask("issue_receipt_code", ClaimCodeIssued, path={"order_id": order_id}, key=key)

    async def find_claim_code(self, lookup: ClaimLookup) -> ClaimFound:
        return await self._ask("find_claim_code", ClaimFound, body=lookup)

    async def revoke_claim_code(self, code_id: UUID, revocation: ClaimRevocation) -> ClaimCodeView:
        return await self._ask("revoke_claim_code", ClaimCodeView, path={"code_id": code_id}, body=revocation)

    async def preview_claim_batch(self, wish: ClaimBatchRequest) -> ClaimBatchPreview:
        return await self._ask("preview_claim_batch", ClaimBatchPreview, body=wish)

    async def create_claim_batch(self, wish: ClaimBatchRequest, *, key: str) -> ClaimBatchView:
        return await self._ask("create_claim_batch", ClaimBatchView, body=wish, key=key, within=_LONG_SECONDS)

    async def list_claim_batches(self, *, cursor: str | None = None) -> ClaimBatchPage:
        return await self._ask("list_claim_batches", ClaimBatchPage, query={"cursor": cursor})

    async def revoke_claim_batch(self, batch_id: UUID, revocation: ClaimRevocation) -> ClaimBatchView:
        return await self._ask("revoke_claim_batch", ClaimBatchView, path={"batch_id": batch_id}, body=revocation)

    async def get_claim_csv(self, batch_id: UUID) -> bytes:
        """Fetch the list of a batch, which is handed out once."""
        return await self._fetch("write_claim_csv", path={"batch_id": batch_id})

    async def get_claim_letters(self, batch_id: UUID) -> bytes:
        """Fetch the letters of a batch as PDF, which are handed out once."""
        return await self._fetch("write_claim_letters", path={"batch_id": batch_id})

    # Privacy --------------------------------------------------------------------------------------------------------

    async def request_export(self, customer_id: UUID, wish: StaffExportRequest, *, key: str) -> ExportView:
        path = {"customer_id": customer_id}
        return await self._ask("request_customer_export", ExportView, path=path, body=wish, key=key)

    async def list_exports(self, customer_id: UUID) -> ExportList:
        return await self._ask("list_customer_exports", ExportList, path={"customer_id": customer_id})

    async def get_export_file(self, export_id: UUID) -> bytes:
        return await self._fetch("get_customer_export_file", path={"export_id": export_id})

    async def preview_erasure(self, customer_id: UUID) -> ErasurePreview:
        return await self._ask("preview_customer_erasure", ErasurePreview, path={"customer_id": customer_id})

    async def request_erasure(self, customer_id: UUID, wish: StaffErasureRequest, *, key: str) -> ErasureView:
        path = {"customer_id": customer_id}
        return await self._ask("request_customer_erasure", ErasureView, path=path, body=wish, key=key)

    async def list_erasures(
        self, *, state: str = "", customer_id: UUID | None = None, cursor: str | None = None
    ) -> ErasurePage:
        query = {"state": state or None, "customer_id": str(customer_id) if customer_id else None, "cursor": cursor}
        return await self._ask("list_erasures", ErasurePage, query=query)

    async def get_erasure(self, erasure_id: UUID) -> ErasureView:
        return await self._ask("get_erasure", ErasureView, path={"erasure_id": erasure_id})

    async def approve_erasure(self, erasure_id: UUID, decision: ErasureDecision, *, key: str) -> ErasureView:
        path = {"erasure_id": erasure_id}
        return await self._ask("approve_erasure", ErasureView, path=path, body=decision, key=key)

    async def cancel_erasure(self, erasure_id: UUID, cancelling: ErasureCancelling, *, key: str) -> ErasureView:
        path = {"erasure_id": erasure_id}
        return await self._ask("cancel_erasure", ErasureView, path=path, body=cancelling, key=key)

    async def preview_dormant(self, search: DormantSearch) -> DormantPreview:
        return await self._ask("preview_dormant", DormantPreview, body=search)

    async def erase_dormant(self, erasing: DormantErasing, *, key: str) -> DormantBatch:
        return await self._ask("erase_dormant", DormantBatch, body=erasing, key=key)

    async def settle_erasure(self, erasure_id: UUID, settling: ErasureSettling) -> ErasureView:
        return await self._ask("settle_erasure", ErasureView, path={"erasure_id": erasure_id}, body=settling)

    # Vouchers -------------------------------------------------------------------------------------------------------

    async def list_offers(self, customer_id: UUID) -> RewardOffers:
        return await self._ask("list_customer_rewards", RewardOffers, path={"customer_id": customer_id})

    async def list_vouchers(self, customer_id: UUID) -> VoucherList:
        return await self._ask("list_customer_vouchers", VoucherList, path={"customer_id": customer_id})

    async def text_code(self, customer_id: UUID) -> PresenceTexted:
        return await self._ask("text_customer_code", PresenceTexted, path={"customer_id": customer_id})

    async def issue_voucher(self, customer_id: UUID, wish: StaffTakeReward, *, key: str) -> VoucherIssued:
        path = {"customer_id": customer_id}
        return await self._ask("issue_customer_voucher", VoucherIssued, path=path, body=wish, key=key)

    async def cancel_voucher(self, voucher_id: UUID, cancel: CancelVoucher, *, key: str) -> VoucherView:
        path = {"voucher_id": voucher_id}
        return await self._ask("cancel_voucher", VoucherView, path=path, body=cancel, key=key)

    # Audience, audit, programmes --------------------------------------------------------------------------------

    async def get_audience(self) -> AudienceStatus:
        return await self._ask("get_audience", AudienceStatus)

    async def retry_audience_contact(self, contact_id: UUID) -> AudienceContactView:
        return await self._ask("retry_audience_contact", AudienceContactView, path={"contact_id": contact_id})

    async def resume_audience(self) -> AudienceStatus:
        return await self._ask("resume_audience", AudienceStatus)

    async def list_audit(self, *, cursor: str | None = None) -> AuditPage:
        return await self._ask("list_audit", AuditPage, query={"cursor": cursor})

    async def list_programmes(self) -> ProgrammeList:
        return await self._ask("list_programmes", ProgrammeList)

    async def get_programme(self, programme_id: UUID) -> ProgrammeView:
        return await self._ask("get_programme", ProgrammeView, path={"programme_id": programme_id})

    async def create_programme(self, programme: NewProgramme) -> ProgrammeView:
        return await self._ask("create_programme", ProgrammeView, body=programme)

    async def change_programme(self, programme_id: UUID, change: ProgrammeChange) -> ProgrammeView:
        return await self._ask("change_programme", ProgrammeView, path={"programme_id": programme_id}, body=change)

    async def preview_programme_closing(self, programme_id: UUID) -> ProgrammeStanding:
        path = {"programme_id": programme_id}
        return await self._ask("preview_programme_closing", ProgrammeStanding, path=path)

    async def close_programme(self, programme_id: UUID, closing: ProgrammeClosing) -> ProgrammeView:
        return await self._ask("close_programme", ProgrammeView, path={"programme_id": programme_id}, body=closing)

    async def open_programme(self, programme_id: UUID, opening: ProgrammeOpening) -> ProgrammeView:
        return await self._ask("open_programme", ProgrammeView, path={"programme_id": programme_id}, body=opening)

    async def list_rule_versions(self, programme_id: UUID) -> RuleVersionList:
        return await self._ask("list_rule_versions", RuleVersionList, path={"programme_id": programme_id})

    async def preview_rules(self, programme_id: UUID, proposal: RulesProposal) -> RulesPreview:
        path = {"programme_id": programme_id}
        return await self._ask("preview_rules", RulesPreview, path=path, body=proposal, within=_LONG_SECONDS)

    async def publish_rules(self, programme_id: UUID, publication: RulesPublication, *, key: str) -> RuleVersionView:
        path = {"programme_id": programme_id}
        return await self._ask("publish_rules", RuleVersionView, path=path, body=publication, key=key)

    # Rewards ----------------------------------------------------------------------------------------------------

    async def list_rewards(self) -> RewardList:
        return await self._ask("list_rewards", RewardList)

    async def create_reward(self, reward: NewReward) -> RewardView:
        return await self._ask("create_reward", RewardView, body=reward)

    async def change_reward(self, reward_id: UUID, change: RewardChange) -> RewardView:
        return await self._ask("change_reward", RewardView, path={"reward_id": reward_id}, body=change)

    async def get_redemption_terms(self, programme: str | None = None) -> RedemptionTermsView:
        """Ask what points of a programme are worth; of the one that members join, if none is named."""
        return await self._ask("get_redemption_terms", RedemptionTermsView, query={"programme": programme})

    async def put_redemption_terms(self, settings: RedemptionSettings) -> RedemptionTermsView:
        return await self._ask("put_redemption_terms", RedemptionTermsView, body=settings)

    # Reports ----------------------------------------------------------------------------------------------------

    async def get_report(self, name: str, *, since: str = "", until: str = "") -> ReportView:
        query = {"since": since or None, "until": until or None}
        return await self._ask("get_report", ReportView, path={"name": name}, query=query, within=_LONG_SECONDS)

    async def get_report_csv(self, name: str, *, since: str = "", until: str = "") -> bytes:
        query = {"since": since or None, "until": until or None}
        return await self._fetch("get_report_csv", path={"name": name}, query=query)

    # Plumbing ---------------------------------------------------------------------------------------------------

    async def _ask(
        self,
        operation: str,
        answer: type[ViewT],
        *,
        path: Mapping[str, UUID | str] | None = None,
        query: Mapping[str, ParamValue] | None = None,
        body: msgspec.Struct | None = None,
        key: str | None = None,
        within: float | None = None,
    ) -> ViewT:
        endpoint = BY_OPERATION[operation]
        response = await self._send(
            endpoint, path=path, query=query, body=body, key=key, token=self._token, within=within
        )
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise AnswerNotUnderstood(status=response.status_code, maybe_done=_changes(endpoint)) from error

    async def _fetch(
        self,
        operation: str,
        *,
        path: Mapping[str, UUID | str],
        query: Mapping[str, ParamValue] | None = None,
    ) -> bytes:
        """Return a file as it comes."""
        endpoint = BY_OPERATION[operation]
        response = await self._send(endpoint, path=path, query=query, token=self._token, within=_LONG_SECONDS)
        return response.content

    async def _send(
        self,
        endpoint: Endpoint,
        *,
        path: Mapping[str, UUID | str] | None = None,
        query: Mapping[str, ParamValue] | None = None,
        body: msgspec.Struct | None = None,
        key: str | None = None,
        token: str | None = None,
        within: float | None = None,
    ) -> httpx.Response:
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        url = self._url(endpoint.path.format(**(path or {})))
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}

        def request() -> httpx.Request:
            return self._http.build_request(endpoint.method, url, params=params, headers=headers, content=content)

        response = (
            await self._send_surely(endpoint, request, within=within)
            if key
            else await self._send_once(endpoint, request(), within=within)
        )
        if response.is_success:
            return response
        raise _refusal(response, maybe_done=_changes(endpoint))

    def _url(self, path: str) -> httpx.URL:
        return self._http.base_url.join(path)

    async def _send_surely(
        self, endpoint: Endpoint, request: Callable[[], httpx.Request], *, within: float | None = None
    ) -> httpx.Response:
        """Send a keyed command until it is answered, at most three times."""
        maybe_done = False
        for tries_left in reversed(range(_KEYED_TRIES)):
            try:
                return await self._send_once(endpoint, request(), within=within)
            except (NoAnswer, Unreachable) as error:
                maybe_done = maybe_done or error.maybe_done
                # A service that is silent for the whole wait is not asked again: the person decides.
                if tries_left == 0 or isinstance(error, NoAnswer):
                    error.maybe_done = maybe_done
                    raise
            await asyncio.sleep(_RETRY_WAIT_SECONDS)
        raise AssertionError("the last try returns or raises")

    async def _send_once(
        self, endpoint: Endpoint, request: httpx.Request, *, within: float | None = None
    ) -> httpx.Response:
        is_command = _changes(endpoint)
        try:
            # The in-process transport knows no time limits, so the limit is set here for both.
            async with asyncio.timeout(within or self._answer_seconds):
                return await self._http.send(request)
        except _NEVER_SENT as error:
            raise Unreachable() from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise NoAnswer(maybe_done=is_command) from error
        except httpx.TransportError as error:
            raise Unreachable(maybe_done=is_command) from error


def _changes(endpoint: Endpoint) -> bool:
    """Return whether an operation may change something: previews and look-ups are sent as commands are, and do not."""
    is_look = endpoint.operation.startswith("preview_") or endpoint.operation in _LOOKS
    return endpoint.method != "GET" and not is_look


def _refusal(response: httpx.Response, *, maybe_done: bool) -> Refused | AnswerNotUnderstood:
    """Return the exception for an answer that is not a success."""
    try:
        told = msgspec.json.decode(response.content, type=_ToldProblem)
    except msgspec.DecodeError:
        # Not one of ours: a proxy, or something else listening at this address.
        return AnswerNotUnderstood(status=response.status_code, maybe_done=maybe_done and response.status_code >= 500)
    retry_after = response.headers.get("Retry-After", "")
    seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    problem = told.to_problem()
    if problem.code is Code.NOT_SIGNED_IN:
        return SignedOut(problem)
    return Refused(problem, retry_after_seconds=seconds)


class _ToldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem as it came: a newer service may use codes that this console does not know yet."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldProblem, ...] = ()
    data: dict[str, object] = {}

    def to_problem(self) -> Problem:
        unknown = Code.INTERNAL if self.status >= 500 else Code.INVALID_REQUEST
        known = self.code in Code.__members__.values()
        return Problem(
            type=self.type,
            title=self.title,
            status=self.status,
            code=Code(self.code) if known else unknown,
            detail=self.detail,
            instance=self.instance,
            errors=self.errors,
            data=self.data,
        )
