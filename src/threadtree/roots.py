"""The workers of threads that we did not start: the main thread, and those of other libraries.

Such a thread gets its worker when it first asks for it, and keeps it as long as it lives. It can
wait, fire, listen, start and stop like any other. But it does not end when it is told to: a stop
ends its present wait, and its children.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from types import FrameType
from typing import Any, Final

from .bells import Bell
from .errors import WorkerExit
from .events import Event
from .forks import after_fork_in_child
from .jobs import Job
from .loop import NOTHING, EventLoop
from .node import tree
from .outcomes import Outcome, WorkerState
from .parking import FOREVER, Condition, here, in_main_thread
from .pool import WORKER_POOL
from .run import Run, StopEvent
from .signals import NEVER, Signal
from .workers import Worker

__all__ = ["MainThread", "Root", "is_called_in_a_wait"]


class _RootStop(StopEvent):
    """A stop of a thread that does not end: it ends the present wait, or else the next."""

    __slots__ = ("is_void", "overtakes", "place")

    def __init__(self, root: Root) -> None:
        super().__init__(None)
        self.target = root
        self.overtakes = False  # set by stop(now=True); any thread
        # So many events at most are queued before it, if that is known. Any thread may write what
        # it has found, as its place only ever becomes lower.
        self.place: int | None = None
        self.is_void = False  # another has ended the wait for both; for the owner of the root


class _NoStop:
    """The condition that no stop is queued: a signal handler may have waited, and handled it."""

    __slots__ = ("_root",)

    def __init__(self, root: Root) -> None:
        self._root = root

    def __bool__(self) -> bool:
        return self._root._queued_stop() is None


class Root(Worker[Any]):
    """The worker of a thread that is not ours. It runs as long as the thread does."""

    _ends_when_asked = False
    _passes_the_word_on = True

    def __init__(self, thread: threading.Thread) -> None:
        name = "main" if thread is threading.main_thread() else thread.name
        super().__init__(parent=False, daemon=False, name=name)
        run = self._life
        run.thread = thread
        run.owner = thread.ident
        run.state = WorkerState.RUNNING
        # Goes at the exit, when the main thread begins to wait for workers that nobody asks.
        self._is_at_the_exit = Signal("leaving")
        # Of the asyncio loop that was the last to adopt the thread, which alone reads it.
        self.bell: Bell | None = None
        # The stops that were posted, and those of them that were handled until somebody looks.
        self._stops: dict[_RootStop, None] = {}  # single operations
        self._is_waiting = False  # whether it is in a wait; its own thread reads and writes it

    def start(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing: the thread runs already. Returns self."""
        return self

    # -- a stop stops the children, and ends the present wait ------------------------------------

    def _ask(self) -> None:
        self._request_stop(now=False)

    def _request_stop(self, now: bool) -> None:
        self._stop_children()
        stop = self._queued_stop()  # with one that is queued, this one would be the same
        if stop is None:
            stop = _RootStop(self)
            self._post(stop)
            # Then: a wait would come to no end for one that is not queued. Who asks meanwhile,
            # another thread or a signal handler, posts one too; see _on_stop.
            self._stops[stop] = None
        if now:
            stop.overtakes = True
            self._life.attention = True
        self.wake()

    def _queued_stop(self) -> _RootStop | None:
        """A stop that is queued, if there is one. Any thread."""
        for stop in self._stops.copy():
            stop.place = self._mailbox.place_of(stop, stop.place)
            if stop.place is not None:
                return stop
            self._stops.pop(stop, None)
        return None

    def _stop_is_queued(self, run: Run) -> bool:
        return bool(self._stops) and self._queued_stop() is not None

    def _attend(self, run: Run) -> None:
        """Has a stop overtaken the queue?"""
        try:
            run.attention = False  # first: whoever asks from now on sets it again
            for stop in self._stops.copy():
                if stop.overtakes:
                    for event in run.mailbox.take_until(stop):
                        self._reject_kept(run.mailbox, event)
        except BaseException:
            run.attention = True  # after a Ctrl-C it goes on with the rest
            raise

    @property
    def word(self) -> Signal:
        """True when the main thread was asked to end; see mainthread.py."""
        return self.please_stop

    def _stop_children(self) -> None:
        for child in reversed(self._children.copy()):
            child._ask()

    @property
    def _stop_is_handled(self) -> Condition:
        return _NoStop(self)

    def _heed_stop(self, run: Run) -> None:
        if not self._is_deep:
            super()._heed_stop(run)
        else:  # it ends this wait now, although what is queued before it stays so
            self._make_void()

    def _make_void(self) -> None:
        """The stops that are queued by now end no further wait."""
        while (stop := self._queued_stop()) is not None:
            stop.is_void = True
            self._stops.pop(stop, None)

    def _is_leaving(self) -> bool:
        return False  # only its own thread knows, and only one wait is ended

    def _on_stop(self, run: Run, event: Event) -> None:
        if isinstance(event, _RootStop):
            if event.is_void:
                return
            # Several may have asked at once. Two stops are one: the others that are queued by now
            # end no other wait. But one that is taken already, and has a listener that waits,
            # where this one has come, is yet to end the wait around that.
            self._make_void()
        raise WorkerExit

    def exit(self) -> None:
        """Stop the children, and end the present wait, if there is one."""
        self._own_run()
        self._stop_children()
        if is_called_in_a_wait():
            raise WorkerExit
        return None

    def _turn(self, until: Condition, deadline: float = FOREVER) -> None:
        self._in_a_wait(super()._turn, until, deadline)

    def _rest(self, until: Condition, deadline: float) -> None:
        self._in_a_wait(super()._rest, until, deadline)

    def _in_a_wait(
        self, wait: Callable[[Condition, float], None], until: Condition, deadline: float
    ) -> None:
        run = self._own_run()
        # After a Ctrl-C it may say so wrongly; then the stack knows.
        is_nested, asleep_for = self._is_waiting and is_called_in_a_wait(), run.asleep_for
        try:
            self._is_waiting = True
            wait(until, deadline)
        except WorkerExit:
            self._stop_children()
        finally:
            self._is_waiting = is_nested
            run.asleep_for = asleep_for
            if is_nested:  # in a signal handler, it has taken the wake-ups of a wait that sleeps
                run.mailbox.wake_from_sleep()

    def update(self) -> None:
        """Handle the queued events. In the main thread it returns also while paused, so that a
        window whose loop calls it stays alive."""
        if in_main_thread():
            self._turn(NOTHING, 0.0)
        else:
            super().update()

    # -- the end of the thread -------------------------------------------------------------------

    def _waits_at_its_end(self) -> Iterable[Any]:
        """From then on, for the workers that nobody asks. What is below one of them is left out,
        as that asks it at its own end."""
        if not self._is_at_the_exit or self._life.ended:
            return ()
        return [
            node
            for node in tree.live.copy()
            if node.parent is None
            and not isinstance(node, Root)
            and not node.is_daemon()
            and not node.please_stop
        ]

    def _loop_until_end(
        self, run: Run, waiter: EventLoop, deadline: float, till: Signal = NEVER
    ) -> bool:
        wait = partial(super()._loop_until_end, run, waiter)
        return self._in_two_steps(run, wait, deadline, till)

    def _rest_until_end(self, run: Run, deadline: float, till: Signal = NEVER) -> bool:
        wait = partial(super()._rest_until_end, run)
        return self._in_two_steps(run, wait, deadline, till)

    def _in_two_steps(
        self, run: Run, wait: Callable[[float, Signal], bool], deadline: float, till: Signal
    ) -> bool:
        """Wait for our end. When we begin to wait for others there, look for a circle again."""
        leaving = self._is_at_the_exit
        if deadline == FOREVER and till is NEVER and not run.stopped:
            try:
                return wait(deadline, leaving)
            except TimeoutError:
                if not leaving:
                    raise
        return wait(deadline, till)

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
        run.outcome = Outcome()  # before the state: who sees that it has ended looks for this
        run.state = WorkerState.SUCCESS
        run.stopped.go()


