"""Job: what Worker and Thread share for whoever holds one: watch it, pause it, get its result.

Every method may be called from any thread, if it does not say otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from .errors import WorkerCancelled
from .eventstream import EventStream
from .ladder import end_in_order
from .node import walk
from .outcomes import Outcome
from .parking import deadline_after, seconds
from .pool import current
from .signals import NEVER, Signal
from .stragglers import Straggler
from .waiting import Waiting

__all__ = ["Job"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar  # a default: for the checkers only

    T_co = _TypeVar("T_co", covariant=True, default=Any)
else:
    T_co = TypeVar("T_co", covariant=True)


class Job(Waiting, Generic[T_co]):
    """A thread of the tree, with an event loop, a state and an outcome: a Worker or a Thread.

    ``current()`` gives one. To make one, use :class:`Worker` or :class:`Thread`.
    """

    daemon: bool | None

    # Makes what later() gives. Set by laters.py, which builds on the Worker that builds on this.
    _make_handle: ClassVar[type[Any]]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}: {self.state.name}>"

    @property
    def node_name(self) -> str:
        """The name, as pyThreadWorker calls it."""
        return self.name

    @property
    def thread(self) -> threading.Thread | None:
        """The native thread of the present run; None when nothing runs."""
        return self._life.thread

    @property
    def result(self) -> T_co | None:
        """What the task returned, or None while it has not, or did not, return."""
        return super().result  # type: ignore[no-any-return]

    @property
    def ret(self) -> T_co | None:
        """What the task returned, as pyThreadWorker calls it; see also :attr:`result`."""
        return self.result

    @property
    def err(self) -> BaseException | None:
        """What the task raised, as pyThreadWorker calls it; see also :attr:`error`."""
        return self.error

    def is_running(self) -> bool:
        """Whether it was started and has not ended. Any thread. (From pyThreadWorker.)"""
        return self._life.active

    def is_daemon(self) -> bool:
        """Whether nobody waits for its end: its ``daemon``, or if that is None, its parent's.

        Without a parent, False. (From pyThreadWorker.)
        """
        worker: Job[Any] | None = self
        while worker is not None:
            if worker.daemon is not None:
                return worker.daemon
            worker = worker._parent
        return False

    def pause(self) -> Self:
        """From its place in the queue on, let no wait return until ``resume()``. Returns self.

        Events are still handled, ``stop()`` works, timeouts run on, and what a wait waited for is
        not forgotten. Does nothing before the start, nor in clean-up code after a stop.
        (From pyThreadWorker.)
        """
        return self.fire("PAUSE_THREAD") if self._life.active else self

    def resume(self) -> Self:
        """End a pause. Returns self. (From pyThreadWorker.)"""
        return self.fire("RESUME_THREAD") if self._life.active else self

    def get(self, timeout: float | None = None) -> T_co:
        """Wait for the end, handling events meanwhile; gives the result, or raises the error.

        The error is the original one, with its own traceback and a note of the worker's path.
        Raises WorkerCancelled if the run was stopped before it had a result, WorkerError if it
        was never started, TimeoutError when ``timeout`` seconds are over, DeadlockError if it
        would close a circle of waits. Any thread.
        """
        deadline = deadline_after(timeout)
        self._started_run()
        outcome = self._outcome_by(deadline)
        assert outcome is not None
        return outcome.get()  # type: ignore[no-any-return]

    def _outcome_by(self, deadline: float, till: Signal = NEVER) -> Outcome | None:
        """Wait for the end, or for what comes first; gives the outcome, None if never started."""
        run = self._life
        if not self._will_end(run):
            return None
        if not self._loop_until_end(run, current(), deadline, till):
            raise WorkerCancelled(f"the wait for {self.path} was stopped")
        return run.outcome

    def shutdown(self, grace: float | None = None) -> list[Straggler]:
        """End this worker and everything below it, and wait; gives those that did not end.

        They have ``grace`` seconds (None: ``graces.asked``) for orderly clean-up; then every wait
        raises in them, for ``graces.told`` more; what still runs is returned, with its path and
        its stack. Any thread; the calling worker is asked, if it is below, but not waited for.
        """
        return end_in_order(list(walk([self])), grace)

    def later(
        self, callback: Callable[..., object], *args: Any, timeout: float = 0, **kwargs: Any
    ) -> Job[Any] | None:
        """Have ``callback(*args, **kwargs)`` called in this worker's thread, by its event loop.

        Without a ``timeout`` it is queued now, and None returned. With one, in seconds, it is
        queued then, and the handle that is returned is a Worker (without a thread), whose
        ``stop()`` keeps the callback from running, up to the moment it begins. The handle ends
        when the callback has run, and also when this worker ends, or the one that called
        ``later``. Any thread. (From pyThreadWorker; programs written for its early versions
        give the timeout as the second argument, which is understood where the callback could not
        take it.)
        """
        if not callable(callback):
            raise TypeError(f"later() needs something callable, not {callback!r}")
        if args and type(args[0]) in (int, float) and not _fits(callback, args, kwargs):
            timeout, args = args[0], args[1:]
        span = seconds(timeout)
        if timeout is None or span == 0:
            self.fire("EXECUTE", (callback, args, kwargs))
            return None
        return self._make_handle(  # type: ignore[no-any-return]
            self, partial(callback, *args, **kwargs), deadline_after(span)
        )

    def events(self, name: str) -> EventStream:
        """The events of a name that this worker dispatches from now on, to be iterated over.

        ``async for event in worker.events("NAME")``, in any asyncio loop, any number at once.
        It ends with the worker's run. What comes faster than it is taken is kept, without a limit.
        Raises TypeError for a name that is no string. Any thread.
        """
        return EventStream(self, name)

    def __await__(self) -> Generator[Any, None, T_co]:
        return super().__await__()

    def _waited_for_by(self, waiter: Waiting, *args: Any, **kwargs: Any) -> Any:
        return waiter.wait_thread(self, *args, **kwargs)

    def _leave_block(self, error: BaseException | None) -> None:
        """The end of a ``with`` block, which this error has left; we have ended. Raise ours."""
        if error is not None and not isinstance(error, Exception):
            return  # Ctrl-C and the like go first; our own error is logged, as nobody has seen it
        outcome = self._life.outcome
        if outcome is None or outcome.error is None:
            return
        if error is None or error is outcome.error:
            outcome.get()
        errors = [error, outcome.look()]
        raise BaseExceptionGroup(
            f"errors in the block and in {self.path}", [e for e in errors if e is not None]
        )


def _fits(callback: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the callback can be called with these arguments, as far as one can tell."""
    if not isinstance(callback, (FunctionType, MethodType)):
        return True  # and on Python 3.11, to ask a builtin for its signature is not thread-safe
    from inspect import signature  # not at the top: 5 ms, for a rare need

    try:
        signature(callback).bind(*args, **kwargs)
    except TypeError:
        return False
    return True
