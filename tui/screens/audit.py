"""Who changed what, newest first."""

from collections.abc import Awaitable
from datetime import datetime, tzinfo

from shared.staff import AuditEntryView
from tui.client import Client
from tui.formatting import Row, audit_notes, audit_row
from tui.pages import bindings_for
from tui.screens.list_page import Listed, ListPage, ListTab
from tui.widgets.line_list import Column

_COLUMNS = (
    Column("When", 15),
    Column("Who", 16),
    Column("What", -4),
    Column("On", 14, from_width=100),
    Column("Why", -3, from_width=70),
)


class AuditPage(ListPage[AuditEntryView]):
    """The audit trail; Enter unfolds an entry."""

    PAGE = "audit"
    BINDINGS = bindings_for("audit")
    TABS = (ListTab(title="Audit", columns=_COLUMNS, empty="Nothing was changed yet."),)

    def ask(self, client: Client, tab: int, cursor: str | None) -> Awaitable[Listed[AuditEntryView]]:
        del tab
        return client.list_audit(cursor=cursor)

    def row(self, item: AuditEntryView, *, now: datetime, zone: tzinfo) -> Row:
        return audit_row(item, now=now, zone=zone)

    def notes(self, item: AuditEntryView, *, now: datetime, zone: tzinfo) -> list[str]:
        del now, zone
        return audit_notes(item)

    def crumbs(self) -> str:
        if not self.items:
            return "Audit"
        return f"Audit ({len(self.items)} shown{', more below' if self.has_more else ''})"
