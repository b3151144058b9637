"""A count that any thread, signal handler or finalizer may add to, exactly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from operator import index
from typing import Final, SupportsIndex
from weakref import ref

from .forks import after_fork_in_child

__all__ = ["Tally", "whole"]

_FOLD_AT: Final = 1024


def whole(steps: SupportsIndex) -> int:
    """A number of steps as given by a user. Raises TypeError for what is no whole number."""
    try:
        return index(steps)
    except TypeError:
        raise TypeError(f"steps are counted in whole numbers, not in {steps!r}") from None


class Tally(list[int]):
    """Counts without a lock on the way in.

    ``+=`` loses counts between threads, and a lock deadlocks in a signal handler. So an addition
    is one atomic ``append``, and now and then the marks are folded into one: a slice assignment,
    atomic too.
    """

    __slots__ = ()

    def add(self, amount: SupportsIndex = 1) -> None:
        self.append(amount if isinstance(amount, int) else whole(amount))
        if len(self) >= _FOLD_AT:
            self._fold()

    @property
    def value(self) -> int:
        return sum(self.copy())

    def set(self, value: int) -> None:
        """Be ``value`` now, whatever was added before; what is added meanwhile comes on top."""
        with _lock:
            if _fold_going_on() is not None:  # we interrupt it, and it would undo what we wrote
                self.append(value - self.value)
            else:
                self[: len(self)] = [value]

    def _fold(self) -> None:
        global _fold_going_on
        # Between threads, the lock makes folding exclusive. Within one, a handler or finalizer
        # may add, and so come here, in the middle of a fold: it leaves the folding to that.
        with _lock:
            if _fold_going_on() is not None:
                return
            me = _Fold()
            _fold_going_on = ref(me)
            count = len(self)
            self[:count] = [sum(self[:count])]


class _Fold:
    """Lives as long as a fold goes on, however that ends: there is nothing to be taken back."""

    __slots__ = ("__weakref__",)


_lock = threading.RLock()
_fold_going_on: Callable[[], _Fold | None] = ref(_Fold())


def _renew() -> None:
    global _lock
    _lock = threading.RLock()


after_fork_in_child(_renew)
