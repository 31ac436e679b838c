"""Everything behind the lock screen, in one import."""

from collections.abc import Callable

from tui.client import Client
from tui.pages import Page
from tui.screens.audience import AudiencePage
from tui.screens.audit import AuditPage
from tui.screens.claim_batches import ClaimBatchesPage
from tui.screens.duplicates import DuplicatesPage
from tui.screens.email_overrides import OverridesPage
from tui.screens.find import FindPage
from tui.screens.orders import OrdersPage
from tui.screens.privacy import PrivacyPage
from tui.screens.programmes import ProgrammesPage
from tui.screens.queue import QueuePage
from tui.screens.reports import ReportsPage
from tui.screens.rewards import RewardsPage
from tui.screens.tills import TillsPage

MODES: dict[str, Callable[[], Page]] = {
    "find": FindPage,
    "orders": OrdersPage,
    "queue": QueuePage,
    "duplicates": DuplicatesPage,
    "audience": AudiencePage,
    "tills": TillsPage,
    "claim-batches": ClaimBatchesPage,
    "privacy": PrivacyPage,
    "overrides": OverridesPage,
    "audit": AuditPage,
    "programmes": ProgrammesPage,
    "rewards": RewardsPage,
    "reports": ReportsPage,
}

__all__ = ("MODES", "Client")
