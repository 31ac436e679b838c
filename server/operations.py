"""What whoever runs the service asks: is it alive, is it ready, how is it doing."""

from litestar import Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from server.db.engine import DB
from server.http import Call, operation

# Litestar adds the character set.
_MEDIA_TYPE = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")


@operation("health_live")
async def health_live(_: Call) -> Response[bytes]:
    """Answer as long as the process runs."""
    return Response(b'{"status":"live"}', media_type="application/json")


@operation("health_ready")
async def health_ready(_: Call) -> Response[bytes]:
    """Answer when the database does; Busy otherwise."""
    await DB.fetch("select 1")
    return Response(b'{"status":"ready"}', media_type="application/json")


@operation("metrics")
async def metrics(call: Call) -> Response[bytes]:
    """Figures in Prometheus' text format; Busy while the database is away."""
    await call.request.app.state.gauges.refresh(call.ctx)
    registry = call.request.app.state.metrics.registry
    return Response(generate_latest(registry), media_type=_MEDIA_TYPE)
