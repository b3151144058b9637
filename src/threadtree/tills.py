"""Till: a signal that goes at a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic
from typing import Any
from weakref import ref

from . import forks
from .parking import deadline_after, here, seconds
from .signals import Derived, Job
from .timers import Timer, noting_gone

__all__ = ["Till"]


class Till(Derived):
    """A signal that goes when ``seconds`` are over, or at the unix time ``till``.

    Give one of them. Negative seconds, or a time that has passed, are a go at once; infinity never
    comes. The time until ``till`` is taken from the wall clock when the signal is made, and from
    the monotonic clock from then on. Use it for any timeout: it can be combined with other signals.

    It goes before its time when the thread or worker that made it is asked to end by the end of a
    whole tree: ``shutdown()``, the exit, :func:`stop_main_thread`. Raises TypeError for what is
    no number, ValueError for NaN. (From mo-threads.)

    >>> from threadtree import Signal, Till
    >>> finished = Signal()
    >>> finished.wait(Till(seconds=0.01))
    False
    """

    __slots__ = ("_alarm", "_deadline", "_maker")

    def __init__(self, till: float | None = None, seconds: float | None = None) -> None:
        super().__init__()
        if (till is None) == (seconds is None):
            raise TypeError("a Till needs either seconds, or till, which is a unix time")
        self._alarm: _Alarm | None = None  # armed while anything waits for us, or looks at us
        span = _seconds_until(till) if seconds is None else seconds
        self._deadline = deadline_after(span, "seconds must be")
        # The run that we were made in; None in a thread that has no worker.
        self._maker: Any = here.stack[-1]._life if here.stack else None
        self._go = self._deadline <= monotonic()

    def __bool__(self) -> bool:
        if not self._go and (self._deadline <= monotonic() or self._is_early()):
            self.go()
        return self._go

    def _is_early(self) -> bool:
        return self._maker is not None and bool(self._maker.shut_down)

    # -- our source is an alarm, which holds us as long as we are needed ---------------------------

    def _add_wake(self, wake: Job) -> object:
        return self._subscribe(wake)

    def _drop_wake(self, key: object) -> None:
        self._unsubscribe(key)

    def _be_watched(self) -> None:
        alarm = self._alarm
        if (alarm is None or alarm.is_left_behind) and not self._go:
            self._alarm = _Alarm(self)

    def _tie(self, strongly: bool) -> Iterable[Derived]:
        if strongly:
            self._be_watched()
        alarm = self._alarm  # once: another thread may take it out at any moment
        if alarm is None:
            return ()
        alarm.anchor = self if strongly else None
        if not strongly and not self._dependents:
            self._detach()
            if self._dependents:  # a composite came meanwhile, and saw the old alarm
                self._be_watched()
        return ()

    def _detach(self) -> None:
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.cancel()


class _Alarm(Timer):
    """The timer of a Till. It knows it weakly, unless that is needed by others: then anchored."""

    __slots__ = ("_forks", "_maker", "_till", "anchor")

    def __init__(self, till: Till) -> None:
        self.anchor: Till | None = None
        self._till: Callable[[], Till | None] = ref(till, noting_gone())
        self._maker = till._maker
        self._forks = forks.count
        super().__init__(till._deadline, partial(_ring, self._till))

    def cancel(self) -> None:
        self.anchor = None
        self._till = _nobody  # nothing is to be noted any more, when it goes
        super().cancel()

    @property
    def is_left_behind(self) -> bool:
        """Whether it was armed in the process that has forked this one."""
        return self._forks != forks.count

    @property
    def pending(self) -> bool:
        return super().pending and self._till() is not None

    @property
    def is_early(self) -> bool:
        return self._maker is not None and bool(self._maker.shut_down)


def _nobody() -> None:
    """Stands in for the link to a Till."""


def _ring(link: Callable[[], Till | None]) -> None:
    till = link()
    if till is not None:
        till.go()


def _seconds_until(moment: float | None) -> float:
    return seconds(moment, "till must be") - time.time()
