"""PriorityQueue: a queue in which some items go before others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Self, TypeVar

from .queues import NO_ITEM, Queue
from .signals import Signal, limits

__all__ = ["PriorityQueue"]

T = TypeVar("T")


class PriorityQueue(Queue[T]):
    """A :class:`Queue` with priorities, from 0 to ``num_priorities - 1``: the highest first.

    Within a priority, first in, first out. What is added without one has priority 0.
    (From mo-threads.)

    >>> from threadtree import PriorityQueue
    >>> tasks = PriorityQueue("tasks", num_priorities=3)
    >>> tasks.add("sweep").add("put out the fire", priority=2).pop_all()
    ['put out the fire', 'sweep']
    """

    def __init__(
        self,
        name: str,
        num_priorities: int,
        max: int | None = None,
        silent: bool = False,
        unique: bool = False,
        allow_add_after_close: bool = False,
    ) -> None:
        if isinstance(num_priorities, bool) or not isinstance(num_priorities, int):
            raise TypeError(f"num_priorities must be a whole number, not {num_priorities!r}")
        if num_priorities < 1:
            raise ValueError(f"num_priorities must be 1 or more, not {num_priorities!r}")
        self.num_priorities = num_priorities
        super().__init__(name, max, silent, unique, allow_add_after_close)
        self._lines = [deque() for _ in range(num_priorities)]  # the highest priority first

    def __len__(self) -> int:
        return sum(map(len, self._lines))

    def _first_line(self) -> deque[T]:
        return next(filter(None, self._lines), self._lines[0])

    def _line(self, priority: int) -> deque[T]:
        if not isinstance(priority, int) or priority not in range(self.num_priorities):
            raise ValueError(
                f"a priority of {self.name} is a whole number from 0 to "
                f"{self.num_priorities - 1}, not {priority!r}"
            )
        return self._lines[-1 - priority]

    def add(
        self,
        value: T,
        timeout: Signal | float | None = None,
        force: bool = False,
        priority: int = 0,
    ) -> Self:
        """:meth:`Queue.add`, with a priority."""
        return self._add(value, self._line(priority).append, timeout, force)

    def push(self, value: T, priority: int = 0) -> Self:
        """:meth:`Queue.push`, to the front of a priority."""
        return self._add(value, self._line(priority).appendleft, None, True)

    def extend(self, values: Iterable[T], priority: int = 0) -> Self:
        """:meth:`Queue.extend`, with a priority."""
        for value in values:
            self.add(value, priority=priority)
        return self

    def pop(self, till: Signal | float | None = None, priority: int | None = None) -> T | None:
        """:meth:`Queue.pop`: the highest priority first; only the given one, if one is given."""
        deadline, signal = limits(till)
        find = self._first_line
        if priority is not None:
            line = self._line(priority)
            find = lambda: line  # noqa: E731
        item = self._next(find, deadline, signal)
        return None if item is NO_ITEM else item  # type: ignore[return-value]

    def highest_entry(self) -> int | None:
        """The highest priority of which there is an item, or None."""
        with self._lock:
            return max((p for p in range(self.num_priorities) if self._line(p)), default=None)
