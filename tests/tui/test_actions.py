"""The one list of actions: no two keys clash, every key bar fits, every permission is the route's own."""

import itertools

import pytest

from shared.endpoints import BY_OPERATION
from tui.actions import ACTIONS, BY_ID, actions_on
from tui.screens.help import PURPOSES

PAGES = (
    "lock",
    "find",
    "customer",
    "register",
    "edit",
    "email",
    "undo",
    "enrol",
    "audience",
    "audit",
    "programmes",
    "programme",
    "rewards",
    "reports",
    "rules",
    "rules-text",
    "trial",
    "settings",
    "new-programme",
    "closing",
    "reward",
    "terms",
    "period",
    "export",
    "adjust",
    "assign",
    "record",
    "take",
    "reason",
    "returned",
    "share",
    "leave",
    "take-back",
    "merge",
    "orders",
    "queue",
    "link",
    "unlink",
    "links",
    "tills",
    "claims",
    "claim-issued",
    "claim-lookup",
    "claim-batches",
    "claim-batch",
    "claim-file",
    "spending",
    "privacy",
    "overrides",
    "copy",
    "erase",
    "duplicates",
    "help",
)
# Kept by browsers and terminals, so never ours.
FOREIGN_KEYS = {"ctrl+n", "ctrl+t", "ctrl+w", "f10", "f11", "f12"}
# What an action does at the service, by its action.
OPERATIONS = {
    "customer.email": {"change_email", "correct_email", "request_email_override"},
    "app.overrides": {"list_email_overrides"},
    "overrides.tab1": {"list_email_overrides"},
    "overrides.tab2": {"list_email_overrides"},
    "overrides.approve": {"approve_email_override"},
    "overrides.cancel": {"undo_email_change"},
    "overrides.customer": {"get_customer"},
    "customer.undo": {
        "undo_adjustment",
        "undo_email_change",
        "undo_join",
        "undo_combine",
        "undo_leave",
        "undo_merge",
    },
    "customer.share": {"preview_join", "join_membership", "preview_combine", "combine_memberships"},
    "customer.join": {"preview_join", "join_membership", "preview_combine", "combine_memberships"},
    "customer.leave": {"preview_leave", "leave_membership"},
    "customer.merge": {"preview_merge", "merge_customers"},
    "customer.spending": {"put_redeem_policy"},
    "link.merge": {"preview_merge", "merge_customers"},
    "tills.merge": {"preview_merge", "merge_customers"},
    "app.claim_letters": {"list_claim_batches"},
    "claim-batches.new": {"preview_claim_batch", "create_claim_batch"},
    "claim-batches.write": {"write_claim_csv", "write_claim_letters"},
    "claim-batches.end": {"revoke_claim_batch"},
    "customer.edit": {"change_customer"},
    "customer.invite": {"invite_customer"},
    "customer.enrol": {"join_programme"},
    "customer.lift": {"lift_redemption_hold"},
    "customer.tab4": {"list_customer_vouchers", "get_customer_tier", "get_customer_expiry"},
    "customer.tab7": {"list_customer_audit"},
    "customer.points": {"preview_adjustment", "adjust_points"},
    "customer.order": {"preview_recording", "record_order"},
    "customer.attach": {"preview_assignment", "assign_order"},
    "customer.give": {"preview_assignment", "assign_order"},
    "customer.detach": {"preview_assignment", "assign_order"},
    "customer.reward": {"issue_customer_voucher"},
    "take.text": {"text_customer_code"},
    "customer.cancel_voucher": {"cancel_voucher"},
    "customer.link": {"preview_link", "make_link"},
    "customer.links": {"get_customer_links", "diagnose_links"},
    "links.link": {"preview_link", "make_link"},
    "links.end": {"preview_link_end", "end_link"},
    "links.approve": {"preview_link_approval", "approve_link"},
    "links.sync": {"run_cycle"},
    "customer.claims": {"list_claim_codes"},
    "claims.issue": {"issue_claim_code"},
    "claims.revoke": {"revoke_claim_code"},
    "app.claim": {"find_claim_code"},
    "orders.code": {"issue_receipt_code"},
    "customer.privacy": {"list_customer_exports", "list_erasures"},
    "privacy.export": {"request_customer_export"},
    "privacy.write": {"get_customer_export_file"},
    "privacy.erase": {"preview_customer_erasure", "request_customer_erasure"},
    "privacy.approve": {"approve_erasure"},
    "privacy.cancel": {"cancel_erasure"},
    "privacy.settle": {"settle_erasure"},
    "privacy.dormant": {"preview_dormant", "erase_dormant"},
    "privacy.customer": {"get_customer"},
    "app.privacy": {"list_erasures"},
    "app.tills": {"list_cycles", "list_link_reviews"},
    "audience.tills": {"list_cycles", "list_link_reviews"},
    "tills.sync": {"run_cycle"},
    "tills.link": {"preview_link", "make_link"},
    "tills.settle": {"settle_link_review"},
    "tills.customer": {"get_customer"},
    "tills.tab1": {"list_cycles"},
    "tills.tab2": {"list_quarantined"},
    "tills.tab3": {"list_link_reviews"},
    "tills.tab4": {"list_waiting_links"},
    "tills.tab5": {"list_pos_todos"},
    "tills.tab6": {"list_pos_todos"},
    "tills.approve": {"preview_link_approval", "approve_link"},
    "tills.refuse": {"preview_link_end", "end_link"},
    "tills.done": {"finish_pos_todo"},
    "tills.reopen": {"reopen_pos_todo"},
    "app.orders": {"find_orders", "get_order"},
    "orders.choose": {"preview_assignment", "assign_order"},
    "orders.detach": {"preview_assignment", "assign_order"},
    "orders.record": {"preview_recording", "record_order"},
    "orders.customer": {"get_customer"},
    "app.queue": {"list_adjustments", "list_refunds"},
    "queue.approve": {"approve_adjustment"},
    "queue.refuse": {"refuse_adjustment"},
    "queue.undo": {"undo_adjustment"},
    "queue.attach": {"preview_refund_attachment", "attach_refund"},
    "queue.dismiss": {"dismiss_refund", "reopen_refund"},
    "queue.customer": {"get_customer"},
    "queue.tab1": {"list_adjustments"},
    "queue.tab2": {"list_adjustments"},
    "queue.tab3": {"list_refunds"},
    "queue.tab4": {"list_order_differences"},
    "queue.give": {"preview_assignment", "assign_order"},
    "find.open": {"get_customer"},
    "find.mark": {"preview_merge"},
    "find.merge": {"preview_merge", "merge_customers"},
    "app.duplicates": {"list_duplicates", "list_merges"},
    "duplicates.merge": {"preview_merge", "merge_customers"},
    "duplicates.dismiss": {"dismiss_duplicate", "reopen_duplicate"},
    "duplicates.approve": {"approve_merge"},
    "duplicates.refuse": {"refuse_merge"},
    "duplicates.undo": {"undo_merge"},
    "duplicates.customer": {"get_customer"},
    "duplicates.tab1": {"list_duplicates"},
    "duplicates.tab2": {"list_duplicates"},
    "duplicates.tab3": {"list_merges"},
    "duplicates.tab4": {"list_merges"},
    "app.find": {"search_customers"},
    "app.register": {"register_customer"},
    "app.audience": {"get_audience"},
    "audience.retry": {"retry_audience_contact"},
    "audience.resume": {"resume_audience"},
    "audience.open": {"get_customer"},
    "app.audit": {"list_audit"},
    "app.programmes": {"list_programmes"},
    "programmes.new": {"create_programme"},
    "programme.rules": {"preview_rules", "publish_rules"},
    "programme.restore": {"preview_rules", "publish_rules"},
    "programme.settings": {"change_programme"},
    "programme.close": {"preview_programme_closing", "close_programme", "open_programme"},
    "app.rewards": {"list_rewards", "get_redemption_terms"},
    "rewards.open": {"change_reward"},
    "rewards.new": {"create_reward"},
    "rewards.retire": {"change_reward"},
    "rewards.terms": {"put_redemption_terms"},
    "app.reports": {"get_report", "get_report_csv"},
}


