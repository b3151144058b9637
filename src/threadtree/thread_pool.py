"""ThreadPool: a number of threads that share work, and Future, what comes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from .errors import QueueClosed, WorkerCancelled, WorkerExit
from .forks import renew_in_child
from .futures import Settlement
from .origins import origin
from .outcomes import Outcome, annotate, outcome_of
from .parking import whereabouts
from .please_stop import takes_please_stop
from .queues import Queue
from .signals import Signal, limits
from .threads import Thread, join_all_threads

__all__ = ["Future", "ThreadPool"]

T = TypeVar("T")


class Future(Generic[T]):
    """A value that somebody will assign, from any thread, once. (From mo-threads.)

    >>> from threadtree import Future
    >>> answer = Future()
    >>> answer.assign(42).wait()
    42
    """

    def __init__(self) -> None:
        self._settlement = Settlement("ready")  # with an Outcome

    @property
    def is_ready(self) -> Signal:
        """The signal that goes when there is a value, or an error."""
        return self._settlement.signal

    def assign(self, value: T) -> Self:
        """Supply the value. The first counts. Returns self."""
        self._settlement.settle(Outcome(value))
        return self

    def fail(self, error: BaseException) -> Self:
        """Supply an error, which :meth:`wait` raises. The first counts. Returns self.

        An error that nobody waits for is logged once. Raises TypeError for what is no exception.
        """
        if not isinstance(error, BaseException):
            raise TypeError(f"fail() needs an exception to raise in wait(), not {error!r}")
        self._fail(error, origin())
        return self

    def _fail(self, error: BaseException, where: tuple[str, int]) -> None:
        self._settlement.settle(outcome_of(error, whereabouts(), where))

    def wait(self, till: Signal | float | None = None) -> T:
        """Wait for the value, handling events meanwhile; gives it, or raises the error.

        TimeoutError when ``till`` (a signal, or seconds) comes first, WorkerCancelled if what was
        to supply the value was ended. Any thread.
        """
        deadline, signal = limits(till)
        if not self.is_ready.wait(till):
            if signal or monotonic() >= deadline:
                raise TimeoutError("the future was not ready in time")
            raise WorkerCancelled("the wait for a future was stopped")
        return self._settlement.value.get()  # type: ignore[no-any-return]


class ThreadPool:
    """Threads that take on work one after another, so that no more of it runs at a time.

    ``size`` is how many; they are begun as they are needed, as children of whoever makes the pool.
    In a ``with`` block, the pool waits at the end until everything is done; an error in the block
    asks what runs to end, and cancels what has not begun. A pool that is asked to end by the end of
    its parent or the program finishes what is queued, with ``please_stop`` set. (From mo-threads.)

    >>> from threadtree import ThreadPool
    >>> with ThreadPool(2) as pool:
    ...     squares = [pool.run("square", lambda n, please_stop: n * n, n) for n in range(4)]
    >>> [square.wait() for square in squares]
    [0, 1, 4, 9]
    """

    def __init__(self, size: int, name: str = "pool") -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"the size of a pool must be a whole number from 1, not {size!r}")
        self.name = name
        self._size = size
        self._renew()
        renew_in_child(self)

    def _renew(self) -> None:
        self._jobs: Queue[_Job] = Queue(f"jobs of {self.name}")
        numbers = range(self._size)
        self._threads = [Thread(f"{self.name} {number}", self._serve) for number in numbers]
        self._reserve = deque(self._threads)  # not begun yet

    def run(self, name: str, target: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Have ``target(*args, **kwargs, please_stop=signal)`` called by one of the threads.

        ``name`` is for a person who reads of an error. Raises TypeError for a target that takes no
        ``please_stop``, QueueClosed after the end of the pool.
        """
        if not isinstance(name, str):
            raise TypeError(f"the first argument is a name, a string, not {name!r}")
        if not takes_please_stop(target):
            raise TypeError(f"what a pool runs must take an argument please_stop; not {target!r}")
        if self._jobs.closed:
            raise QueueClosed(f"{self.name} takes no work any more")
        self._call_up()  # first, as it can fail: then nothing is queued that nobody would do
        future: Future[T] = Future()
        self._jobs.add(_Job(name, partial(target, *args, **kwargs), future, origin()))
        return future

    def _call_up(self) -> None:
        """Begin one more thread, if there is one."""
        try:
            thread = self._reserve.popleft()
        except IndexError:
            return
        try:
            thread.start()
        except BaseException:
            self._reserve.appendleft(thread)
            raise

    def join(self, till: Signal | float | None = None) -> None:
        """Take no more work, and wait until all is done; or raise, when ``till`` comes first."""
        self._jobs.close()
        join_all_threads(self._threads, till)

    def stop(self) -> Self:
        """Ask what runs to end, and cancel what has not begun. Returns self at once."""
        self._cancel_the_rest()
        for thread in self._threads:
            thread.stop()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stop()
        self.join()

    def _serve(self, please_stop: Signal) -> None:
        try:
            for job in self._jobs:
                job.do(please_stop)
        finally:
            if please_stop:
                self._cancel_the_rest()

    def _cancel_the_rest(self) -> None:
        self._jobs.close()
        for job in self._jobs.pop_all():
            job.future.fail(WorkerExit())


class _Job(NamedTuple):
    name: str
    call: Callable[..., Any]
    future: Future[Any]
    origin: tuple[str, int]  # file and line that asked for it

    def do(self, please_stop: Signal) -> None:
        try:
            self.future.assign(self.call(please_stop=please_stop))
        except BaseException as error:
            annotate(error, f"raised in {self.name}")
            self.future._fail(error, self.origin)
