"""ThreadedQueue: a queue whose items a thread carries on, in batches, to something slower."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from . import journal
from .parking import FOREVER, here, seconds
from .please_stop import PLEASE_STOP
from .queues import NO_ITEM, Queue
from .signals import DONE, NEVER, Signal
from .threads import Thread

__all__ = ["ThreadedQueue"]


T = TypeVar("T")

BATCH_SIZE: Final = 900


class Sink(Protocol[T]):
    """Where batches go: a Queue, a list, or anything else that can be extended."""

    def extend(self, values: list[T], /) -> object:
        """Take a batch."""


class ThreadedQueue(Queue[T]):
    """A queue that a thread of its own empties into a slower one, in batches.

    A batch is shipped by ``slow_queue.extend(batch)`` when it has ``batch_size`` items (900), or
    when its first has waited for ``period`` seconds (1). ``max_size`` items fit (twice a batch)
    before ``add`` blocks. An error of the slow queue is given to ``error_target(error, batch)``,
    or logged; the batch is not shipped again.

    Nothing that was added is lost: the thread ships what is there before it ends, when the queue
    is closed, and when it is asked to end; then the queue closes. In a ``with`` block, the queue
    is closed and shipped at the end. In the child of a fork it is closed. Raises TypeError for a
    slow queue that cannot be extended, ValueError for sizes that are no whole numbers from 1.
    (From mo-threads.)

    >>> from threadtree import ThreadedQueue
    >>> slow = []
    >>> with ThreadedQueue("to the disk", slow, batch_size=2) as fast:
    ...     _ = fast.extend("abc")
    >>> slow
    ['a', 'b', 'c']
    """

    def __init__(
        self,
        name: str,
        slow_queue: Sink[T],
        batch_size: int | None = None,
        max_size: int | None = None,
        period: float | None = None,
        silent: bool = False,
        error_target: Callable[[BaseException, list[T]], object] | None = None,
    ) -> None:
        if not callable(getattr(slow_queue, "extend", None)):
            raise TypeError(f"a slow queue needs a method extend(items); {slow_queue!r} has none")
        if error_target is not None and not callable(error_target):
            raise TypeError(f"error_target must be callable, not {error_target!r}")
        for what, size in (("batch_size", batch_size), ("max_size", max_size)):
            if size is not None and (type(size) is not int or size < 1):
                raise ValueError(f"{what} must be a whole number from 1, or None, not {size!r}")
        if batch_size is None:
            batch_size = BATCH_SIZE if max_size is None else max(max_size // 2, 1)
        super().__init__(name, 2 * batch_size if max_size is None else max_size, silent)
        self.slow_queue = slow_queue
        self.batch_size = batch_size
        self.period = 1.0 if period is None else seconds(period, "period must be")
        self.error_target = error_target
        self.thread: Thread[None] = Thread.run(f"threaded queue for {name}", self._ship_all)

    def _renew(self) -> None:
        """What was in it is shipped in the process that has forked us; here, nobody would."""
        super()._renew()
        if getattr(self, "thread", None) not in here.stack:  # which it may not have got yet
            self._is_closed, self.closed = True, DONE  # without telling anyone
            self.pop_all()

    def stop(self) -> Self:
        """Close the queue, and wait until everything is shipped. Returns self."""
        self.close()
        self.thread.join()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    # -- the thread ----------------------------------------------------------------------------

    def _ship_all(self, please_stop: Signal) -> None:
        batch: list[T] = []
        try:
            while self._fill(batch):
                self._ship(batch)
        finally:  # told to end at once, we leave nothing behind either
            self.close()
            batch += self.pop_all()
            self._ship(batch)

    def _fill(self, batch: list[T]) -> bool:
        """Collect a batch. False when the queue is at its end."""
        ship_at = FOREVER
        while len(batch) < self.batch_size:
            item = self._next(self._first_line, ship_at, NEVER)
            if item is PLEASE_STOP:
                return False
            if item is NO_ITEM:
                return True
            batch.append(item)  # type: ignore[arg-type]
            if len(batch) == 1:
                ship_at = monotonic() + self.period
        return True

    def _ship(self, batch: list[T]) -> None:
        items = batch.copy()
        batch.clear()
        if not items:
            return
        try:
            self.slow_queue.extend(items)
        except Exception as error:
            self._report(error, items)
        except BaseException as error:  # we are told to end, in the middle of a batch
            self._report(error, items)
            raise

    def _report(self, error: BaseException, items: list[T]) -> None:
        if self.error_target is not None:
            try:
                self.error_target(error, items)
                return
            except Exception as its_error:
                error = its_error
        message = "%r could not ship a batch of %d; it is not tried again"
        journal.error(message, self, len(items), exc_info=error)
