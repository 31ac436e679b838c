"""A preview of an email change in words. Pure but for the content it returns."""

from datetime import datetime, tzinfo

from textual.content import Content

from shared.staff import EmailChangePreview
from tui.formatting import counted, moment, points
from tui.obstacles import obstacles
from tui.safe import join, lines

LOTS_SHOWN_MAX = 6


def preview_words(preview: EmailChangePreview, *, now: datetime, zone: tzinfo) -> Content:
    """Return what stands against the change, what to mind, the balance, and what it does, in that order."""
    told = obstacles(preview.blockers, preview.warnings)
    before, after = preview.balance_before, preview.balance_after
    if before is not None and after is not None:
        same = " (unchanged)" if before.available == after.available else ""
        told.append(_line("Balance", f"{points(before.available)} → {points(after.available)}{same}"))
        if before.pending or after.pending:
            told.append(_line("Pending", f"{points(before.pending)} → {points(after.pending)}"))
    if preview.cards_retired:
        told.append(_line("Cards", f"{', '.join(preview.cards_retired)} will no longer scan"))
    told += [join(("· ", "$text-muted"), effect) for effect in preview.effects]
    if preview.vouchers_reissued:
        told.append(_line("Vouchers", counted(preview.vouchers_reissued, "is issued anew", "are issued anew")))
    told.append(_line("Sign-ins", f"{counted(preview.sessions_ended, 'session ends', 'sessions end')}"))
    if preview.lots:
        told.append(
            _line("Points", counted(len(preview.lots), "lot moves with its dates:", "lots move with their dates:"))
        )
        for lot in preview.lots[:LOTS_SHOWN_MAX]:
            lapses = "do not lapse" if lot.expires_at is None else f"until {moment(lot.expires_at, now=now, zone=zone)}"
            told.append(join((f"            {points(lot.points):>8} {lapses}", "$text-muted")))
        if len(preview.lots) > LOTS_SHOWN_MAX:
            told.append(join((f"            and {len(preview.lots) - LOTS_SHOWN_MAX} more", "$text-muted")))
    return lines(*told)


def _line(label: str, value: str) -> Content:
    return join((f"  {label:<10}", "$text-muted"), (value, "bold"))
