"""Turns: when each task of a manager starts: behind those that are to end first, then in line."""

from __future__ import annotations

import enum
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeAlias

from .circles import DEAF
from .forks import renew_in_child

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .tasks import Task

__all__ = ["Place", "Turns"]

_Tasks: TypeAlias = "OrderedDict[Task[Any], None]"  # in their order, and quick to leave anywhere


class Place(enum.Enum):
    """Where a task is that has not ended."""

    BEHIND = "others are to end first"
    IN_LINE = "there are as many as may be"
    STARTED = "it runs, or is about to"
    PAST = "it runs no more, or never will"


class Turns:
    """The tasks of a manager that have not ended, and where on their way each of them is.

    A task comes in behind others, waits until those have ended, then in the line for one of
    ``limit`` places, and is to start. Who makes a turn come is told whose it is, and launches those
    when the lock is free again.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        # Guards all that follows. Re-entrant, as a finalizer may run tasks. The outermost lock:
        # that of the tree is taken inside. Nothing is waited for, started or told while it is held.
        self.lock = threading.RLock()
        self.places: dict[Task[Any], Place] = {}  # read through .copy() by those without the lock
        self._line: _Tasks = OrderedDict()  # those IN_LINE
        self._started: set[Task[Any]] = set()  # those STARTED
        # Of those BEHIND, the last that are to end first; and the same from the other side.
        self._ahead: dict[Task[Any], _Tasks] = {}
        self._followers: dict[Task[Any], _Tasks] = {}
        renew_in_child(self)

    def come_in(self, task: Task[Any], others: Iterable[Task[Any]]) -> None:
        """Take in a task, behind these. Its turn does not come before it is placed."""
        self.places[task] = Place.BEHIND
        self._ahead[task] = OrderedDict()
        # Not behind one that another of them is behind: of n in a row, each waits for one, not n.
        covered: set[Task[Any]] = set()
        for other in others:
            covered.update(self._ahead.get(other, ()))
        for other in others:
            if other not in covered:
                self._put_behind(task, other)

    def _put_behind(self, task: Task[Any], other: Task[Any]) -> None:
        self._ahead[task][other] = None
        self._followers.setdefault(other, OrderedDict())[task] = None
        # So that a wait for the task, in the other, is found to close a circle. Not by enter(),
        # whose lock stands above: nobody waits for the task yet who does not for the other, too.
        task._life.waits_for[other] = (other, DEAF)

    def has_come(self, task: Task[Any]) -> bool:
        """Whether it is to start now: nobody is ahead of it, and there is room. Else it waits."""
        if self.places.get(task) is not Place.BEHIND or self._ahead[task]:
            return False
        del self._ahead[task]
        if not self._has_room():
            self.places[task] = Place.IN_LINE
            self._line[task] = None
            return False
        self._is_to_start(task)
        return True

    def _has_room(self) -> bool:
        return self.limit is None or len(self._started) < self.limit

    def _is_to_start(self, task: Task[Any]) -> None:
        self.places[task] = Place.STARTED
        self._started.add(task)

    def let_in(self, task: Task[Any], waiter: Any) -> bool:
        """Whether it is to start in spite of the limit: else one that runs would wait for ever."""
        if self.places.get(task) is not Place.IN_LINE:
            return False
        if self.places.get(waiter) is not Place.STARTED:
            return False
        del self._line[task]
        self._is_to_start(task)
        return True

    def end(self, task: Task[Any]) -> list[Task[Any]]:
        """It has ended, and leaves. Gives those that are to start."""
        admitted = self.pass_on(task)
        self.places.pop(task, None)
        return admitted

    def pass_on(self, task: Task[Any]) -> list[Task[Any]]:
        """It runs no more, or never will: its turn is over. Gives those that are to start."""
        if self.places.get(task, Place.PAST) is Place.PAST:
            return []
        self.places[task] = Place.PAST
        self._line.pop(task, None)
        self._started.discard(task)
        admitted = []
        while self._line and self._has_room():  # first those that stand there already
            admitted.append(self._line.popitem(last=False)[0])
            self._is_to_start(admitted[-1])
        ahead = self._ahead.pop(task, ())
        for other in ahead:
            del self._followers[other][task]
        for follower in self._followers.pop(task, ()):
            del self._ahead[follower][task]
            for other in ahead:  # it was cancelled before its turn
                self._put_behind(follower, other)
            follower._life.waits_for.pop(task, None)
            if follower._place is not None and self.has_come(follower):
                admitted.append(follower)
        return admitted

    def _renew(self) -> None:
        """In the child of a fork: forget the tasks whose threads are in the parent."""
        self.lock = threading.RLock()
        for task in self.places.copy():
            if self.places[task] is not Place.STARTED:
                task._life.vanish(task.path)
            if task.is_finished:
                del self.places[task]
                self._started.discard(task)
        self._line.clear()
        self._ahead.clear()
        self._followers.clear()
