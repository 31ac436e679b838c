"""The settings of a programme in words. Pure."""

from datetime import datetime, tzinfo

from shared.programmes import AdjustmentLimits, ProgrammeSettings
from shared.staff import ProgrammeView
from tui.formatting import counted, moment, points

CLAWBACKS = {
    "allow_negative": "owed: the balance goes below zero",
    "available_only": "written off",
    "refuse": "refused where staff move an order, else owed",
}
REDEEMERS = {"anyone": "everybody in a shared membership", "owner": "the owner alone"}


def setting_readings(programme: ProgrammeView, *, now: datetime, zone: tzinfo) -> list[tuple[str, str]]:
    """Return everything a programme decides beside its rules, as (what, how)."""
    return [
        ("Name", programme.name),
        ("Code", programme.code),
        ("Points are called", f"{programme.unit_one}, {programme.unit_many}"),
        ("Days are those of", programme.zone),
        ("Money", programme.currency),
        ("Earns since", moment(programme.launch_at, now=now, zone=zone)),
        *_setting_readings(programme.settings),
    ]


def _setting_readings(settings: ProgrammeSettings) -> list[tuple[str, str]]:
    late, manager_late = settings.late_attach_days, settings.manager_late_attach_days
    moved, manager_moved = settings.reassign_days, settings.manager_reassign_days
    visit = "taken back when too little of the sale is left" if settings.claw_visit_points else "kept until all is back"
    return [
        (
            "Before joining",
            f"sales of {_days(settings.grace_days)} before count too" if settings.grace_days else "nothing counts",
        ),
        ("Spent, taken back", CLAWBACKS[settings.clawback_policy]),
        ("Visit points", visit),
        ("Late sales", f"cashiers give sales of {_days(late)} to a customer, managers of {_days(manager_late)}"),
        ("Moving sales", f"cashiers move sales of {_days(moved)} to another, managers of {_days(manager_moved)}"),
        ("Sharing", f"{counted(settings.max_sharers, 'other person', 'other people')} at most"),
        ("Who spends", REDEEMERS[settings.redeem_policy]),
        ("Cashier alone", limit_words(settings.adjustment_limits.cashier)),
        ("Manager alone", limit_words(settings.adjustment_limits.manager)),
    ]


def limit_words(limits: AdjustmentLimits) -> str:
    """Return what one person may give or take without a second one."""
    return (
        f"{points(limits.each)} points at a time, {points(limits.day)} a day, {points(limits.month)} in 30 days; "
        f"for one member {points(limits.member_day)} a day, {points(limits.member_month)} in 30 days; "
        f"{points(limits.store_day)} a day in one store"
    )


def _days(days: int) -> str:
    return counted(days, "day", "days")
