"""How good the search is on made-up people whose truth is known.

On the harbour and the valley nothing was tuned. Those on which the weights were chosen are measured by the benchmark.
"""

from collections.abc import Callable

import asyncpg
import pytest

from server.db.engine import DB
from server.db.ids import new_id
from tests.app import World
from tests.server.duplicates.harbour import make_harbour
from tests.server.duplicates.people import compare
from tests.server.duplicates.records import Known, Quality, measure, put_on_file
from tests.server.duplicates.valley import make_valley

_RECORDS = 2_000


async def _search(world: World, records: list[tuple[int, Known]]) -> Quality:
    # All at once, as after an import: quicker than one by one, with the same result.
    await DB.fetch("insert into duplicate_mark (id, customer, marked_at) values ($1, null, now())", new_id())
    connection = await asyncpg.connect(world.settings.database_url)
    ids = await put_on_file(connection, (known for _, known in records), world.clock.now())
    await connection.close()
    await compare(world)
    places = {customer: place for place, customer in enumerate(ids)}
    rows = await DB.fetch("select one, other from duplicate_candidate where state = 'open'")
    found = {frozenset((places[row["one"]], places[row["other"]])) for row in rows}
    return measure(found, [number for number, _ in records])


@pytest.mark.parametrize(("make", "f1_min"), [(make_harbour, 0.93), (make_valley, 0.88)])
async def test_hardly_a_pair_is_wrong_and_few_are_missed(
    world: World, make: Callable[[int, int], list[tuple[int, Known]]], f1_min: float
) -> None:
    # Of the valley's duplicates every tenth shares no more than a name with its other record, which nobody could see.
    quality = await _search(world, make(2_026, _RECORDS))
    assert quality.precision >= 0.98, quality
    assert quality.f1 >= f1_min, quality
