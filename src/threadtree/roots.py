"""The workers of threads that we did not start: the main thread, and those of other libraries.

Such a thread gets its worker when it first asks for it, and keeps it as long as it lives. It can
wait, fire, listen, start and stop like any other. But it does not end when it is told to: a stop
ends its present wait, and its children.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from .errors import WorkerExit
from .events import Event
from .loop import NOTHING
from .node import tree
from .outcomes import WorkerState
from .parking import FOREVER, Condition, here, in_main_thread
from .pool import WORKER_POOL
from .run import Run
from .workers import Worker

__all__ = ["Root", "main_root"]


class Root(Worker[Any]):
    """The worker of a thread that is not ours. It runs as long as the thread does."""

    _ends_when_asked = False

    def __init__(self) -> None:
        thread = threading.current_thread()
        WORKER_POOL._enter(self, thread)  # so that we are current() from here on
        name = "main" if in_main_thread() else thread.name
        super().__init__(parent=False, daemon=False, name=name)
        run = self._life
        run.thread = thread
        run.owner = threading.get_ident()
        run.state = WorkerState.RUNNING
        self._stops: list[None] = []  # a mark for each stop that no wait has come to yet
        with tree.lock:
            tree.live[self] = None
        here.slot = _Slot(self)

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing: the thread runs already. Returns self."""
        return self

    # -- a stop stops the children, and ends the present wait ------------------------------------

    def _request_stop(self, now: bool) -> None:
        self._stop_children()
        self._stops.append(None)
        self._post(Event("STOP_THREAD", target=self))
        self.wake()

    def _stop_is_queued(self, run: Run) -> bool:
        return bool(self._stops)

    def _stop_children(self) -> None:
        for child in reversed(self._children.copy()):
            child._ask()

    def _on_stop(self, run: Run, event: Event) -> None:
        self._stops.clear()
        raise WorkerExit

    def exit(self) -> None:
        """Stop the children, and end the present wait, if there is one."""
        self._own_run()
        self._stop_children()
        if _called_in_a_wait():
            raise WorkerExit
        return None

    def _turn(self, until: Condition, deadline: float = FOREVER) -> None:
        try:
            super()._turn(until, deadline)
        except WorkerExit:
            self._stop_children()

    def update(self) -> None:
        """Handle the queued events. In the main thread it returns also while paused, so that a
        window whose loop calls it stays alive."""
        if in_main_thread():
            self._turn(NOTHING, 0.0)
        else:
            super().update()

    # -- the end of the thread -------------------------------------------------------------------

    def _thread_has_ended(self) -> None:
        """Everything that a run's end does, without a thread to do it in and so without waiting."""
        self._wind_up()
        run = self._life
        self._close_mailbox(run)
        with tree.lock:
            tree.live.pop(self, None)
            run.seats_closed = True
        if run.thread is not None:
            WORKER_POOL.pool.pop(run.thread, None)
        run.thread = None
        run.state = WorkerState.SUCCESS
        run.stopped.go()


def _called_in_a_wait() -> bool:
    # Seen in the stack, where no Ctrl-C can leave it wrong, as it could a count of the waits.
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is Root._turn.__code__:
            return True
        frame = frame.f_back
    return False


class _Slot:
    """Kept by the thread's local storage, and so collected when the thread ends."""

    __slots__ = ("_root",)

    def __init__(self, root: Root) -> None:
        self._root = root

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # When the interpreter goes, so do the modules that all the rest would need.
        if not is_finalizing() and not self._root._life.ended:
            self._root._thread_has_ended()


def main_root() -> Worker[Any]:
    """The outermost worker of the main thread."""
    return WORKER_POOL.pool[threading.main_thread()][0]


WORKER_POOL._make_root = Root
if in_main_thread():
    WORKER_POOL.current()  # the main thread has its worker from the beginning
