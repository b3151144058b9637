"""Pool: a standard executor whose threads stand in the tree.

Work waits in one deque. Who submits puts it there first, and then looks for a thread that stands
idle; a thread puts itself down as idle first, and then looks for work. So one sees the other, and
no lock is involved. The threads know the core of the pool only, so that a pool that nobody holds
is collected, and its threads end.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

from .circles import without_circle
from .errors import DeadlockError, WorkerCancelled, WorkerError, WorkerExit
from .forks import renew_in_child
from .jobs import Job
from .outcomes import Failure
from .parking import FOREVER, deadline_after
from .please_stop import PLEASE_STOP, names_please_stop
from .pool import active_worker, current
from .run import Run
from .shutdown import farewells
from .signals import Signal
from .watching import Watching

__all__ = ["Pool", "PoolFuture"]

T = TypeVar("T")

_ENDED: Final = ("CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")  # states of a standard future


class PoolFuture(Future[T]):
    """What a :class:`Pool` gives for each piece of work: a standard future, which can be cancelled
    while it runs.

    ``please_stop`` is the signal that it was.
    """

    def __init__(self, core: _Core, call: Callable[..., T], origin: tuple[str, int]) -> None:
        super().__init__()
        self._core = core
        # What to do, and in which context; forgotten when it is done.
        self._work: tuple[Callable[..., T], Context] | None = (call, copy_context())
        self._origin = origin
        self._thread: _PoolThread | None = None  # that runs it; written by that, once
        self._failure: Failure | None = None  # sees to it that no error is silent
        self._watches = False  # whether its function is handed the signal, so that no wait raises
        self._exit_raised = False  # by the thread that runs it

    @property
    def please_stop(self) -> Signal:
        """The signal that asks the work to end; the argument ``please_stop`` of its function."""
        signal: Signal = self.__dict__.setdefault("_please_stop", Signal("please_stop"))
        return signal

    @property
    def _is_asked(self) -> bool:
        return bool(self.__dict__.get("_please_stop"))

    def cancel(self) -> bool:
        """Cancel it. True if it has not begun, and so never runs.

        While it runs: False; but it is asked to end. ``please_stop`` goes, and its present or next
        wait of this library raises WorkerExit, once; not so in a function that takes that signal as
        an argument, which is to look at it. If WorkerExit ends it, it is cancelled; what it returns
        all the same is its result. Any thread.
        """
        if super().cancel():
            return True
        if not self.done():
            self._ask()
        return False

    def _ask(self) -> None:
        # First the signal, then a look for the thread, which first writes itself down here and
        # then looks at the signal.
        self.please_stop.go()
        if self._thread is not None:
            self._thread._look_closer()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result, handling the calling worker's events, and give it; or raise.

        As the standard says. Called in work of the same pool, it runs what has not begun in place;
        DeadlockError if this would wait for itself, or in a circle.
        """
        if self._state != "FINISHED":
            self._wait(timeout)
        # The state is written last: no lock is needed to see a result, which saves 1 us of 2.
        if self._state == "FINISHED" and self._exception is None:
            return self._result  # type: ignore[return-value]
        if self._failure is not None:
            self._failure.look()
        return super().result(timeout=0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait likewise, and give the error; None if there is none."""
        self._wait(timeout)
        if self._failure is not None:
            self._failure.look()
        return super().exception(timeout=0)

    def _wait(self, timeout: float | None) -> None:
        deadline = deadline_after(timeout)
        if self._state in _ENDED:
            return
        waiter = current()
        if isinstance(waiter, _PoolThread) and waiter._core is self._core:
            if self._core.take_out(self):
                waiter._do(self)
                return
            if self in waiter._items and deadline == FOREVER:
                raise DeadlockError(f"work in {waiter.path} would wait for its own result")
        ended = _Ended(self)
        wait = partial(waiter.wait_for, ended, deadline)

        def wake(_: object) -> None:
            waiter.wake()

        self.add_done_callback(wake)
        try:
            if deadline == FOREVER and self._thread is not None:
                without_circle(waiter, self._thread, wait)
            else:
                wait()
        finally:
            self._remove_done_callback(wake)
        if not ended and monotonic() < deadline:
            raise WorkerCancelled("the wait for a future was stopped")

    def _remove_done_callback(self, callback: Callable[[Any], object]) -> None:
        with self._condition, suppress(ValueError):  # when they have been called
            self._done_callbacks.remove(callback)  # type: ignore[attr-defined]

    # -- by the thread that runs it ----------------------------------------------------------------

    def _settle(self, thread: _PoolThread) -> None:
        """Do the work, and be done with it and its arguments."""
        work, self._work = self._work, None
        if work is None or not self.set_running_or_notify_cancel():
            return
        call, context = work
        self._thread = thread
        if self._is_asked:  # before it could see us
            thread._look_closer()
        try:
            result = context.run(self._call_in, thread, call)
        except WorkerExit:
            self._end_cancelled()
        except BaseException as error:
            self._failure = Failure(error, thread.path, self._origin)
            self.set_exception(error)
        else:
            self.set_result(result)

    def _call_in(self, thread: _PoolThread, call: Callable[..., T]) -> T:
        active_worker.set(thread)
        try:
            return call()
        finally:
            self._exit_raised = True  # it is over: what follows may wait, such as callbacks

    def _end_cancelled(self) -> None:
        """Be cancelled although it runs, which the standard future has no way to say."""
        with self._condition:
            self._state = "CANCELLED"
            self._condition.notify_all()
        self.set_running_or_notify_cancel()
        self._invoke_callbacks()  # type: ignore[attr-defined]  # not under the lock: they may wait


class _Ended:
    """The condition that a future has ended."""

    __slots__ = ("_future",)

    def __init__(self, future: PoolFuture[Any]) -> None:
        self._future = future

    def __bool__(self) -> bool:
        return self._future._state in _ENDED


class _Core:
    """What the threads of a pool share. Single operations of deques and dicts only."""

    def __init__(self, name: str, size: int, parent: Job[Any] | None) -> None:
        self.name = name
        self.parent = parent
        self._size = size
        self._renew()
        renew_in_child(self)

    def _renew(self) -> None:
        self._work: deque[PoolFuture[Any]] = deque()
        self._idle: dict[_PoolThread, None] = {}  # each puts itself in; who wakes it takes it out
        self._seats = deque(range(self._size))  # numbers of threads that have not begun
        self.threads: list[_PoolThread] = []
        self.is_closed = False

    def add(self, future: PoolFuture[Any]) -> None:
        """Have it done. RuntimeError when the pool is closed, or no thread can be had."""
        self._work.append(future)
        if self.is_closed and self.take_out(future):
            raise RuntimeError(f"{self.name} is shut down, and takes no work any more")
        try:
            self._call_up()
        except (RuntimeError, WorkerError) as error:  # no more threads, or none may start now
            if not self.threads and self.take_out(future):  # nobody would do it
                raise RuntimeError(f"{self.name} cannot begin a thread: {error}") from error

    def take_out(self, future: PoolFuture[Any]) -> bool:
        """Whether it had not begun, and is the caller's now."""
        try:
            self._work.remove(future)
        except ValueError:
            return False
        return True

    def _call_up(self) -> None:
        """Wake an idle thread that is sure to look, or else begin one more."""
        while self._idle:
            try:
                thread, _ = self._idle.popitem()
            except KeyError:
                break
            is_sure = thread.will_look_at(thread.chance)
            thread.wake()
            if is_sure:
                return
        try:
            seat = self._seats.popleft()
        except IndexError:
            return
        farewells[self] = self.close  # the end of the program waits for us
        thread = _PoolThread(self, f"{self.name} {seat}")
        try:
            self.threads.append(thread)
            thread._start((), {})
        except BaseException:
            if not thread._life.active:  # else Ctrl-C came when it had begun
                self.threads.remove(thread)
                self._seats.appendleft(seat)
            raise

    def next_for(self, thread: _PoolThread) -> PoolFuture[Any] | None:
        """The next piece of work, waited for; None when there will be none."""
        while True:
            # First: who has seen the pool open has put its work there before it was closed.
            is_closed = self.is_closed
            try:
                return self._work.popleft()
            except IndexError:
                pass
            if is_closed:
                return None
            self._idle[thread] = None
            try:
                if not thread.chance:
                    thread.wait_for(thread.chance)
            finally:
                self._idle.pop(thread, None)

    def close(self) -> None:
        """Take no more work; the threads end when all is done. Any thread, also a finalizer."""
        self.is_closed = True
        farewells.pop(self, None)
        for thread in self.threads.copy():
            thread.wake()

    def cancel_all(self) -> None:
        """Cancel what has not begun."""
        while self._work:
            try:
                future = self._work.popleft()
            except IndexError:
                return
            future.cancel()
            future.set_running_or_notify_cancel()


class _Chance:
    """The condition that an idle thread should look for work.

    True also when it was taken out of the idle ones, and yet finds nothing: who had put something
    there was slow to wake it, and it was done by then. It must put itself down again, or nobody
    would wake it any more.
    """

    __slots__ = ("_core", "_thread")

    def __init__(self, core: _Core, thread: _PoolThread) -> None:
        self._core = core
        self._thread = thread

    def __bool__(self) -> bool:
        core = self._core
        return bool(core._work) or core.is_closed or self._thread not in core._idle


class _PoolThread(Watching[None]):
    """A thread of a pool. Asked to end, it does what is queued first, if the grace suffices."""

    def __init__(self, core: _Core, name: str) -> None:
        super().__init__(name, core.parent)
        self._core = core
        self.chance = _Chance(core, self)
        self._items: list[PoolFuture[Any]] = []  # that it runs, one in the other; by itself
        self.daemon = False
        self.print_traceback = True

    def _work(self) -> None:
        try:
            while (future := self._core.next_for(self)) is not None:
                self._do(future)
                del future  # while we wait, nobody need hold it
        except BaseException:
            self._core.close()
            self._core.cancel_all()  # we were told to end, and so were the others
            raise

    def _do(self, future: PoolFuture[Any]) -> None:
        self._items.append(future)
        try:
            future._settle(self)
        finally:
            self._items.pop()

    def _look_closer(self) -> None:
        """Have the loop look whether what it runs was cancelled. Any thread."""
        self._life.attention = True
        self.wake()

    def _attend(self, run: Run) -> None:
        item = self._items[-1] if self._items else None
        if item is not None and item._is_asked and not (item._watches or item._exit_raised):
            item._exit_raised = True
            raise WorkerExit
        super()._attend(run)

    def _request_stop(self, now: bool) -> None:
        super()._request_stop(now)
        self._core.close()
        for item in self._items.copy():
            item.please_stop.go()


class Pool(Executor):
    """An executor as the standard library's, whose threads are workers of the tree.

    ``max_workers`` is how many threads there may be; by default as many as ThreadPoolExecutor has.
    They begin as they are needed, and are used again; ``name`` is what they are called, with a
    number. They are children of the worker that makes the pool; made in the main thread, of none.
    In a ``with`` block, the end of it waits for all work.

    A function that takes an argument ``please_stop`` is handed the signal of its future. Context
    variables go along. The work of a pool that waits for a future of the same pool by ``result()``
    does that work itself, if it has not begun; so it cannot starve. (What waits by
    ``concurrent.futures.wait`` or asyncio cannot be seen, and needs a free thread.) An error that
    nobody looks at is logged, once.

    A pool that nobody holds, or whose program or parent ends, takes no more work, does what is
    queued, and then its threads end. Asked to end, with its parent or by ``shutdown()``, it has the
    grace for that, and the signals of what runs go.

    >>> from threadtree import Pool
    >>> with Pool(2) as pool:
    ...     print(pool.submit(pow, 2, 5).result(), list(pool.map(abs, [-1, -2])))
    32 [1, 2]
    """

    def __init__(self, max_workers: int | None = None, *, name: str = "") -> None:
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        if isinstance(max_workers, bool) or not isinstance(max_workers, int):
            raise TypeError(f"max_workers must be a whole number, or None, not {max_workers!r}")
        if max_workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {max_workers!r}")
        if not isinstance(name, str):
            raise TypeError(f"the name of a pool must be a string, not {name!r}")
        maker = current()
        parent = maker if maker._ends_when_asked else None
        self._core = _Core(name or type(self).__name__, max_workers, parent)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> PoolFuture[T]:
        """Have ``fn(*args, **kwargs)`` called by one of the threads; gives its future.

        Raises RuntimeError after :meth:`shutdown`, and when there are no more threads; TypeError
        for what cannot be called. Any thread.
        """
        if not callable(fn):
            raise TypeError(f"submit() needs something to call, not {fn!r}")
        call = partial(fn, *args, **kwargs)
        caller = sys._getframe(1)
        origin = (caller.f_code.co_filename, caller.f_lineno)
        future: PoolFuture[T] = PoolFuture(self._core, call, origin)
        if PLEASE_STOP not in kwargs and names_please_stop(fn):
            call.keywords[PLEASE_STOP] = future.please_stop
            future._watches = True
        self._core.add(future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work. With ``wait``, return when all is done, and the threads have ended;
        with ``cancel_futures``, cancel what has not begun. Any thread but those of the pool."""
        self._core.close()
        if cancel_futures:
            self._core.cancel_all()
        if wait:
            for thread in self._core.threads.copy():
                thread._outcome_by(FOREVER)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        core = self.__dict__.get("_core")
        if core is not None and not is_finalizing():  # by then the exit has closed it
            core.close()

    def __repr__(self) -> str:
        core = self._core
        return f"<{type(self).__name__} {core.name}: {len(core.threads)} of {core._size} threads>"
