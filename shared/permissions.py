"""Which role holds which permission. Deny by default: what is not here is refused.

Marketing, management of points and administration are kept apart, so that nobody can both make points and hide it.
"""

from shared.enums import Permission, Role

_EVERYONE = frozenset({Permission.OWN_SESSION, Permission.PROGRAMME_READ})

_TILL = _EVERYONE | {
    Permission.CUSTOMER_SEARCH,
    Permission.CUSTOMER_READ,
    Permission.CUSTOMER_REGISTER,
    Permission.CUSTOMER_INVITE,
    Permission.EMAIL_CORRECT,
    Permission.POINTS_ADJUST,
    Permission.ADJUSTMENT_READ,
    Permission.POINTS_REDEEM,
    Permission.REFUND_READ,
    Permission.LINK_MAKE,
    Permission.CLAIM_ISSUE,
    Permission.ORDER_ASSIGN,
    Permission.MEMBERSHIP_SHARE,
    Permission.ORDER_RECORD,
}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.CASHIER: frozenset(_TILL),
    Role.MANAGER: frozenset(
        _TILL
        | {
            Permission.CUSTOMER_EDIT,
            Permission.EMAIL_CHANGE,
            Permission.HOLD_LIFT,
            Permission.CUSTOMER_MERGE,
            Permission.MERGE_READ,
            Permission.MERGE_APPROVE,
            Permission.CUSTOMER_EXPORT,
            Permission.CUSTOMER_ERASE,
            Permission.ERASURE_READ,
            Permission.ERASURE_APPROVE,
            Permission.CLAIM_BATCH,
            Permission.REWARD_MANAGE,
            Permission.ORDER_ASSIGN_LATE,
            Permission.LINK_ATTEST,
            Permission.LINK_REVIEW,
            Permission.CYCLE_READ,
            Permission.CYCLE_RUN,
            Permission.AUDIENCE_READ,
            Permission.AUDIENCE_REPAIR,
            Permission.AUDIT_READ,
            Permission.PROGRAMME_EDIT,
            Permission.POINTS_APPROVE,
            Permission.REFUND_RESOLVE,
            Permission.REPORT_READ,
        }
    ),
    Role.MARKETING: frozenset(_EVERYONE | {Permission.AUDIENCE_READ, Permission.AUDIENCE_REPAIR}),
    Role.ADMIN: frozenset(
        _EVERYONE
        | {
            Permission.AUDIENCE_READ,
            Permission.AUDIENCE_REPAIR,
            Permission.AUDIT_READ,
            Permission.CYCLE_READ,
            Permission.MERGE_READ,
            Permission.MERGE_APPROVE,
            Permission.ERASURE_READ,
            Permission.ERASURE_APPROVE,
            Permission.RETENTION_RUN,
        }
    ),
    Role.AUDITOR: frozenset(
        _EVERYONE
        | {
            Permission.CUSTOMER_SEARCH,
            Permission.CUSTOMER_READ,
            Permission.AUDIENCE_READ,
            Permission.AUDIT_READ,
            Permission.ADJUSTMENT_READ,
            Permission.REFUND_READ,
            Permission.CYCLE_READ,
            Permission.MERGE_READ,
            Permission.ERASURE_READ,
            Permission.REPORT_READ,
        }
    ),
}


def may(role: Role, permission: Permission) -> bool:
    """Return whether a role holds a permission."""
    return permission in PERMISSIONS[role]
