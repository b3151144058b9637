"""Thread: a named thread that watches a signal, and ends when that asks it to.

Where a Worker's waits raise when it is asked to end, a Thread's code decides: it polls its
``please_stop``, waits for it, or combines it with other signals. The word is passed down to its
children at once. Only when the grace is over do its waits raise, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from .jobs import Job, T_co
from .outcomes import Failure
from .parking import FOREVER
from .please_stop import PLEASE_STOP, takes_please_stop
from .pool import current
from .signals import Signal, limits
from .watching import Watching

__all__ = ["Thread", "join_all_threads"]

T = TypeVar("T")


class Thread(Watching[T_co]):
    """A thread with a name, a parent, and a signal that asks it to end.

    It calls ``target(*args, **kwargs, please_stop=signal)``. ``parent_thread`` is the thread or
    worker that asks it to end, and waits for it; by default the current one, which in the main
    thread is :data:`MainThread`. With ``daemon`` nobody waits for its end. A ``please_stop=``
    among the arguments is a signal that asks it to end as well; a thread runs also if that is a go
    already.

    Use :meth:`Thread.run` to make and start one. Then either :meth:`join` it, or
    :meth:`release` it. In a ``with`` block it is started, and joined at the end; an error in the
    block asks it to end. Raises TypeError for a name that is no string, and for a target that
    cannot be called, or takes no ``please_stop``. (From mo-threads.)

    >>> from threadtree import Thread, Till
    >>> def count(limit, please_stop):
    ...     for number in range(limit):
    ...         if please_stop:
    ...             break
    ...     return number
    >>> Thread.run("counter", count, 10).join()
    9
    """

    def __init__(
        self,
        name: str,
        target: Callable[..., T_co],
        *args: Any,
        parent_thread: Job[Any] | None = None,
        daemon: bool = False,
        **kwargs: Any,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a thread's first argument is its name, a string, not {name!r}")
        if not callable(target):
            raise TypeError(f"a thread's second argument is what it calls, not {target!r}")
        if not takes_please_stop(target):
            raise TypeError(
                f"the target of a thread must take an argument called please_stop; {target!r} "
                "does not, or does not say so"
            )
        if parent_thread is None:
            parent_thread = current()
        elif not isinstance(parent_thread, Job):
            raise TypeError(f"parent_thread must be a Thread or a Worker, not {parent_thread!r}")
        given = kwargs.pop(PLEASE_STOP, None)
        if not isinstance(given, Signal | None):
            raise TypeError(f"please_stop must be a Signal, not {given!r}")
        super().__init__(name, parent_thread)
        self._target = target
        self._args, self._kwargs = args, kwargs
        self._given_please_stop = given
        self.daemon = daemon
        self.print_traceback = False  # True once it is released

    @classmethod
    def run(
        cls,
        name: str,
        target: Callable[..., T],
        *args: Any,
        parent_thread: Job[Any] | None = None,
        daemon: bool = False,
        **kwargs: Any,
    ) -> Thread[T]:
        """Make a thread and start it. The arguments are those of :class:`Thread`."""
        make: Any = cls
        thread = make(name, target, *args, parent_thread=parent_thread, daemon=daemon, **kwargs)
        return thread.start()  # type: ignore[no-any-return]

    @staticmethod
    def current() -> Job[Any]:
        """The thread or worker that is running; see :func:`current`."""
        return current()

    @staticmethod
    def join_all(threads: Iterable[Job[T]], till: Signal | float | None = None) -> list[T]:
        """See :func:`join_all_threads`."""
        return join_all_threads(threads, till)

    def start(self) -> Self:
        """Run the target in a new thread. Returns self. Does nothing while it runs.

        Raises the interpreter's RuntimeError when there are no more threads, WorkerError when the
        parent has ended, or the program is shutting down.
        """
        self._start((), {})
        return self

    def join(self, till: Signal | float | None = None) -> T_co:
        """Wait for the end, handling events meanwhile; gives the result, or raises the error.

        ``till`` is a signal or a number of seconds: when that comes first, TimeoutError is
        raised, and the thread can be joined later. The error is the thread's own, with its type
        and traceback. WorkerCancelled if WorkerExit ended it. Gives the thread itself if it was
        never started. DeadlockError if, without ``till``, it would close a circle of waits.
        """
        outcome = self._outcome_by(*limits(till))
        return self if outcome is None else outcome.get()  # type: ignore[return-value]

    def release(self) -> Self:
        """Have an error logged at once, as nobody will join. Returns self.

        The thread is still asked to end by its parent, and waited for; it can still be joined.
        """
        # First the wish, then the look; the thread has first its outcome, and then looks here.
        self.print_traceback = True
        outcome = self._life.outcome
        if isinstance(outcome, Failure):
            outcome.report()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stop()
        try:
            self._outcome_by(FOREVER)
        except BaseException:
            self.stop()  # we were ended while we waited
            raise
        self._leave_block(error)

    # -- the run -------------------------------------------------------------------------------

    def _work(self) -> T_co:
        target = partial(self._target, *self._args, **self._kwargs)
        own, given = self.please_stop, self._given_please_stop
        parent = self._parent
        if given is None or (isinstance(parent, Thread) and given is parent.please_stop):
            # A parent passes its word on by itself, without recursion in a long line of them.
            return target(please_stop=own)
        key = given._subscribe(own.go)
        try:
            return target(please_stop=own)
        finally:
            given._unsubscribe(key)


def join_all_threads(threads: Iterable[Job[T]], till: Signal | float | None = None) -> list[T]:
    """Join them all, and give their results in their order.

    If any has failed, or has not ended when ``till`` comes (a signal, or seconds for all of them
    together), one group of all the errors is raised, when all have ended or were waited for.
    A BaseExceptionGroup, if one of the errors is no Exception. (From mo-threads.)
    """
    deadline, signal = limits(till)
    threads = list(threads)
    for thread in threads:
        if not isinstance(thread, Job):
            raise TypeError(f"a Thread or a Worker can be joined, not {thread!r}")
    results: list[Any] = []
    errors: list[BaseException] = []
    for thread in threads:
        try:
            outcome = thread._outcome_by(deadline, signal)
        except TimeoutError as error:
            errors.append(error)
            continue
        try:
            results.append(thread if outcome is None else outcome.get())
        except BaseException as error:
            errors.append(error)
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of the threads failed", errors)
    return results
