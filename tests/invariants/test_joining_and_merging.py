"""Joining, combining, leaving, merging, claiming, linking, changes of address, being forgotten, and undoing, in any order.

No point and no date is lost, whatever is refused is refused in words, and whatever happens can be proven right after.
"""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app import START_AT
from tests.conftest import Databases
from tests.invariants.brittle_shop import BrittleShop
from tests.invariants.household import Household

ACTS = st.sampled_from(
    [
        "join", "combine", "combine", "leave", "leave", "merge", "merge", "claim", "claim", "link", "unlink", "reissue", "keep", "correct",
        "undo", "undo", "undo", "undo", "buy", "buy", "return", "spend", "wait", "import", "forget",
    ]
)  # fmt: skip
CARRIED_OUT = (
    "join", "combine", "leave", "merge", "claim", "link", "unlink", "reissue", "keep", "correct", "undo join",
    "undo combine", "undo leave", "undo merge", "undo claim", "undo reissue", "undo keep", "undo correct", "forget",
)  # fmt: skip


@pytest.mark.timeout(1800)
def test_no_point_and_no_date_is_lost_in_any_order(
    databases: Databases, template_database: str, data_dir: Path, request: pytest.FixtureRequest
) -> None:
    is_soak, walks = request.config.getoption("--soak"), int(os.environ.get("REGULARS_WALKS") or 0)
    with asyncio.Runner() as runner:
        origin = databases.create(template=template_database)
        shop = BrittleShop(runner, databases.dsn(origin), data_dir)
        household = shop.do(Household.open(shop.world))
        shop.rest()

        @settings(
            max_examples=walks or (60 if is_soak else 5),
            derandomize=not (is_soak or walks),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(st.tuples(ACTS, st.integers(0, 10_000)), min_size=18, max_size=40 if is_soak else 24))
        def walk(steps: list[tuple[str, int]]) -> None:
            name = databases.create(template=origin)
            shop.move(databases.dsn(name), START_AT)
            household.begin()
            try:
                for act, seed in steps:
                    shop.do(household.step(act, seed))
            finally:
                shop.rest()
                databases.drop(name)

        walk()
        shop.close()
        databases.drop(origin)
    # A walk in which an act is never carried out shows nothing of it.
    never = [act for act in CARRIED_OUT if not household.tally[act]]
    assert not (is_soak and never), household.tally
