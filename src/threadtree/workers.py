"""Worker: a thread that can be talked to, watched, paused and ended in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from functools import partial
from types import FunctionType, MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from .errors import DeadlockError, WorkerCancelled
from .events import Event
from .forks import after_fork_in_child
from .ladder import end_in_order
from .node import walk
from .outcomes import Cancelled, Outcome, WorkerState, outcome_of
from .parking import Claim, deadline_after, seconds
from .pool import current
from .runner import origin
from .signals import Signal
from .stragglers import Straggler
from .timers import Timer
from .waiting import Waiting

__all__ = ["Worker"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as _TypeVar  # a default: for the checkers only

    T_co = _TypeVar("T_co", covariant=True, default=Any)
else:
    T_co = TypeVar("T_co", covariant=True)

T = TypeVar("T")


def _name_of(task: Callable[..., object]) -> str:
    while isinstance(task, partial):
        task = task.func
    return getattr(task, "__name__", type(task).__name__)


class Worker(Waiting, Generic[T_co]):
    """A thread with an event queue, a parent, children, a state and an outcome.

    ``task`` is what a run does; without it, it is :meth:`wait_forever`. ``parent`` is the worker
    that tells this one to end when it ends itself, and waits for it: by default the current one,
    if this is called in a worker; in the main thread, and with ``parent=False``, there is none.
    With ``daemon`` nobody waits for its end; None means: as the parent. ``print_traceback`` logs
    an error in the task at once. ``name`` is by default the task's ``__name__``.

    Raises TypeError for a task that cannot be called, a parent that is no worker, a name that is
    no string, and WorkerError for a parent that has ended. (From pyThreadWorker.)

    >>> from threadtree import Worker, wait_event
    >>> def double():
    ...     return 2 * wait_event("NUMBER")
    >>> Worker(double).start().fire("NUMBER", 21).get()
    42
    """

    def __init__(
        self,
        task: Callable[..., T_co] | None = None,
        parent: Worker[Any] | bool | None = None,
        daemon: bool | None = None,
        print_traceback: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        if task is not None and not callable(task):
            raise TypeError(f"a task must be callable, or None to wait forever, not {task!r}")
        if parent is None or parent is True:
            asked_for = current()
            parent = asked_for if parent or asked_for._ends_when_asked else False
        if parent is not False and not isinstance(parent, Worker):
            raise TypeError(f"a parent must be a Worker, False for none, or None, not {parent!r}")
        if name is None:
            name = type(self).__name__ if task is None else _name_of(task)
        super().__init__(name, parent or None)
        self._task = task
        self.daemon = daemon
        self.print_traceback = print_traceback

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}: {self.state.name}>"

    def _work(self, *args: Any, **kwargs: Any) -> Any:
        return (self._task or self.wait_forever)(*args, **kwargs)

    # -- what it is ----------------------------------------------------------------------------

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
        worker: Worker[Any] | None = self
        while worker is not None:
            if worker.daemon is not None:
                return worker.daemon
            worker = worker._parent
        return False

    # -- its life; for any thread ----------------------------------------------------------------

    def start(self, *args: Any, **kwargs: Any) -> Self:
        """Run the task with these arguments in a new thread. Returns self.

        Does nothing while it runs. One that has ended is run again, with a new state and new
        signals. Context variables of the caller are copied. Raises the interpreter's RuntimeError
        when there are no more threads, and can be started later then; WorkerError when the parent
        has ended, or the program is shutting down. Any thread. (From pyThreadWorker.)
        """
        self._start(args, kwargs)
        return self

    def start_overlay(self, *args: Any, **kwargs: Any) -> Self:
        """Run the task in the calling thread, and return self when it has ended.

        An error in the task is its outcome, and not raised; KeyboardInterrupt is both.
        (From pyThreadWorker.)
        """
        self._overlay(args, kwargs)
        return self

    def stop(self, now: bool = False) -> Self:
        """Ask the run to end. Returns self at once; any thread, signal handler or finalizer.

        ``please_stop`` goes at once. WorkerExit is raised by the next wait, ``update()`` or
        ``checkpoint()``, when the events that were queued before are handled; with ``now`` these
        are rejected instead. It is raised once, so clean-up code may wait, until the grace is
        over (see :data:`threadtree.graces`). Does nothing when nothing runs, or twice.
        (From pyThreadWorker.)
        """
        self._request_stop(now)
        return self

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

    def join(self, timeout: float | None = None) -> Self:
        """Wait, without handling events, until the run and its native thread have ended.

        Returns self, at once if it was never started. ``timeout`` is in seconds; TimeoutError
        names what has not ended. A stop of the calling worker ends the wait with WorkerExit.
        Raises DeadlockError if, without a timeout, it would close a circle of waits.
        (From pyThreadWorker.)
        """
        deadline = deadline_after(timeout)
        run = self._life  # once: another thread may start us again
        if run.active:
            self._rest_until_end(run, deadline)
        elif run.ended and run.launch is not None:
            run.launch.await_end()
        return self

    def get(self, timeout: float | None = None) -> T_co:
        """Wait for the end, handling events meanwhile; gives the result, or raises the error.

        The error is the original one, with its own traceback and a note of the worker's path.
        Raises WorkerCancelled if the run was stopped before it had a result, WorkerError if it
        was never started, TimeoutError when ``timeout`` seconds are over, DeadlockError if it
        would close a circle of waits. Any thread.
        """
        deadline = deadline_after(timeout)
        run = self._started_run()
        if not self._loop_until_end(run, current(), deadline):
            raise WorkerCancelled(f"the wait for {self.path} was stopped")
        assert run.outcome is not None
        return run.outcome.get()  # type: ignore[no-any-return]

    def shutdown(self, grace: float | None = None) -> list[Straggler]:
        """End this worker and everything below it, and wait; gives those that did not end.

        They have ``grace`` seconds (None: ``graces.asked``) for orderly clean-up; then every wait
        raises in them, for ``graces.told`` more; what still runs is returned, with its path and
        its stack. Any thread; the calling worker is asked, if it is below, but not waited for.
        """
        return end_in_order(list(walk([self])), grace)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop().join()
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

    def later(
        self, callback: Callable[..., object], *args: Any, timeout: float = 0, **kwargs: Any
    ) -> Worker[Any] | None:
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
        return Later(self, partial(callback, *args, **kwargs), deadline_after(span))

    def __await__(self) -> Generator[Any, None, T_co]:
        return super().__await__()

    def _waited_for_by(self, waiter: Waiting, *args: Any, **kwargs: Any) -> Any:
        return waiter.wait_thread(self, *args, **kwargs)


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


class Later(Worker[Any]):
    """The handle of a ``later(timeout=...)``: a run without a thread.

    It is RUNNING from the start. Whoever wins the claim ends it: the callback as it begins, or a
    stop; so after ``stop()`` the callback either has begun before, or never runs.
    """

    def __init__(
        self, target: Worker[Any], callback: Callable[[], object], deadline: float
    ) -> None:
        super().__init__(callback, parent=False, daemon=True)
        self._target = target
        self._claim = Claim()
        self._links: list[tuple[Signal, object]] = []
        self._timer: Timer | None = None
        run = self._life
        run.origin = origin()
        run.state = WorkerState.RUNNING
        try:
            _pending[self] = None
            # It ends with its target, and with the worker that asked for it.
            for life in {target._life, current()._life}:
                self._links.append((life.stopped, life.stopped._subscribe(self.stop)))
            self._timer = Timer(deadline, self._queue)
        except BaseException:
            self.stop()
            raise
        if run.ended:  # already: then it did not see all of them
            self._timer.cancel()
            self._unlink()

    def start(self, *args: Any, **kwargs: Any) -> Self:
        return self  # it has been, and is of no use a second time

    def join(self, timeout: float | None = None) -> Self:
        if timeout is None and self._life.active and current() is self._target:
            raise DeadlockError(
                f"{self.path} is to be called by {self._target.path}, which would wait for it "
                "without handling events; use get() or wait_thread()"
            )
        return super().join(timeout)

    def _queue(self) -> None:
        if self._life.active:
            self._target._post(Event("EXECUTE", (self._call, (), {}), target=self))

    def _call(self) -> None:
        """The callback's turn, on the thread of the target."""
        outcome: Outcome | None = None
        raised: BaseException | None = None
        while not self._life.stopped:
            # Once it is claimed, only this can end it. Ctrl-C must not keep that from happening.
            try:
                while True:  # the jump back of another loop is not covered by the try on 3.13
                    if outcome is not None:
                        self._end(outcome)
                        break
                    elif self._claim.take("call"):
                        outcome = Cancelled(self.path)
                        outcome = Outcome(self._task())  # type: ignore[misc]
                    else:
                        return
            except BaseException as error:
                raised = error
                if isinstance(outcome, Cancelled):
                    outcome = outcome_of(error, self.path, self._life.origin)
                    outcome.look()  # the target reports it, as it does for any listener
        if raised is not None:
            raise raised

    def _request_stop(self, now: bool) -> None:
        run = self._life
        # Again, if Ctrl-C has cut the first short: every step can be taken twice.
        if not run.stopped and self._claim.take("stop"):
            run.please_stop.go()
            if self._timer is not None:
                self._timer.cancel()
            self._end(Cancelled(self.path))

    def _end(self, outcome: Outcome) -> None:
        self._unlink()
        self._life.outcome = outcome
        self._life.state = outcome.state
        self._life.stopped.go()

    def _unlink(self) -> None:
        _pending.pop(self, None)
        for signal, key in self._links:
            signal._unsubscribe(key)


# The handles that have not ended. Entries come and go by single atomic operations.
_pending: Final[dict[Later, None]] = {}


def _after_fork() -> None:
    for handle in _pending.copy():
        handle._life.vanish(handle.path)
    _pending.clear()


after_fork_in_child(_after_fork)
