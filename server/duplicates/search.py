"""Comparing customers: those who changed by their marks, or everybody.

Everything follows from what is on file, so it may break off anywhere and be run again. One process at a time compares.
The sums take the processor for a moment only, as they share it with the answers to requests.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import combinations, islice
from typing import Final, TypeVar
from uuid import UUID

from server.context import Context, Tools, system_context
from server.duplicates import store
from server.duplicates.rules import BLOCK_MAX, Profile, make_keys, read_profile
from server.duplicates.scoring import BEARERS_MAX, QUEUE_FROM, Verdict, compare
from server.duplicates.store import Pair
from server.duplicates.wording import UNDONE_NOTE
from server.logs import get_logger

log = get_logger()

_MARKS_AT_ONCE: Final = 500
_REBUILD_FROM: Final = 50_000
"""Marks from which comparing everybody is less work."""
_CUSTOMERS_AT_ONCE: Final = 2_000
_PAIRS_AT_ONCE: Final = 8_000
_SLICE: Final = 100
"""Names read or pairs compared before others have their turn."""
_NOBODY: Final = UUID(int=0)
_T = TypeVar("_T")


async def compare_marked(tools: Tools) -> int:
    """Compare the customers who changed and return how many marks that served."""
    served = 0
    async with store.only_one_runs() as is_alone:
        while is_alone and (marks := await store.list_marks(_MARKS_AT_ONCE)):
            ctx = system_context(tools)
            if any(mark["customer"] is None for mark in marks) or await _is_flood(len(marks)):
                await _compare_everybody(ctx)
            else:
                await _compare_anew(ctx, {mark["customer"] for mark in marks})
                await store.delete_marks([mark["id"] for mark in marks])
            served += len(marks)
    return served


async def _is_flood(found: int) -> bool:
    return found == _MARKS_AT_ONCE and await store.count_marks(_REBUILD_FROM) == _REBUILD_FROM


async def _compare_everybody(ctx: Context) -> None:
    """Compare all customers; the mark that demands it goes when it is done."""
    mark_id = await store.mark_everybody()
    log.info("duplicates_rebuild_started")
    after = _NOBODY
    while customers := await store.list_next_customers(after, _CUSTOMERS_AT_ONCE):
        await store.note_merges(customers, UNDONE_NOTE)
        await _in_halves(partial(_write_keys, ctx), customers)
        after = customers[-1]
    async with aclosing(store.all_pairs(BLOCK_MAX, _PAIRS_AT_ONCE)) as batches:
        async for pairs in batches:
            await _in_halves(partial(_settle, ctx), pairs)
    await store.delete_marks([mark_id])
    log.info("duplicates_rebuild_done")


async def _in_halves(act: Callable[[list[_T]], Coroutine[None, None, None]], items: list[_T]) -> None:
    """Act on both halves of some items at once, so that the database reads for one while the other is worked out."""
    half = -(-len(items) // 2)
    async with asyncio.TaskGroup() as tasks:
        for some in _in_batches(items, half):
            tasks.create_task(act(some))


async def _compare_anew(ctx: Context, customers: set[UUID]) -> None:
    """Compare some customers with everybody; pairs of theirs that are alike no more leave the queue."""
    await store.note_merges(customers, UNDONE_NOTE)
    await _write_keys(ctx, sorted(customers))
    pairs = _pairs_of(await store.list_blocks_of(customers, BLOCK_MAX))
    own = {pair for pair in pairs if pair[0] in customers or pair[1] in customers}
    own.update(await store.list_open_pairs_of(customers))
    for some in _in_batches(sorted(own), _PAIRS_AT_ONCE):
        await _settle(ctx, some)


def _pairs_of(blocks: Iterable[Sequence[UUID]]) -> set[Pair]:
    return {pair for people in blocks for pair in combinations(sorted(people), 2)}


async def _write_keys(ctx: Context, customers: Collection[UUID]) -> None:
    profiles = await _read_profiles(customers)
    keys = []
    for number, profile in enumerate(profiles.values()):
        await _give_way(number)
        keys.append((profile.id, make_keys(profile)))
    await store.put_profiles(ctx, keys)
    if gone := [customer for customer in customers if customer not in profiles]:
        await store.drop_profiles(gone)


async def _read_profiles(customers: Collection[UUID]) -> dict[UUID, Profile]:
    profiles = {}
    for number, person in enumerate(await store.list_people(customers)):
        await _give_way(number)
        profiles[person.id] = read_profile(person)
    return profiles


async def _settle(ctx: Context, pairs: Collection[Pair]) -> None:
    """Weigh pairs; the queue has exactly those of them that are alike enough afterwards, and what staff decided."""
    profiles = await _read_profiles({customer for pair in pairs for customer in pair})
    verdicts = await _weigh([pair for pair in pairs if pair[0] in profiles and pair[1] in profiles], profiles)
    found = {pair: verdict for pair, verdict in verdicts.items() if verdict.points >= QUEUE_FROM}
    await store.put_pairs(ctx, [(pair, verdict.points, verdict.signs) for pair, verdict in found.items()])
    await store.drop_pairs([pair for pair in pairs if pair not in found])


async def _weigh(pairs: Iterable[Pair], profiles: dict[UUID, Profile]) -> dict[Pair, Verdict]:
    """Compare pairs; those that turn on how many bear a name are compared again when that is counted."""
    bearers = _Bearers()
    verdicts: dict[Pair, Verdict] = {}
    waiting = list(pairs)
    while waiting:
        again = []
        for number, pair in enumerate(waiting):
            await _give_way(number)
            bearers.is_sure = True
            verdicts[pair] = compare(profiles[pair[0]], profiles[pair[1]], bearers)
            if not bearers.is_sure:
                again.append(pair)
        await bearers.count()
        waiting = again
    return verdicts


class _Bearers:
    """How many bear a name, as far as it is counted; `is_sure` turns false when somebody asks for more."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._asked: set[str] = set()
        self.is_sure = True

    def __call__(self, word: str) -> int:
        count = self._counts.get(word)
        if count is None:
            self._asked.add(word)
            self.is_sure = False
            return 0
        return count

    async def count(self) -> None:
        """Count those that were asked for."""
        if self._asked:
            self._counts |= await store.count_bearers(self._asked, BEARERS_MAX)
            self._asked = set()


def _in_batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


async def _give_way(number: int) -> None:
    if number % _SLICE == _SLICE - 1:
        await asyncio.sleep(0)
