"""The one table of routes: who may call what, with which message and answer.

The service refuses a route that is not here, the console takes its paths from here, and a test goes through all of it.
"""

from enum import StrEnum

import msgspec

from shared import (
    adjustments,
    claims,
    duplicates,
    limits,
    links,
    mail,
    members,
    merges,
    orders,
    pos,
    privacy,
    programmes,
    refunds,
    reports,
    rewards,
    sharing,
    staff,
)
from shared.base import ConsentChoices
from shared.enums import Permission, Scope


class Caller(StrEnum):
    """Whose credential a route takes."""

    ANYONE = "anyone"
    MEMBER = "member"
    KEY = "key"
    STAFF = "staff"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One operation.

    `idempotent` routes demand an Idempotency-Key; `step_up` routes a password proven in the last ten minutes (or sent
    along in the body). `query` names the parameters a handler may read; `media_type` is that of a good answer;
    `body_bytes_max` is how long a body may be.
    """

    operation: str
    method: str
    path: str
    caller: Caller
    status: int = 200
    request: type[msgspec.Struct] | None = None
    response: type[msgspec.Struct] | None = None
    permission: Permission | None = None
    scope: Scope | None = None
    idempotent: bool = False
    step_up: bool = False
    query: tuple[str, ...] = ()
    media_type: str = "application/json"
    body_bytes_max: int = limits.BODY_BYTES_MAX


_A, _M, _K, _S = Caller.ANYONE, Caller.MEMBER, Caller.KEY, Caller.STAFF
_P = Permission
_PAGE = ("cursor", "limit")

ENDPOINTS: tuple[Endpoint, ...] = (
    # Anyone.
    Endpoint(operation="sign_up", method="POST", path="/v1/signup", caller=_A, status=202, request=members.SignUp, response=members.Accepted),
    Endpoint(operation="confirm_sign_up", method="POST", path="/v1/signup/confirm", caller=_A, status=201, request=members.UseToken, response=members.SignUpConfirmed),
    Endpoint(operation="sign_in", method="POST", path="/v1/sessions", caller=_A, status=201, request=members.SignIn, response=members.SessionTokens),
    Endpoint(operation="refresh_session", method="POST", path="/v1/sessions/refresh", caller=_A, status=200, request=members.RefreshSession, response=members.SessionTokens),
    Endpoint(operation="request_password_reset", method="POST", path="/v1/password-resets", caller=_A, status=202, request=members.PasswordResetRequest, response=members.Accepted),
    Endpoint(operation="confirm_password_reset", method="POST", path="/v1/password-resets/confirm", caller=_A, status=204, request=members.PasswordResetConfirm),
    Endpoint(operation="confirm_email_change", method="POST", path="/v1/email-changes/confirm", caller=_A, request=members.UseToken, response=members.EmailChangeDone),
    Endpoint(operation="cancel_email_change", method="POST", path="/v1/email-changes/cancel", caller=_A, request=members.UseToken, response=members.EmailChangeDone),
    Endpoint(operation="staff_sign_in", method="POST", path="/v1/staff/sessions", caller=_A, status=201, request=staff.StaffSignIn, response=staff.StaffSessionTokens),
    Endpoint(operation="accept_staff_invitation", method="POST", path="/v1/staff/invitations/accept", caller=_A, status=204, request=staff.StaffInvitationUse),
    Endpoint(operation="health_live", method="GET", path="/health/live", caller=_A),
    Endpoint(operation="health_ready", method="GET", path="/health/ready", caller=_A),
    Endpoint(operation="metrics", method="GET", path="/metrics", caller=_A, media_type="text/plain"),
    Endpoint(operation="open_link_page", method="GET", path="/links/{purpose}", caller=_A, media_type="text/html"),
    Endpoint(operation="open_api_page", method="GET", path="/schema", caller=_A, media_type="text/html"),
    Endpoint(operation="get_api_page_script", method="GET", path="/schema/page.js", caller=_A, media_type="text/javascript"),
    Endpoint(operation="get_api_page_style", method="GET", path="/schema/page.css", caller=_A, media_type="text/css"),
    Endpoint(operation="get_openapi_document", method="GET", path="/schema/openapi.json", caller=_A),
    Endpoint(operation="get_page_file", method="GET", path="/pages/{name}", caller=_A, media_type="text/*"),
    # Members.
    Endpoint(operation="get_me", method="GET", path="/v1/me", caller=_M, response=members.Me),
    Endpoint(operation="change_me", method="PATCH", path="/v1/me", caller=_M, request=members.ProfileChange, response=members.Me),
    Endpoint(operation="list_my_memberships", method="GET", path="/v1/me/memberships", caller=_M, response=members.MembershipList),
    Endpoint(operation="list_my_entries", method="GET", path="/v1/me/memberships/{membership_id}/entries", caller=_M, response=members.EntryPage, query=_PAGE),
    Endpoint(operation="get_my_card_svg", method="GET", path="/v1/me/card.svg", caller=_M, media_type="image/svg+xml"),
    Endpoint(operation="get_my_card_png", method="GET", path="/v1/me/card.png", caller=_M, media_type="image/png"),
    Endpoint(operation="list_my_orders", method="GET", path="/v1/me/orders", caller=_M, response=members.OrderPage, query=_PAGE),
    Endpoint(operation="get_my_referral_code", method="POST", path="/v1/me/memberships/{membership_id}/referral-code", caller=_M, response=programmes.ReferralCode),
    Endpoint(operation="name_my_referrer", method="POST", path="/v1/me/memberships/{membership_id}/referrer", caller=_M, request=programmes.ReferralNaming, response=programmes.ReferralAnswer),
    Endpoint(operation="request_email_change", method="POST", path="/v1/me/email-changes", caller=_M, status=202, request=members.EmailChangeRequest, response=members.Accepted, step_up=True),
    Endpoint(operation="get_my_consents", method="GET", path="/v1/me/consents", caller=_M, response=members.Consents),
    Endpoint(operation="put_my_consents", method="PUT", path="/v1/me/consents", caller=_M, request=ConsentChoices, response=members.Consents),
    Endpoint(operation="list_my_sessions", method="GET", path="/v1/me/sessions", caller=_M, response=members.SessionList),
    Endpoint(operation="end_my_session", method="DELETE", path="/v1/me/sessions/{session_id}", caller=_M, status=204),
    Endpoint(operation="end_my_sessions", method="DELETE", path="/v1/me/sessions", caller=_M, status=204),
    Endpoint(operation="change_my_password", method="POST", path="/v1/me/password", caller=_M, status=204, request=members.PasswordChange, step_up=True),
    Endpoint(operation="list_my_rewards", method="GET", path="/v1/me/rewards", caller=_M, response=rewards.RewardOffers),
    Endpoint(operation="list_my_vouchers", method="GET", path="/v1/me/vouchers", caller=_M, response=rewards.VoucherList),
    Endpoint(operation="issue_my_voucher", method="POST", path="/v1/me/vouchers", caller=_M, status=201, request=rewards.TakeReward, response=rewards.VoucherIssued, idempotent=True),
    Endpoint(operation="get_my_presence_code", method="GET", path="/v1/me/presence-code", caller=_M, response=rewards.PresenceCode),
    Endpoint(operation="get_my_presence_svg", method="GET", path="/v1/me/presence-code.svg", caller=_M, media_type="image/svg+xml"),
    Endpoint(operation="text_my_phone", method="POST", path="/v1/me/phone-codes", caller=_M, status=202, response=rewards.PresenceTexted),
    Endpoint(operation="prove_my_phone", method="POST", path="/v1/me/phone-codes/confirm", caller=_M, request=members.PhoneProof, response=members.Me),
    Endpoint(operation="put_my_redemption_limit", method="PUT", path="/v1/me/redemption-limit", caller=_M, request=rewards.RedemptionLimit, response=rewards.RedemptionLimitView),
    # Tills.
    Endpoint(operation="push_order", method="POST", path="/v1/pos/orders", caller=_K, status=201, request=pos.PosOrder, response=pos.PosOrderResult, scope=Scope.ORDERS, idempotent=True),
    Endpoint(operation="push_orders", method="POST", path="/v1/pos/orders/batch", caller=_K, request=pos.PosOrderBatch, response=pos.PosOrderBatchResult, scope=Scope.ORDERS, idempotent=True, body_bytes_max=limits.BATCH_BYTES_MAX),
    Endpoint(operation="pos_lookup", method="GET", path="/v1/pos/lookup", caller=_K, response=pos.PosLookup, scope=Scope.LOOKUP, query=("card", "email")),
    Endpoint(operation="quote_redemption", method="POST", path="/v1/pos/quotes", caller=_K, request=rewards.QuoteRequest, response=rewards.Quote, scope=Scope.HOLDS),
    Endpoint(operation="text_presence_code", method="POST", path="/v1/pos/presence-codes", caller=_K, status=202, request=rewards.PresenceText, response=rewards.PresenceTexted, scope=Scope.HOLDS),
    Endpoint(operation="open_hold", method="POST", path="/v1/pos/holds", caller=_K, status=201, request=rewards.NewHold, response=rewards.HoldView, scope=Scope.HOLDS, idempotent=True),
    Endpoint(operation="capture_hold", method="POST", path="/v1/pos/holds/{hold_id}/capture", caller=_K, request=rewards.CaptureHold, response=rewards.HoldView, scope=Scope.HOLDS, idempotent=True),
    Endpoint(operation="release_hold", method="POST", path="/v1/pos/holds/{hold_id}/release", caller=_K, response=rewards.HoldView, scope=Scope.HOLDS),
    Endpoint(operation="push_refund", method="POST", path="/v1/pos/refunds", caller=_K, status=201, request=refunds.PosRefund, response=refunds.PosRefundResult, scope=Scope.REFUNDS, idempotent=True),
    Endpoint(operation="push_pos_customer", method="POST", path="/v1/pos/customers", caller=_K, request=links.PosRecord, response=links.PosRecordResult, scope=Scope.CUSTOMERS, idempotent=True),
    Endpoint(operation="push_pos_customers", method="POST", path="/v1/pos/customers/batch", caller=_K, request=links.PosRecordBatch, response=links.PosRecordBatchResult, scope=Scope.CUSTOMERS, idempotent=True, body_bytes_max=limits.BATCH_BYTES_MAX),
    # Webhooks.
    Endpoint(operation="mail_hook", method="POST", path="/hooks/mail", caller=_A, status=204, request=mail.MailEvents),
    Endpoint(operation="check_mailchimp_hook", method="GET", path="/hooks/mailchimp/{secret}", caller=_A, media_type="text/plain"),
    Endpoint(operation="mailchimp_hook", method="POST", path="/hooks/mailchimp/{secret}", caller=_A, media_type="text/plain", body_bytes_max=limits.HOOK_BYTES_MAX),
    Endpoint(operation="square_hook", method="POST", path="/hooks/square", caller=_A, status=204, body_bytes_max=limits.HOOK_BYTES_MAX),
    # POS records and links.
    Endpoint(operation="search_pos_records", method="GET", path="/v1/staff/pos-records", caller=_S, response=links.RecordHits, permission=_P.CUSTOMER_SEARCH, query=("q",)),
    Endpoint(operation="take_pos_record", method="POST", path="/v1/staff/pos-records/{record_id}/customer", caller=_S, status=201, request=links.RecordTaking, response=links.RecordTaken, permission=_P.LINK_MAKE, idempotent=True),
    Endpoint(operation="get_customer_links", method="GET", path="/v1/staff/customers/{customer_id}/links", caller=_S, response=links.CustomerLinks, permission=_P.CUSTOMER_READ),
    Endpoint(operation="preview_link", method="POST", path="/v1/staff/customers/{customer_id}/links/preview", caller=_S, request=links.LinkRequest, response=links.LinkPreview, permission=_P.LINK_MAKE),
    Endpoint(operation="make_link", method="POST", path="/v1/staff/customers/{customer_id}/links", caller=_S, status=201, request=links.LinkRequest, response=links.LinkMade, permission=_P.LINK_MAKE, idempotent=True),
    Endpoint(operation="approve_link", method="POST", path="/v1/staff/links/{link_id}/approve", caller=_S, request=links.LinkApproval, response=links.LinkMade, permission=_P.LINK_ATTEST, idempotent=True),
    Endpoint(operation="preview_link_approval", method="POST", path="/v1/staff/links/{link_id}/approve/preview", caller=_S, request=links.LinkApproval, response=links.LinkPreview, permission=_P.LINK_ATTEST),
    Endpoint(operation="preview_link_end", method="POST", path="/v1/staff/links/{link_id}/end/preview", caller=_S, request=links.LinkEnding, response=links.LinkEndingPreview, permission=_P.LINK_ATTEST),
    Endpoint(operation="end_link", method="POST", path="/v1/staff/links/{link_id}/end", caller=_S, request=links.LinkEnding, response=links.LinkMade, permission=_P.LINK_ATTEST, idempotent=True),
    Endpoint(operation="list_waiting_links", method="GET", path="/v1/staff/links", caller=_S, response=links.WaitingLinkPage, permission=_P.LINK_ATTEST, query=_PAGE),
    Endpoint(operation="list_link_reviews", method="GET", path="/v1/staff/link-reviews", caller=_S, response=links.LinkReviewPage, permission=_P.CUSTOMER_READ, query=_PAGE),
    Endpoint(operation="settle_link_review", method="POST", path="/v1/staff/link-reviews/{review_id}/settle", caller=_S, status=204, request=links.ReviewSettling, permission=_P.LINK_REVIEW),
    Endpoint(operation="list_pos_todos", method="GET", path="/v1/staff/pos-todos", caller=_S, response=links.PosTodoPage, permission=_P.CUSTOMER_READ, query=(*_PAGE, "state")),
    Endpoint(operation="finish_pos_todo", method="POST", path="/v1/staff/pos-todos/{todo_id}/done", caller=_S, request=links.PosTodoDone, response=links.PosTodoView, permission=_P.LINK_REVIEW),
    Endpoint(operation="reopen_pos_todo", method="POST", path="/v1/staff/pos-todos/{todo_id}/reopen", caller=_S, response=links.PosTodoView, permission=_P.LINK_REVIEW),
    Endpoint(operation="dispute_link", method="POST", path="/v1/links/dispute", caller=_A, request=links.LinkDispute, response=links.LinkDisputed),
    Endpoint(operation="diagnose_links", method="GET", path="/v1/staff/customers/{customer_id}/link-doctor", caller=_S, response=links.LinkDiagnosis, permission=_P.CUSTOMER_READ),
    Endpoint(operation="diagnose_my_links", method="GET", path="/v1/me/link-doctor", caller=_M, response=links.MyLinkDiagnosis),
    Endpoint(operation="list_cycles", method="GET", path="/v1/staff/cycles", caller=_S, response=links.Cycles, permission=_P.CYCLE_READ),
    Endpoint(operation="run_cycle", method="POST", path="/v1/staff/cycles", caller=_S, status=202, request=links.CycleRequest, response=links.CycleAsked, permission=_P.CYCLE_RUN),
    Endpoint(operation="list_quarantined", method="GET", path="/v1/staff/quarantine", caller=_S, response=links.QuarantinePage, permission=_P.CYCLE_READ, query=_PAGE),
    # Staff.
    Endpoint(operation="get_staff_session", method="GET", path="/v1/staff/sessions/current", caller=_S, response=staff.StaffView, permission=_P.OWN_SESSION),
    Endpoint(operation="end_staff_session", method="DELETE", path="/v1/staff/sessions/current", caller=_S, status=204, permission=_P.OWN_SESSION),
    Endpoint(operation="search_customers", method="GET", path="/v1/staff/customers", caller=_S, response=staff.SearchResult, permission=_P.CUSTOMER_SEARCH, query=("q",)),
    Endpoint(operation="check_duplicates", method="GET", path="/v1/staff/duplicate-check", caller=_S, response=staff.DuplicateCheck, permission=_P.CUSTOMER_REGISTER, query=("email", "phone", "card", "name", "birthday", "post_code")),
    Endpoint(operation="register_customer", method="POST", path="/v1/staff/customers", caller=_S, status=201, request=staff.RegisterCustomer, response=staff.CustomerRegistered, permission=_P.CUSTOMER_REGISTER, idempotent=True),
    Endpoint(operation="get_customer", method="GET", path="/v1/staff/customers/{customer_id}", caller=_S, response=staff.CustomerDetail, permission=_P.CUSTOMER_READ),
    Endpoint(operation="change_customer", method="PATCH", path="/v1/staff/customers/{customer_id}", caller=_S, request=staff.CustomerChange, response=staff.CustomerDetail, permission=_P.CUSTOMER_EDIT),
    Endpoint(operation="list_customer_entries", method="GET", path="/v1/staff/memberships/{membership_id}/entries", caller=_S, response=members.EntryPage, permission=_P.CUSTOMER_READ, query=_PAGE),
    Endpoint(operation="list_customer_orders", method="GET", path="/v1/staff/customers/{customer_id}/orders", caller=_S, response=members.OrderPage, permission=_P.CUSTOMER_READ, query=_PAGE),
    Endpoint(operation="find_orders", method="GET", path="/v1/staff/orders", caller=_S, response=orders.StaffOrderPage, permission=_P.CUSTOMER_READ, query=(*_PAGE, "number", "store", "day")),
    Endpoint(operation="preview_recording", method="POST", path="/v1/staff/orders/preview", caller=_S, request=orders.OrderRecording, response=orders.RecordingPreview, permission=_P.ORDER_RECORD),
    Endpoint(operation="record_order", method="POST", path="/v1/staff/orders", caller=_S, status=201, request=orders.OrderRecording, response=orders.OrderRecorded, permission=_P.ORDER_RECORD, idempotent=True),
    Endpoint(operation="get_order", method="GET", path="/v1/staff/orders/{order_id}", caller=_S, response=orders.StaffOrderDetail, permission=_P.CUSTOMER_READ),
    Endpoint(operation="list_order_differences", method="GET", path="/v1/staff/order-differences", caller=_S, response=orders.OrderDifferencePage, permission=_P.CUSTOMER_READ, query=_PAGE),
    Endpoint(operation="preview_assignment", method="POST", path="/v1/staff/orders/{order_id}/assignment/preview", caller=_S, request=orders.OrderAssignment, response=orders.AssignmentPreview, permission=_P.ORDER_ASSIGN),
    Endpoint(operation="assign_order", method="POST", path="/v1/staff/orders/{order_id}/assignment", caller=_S, request=orders.OrderAssignment, response=orders.AssignmentApplied, permission=_P.ORDER_ASSIGN, idempotent=True),
    Endpoint(operation="list_customer_audit", method="GET", path="/v1/staff/customers/{customer_id}/audit", caller=_S, response=staff.AuditPage, permission=_P.CUSTOMER_READ, query=_PAGE),
    Endpoint(operation="join_programme", method="POST", path="/v1/staff/customers/{customer_id}/memberships", caller=_S, status=201, request=programmes.ProgrammeJoining, response=programmes.ProgrammeJoined, permission=_P.CUSTOMER_REGISTER, idempotent=True),
    Endpoint(operation="invite_customer", method="POST", path="/v1/staff/customers/{customer_id}/invitations", caller=_S, status=202, response=members.Accepted, permission=_P.CUSTOMER_INVITE),
    Endpoint(operation="preview_email_change", method="POST", path="/v1/staff/customers/{customer_id}/email-changes/preview", caller=_S, request=staff.StaffEmailChange, response=staff.EmailChangePreview, permission=_P.EMAIL_CHANGE),
    Endpoint(operation="change_email", method="POST", path="/v1/staff/customers/{customer_id}/email-changes", caller=_S, status=201, request=staff.StaffEmailChange, response=staff.EmailChangeApplied, permission=_P.EMAIL_CHANGE, idempotent=True),
    Endpoint(operation="undo_email_change", method="POST", path="/v1/staff/email-changes/{change_id}/undo", caller=_S, request=staff.Undo, response=staff.EmailChangeApplied, permission=_P.EMAIL_CHANGE, idempotent=True),
    Endpoint(operation="preview_correction", method="POST", path="/v1/staff/customers/{customer_id}/corrections/preview", caller=_S, request=staff.EmailCorrection, response=staff.EmailChangePreview, permission=_P.EMAIL_CORRECT),
    Endpoint(operation="correct_email", method="POST", path="/v1/staff/customers/{customer_id}/corrections", caller=_S, status=201, request=staff.EmailCorrection, response=staff.EmailChangeApplied, permission=_P.EMAIL_CORRECT, idempotent=True),
    Endpoint(operation="preview_email_override", method="POST", path="/v1/staff/customers/{customer_id}/email-overrides/preview", caller=_S, request=staff.EmailOverrideRequest, response=staff.EmailChangePreview, permission=_P.EMAIL_CORRECT),
    Endpoint(operation="request_email_override", method="POST", path="/v1/staff/customers/{customer_id}/email-overrides", caller=_S, status=201, request=staff.EmailOverrideRequest, response=staff.EmailOverrideView, permission=_P.EMAIL_CORRECT, idempotent=True),
    Endpoint(operation="list_email_overrides", method="GET", path="/v1/staff/email-overrides", caller=_S, response=staff.EmailOverridePage, permission=_P.EMAIL_CHANGE, query=(*_PAGE, "state", "customer_id")),
    Endpoint(operation="get_email_override", method="GET", path="/v1/staff/email-overrides/{change_id}", caller=_S, response=staff.EmailOverrideView, permission=_P.EMAIL_CHANGE),
    Endpoint(operation="approve_email_override", method="POST", path="/v1/staff/email-overrides/{change_id}/approve", caller=_S, request=staff.EmailOverrideDecision, response=staff.EmailOverrideView, permission=_P.EMAIL_CHANGE, idempotent=True),
    Endpoint(operation="get_audience", method="GET", path="/v1/staff/audience", caller=_S, response=staff.AudienceStatus, permission=_P.AUDIENCE_READ),
    Endpoint(operation="retry_audience_contact", method="POST", path="/v1/staff/audience/{contact_id}/retry", caller=_S, status=202, response=staff.AudienceContactView, permission=_P.AUDIENCE_REPAIR),
    Endpoint(operation="resume_audience", method="POST", path="/v1/staff/audience/resume", caller=_S, status=202, response=staff.AudienceStatus, permission=_P.AUDIENCE_REPAIR),
    Endpoint(operation="list_audit", method="GET", path="/v1/staff/audit", caller=_S, response=staff.AuditPage, permission=_P.AUDIT_READ, query=(*_PAGE, "customer_id", "actor_id")),
    Endpoint(operation="list_programmes", method="GET", path="/v1/staff/programmes", caller=_S, response=staff.ProgrammeList, permission=_P.PROGRAMME_READ),
    Endpoint(operation="create_programme", method="POST", path="/v1/staff/programmes", caller=_S, status=201, request=programmes.NewProgramme, response=staff.ProgrammeView, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="get_programme", method="GET", path="/v1/staff/programmes/{programme_id}", caller=_S, response=staff.ProgrammeView, permission=_P.PROGRAMME_READ),
    Endpoint(operation="change_programme", method="PATCH", path="/v1/staff/programmes/{programme_id}", caller=_S, request=programmes.ProgrammeChange, response=staff.ProgrammeView, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="preview_programme_closing", method="POST", path="/v1/staff/programmes/{programme_id}/closing/preview", caller=_S, response=programmes.ProgrammeStanding, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="close_programme", method="POST", path="/v1/staff/programmes/{programme_id}/closing", caller=_S, request=programmes.ProgrammeClosing, response=staff.ProgrammeView, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="open_programme", method="POST", path="/v1/staff/programmes/{programme_id}/opening", caller=_S, request=programmes.ProgrammeOpening, response=staff.ProgrammeView, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="list_rule_versions", method="GET", path="/v1/staff/programmes/{programme_id}/rules", caller=_S, response=programmes.RuleVersionList, permission=_P.PROGRAMME_READ),
    Endpoint(operation="preview_rules", method="POST", path="/v1/staff/programmes/{programme_id}/rules/preview", caller=_S, request=programmes.RulesProposal, response=programmes.RulesPreview, permission=_P.PROGRAMME_EDIT),
    Endpoint(operation="publish_rules", method="POST", path="/v1/staff/programmes/{programme_id}/rules", caller=_S, status=201, request=programmes.RulesPublication, response=programmes.RuleVersionView, permission=_P.PROGRAMME_EDIT, idempotent=True),
    Endpoint(operation="list_rewards", method="GET", path="/v1/staff/rewards", caller=_S, response=rewards.RewardList, permission=_P.PROGRAMME_READ),
    Endpoint(operation="create_reward", method="POST", path="/v1/staff/rewards", caller=_S, status=201, request=rewards.NewReward, response=rewards.RewardView, permission=_P.REWARD_MANAGE),
    Endpoint(operation="change_reward", method="PATCH", path="/v1/staff/rewards/{reward_id}", caller=_S, request=rewards.RewardChange, response=rewards.RewardView, permission=_P.REWARD_MANAGE),
    Endpoint(operation="get_redemption_terms", method="GET", path="/v1/staff/redemption-terms", caller=_S, response=rewards.RedemptionTermsView, permission=_P.PROGRAMME_READ, query=("programme",)),
    Endpoint(operation="put_redemption_terms", method="PUT", path="/v1/staff/redemption-terms", caller=_S, request=rewards.RedemptionSettings, response=rewards.RedemptionTermsView, permission=_P.REWARD_MANAGE),
    Endpoint(operation="list_refunds", method="GET", path="/v1/staff/refunds", caller=_S, response=refunds.RefundPage, permission=_P.REFUND_READ, query=(*_PAGE, "state", "differs", "needs_person")),
    Endpoint(operation="preview_refund_attachment", method="POST", path="/v1/staff/refunds/{refund_id}/attachment/preview", caller=_S, request=refunds.RefundAttachment, response=refunds.RefundAttachmentPreview, permission=_P.REFUND_RESOLVE),
    Endpoint(operation="attach_refund", method="POST", path="/v1/staff/refunds/{refund_id}/attachment", caller=_S, request=refunds.RefundAttachment, response=refunds.RefundView, permission=_P.REFUND_RESOLVE, idempotent=True),
    Endpoint(operation="dismiss_refund", method="POST", path="/v1/staff/refunds/{refund_id}/dismiss", caller=_S, request=refunds.RefundNote, response=refunds.RefundView, permission=_P.REFUND_RESOLVE),
    Endpoint(operation="reopen_refund", method="POST", path="/v1/staff/refunds/{refund_id}/reopen", caller=_S, request=refunds.RefundNote, response=refunds.RefundView, permission=_P.REFUND_RESOLVE),
    Endpoint(operation="list_customer_rewards", method="GET", path="/v1/staff/customers/{customer_id}/rewards", caller=_S, response=rewards.RewardOffers, permission=_P.CUSTOMER_READ),
    Endpoint(operation="list_customer_vouchers", method="GET", path="/v1/staff/customers/{customer_id}/vouchers", caller=_S, response=rewards.VoucherList, permission=_P.CUSTOMER_READ),
    Endpoint(operation="text_customer_code", method="POST", path="/v1/staff/customers/{customer_id}/presence-codes", caller=_S, status=202, response=rewards.PresenceTexted, permission=_P.POINTS_REDEEM),
    Endpoint(operation="issue_customer_voucher", method="POST", path="/v1/staff/customers/{customer_id}/vouchers", caller=_S, status=201, request=rewards.StaffTakeReward, response=rewards.VoucherIssued, permission=_P.POINTS_REDEEM, idempotent=True),
    Endpoint(operation="cancel_voucher", method="POST", path="/v1/staff/vouchers/{voucher_id}/cancel", caller=_S, request=rewards.CancelVoucher, response=rewards.VoucherView, permission=_P.REWARD_MANAGE, idempotent=True),
    # Sharing.
    Endpoint(operation="get_sharing", method="GET", path="/v1/staff/memberships/{membership_id}/people", caller=_S, response=sharing.SharedMembership, permission=_P.CUSTOMER_READ),
    Endpoint(operation="preview_join", method="POST", path="/v1/staff/memberships/{membership_id}/join/preview", caller=_S, request=sharing.Joining, response=sharing.JoinPreview, permission=_P.MEMBERSHIP_SHARE),
    Endpoint(operation="join_membership", method="POST", path="/v1/staff/memberships/{membership_id}/join", caller=_S, status=201, request=sharing.Joining, response=sharing.Joined, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="undo_join", method="POST", path="/v1/staff/memberships/{membership_id}/join/{operation_id}/undo", caller=_S, request=sharing.SharingUndo, response=sharing.SharingUndone, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="preview_combine", method="POST", path="/v1/staff/memberships/{membership_id}/combine/preview", caller=_S, request=sharing.Combining, response=sharing.CombinePreview, permission=_P.MEMBERSHIP_SHARE),
    Endpoint(operation="combine_memberships", method="POST", path="/v1/staff/memberships/{membership_id}/combine", caller=_S, status=201, request=sharing.Combining, response=sharing.Combined, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="preview_undo_combine", method="POST", path="/v1/staff/memberships/{membership_id}/combine/{operation_id}/undo/preview", caller=_S, request=sharing.SharingUndo, response=sharing.SplitPreview, permission=_P.MEMBERSHIP_SHARE),
    Endpoint(operation="undo_combine", method="POST", path="/v1/staff/memberships/{membership_id}/combine/{operation_id}/undo", caller=_S, request=sharing.SharingUndo, response=sharing.SharingUndone, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="preview_leave", method="POST", path="/v1/staff/memberships/{membership_id}/leave/preview", caller=_S, request=sharing.Leaving, response=sharing.SplitPreview, permission=_P.MEMBERSHIP_SHARE),
    Endpoint(operation="leave_membership", method="POST", path="/v1/staff/memberships/{membership_id}/leave", caller=_S, status=201, request=sharing.Leaving, response=sharing.Left, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="undo_leave", method="POST", path="/v1/staff/memberships/{membership_id}/leave/{operation_id}/undo", caller=_S, request=sharing.SharingUndo, response=sharing.SharingUndone, permission=_P.MEMBERSHIP_SHARE, idempotent=True),
    Endpoint(operation="put_redeem_policy", method="PUT", path="/v1/staff/memberships/{membership_id}/redeem-policy", caller=_S, request=sharing.RedeemPolicyChange, response=sharing.SharedMembership, permission=_P.MEMBERSHIP_SHARE),
    Endpoint(operation="get_my_sharing", method="GET", path="/v1/me/memberships/{membership_id}/people", caller=_M, response=sharing.SharedMembership),
    Endpoint(operation="put_my_redeem_policy", method="PUT", path="/v1/me/memberships/{membership_id}/redeem-policy", caller=_M, request=sharing.MyRedeemPolicyChange, response=sharing.SharedMembership, step_up=True),
    Endpoint(operation="list_my_sharing_invitations", method="GET", path="/v1/me/sharing-invitations", caller=_M, response=sharing.SharingInvitationList),
    Endpoint(operation="invite_to_share", method="POST", path="/v1/me/memberships/{membership_id}/sharing-invitations", caller=_M, status=202, request=sharing.SharingInvite, response=members.Accepted, step_up=True),
    Endpoint(operation="accept_sharing_invitation", method="POST", path="/v1/me/sharing-invitations/{invitation_id}/accept", caller=_M, request=sharing.AcceptSharing, response=sharing.SharingAccepted, idempotent=True, step_up=True),
    Endpoint(operation="end_sharing_invitation", method="DELETE", path="/v1/me/sharing-invitations/{invitation_id}", caller=_M, status=204),
    Endpoint(operation="preview_my_leave", method="POST", path="/v1/me/memberships/{membership_id}/leave/preview", caller=_M, request=sharing.MyLeaving, response=sharing.SplitPreview),
    Endpoint(operation="leave_my_membership", method="POST", path="/v1/me/memberships/{membership_id}/leave", caller=_M, status=201, request=sharing.MyLeaving, response=sharing.Left, idempotent=True, step_up=True),
    # Merges.
    Endpoint(operation="preview_merge", method="POST", path="/v1/staff/merges/preview", caller=_S, request=merges.MergeRequest, response=merges.MergePreview, permission=_P.CUSTOMER_MERGE),
    Endpoint(operation="merge_customers", method="POST", path="/v1/staff/merges", caller=_S, status=201, request=merges.MergeRequest, response=merges.MergeView, permission=_P.CUSTOMER_MERGE, idempotent=True),
    Endpoint(operation="list_merges", method="GET", path="/v1/staff/merges", caller=_S, response=merges.MergePage, permission=_P.MERGE_READ, query=(*_PAGE, "state", "customer_id")),
    Endpoint(operation="get_merge", method="GET", path="/v1/staff/merges/{merge_id}", caller=_S, response=merges.MergeView, permission=_P.MERGE_READ),
    Endpoint(operation="approve_merge", method="POST", path="/v1/staff/merges/{merge_id}/approve", caller=_S, request=merges.MergeDecision, response=merges.MergeView, permission=_P.MERGE_APPROVE, idempotent=True),
    Endpoint(operation="refuse_merge", method="POST", path="/v1/staff/merges/{merge_id}/refuse", caller=_S, request=merges.MergeRefusal, response=merges.MergeView, permission=_P.MERGE_APPROVE),
    Endpoint(operation="preview_undo_merge", method="POST", path="/v1/staff/merges/{merge_id}/undo/preview", caller=_S, request=merges.MergeUndo, response=merges.MergeUndoPreview, permission=_P.CUSTOMER_MERGE),
    Endpoint(operation="undo_merge", method="POST", path="/v1/staff/merges/{merge_id}/undo", caller=_S, request=merges.MergeUndo, response=merges.MergeUndone, permission=_P.CUSTOMER_MERGE, idempotent=True),
    Endpoint(operation="dispute_merge", method="POST", path="/v1/account-merges/dispute", caller=_A, request=merges.MergeDispute, response=merges.MergeDisputed),
    # Duplicates.
    Endpoint(operation="list_duplicates", method="GET", path="/v1/staff/duplicates", caller=_S, response=duplicates.DuplicatePage, permission=_P.MERGE_READ, query=(*_PAGE, "state", "customer_id")),
    Endpoint(operation="dismiss_duplicate", method="POST", path="/v1/staff/duplicates/{duplicate_id}/dismiss", caller=_S, request=duplicates.DuplicateDismissal, response=duplicates.DuplicateView, permission=_P.CUSTOMER_MERGE),
    Endpoint(operation="reopen_duplicate", method="POST", path="/v1/staff/duplicates/{duplicate_id}/undo", caller=_S, response=duplicates.DuplicateView, permission=_P.CUSTOMER_MERGE),
    # Claim codes.
    Endpoint(operation="claim", method="POST", path="/v1/me/claims", caller=_M, status=201, request=claims.Claim, response=claims.Claimed, idempotent=True),
    Endpoint(operation="issue_claim_code", method="POST", path="/v1/staff/customers/{customer_id}/claim-codes", caller=_S, status=201, response=claims.ClaimCodeIssued, permission=_P.CLAIM_ISSUE, idempotent=True),
    Endpoint(operation="list_claim_codes", method="GET", path="/v1/staff/customers/{customer_id}/claim-codes", caller=_S, response=claims.CustomerClaims, permission=_P.CUSTOMER_READ),
    Endpoint(operation="issue_receipt_code", method="POST", path="/v1/staff/orders/{order_id}/claim-codes", caller=_S, status=201, response=claims.ClaimCodeIssued, permission=_P.CLAIM_ISSUE, idempotent=True),
    Endpoint(operation="find_claim_code", method="POST", path="/v1/staff/claim-codes/find", caller=_S, request=claims.ClaimLookup, response=claims.ClaimFound, permission=_P.CLAIM_ISSUE),
    Endpoint(operation="revoke_claim_code", method="POST", path="/v1/staff/claim-codes/{code_id}/revoke", caller=_S, request=claims.ClaimRevocation, response=claims.ClaimCodeView, permission=_P.CLAIM_ISSUE),
    Endpoint(operation="preview_claim_batch", method="POST", path="/v1/staff/claim-batches/preview", caller=_S, request=claims.ClaimBatchRequest, response=claims.ClaimBatchPreview, permission=_P.CLAIM_BATCH),
    Endpoint(operation="create_claim_batch", method="POST", path="/v1/staff/claim-batches", caller=_S, status=201, request=claims.ClaimBatchRequest, response=claims.ClaimBatchView, permission=_P.CLAIM_BATCH, idempotent=True),
    Endpoint(operation="list_claim_batches", method="GET", path="/v1/staff/claim-batches", caller=_S, response=claims.ClaimBatchPage, permission=_P.CLAIM_BATCH, query=_PAGE),
    Endpoint(operation="revoke_claim_batch", method="POST", path="/v1/staff/claim-batches/{batch_id}/revoke", caller=_S, request=claims.ClaimRevocation, response=claims.ClaimBatchView, permission=_P.CLAIM_BATCH),
    Endpoint(operation="write_claim_csv", method="POST", path="/v1/staff/claim-batches/{batch_id}/csv", caller=_S, permission=_P.CLAIM_BATCH, media_type="text/csv"),
    Endpoint(operation="write_claim_letters", method="POST", path="/v1/staff/claim-batches/{batch_id}/letters", caller=_S, permission=_P.CLAIM_BATCH, media_type="application/pdf"),
    Endpoint(operation="lift_redemption_hold", method="POST", path="/v1/staff/customers/{customer_id}/redemption-hold/lift", caller=_S, request=staff.HoldLifting, response=staff.HoldLifted, permission=_P.HOLD_LIFT, idempotent=True),
    Endpoint(operation="hint_email", method="GET", path="/v1/staff/email-hint", caller=_S, response=staff.EmailHint, permission=_P.CUSTOMER_SEARCH, query=("email",)),
    # Privacy.
    Endpoint(operation="request_my_export", method="POST", path="/v1/me/exports", caller=_M, status=202, request=privacy.ExportRequest, response=privacy.ExportView, idempotent=True, step_up=True),
    Endpoint(operation="list_my_exports", method="GET", path="/v1/me/exports", caller=_M, response=privacy.ExportList),
    Endpoint(operation="get_my_export_file", method="GET", path="/v1/me/exports/{export_id}/file", caller=_M, media_type="application/zip"),
    Endpoint(operation="download_export", method="POST", path="/v1/exports/download", caller=_A, request=privacy.ExportDownload, media_type="application/zip"),
    Endpoint(operation="request_customer_export", method="POST", path="/v1/staff/customers/{customer_id}/exports", caller=_S, status=202, request=privacy.StaffExportRequest, response=privacy.ExportView, permission=_P.CUSTOMER_EXPORT, idempotent=True),
    Endpoint(operation="list_customer_exports", method="GET", path="/v1/staff/customers/{customer_id}/exports", caller=_S, response=privacy.ExportList, permission=_P.CUSTOMER_EXPORT),
    Endpoint(operation="get_customer_export_file", method="GET", path="/v1/staff/exports/{export_id}/file", caller=_S, permission=_P.CUSTOMER_EXPORT, media_type="application/zip"),
    Endpoint(operation="preview_my_erasure", method="POST", path="/v1/me/erasure/preview", caller=_M, response=privacy.ErasurePreview),
    Endpoint(operation="request_my_erasure", method="POST", path="/v1/me/erasure", caller=_M, status=202, request=privacy.ErasureRequest, response=privacy.ErasureView, idempotent=True, step_up=True),
    Endpoint(operation="get_my_erasure", method="GET", path="/v1/me/erasure", caller=_M, response=privacy.MyErasure),
    Endpoint(operation="cancel_my_erasure", method="DELETE", path="/v1/me/erasure", caller=_M, response=privacy.MyErasure, idempotent=True),
    Endpoint(operation="cancel_erasure_by_link", method="POST", path="/v1/erasures/cancel", caller=_A, request=privacy.ErasureLink, response=privacy.MyErasure),
    Endpoint(operation="preview_customer_erasure", method="POST", path="/v1/staff/customers/{customer_id}/erasure/preview", caller=_S, response=privacy.ErasurePreview, permission=_P.CUSTOMER_ERASE),
    Endpoint(operation="request_customer_erasure", method="POST", path="/v1/staff/customers/{customer_id}/erasure", caller=_S, status=202, request=privacy.StaffErasureRequest, response=privacy.ErasureView, permission=_P.CUSTOMER_ERASE, idempotent=True),
    Endpoint(operation="list_erasures", method="GET", path="/v1/staff/erasures", caller=_S, response=privacy.ErasurePage, permission=_P.ERASURE_READ, query=(*_PAGE, "state", "customer_id")),
    Endpoint(operation="preview_dormant", method="POST", path="/v1/staff/erasures/dormant/preview", caller=_S, request=privacy.DormantSearch, response=privacy.DormantPreview, permission=_P.RETENTION_RUN),
    Endpoint(operation="erase_dormant", method="POST", path="/v1/staff/erasures/dormant", caller=_S, status=202, request=privacy.DormantErasing, response=privacy.DormantBatch, permission=_P.RETENTION_RUN, idempotent=True),
    Endpoint(operation="get_erasure", method="GET", path="/v1/staff/erasures/{erasure_id}", caller=_S, response=privacy.ErasureView, permission=_P.ERASURE_READ),
    Endpoint(operation="approve_erasure", method="POST", path="/v1/staff/erasures/{erasure_id}/approve", caller=_S, request=privacy.ErasureDecision, response=privacy.ErasureView, permission=_P.ERASURE_APPROVE, idempotent=True),
    Endpoint(operation="cancel_erasure", method="POST", path="/v1/staff/erasures/{erasure_id}/cancel", caller=_S, request=privacy.ErasureCancelling, response=privacy.ErasureView, permission=_P.ERASURE_APPROVE, idempotent=True),
    Endpoint(operation="settle_erasure", method="POST", path="/v1/staff/erasures/{erasure_id}/settle", caller=_S, request=privacy.ErasureSettling, response=privacy.ErasureView, permission=_P.CUSTOMER_ERASE),
    # Lapsing points.
    Endpoint(operation="get_my_expiry", method="GET", path="/v1/me/memberships/{membership_id}/expiry", caller=_M, response=reports.ExpirySchedule, query=_PAGE),
    Endpoint(operation="get_customer_expiry", method="GET", path="/v1/staff/memberships/{membership_id}/expiry", caller=_S, response=reports.ExpirySchedule, permission=_P.CUSTOMER_READ, query=_PAGE),
    # Reports.
    Endpoint(operation="get_report", method="GET", path="/v1/staff/reports/{name}", caller=_S, response=reports.ReportView, permission=_P.REPORT_READ, query=("since", "until")),
    Endpoint(operation="get_report_csv", method="GET", path="/v1/staff/reports/{name}/csv", caller=_S, permission=_P.REPORT_READ, query=("since", "until"), media_type="text/csv"),
    Endpoint(operation="get_queue", method="GET", path="/v1/staff/queue", caller=_S, response=staff.StaffQueue, permission=_P.OWN_SESSION),
    Endpoint(operation="get_customer_tier", method="GET", path="/v1/staff/memberships/{membership_id}/tier", caller=_S, response=programmes.TierView, permission=_P.CUSTOMER_READ),
    # Adjustments.
    Endpoint(operation="preview_adjustment", method="POST", path="/v1/staff/customers/{customer_id}/adjustments/preview", caller=_S, request=adjustments.AdjustmentRequest, response=adjustments.AdjustmentPreview, permission=_P.POINTS_ADJUST),
    Endpoint(operation="adjust_points", method="POST", path="/v1/staff/customers/{customer_id}/adjustments", caller=_S, status=201, request=adjustments.AdjustmentRequest, response=adjustments.AdjustmentView, permission=_P.POINTS_ADJUST, idempotent=True),
    Endpoint(operation="list_adjustments", method="GET", path="/v1/staff/adjustments", caller=_S, response=adjustments.AdjustmentPage, permission=_P.ADJUSTMENT_READ, query=(*_PAGE, "state", "customer_id")),
    Endpoint(operation="approve_adjustment", method="POST", path="/v1/staff/adjustments/{adjustment_id}/approve", caller=_S, request=adjustments.AdjustmentDecision, response=adjustments.AdjustmentView, permission=_P.POINTS_APPROVE, idempotent=True, step_up=True),
    Endpoint(operation="refuse_adjustment", method="POST", path="/v1/staff/adjustments/{adjustment_id}/refuse", caller=_S, request=adjustments.AdjustmentRefusal, response=adjustments.AdjustmentView, permission=_P.POINTS_APPROVE),
    Endpoint(operation="preview_adjustment_undo", method="POST", path="/v1/staff/adjustments/{adjustment_id}/undo/preview", caller=_S, request=adjustments.AdjustmentUndo, response=adjustments.AdjustmentUndoPreview, permission=_P.POINTS_ADJUST),
    Endpoint(operation="undo_adjustment", method="POST", path="/v1/staff/adjustments/{adjustment_id}/undo", caller=_S, request=adjustments.AdjustmentUndo, response=adjustments.AdjustmentView, permission=_P.POINTS_ADJUST, idempotent=True),
)  # fmt: skip

BY_OPERATION: dict[str, Endpoint] = {endpoint.operation: endpoint for endpoint in ENDPOINTS}