def is_called_in_a_wait() -> bool:
    """Whether the calling code runs in a wait of the main thread, or of a foreign one."""
    # Seen in the stack, where no Ctrl-C can leave it wrong, as it could a count of the waits.
    frame: FrameType | None = sys._getframe(1)
    if frame is not None and frame.f_code is Root._in_a_wait.__code__:
        frame = frame.f_back  # it asks for itself: whether it is in another
    while frame is not None:
        if frame.f_code is Root._in_a_wait.__code__:
            return True
        frame = frame.f_back
    return False


class _Slot:
    """Kept by the thread's local storage, and so collected when the thread ends."""

    __slots__ = ("_process", "_root")

    def __init__(self, root: Root) -> None:
        self._root = root
        self._process = os.getpid()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # When the interpreter goes, so do the modules that all the rest would need. And in the
        # child of a fork, the threads of the others are collected before anything is made anew.
        if not is_finalizing() and self._is_of_this_process() and not self._root._life.ended:
            self._root._thread_has_ended()

    def _is_of_this_process(self) -> bool:
        return self._process == os.getpid()


def _root_of_this_thread() -> Job[Any]:
    thread = threading.current_thread()
    if thread in WORKER_POOL.pool:  # made by the thread that has imported us
        here.stack = WORKER_POOL.pool[thread]
    else:
        root = Root(thread)
        if not here.stack:  # or a finalizer, which came in between, has made one
            WORKER_POOL._enter(root, thread)
            _let_live(root)
    innermost: Job[Any] = here.stack[-1]
    if here.slot is None:
        here.slot = _Slot(here.stack[0])
    return innermost


def _renew_slot() -> None:
    if here.slot is not None:
        here.slot = _Slot(here.stack[0])


after_fork_in_child(_renew_slot)


def _let_live(root: Root) -> None:
    with tree.lock:
        tree.live[root] = None


def _main_root() -> Job[Any]:
    if in_main_thread():
        return WORKER_POOL.current()
    root = Root(threading.main_thread())
    WORKER_POOL.pool[threading.main_thread()] = [root]
    _let_live(root)
    return root


WORKER_POOL._make_root = _root_of_this_thread

MainThread: Final = _main_root()  # the main thread has its worker from the beginning
"""The worker of the main thread, and the parent of the threads that it starts. (From mo-threads.)

``MainThread.stop()`` asks them to end; :func:`stop_main_thread` also waits for them.
"""
