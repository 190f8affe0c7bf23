"""Reads ahead: threads prepare the next batches while the caller works on this one."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

BATCHES = 3  # held in memory: the one that is worked on, and those that are read meanwhile

Item = TypeVar("Item")
Read = TypeVar("Read")


def read_ahead(
    batches: Iterable[Sequence[Item]], read: Callable[[Item], Read], held: int = BATCHES
) -> Iterator[tuple[Sequence[Item], list[Read]]]:
    """Yield each batch with what `read` makes of its items, by threads a few batches ahead.

    Args:
        batches: of items.
        read: called with each item, in as many threads as there are processors.
        held: the most batches in memory, the one that is yielded among them.
    """
    upcoming = iter(batches)
    pool = ThreadPoolExecutor(os.cpu_count())
    ahead: deque[tuple[Sequence[Item], list[Future[Read]]]] = deque()
    try:
        while True:
            for batch in itertools.islice(upcoming, held - len(ahead)):
                ahead.append((batch, [pool.submit(read, item) for item in batch]))
            if not ahead:
                return
            batch, futures = ahead.popleft()
            yield batch, [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)
