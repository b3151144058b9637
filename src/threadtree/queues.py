"""Queue: items on their way from threads to threads, that can be closed and drained.

One re-entrant lock guards the items and those who wait. It is never held while anything blocks,
and each use of it leaves the queue whole after every step, so that a signal handler that comes in
the middle may add, push and close. So an item is in the queue, or was popped, or its ``add``
raised. Those who wait put themselves down and look, in one step; those who change something
change it first, and then wake one that is sure to look: some may be paused, or busy with an event.

Ctrl-C in the main thread loses no item: it is taken and noted in one step in C, and what was taken
by a call that is interrupted is put back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import repeat
from queue import Empty, Full
from time import monotonic
from typing import Any, Final, Generic, Self, TypeVar

from . import journal
from .errors import INTERRUPTS, QueueClosed, WorkerCancelled
from .forks import renew_in_child
from .parking import FOREVER, Condition, Waiter, current_waiter, here, in_main_thread
from .please_stop import PLEASE_STOP
from .signals import NEVER, Signal, limits

__all__ = ["NO_ITEM", "Queue"]


T = TypeVar("T")

WARN_AFTER: Final = 5.0  # seconds for which an add may block before the log hears of it
NO_ITEM: Final = object()  # the wait has ended without one


class Queue(Generic[T]):
    """A queue between threads, first in, first out, that hands on the objects themselves.

    ``max`` is how many it holds before ``add`` and ``extend`` block; None for no limit. Unless
    ``silent``, the log hears of an ``add`` that has blocked for 5 seconds. With ``unique``, what
    equals an item of the queue is not added again. With ``allow_add_after_close``, one may.
    Any thread; ``add`` to a queue with room, ``push`` and ``close`` also in a signal handler.
    Waiting handles the calling worker's events. (From mo-threads, with the methods of
    ``queue.Queue``.)

    >>> from threadtree import Queue, Thread
    >>> numbers = Queue("numbers")
    >>> adder = Thread.run("adder", lambda please_stop: sum(numbers))
    >>> numbers.extend([1, 2, 3]).close().join()
    True
    >>> adder.join()
    6
    """

    def __init__(
        self,
        name: str,
        max: int | None = None,
        silent: bool = False,
        unique: bool = False,
        allow_add_after_close: bool = False,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a queue's first argument is its name, a string, not {name!r}")
        if max is not None and (isinstance(max, bool) or not isinstance(max, int) or max < 1):
            raise ValueError(f"max must be a whole number from 1, or None, not {max!r}")
        self.name = name
        self.max = max
        self.silent = silent
        self.unique = unique
        self.allow_add_after_close = allow_add_after_close
        self.closed = Signal(f"{name} is closed")
        """The signal that goes when the queue is closed."""
        # The items: one line of them for each priority, of which a plain queue has one. The first
        # that is not empty is popped from. Under the lock, like _is_closed.
        self._lines: list[deque[T]] = [deque()]
        self._is_closed = False  # the signal goes without the lock
        self._lock = threading.RLock()
        # Those who wait for an item, for room, and for the last item to be gone. Likewise.
        self._takers: dict[_Wait, None] = {}
        self._adders: dict[_Wait, None] = {}
        self._joiners: dict[_Wait, None] = {}
        renew_in_child(self)

    def _renew(self) -> None:
        """Only the waits of the thread that has forked go on."""
        self._lock = threading.RLock()
        for waits in (self._takers, self._adders, self._joiners):
            for wait in waits.copy():
                if wait.waiter not in here.stack:
                    waits.pop(wait, None)

    def __repr__(self) -> str:
        closed = ", closed" if self._is_closed else ""
        return f"<{type(self).__name__} {self.name}: {len(self)} items{closed}>"

    def __len__(self) -> int:
        return len(self._lines[0])

    # -- adding --------------------------------------------------------------------------------

    def add(self, value: T, timeout: Signal | float | None = None, force: bool = False) -> Self:
        """Add an item at the end, as soon as there is room; at once with ``force``. Returns self.

        ``timeout`` is a number of seconds, or a signal; when it comes first, Full is raised.
        Raises QueueClosed when the queue is closed, also while this waits. Then, and after any
        other exception but Ctrl-C, the item is not in the queue. To add PLEASE_STOP closes it.
        """
        return self._add(value, self._lines[0].append, timeout, force)

    def push(self, value: T) -> Self:
        """Add an item at the front, whether there is room or not. Returns self."""
        return self._add(value, self._lines[0].appendleft, None, True)

    def extend(self, values: Iterable[T]) -> Self:
        """Add items at the end, one after the other, each as soon as there is room. Returns self.

        Raises QueueClosed when the queue is closed: those that came before are in the queue.
        """
        for value in values:
            self.add(value)
        return self

    def push_all(self, values: Iterable[T]) -> Self:
        """Add items at the front, whether there is room or not, the first to be popped first."""
        for value in reversed(list(values)):
            self.push(value)
        return self

    def _add(
        self,
        value: T,
        put: Callable[[T], object],
        limit: Signal | float | None,
        force: bool,
    ) -> Self:
        if value is PLEASE_STOP:
            return self.close()
        if not self._put(value, put, force):
            self._add_when_there_is_room(value, put, *limits(limit))
        return self

    def _put(self, value: T, put: Callable[[T], object], force: bool = False) -> bool:
        """Add it, if there is room; whether that is done."""
        try:
            with self._lock:
                if self._is_closed and not self.allow_add_after_close:
                    raise QueueClosed(f"{self!r} takes no items any more")
                if self.unique and any(value in list(line) for line in self._lines):
                    return True
                if not force and self.full():
                    return False
                put(value)
                if self._takers:
                    self._wake(self._takers)
                return True
        except INTERRUPTS:  # it may have come between the two
            self._wake_all(self._takers)
            raise

    def _add_when_there_is_room(
        self, value: T, put: Callable[[T], object], deadline: float, till: Signal
    ) -> None:
        warn_at = FOREVER if self.silent else monotonic() + WARN_AFTER
        end = () if self.allow_add_after_close else _Closed(self)
        wait = _Wait(self, self._adders, lambda: not self.full(), till, end)
        while not self._put(value, put):
            if till or monotonic() >= deadline:
                raise Full(f"{self!r} has had no room in time")
            if monotonic() >= warn_at:
                warn_at = FOREVER
                message = "An add to %r has been blocked for %g seconds"
                journal.warning(message, self, WARN_AFTER)
            if not wait.until(min(deadline, warn_at)):
                raise WorkerCancelled(f"the wait to add to {self!r} was stopped")

    def close(self) -> Self:
        """Take no more items. Returns self. What is in the queue can still be popped.

        Whoever waits to add gets QueueClosed; who waits to pop when it is drained, PLEASE_STOP.
        """
        with self._lock:
            self._is_closed = True
            for line in (self._takers, self._adders, self._joiners):
                self._wake_all(line)
        self.closed.go()
        return self

    # -- taking --------------------------------------------------------------------------------

    def pop(self, till: Signal | float | None = None) -> T | None:
        """Wait for the next item, and take it.

        Gives PLEASE_STOP when the queue is closed and drained, or is empty and the calling Thread
        was asked to end: compare by ``is``. Gives None when ``till`` comes first (a signal, or a
        number of seconds). A paused worker takes nothing.
        """
        deadline, signal = limits(till)
        item = self._next(self._first_line, deadline, signal)
        return None if item is NO_ITEM else item  # type: ignore[return-value]

    def pop_one(self) -> T | None:
        """Take the next item without waiting. None if there is none; PLEASE_STOP if none comes."""
        item = self._take(self._first_line)
        return None if item is NO_ITEM else item  # type: ignore[return-value]

    def pop_all(self) -> list[T]:
        """Take all that is there, without waiting."""
        taken: list[list[T]] = [[] for _ in self._lines]
        try:
            with self._lock:
                for line, items in zip(self._lines, taken, strict=True):
                    with suppress(IndexError):  # a signal handler was faster with the last ones
                        items.extend(map(deque.popleft, repeat(line, len(line))))  # a step in C
                self._wake_all(self._adders)
                self._wake_all(self._joiners)
                return [item for items in taken for item in items]
        except INTERRUPTS:
            with self._lock:
                for line, items in zip(self._lines, taken, strict=True):
                    line.extendleft(reversed(items))
                self._wake(self._takers)
            raise

    def __iter__(self) -> Iterator[T]:
        """Pop items until the queue is closed and drained, or the calling Thread is asked to end
        and it is empty."""
        while True:
            item = self._next(self._first_line, FOREVER, NEVER)
            if item is PLEASE_STOP or item is NO_ITEM:
                return
            yield item  # type: ignore[misc]

    def _first_line(self) -> deque[T]:
        """Where the next item is, if there is one."""
        return self._lines[0]

    def _next(self, find: Callable[[], deque[T]], deadline: float, till: Signal) -> object:
        """Wait for an item of the line that ``find()`` gives."""
        waiter = current_waiter()
        waiter.look()  # so that a stop and a pause reach those who never find it empty
        wait: _Wait | None = None
        while (item := self._take(find)) is NO_ITEM:
            if waiter.word:
                return PLEASE_STOP
            if till or monotonic() >= deadline:
                break
            if wait is None:
                wait = _Wait(self, self._takers, find, till, _Closed(self), waiter.word)
            if not wait.until(deadline):
                break
        return item

    def _take(self, find: Callable[[], deque[T]]) -> object:
        if in_main_thread():
            return self._take_in_main(find)
        with self._lock:  # no Ctrl-C comes here, and this takes 0.7 of the time
            line = find()
            if not line:
                return PLEASE_STOP if self._is_closed else NO_ITEM
            item = line.popleft()
            if self._adders or self._joiners:
                self._tell_of_room()
            return item

    def _take_in_main(self, find: Callable[[], deque[T]]) -> object:
        taken: list[T] = []
        line = self._lines[0]
        try:
            with self._lock:
                while line := find():
                    with suppress(IndexError):  # a signal handler was faster
                        next(map(taken.append, map(deque.popleft, (line,))))  # a step in C
                        self._tell_of_room()
                        return taken[0]
                return PLEASE_STOP if self._is_closed else NO_ITEM
        except INTERRUPTS:
            with self._lock:
                line.extendleft(taken)
                self._wake_all(self._takers)
            raise

    def _tell_of_room(self) -> None:
        if self._adders:
            self._wake(self._adders)
        if self._joiners and self.empty():
            self._wake_all(self._joiners)

    def join(self, till: Signal | float | None = None) -> bool:
        """Wait until every item has been popped, or ``till`` comes first; whether they have."""
        deadline, signal = limits(till)
        wait = _Wait(self, self._joiners, self.empty, signal)
        while len(self) and not signal and monotonic() < deadline and wait.until(deadline):
            pass
        return self.empty()

    # -- waking --------------------------------------------------------------------------------

    def _wake(self, waits: dict[_Wait, None]) -> None:
        """Wake one that has what it waits for; when it leaves, it wakes the next."""
        with self._lock:
            try:
                for wait in waits.copy():
                    if wait.is_ready() and wait.wake_up():
                        break
            except INTERRUPTS:
                self._wake_all(waits)
                raise

    def _wake_all(self, waits: dict[_Wait, None]) -> None:
        with self._lock:
            for wait in waits.copy():
                wait.waiter.wake()

    # -- the methods of queue.Queue ------------------------------------------------------------

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """``add``, with the arguments of ``queue.Queue.put``. Raises Full, and QueueClosed."""
        self.add(item, timeout if block else 0)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """``pop``, with the arguments of ``queue.Queue.get``. Raises Empty when time is over.

        QueueClosed when the queue is closed and drained. PLEASE_STOP as :meth:`pop` does.
        """
        deadline, signal = limits(timeout if block else 0)
        item = self._next(self._first_line, deadline, signal)
        if item is NO_ITEM:
            raise Empty(f"{self!r} has had no item in time")
        if item is PLEASE_STOP and self._is_closed:
            raise QueueClosed(f"{self!r} is drained")
        return item  # type: ignore[return-value]

    def put_nowait(self, item: T) -> None:
        """``put(item, block=False)``."""
        self.put(item, block=False)

    def get_nowait(self) -> T:
        """``get(block=False)``."""
        return self.get(block=False)

    def qsize(self) -> int:
        """How many items there are."""
        return len(self)

    def empty(self) -> bool:
        """Whether there is no item."""
        return not len(self)

    def full(self) -> bool:
        """Whether there is no room."""
        return self.max is not None and len(self) >= self.max


class _Closed:
    """The condition that a queue is closed."""

    def __init__(self, queue: Queue[Any]) -> None:
        self._queue = queue

    def __bool__(self) -> bool:
        return self._queue._is_closed


class _Wait:
    """A wait of the calling thread at a queue: the condition, and the waiter that waits for it.

    It ends when it ``is_ready()``, and also when one of the other conditions holds.
    """

    def __init__(
        self,
        queue: Queue[Any],
        waits: dict[_Wait, None],
        is_ready: Callable[[], object],
        till: Signal,
        *others: Condition,
    ) -> None:
        self._queue = queue
        self._waits = waits
        self.is_ready = is_ready
        self._till = till
        self._others = others
        self._came = False
        self.waiter: Waiter = current_waiter()

    def __bool__(self) -> bool:
        # One step for those who wake us, who take us out as they do: between the two, that would
        # leave us asleep where nobody looks.
        with self._queue._lock:
            self._waits[self] = None  # again, if we were woken; then look
            self._came = bool(self.is_ready() or self._till or any(self._others))
        return self._came

    def wake_up(self) -> bool:
        """Wake the waiter; whether it is sure to look at this first. With the lock.

        Then it need not be woken again before it has looked, and put itself down again.
        """
        is_sure = self.waiter.will_look_at(self)
        self.waiter.wake()
        if is_sure:
            self._waits.pop(self, None)
        return is_sure

    def until(self, deadline: float) -> bool:
        """Wait. False when a stop of the main thread, or of a foreign one, has ended it."""
        key = None
        try:
            key = self._till._subscribe(self.waiter.wake)
            self.waiter.wait_for(self, deadline)
        finally:
            self._till._unsubscribe(key)
            with self._queue._lock:
                self._waits.pop(self, None)
                self._queue._wake(self._waits)  # what we leave may be for another
        return self._came or monotonic() >= deadline
