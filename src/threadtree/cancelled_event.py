"""The event that a task was cancelled: its ``please_stop``, as the standard library speaks."""

from __future__ import annotations

import threading
from typing import Any

from .errors import WorkerError
from .jobs import Job
from .parking import PlainWaiter, deadline_after

__all__ = ["CancelledEvent"]


class CancelledEvent(threading.Event):
    """A ``threading.Event`` that is set when a task is cancelled; setting it cancels the task.

    Not by the Condition of the standard event, as a task may be cancelled in a signal handler.
    """

    def __init__(self, task: Job[Any]) -> None:
        self._signal = task.please_stop
        self._ask = task._ask

    def is_set(self) -> bool:
        return bool(self._signal)

    def set(self) -> None:
        self._ask()

    def clear(self) -> None:
        if self._signal:
            raise WorkerError("a cancelled task stays cancelled; its event cannot be cleared")

    def wait(self, timeout: float | None = None) -> bool:
        waiter = PlainWaiter()
        key = self._signal._subscribe(waiter.wake)
        try:
            waiter.wait_for(self._signal, deadline_after(timeout))
        finally:
            self._signal._unsubscribe(key)
        return bool(self._signal)
