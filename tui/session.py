"""Who is signed in, and in which shop's time and money things are shown."""

from datetime import UTC, tzinfo

import msgspec

from shared.enums import Permission
from shared.staff import StaffView


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The signed-in staff member at this terminal."""

    staff: StaffView
    shop_name: str
    zone: tzinfo = UTC

    def may(self, permission: Permission) -> bool:
        return permission in self.staff.permissions
