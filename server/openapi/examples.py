"""A body for every request message, such as works on a demo shop where it needs nothing that only a mail can tell."""

import msgspec

from shared import adjustments, links, members, merges, orders, pos, programmes, refunds, rewards, sharing, staff
from shared.base import ConsentChoices

_TOKEN = "paste-the-token-from-the-mailed-link-here"  # noqa: S105  # says what belongs here
_PASSWORD = "wandering-teapot-71-gulls"  # noqa: S105  # an invented one
_NEW_PASSWORD = "seven-lanterns-over-quay-9"  # noqa: S105  # an invented one
_ID = "01977f4e-0000-7000-8000-000000000001"
_PREVIEW_HASH = "paste-the-preview_hash-of-the-preview"

_RULES: dict[str, object] = {
    "points": 1,
    "per_minor": 100,
    "basis": "gross",
    "categories": [{"category": "gift cards", "percent": 0}],
    "promotions": [{"code": "double-tuesday", "name": "Double Tuesday", "percent": 200, "weekdays": ["tue"]}],
    "tiers": {"levels": [{"name": "Gold", "from_points": 1000, "percent": 150}]},
    "bonuses": {"sign_up": 50},
    "expiry": {"kind": "days", "days": 365},
}

_POS_RECORD: dict[str, object] = {
    "external_id": "till-customer-42",
    "given_name": "Ana",
    "family_name": "Flores",
    "email": "ana.flores@example.org",
    "phone": "+44 20 7946 0018",
    "former_ids": ["till-customer-17"],
    "changed_at": "2026-03-02T09:00:00+00:00",
}

