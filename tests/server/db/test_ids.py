"""Ids are UUIDv7 that rise in the order they are made."""

import time
from concurrent.futures import ThreadPoolExecutor

from server.db.ids import new_id, new_ids


def test_ids_rise_however_many_are_made_in_a_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_made_together_rise_on_from_those_before() -> None:
    # More than the counter holds, so that it carries into the milliseconds.
    ids = [new_id(), *new_ids(10_000), *new_ids(0), new_id(), *new_ids(3)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 10_005
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}


def test_ids_of_several_threads_never_meet() -> None:
    with ThreadPoolExecutor(4) as pool:
        batches = list(pool.map(lambda _: [new_id() for _ in range(5_000)], range(4)))
    assert len({one for batch in batches for one in batch}) == 20_000
    assert all(batch == sorted(batch) for batch in batches)


def test_an_id_says_version_variant_and_time() -> None:
    before = time.time_ns() // 1_000_000
    one = new_id()
    assert (one.version, one.variant) == (7, "specified in RFC 4122")
    # Ids made before may have run ahead of the clock, also of one that was set back.
    assert before <= one.int >> 80 <= before + 60_000
