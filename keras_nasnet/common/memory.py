"""A bound on the memory that all threads of the process hold together."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class MemoryBound:
    """Lets threads hold memory until there is no more of it; then they wait for each other, first come, first served.

    Who asks for more than there is at all gets everything, alone.

    Args:
        size: returns the number of bytes that all may hold together.

    Example:
        >>> bound = MemoryBound(lambda: 1000)
        >>> with bound.hold(400), bound.hold(600):
        ...     bound.held
        1000
    """

    def __init__(self, size: Callable[[], int]):
        self.held = 0
        self._size = size
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Hold `count` bytes while the block runs; waits until they are free."""
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is turn and self._fits(count))
                taken = min(count, self._size())
                self.held += taken
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.held -= taken
                self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        return self.held == 0 or self.held + count <= self._size()