@pytest.mark.parametrize("page", PAGES)
def test_no_two_actions_of_a_page_share_a_key(page: str) -> None:
    keys = [key for action in actions_on(page) for key in action.keys]
    assert len(keys) == len(set(keys))


def test_no_key_belongs_to_a_browser_or_a_terminal() -> None:
    keys = set(itertools.chain.from_iterable(action.keys for action in ACTIONS))
    assert not keys & FOREIGN_KEYS
    assert not {key for key in keys if key.startswith("alt+")}


@pytest.mark.parametrize(("action_id", "operations"), OPERATIONS.items())
def test_an_action_needs_what_its_routes_need(action_id: str, operations: set[str]) -> None:
    assert set(BY_ID[action_id].needs) == {BY_OPERATION[operation].permission for operation in operations}


def test_every_action_that_needs_a_permission_is_checked_above() -> None:
    assert {action.id for action in ACTIONS if action.needs} == set(OPERATIONS)


def test_every_page_says_what_it_is_for() -> None:
    shown = {page for action in ACTIONS for page in action.pages}
    assert shown <= set(PAGES)
    assert shown - set(PURPOSES) == {"help"}


def test_every_action_is_a_sentence() -> None:
    assert all(action.sentence[0].isupper() and not action.sentence.endswith(".") for action in ACTIONS)
