"""The catalogue of rewards in words. Pure."""

from datetime import datetime, tzinfo

from shared.money import money
from shared.rewards import RedemptionTermsView, RewardView
from tui.formatting import NOTHING, Cell, Row, Tone, counted, day, points
from tui.value_words import worth


def reward_row(reward: RewardView, *, now: datetime, zone: tzinfo) -> Row:
    """Return a line of the catalogue."""
    state, tone = _state(reward, now=now, zone=zone)
    stock = points(reward.issued) + (f" of {points(reward.stock)}" if reward.stock is not None else "")
    return Row(
        key=str(reward.id),
        cells=(
            Cell(reward.name, "plain" if reward.status == "active" else "muted"),
            Cell(worth(reward.kind, reward.value_minor, reward.currency, reward.percent, reward.sku)),
            Cell(points(reward.points_cost)),
            Cell(stock),
            Cell(f"{points(reward.member_limit)} each" if reward.member_limit else NOTHING),
            Cell(state, tone),
        ),
    )


def _state(reward: RewardView, *, now: datetime, zone: tzinfo) -> tuple[str, Tone]:
    today = now.astimezone(zone).date()
    if reward.status == "retired":
        return "retired", "muted"
    if reward.active_until is not None and reward.active_until <= now:
        return "over", "muted"
    if reward.active_from is not None and reward.active_from > now:
        return f"from {day(reward.active_from.astimezone(zone).date(), today=today)}", "warn"
    if reward.stock is not None and reward.issued >= reward.stock:
        return "none left", "warn"
    if reward.active_until is not None:
        return f"until {day(reward.active_until.astimezone(zone).date(), today=today)}", "good"
    return "offered", "good"


def terms_words(terms: RedemptionTermsView) -> str:
    """Return what points are worth at the till, in one line."""
    parts = [
        f"{counted(terms.step_points, 'point takes', 'points take')} {money(terms.step_minor, terms.currency)} off"
    ]
    parts.append(f"up to {terms.cap_percent} % of a sale")
    if terms.minimum_points:
        parts.append(f"from {points(terms.minimum_points)} points on")
    parts.append(
        f"{points(terms.card_daily_points)} a day by the card alone"
        if terms.card_daily_points
        else "never by the card alone"
    )
    parts.append(f"given back after lapsing: {counted(terms.restore_grace_days, 'day', 'days')} more")
    return ", ".join(parts)