EXAMPLES: dict[type[msgspec.Struct], dict[str, object]] = {
    members.SignUp: {
        "email": "ana.flores@example.org",
        "password": _PASSWORD,
        "given_name": "Ana",
        "family_name": "Flores",
        "phone": "+44 20 7946 0018",
        "birthday": {"month": 5, "day": 17},
        "consents": {"email": True, "sms": False},
    },
    members.UseToken: {"token": _TOKEN},
    members.SignIn: {"email": "ana.flores@example.org", "password": _PASSWORD, "device": "My browser"},
    members.RefreshSession: {"refresh_token": "paste-the-refresh_token-of-the-session"},
    members.PasswordResetRequest: {"email": "ana.flores@example.org"},
    members.PasswordResetConfirm: {"token": _TOKEN, "new_password": _NEW_PASSWORD},
    members.PhoneProof: {"code": "481516"},
    members.ProfileChange: {"given_name": "Ana Lucía", "birthday": {"month": 5, "day": 17}},
    members.EmailChangeRequest: {"new_email": "ana@example.net", "mode": "reissue", "password": _PASSWORD},
    members.PasswordChange: {"password": _PASSWORD, "new_password": _NEW_PASSWORD},
    ConsentChoices: {"email": True, "sms": False},
    merges.MergeRequest: {
        "survivor_id": _ID,
        "absorbed_id": "01977f4e-0000-7000-8000-000000000002",
        "choices": {"email": "survivor", "birthday": "absorbed"},
        "reason": "registered twice",
        "preview_hash": _PREVIEW_HASH,
    },
    merges.MergeDecision: {"preview_hash": _PREVIEW_HASH, "note": "seen with both cards"},
    merges.MergeRefusal: {"reason": "two people of one name"},
    merges.MergeUndo: {"reason": "two people of one name", "preview_hash": _PREVIEW_HASH},
    merges.MergeDispute: {"token": _TOKEN},
    sharing.Joining: {"customer_id": _ID, "agreed_by": [_ID], "reason": "one household", "preview_hash": _PREVIEW_HASH},
    sharing.Combining: {
        "other_membership_id": _ID,
        "agreed_by": [_ID],
        "reason": "one household",
        "preview_hash": _PREVIEW_HASH,
    },
    sharing.Leaving: {
        "customer_id": _ID,
        "policy": "contribution",
        "agreed_by": [_ID],
        "reason": "moved out",
        "preview_hash": _PREVIEW_HASH,
    },
    sharing.SharingUndo: {"reason": "not what they wanted", "preview_hash": _PREVIEW_HASH},
    sharing.RedeemPolicyChange: {"policy": "daily_cap", "daily_points": 500, "reason": "asked for by the owner"},
    sharing.MyRedeemPolicyChange: {"policy": "daily_cap", "daily_points": 500, "password": _PASSWORD},
    sharing.SharingInvite: {"email": "ben.flores@example.org", "password": _PASSWORD},
    sharing.AcceptSharing: {"combine": True, "password": _PASSWORD},
    sharing.MyLeaving: {"policy": "contribution", "preview_hash": _PREVIEW_HASH, "password": _PASSWORD},
    links.PosRecord: _POS_RECORD,
    links.PosRecordBatch: {"customers": [_POS_RECORD]},
    links.LinkRequest: {
        "record_id": "0197c0de-0000-7000-8000-000000000000",
        "attestation": "saw_id",
        "write_email": False,
        "reason": "The customer showed their passport",
        "preview_hash": _PREVIEW_HASH,
    },
    links.LinkApproval: {"note": "Looked at it together"},
    links.LinkEnding: {
        "reason": "It was another person of the same name",
        "take_back_orders": True,
        "preview_hash": _PREVIEW_HASH,
    },
    links.RecordTaking: {"reason": "Known at the till for years", "join": True},
    links.ReviewSettling: {"note": "They are two people of one household"},
    links.CycleRequest: {"connection": "till"},
    refunds.PosRefund: {
        "external_id": "till-4-return-000007",
        "original_order": "till-4-000123",
        "store": "high-street",
        "completed_at": "2026-03-02T09:45:00+00:00",
        "currency": "GBP",
        "lines": [{"line_id": "1", "quantity": "1", "net_minor": 7500, "points_part": 0}],
    },
    pos.PosOrder: {
        "external_id": "till-4-000123",
        "number": "000123",
        "store": "high-street",
        "completed_at": "2026-03-02T09:30:00+00:00",
        "currency": "GBP",
        "customer": {"email": "ana.flores@example.org"},
        "lines": [
            {
                "line_id": "1",
                "sku": "RUN-044",
                "description": "Trail shoes",
                "category": "footwear",
                "quantity": "1",
                "net_minor": 7500,
                "tax_minor": 1500,
            }
        ],
    },
    pos.PosOrderBatch: {
        "orders": [
            {
                "external_id": "till-4-000124",
                "number": "000124",
                "store": "high-street",
                "completed_at": "2026-03-02T09:31:00+00:00",
                "currency": "GBP",
                "customer": {"email": "ana.flores@example.org"},
                "lines": [{"line_id": "1", "description": "Laces", "category": "footwear", "net_minor": 400}],
            }
        ]
    },
    orders.OrderRecording: {
        "customer_id": "01957d2e-7c00-7000-8000-000000000001",
        "net_minor": 4210,
        "number": "R-2051",
        "store": "high-street",
        "preview_hash": _PREVIEW_HASH,
    },
    refunds.RefundAttachment: {
        "order_id": "01957d2e-7c00-7000-8000-000000000003",
        "reason": "The receipt that came with the goods says so.",
        "preview_hash": _PREVIEW_HASH,
    },
    refunds.RefundNote: {"reason": "Goods of another shop."},
    orders.OrderAssignment: {
        "customer_id": "01957d2e-7c00-7000-8000-000000000001",
        "reason": "Forgot the card at the till, shows the receipt.",
        "preview_hash": _PREVIEW_HASH,
    },
    staff.StaffSignIn: {"login": "manager", "password": "your-staff-password", "terminal": "front desk"},
    staff.StaffInvitationUse: {"token": _TOKEN, "new_password": _NEW_PASSWORD},
    staff.RegisterCustomer: {
        "given_name": "Bea",
        "family_name": "Okafor",
        "email": "bea.okafor@example.org",
        "consents": {"email": False, "sms": False},
    },
    staff.CustomerChange: {"version": 1, "given_name": "Beatrice"},
    staff.StaffEmailChange: {
        "new_email": "bea@example.net",
        "mode": "keep",
        "reason": "Lost the old mailbox, showed a passport",
        "identity_attested": True,
        "preview_hash": _PREVIEW_HASH,
    },
    staff.EmailCorrection: {
        "new_email": "bea.okafor@example.net",
        "reason": "Typed .org for .net at the till",
        "preview_hash": _PREVIEW_HASH,
    },
    rewards.TakeReward: {"reward_id": "01970000-0000-7000-8000-000000000001"},
    rewards.StaffTakeReward: {"reward_id": "01970000-0000-7000-8000-000000000001", "presence_code": "04719358"},
    rewards.CancelVoucher: {"reason": "Took the wrong one"},
    rewards.RedemptionLimit: {"points": 500},
    rewards.QuoteRequest: {
        "card_number": "29000000000018",
        "store": "high-street",
        "order_reference": "till-4-000124",
        "order_total_minor": 4250,
        "currency": "GBP",
    },
    rewards.NewHold: {
        "card_number": "29000000000018",
        "presence_code": "04719358",
        "points": 300,
        "store": "high-street",
        "order_reference": "till-4-000124",
        "order_total_minor": 4250,
        "currency": "GBP",
    },
    rewards.PresenceText: {"card_number": "29000000000017", "store": "high-street"},
    rewards.CaptureHold: {"order_reference": "till-4-000124"},
    rewards.NewReward: {
        "code": "five-off",
        "name": "5.00 off",
        "kind": "amount_off",
        "points_cost": 500,
        "value_minor": 500,
        "valid_days": 90,
        "member_limit": 3,
    },
    rewards.RewardChange: {"version": 1, "points_cost": 450},
    rewards.RedemptionSettings: {
        "version": 0,
        "step_points": 100,
        "step_minor": 100,
        "cap_percent": 50,
        "minimum_points": 100,
        "card_daily_points": 200,
        "restore_grace_days": 30,
    },
    adjustments.AdjustmentRequest: {
        "points": 50,
        "reason_code": "goodwill",
        "note": "Waited half an hour for a parcel",
        "visible": True,
        "preview_hash": _PREVIEW_HASH,
    },
    adjustments.AdjustmentDecision: {"preview_hash": _PREVIEW_HASH, "note": "Saw the receipts"},
    adjustments.AdjustmentRefusal: {"reason": "No receipt to be seen"},
    staff.Undo: {"reason": "The customer rang: not their wish"},
    programmes.ProgrammeJoining: {"programme_code": "rewards"},
    programmes.NewProgramme: {
        "code": "club",
        "name": "Running Club",
        "zone": "Europe/London",
        "currency": "GBP",
        "launch_at": "2026-03-01T00:00:00+00:00",
        "rules": _RULES | {"expiry": {"kind": "inactivity", "days": 180}},
        "settings": {"late_attach_days": 7, "max_sharers": 3},
    },
    programmes.ProgrammeChange: {"version": 2, "reason": "A clearer name", "name": "Rewards of the house"},
    programmes.ProgrammeClosing: {"reason": "The club has ended", "preview_hash": _PREVIEW_HASH},
    programmes.ProgrammeOpening: {"version": 3, "reason": "The club goes on"},
    programmes.ReferralNaming: {"code": "7K3M-Q2XZ"},
    programmes.RulesProposal: {"rules": _RULES, "since": "2026-01-01T00:00:00+00:00"},
    programmes.RulesPublication: {
        "rules": _RULES,
        "reason": "Spring promotion, agreed with the owner",
        "preview_hash": _PREVIEW_HASH,
    },
}
