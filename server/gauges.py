"""Figures of the work in the background, for Prometheus."""

from prometheus_client import CollectorRegistry, Gauge

from server.audience.service import read_figures
from server.context import Context
from server.db.engine import DB
from server.links.cycle_store import list_last_successes

_QUEUE = "select entrypoint, count(*) as count from pgqueuer group by entrypoint"


class WorkGauges:
    """Read from the database when they are asked for, so that every process tells the same."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("regulars_jobs", "Jobs that wait or run.", ("job",), registry=registry)
        self._waiting = Gauge("regulars_audience_waiting", "Contacts to be pushed.", registry=registry)
        self._parked = Gauge("regulars_audience_parked", "Contacts that need a person.", registry=registry)
        self._paused = Gauge(
            "regulars_audience_paused", "1 while the queue to Mailchimp stands still.", registry=registry
        )
        self._oldest = Gauge(
            "regulars_audience_oldest_seconds", "Age of the oldest change that is not pushed.", registry=registry
        )

        self._pos = Gauge(
            "regulars_pos_success_age_seconds",
            "Time since the exchange with a till system last went well; alert above a day.",
            ("connection",),
            registry=registry,
        )

    async def refresh(self, ctx: Context) -> None:
        """Read the present figures."""
        self._jobs.clear()
        for row in await DB.fetch(_QUEUE):
            self._jobs.labels(row["entrypoint"]).set(row["count"])
        figures = await read_figures(ctx)
        self._waiting.set(figures.waiting)
        self._parked.set(figures.parked)
        self._paused.set(figures.is_paused)
        self._oldest.set(figures.oldest_waiting_seconds)
        self._pos.clear()
        for row in await list_last_successes():
            since = row["last_success_at"] or row["created_at"]
            self._pos.labels(row["code"]).set((ctx.now - since).total_seconds())
