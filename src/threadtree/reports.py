"""Reports of progress: seldom, in order, and never without the last value.

``changed()`` is on the way of every ``advance()``, a million of them in a second. The first after
a silence arms a timer; what comes before that has fired costs one look at a flag. The timer takes
the flag back first, and then looks how far the work is; who makes progress counts first, and then
looks at the flag. So whatever the interleaving, the last value is reported.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from .parking import Claim
from .timers import Timer

__all__ = ["Reports"]


class Reports:
    """When to tell how far one run is. ``tell`` is called with nothing, on some thread."""

    __slots__ = ("_arming", "_is_over", "_telling", "_timer", "is_due")

    def __init__(self) -> None:
        self.is_due = False  # a hint that a report is on its way; the claim decides
        self._arming = Claim()  # held from the arming to the firing of the timer
        self._timer: Timer | None = None
        # Makes the timer's thread and the ending one tell one after the other. Held while the node
        # is told; so it is the outermost of all locks. Re-entrant, as that may come back here.
        self._telling = threading.RLock()
        self._is_over = False  # under _telling

    def changed(self, tell: Callable[[], object], interval: float) -> None:
        """There is something to tell, within so many seconds. Any thread."""
        if self._is_over:
            return
        mine = object()
        try:
            if self._arming.take(mine):
                self.is_due = True
                self._timer = Timer(monotonic() + interval, lambda: self._fire(tell))
        except BaseException:  # no more threads, or Ctrl-C: the next change tries again
            if self._arming.winner is mine:
                self._arming.give_back()
                self.is_due = False
            raise

    def _fire(self, tell: Callable[[], object]) -> None:
        self._arming.give_back()
        self.is_due = False
        with self._telling:
            if not self._is_over:
                tell()

    def close(self, tell: Callable[[], object]) -> None:
        """The run has ended: tell the last value, and nothing afterwards."""
        with self._telling:
            if self._timer is not None and not self._is_over:
                self._timer.cancel()
                tell()
            self._is_over = True
