"""HTTP of reports."""

from typing import cast

from litestar import Response
from litestar.response import Stream

from server.http import Call, operation
from server.reports import service
from shared.reports import ReportView


@operation("get_report")
async def get_report(call: Call) -> ReportView:
    """Tell a report: liability, breakage, points, late-attaches, adjustments, signals or rules."""
    return await service.get_report(
        call.ctx, call.request.path_params["name"], since=call.query("since"), until=call.query("until")
    )


@operation("get_report_csv")
async def get_report_csv(call: Call) -> Response[bytes]:
    """Tell a report as CSV, in which no cell is a formula."""
    name: str = call.request.path_params["name"]
    lines = await service.open_csv(call.ctx, name, since=call.query("since"), until=call.query("until"))
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}.csv"'}
    # Litestar types what is streamed by its source, and ours are bytes.
    return cast("Response[bytes]", Stream(lines, media_type="text/csv", headers=headers))
