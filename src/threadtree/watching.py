"""Watching: a job that is asked by its signal alone. Its code looks at that when it suits, and no
wait raises before the grace is over. What the threads of mo-threads' vocabulary and of pools are.
"""

from __future__ import annotations

from time import monotonic

from .events import Event
from .heeding import Heeding
from .jobs import T_co
from .run import Run
from .signals import Signal

__all__ = ["Watching"]


class Watching(Heeding[T_co]):
    """A job that watches its ``please_stop``. The base of Thread; use that."""

    @property
    def word(self) -> Signal:
        """True when waits should end, as the thread was asked to."""
        return self.please_stop

    # -- being asked ---------------------------------------------------------------------------

    def _request_stop(self, now: bool) -> None:
        run = self._life
        if run.ended:
            return
        if run.active:
            run.asked_at = min(run.asked_at, monotonic())
            run.attention = True
        run.please_stop.go()
        run.mailbox.wake()

    def _stop_is_queued(self, run: Run) -> bool:
        return False  # the code has its signal, and no wait raises before it is told

    def _attend(self, run: Run) -> None:
        if run.paused:  # nobody might resume it any more
            run.paused = False
            self.wake()
        super()._attend(run)

    def _on_pause(self, run: Run, event: Event) -> None:
        run.paused = not run.please_stop

    def _on_stop(self, run: Run, event: Event) -> None:
        self._ask()
