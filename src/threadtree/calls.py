"""Calling a function in another thread, and waiting for what it returns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .circles import FOR_A_CALL, without_circle
from .errors import DeadlockError, WorkerCancelled, WorkerError
from .futures import Settlement
from .jobs import Job
from .loops import adopt_loop, owner_of, running_loop
from .origins import origin
from .outcomes import Cancelled, Outcome, WorkerState, outcome_of
from .parking import FOREVER, Claim, deadline_after
from .pool import current
from .signals import Signal

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

__all__ = ["call_in"]


T = TypeVar("T")


class _Call:
    """One call: it is made once, or withdrawn before it has begun. A claim decides."""

    def __init__(self, call: Callable[[], Any], where: str) -> None:
        self._call: Callable[[], Any] = partial(copy_context().run, call)
        self._where = where
        self._origin = origin()
        self._claim = Claim()
        self._settlement = Settlement("called")  # with an Outcome

    @property
    def done(self) -> Signal:
        return self._settlement.signal

    @property
    def outcome(self) -> Outcome:
        outcome: Outcome = self._settlement.value
        return outcome

    def make(self) -> None:
        """On the thread that is to call."""
        if self._claim.take("make"):
            try:
                self._settlement.settle(Outcome(self._call()))
            except BaseException as error:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._settlement.settle(outcome_of(error, self._where, self._origin))
            return
        # An exit or Ctrl-C: it is this thread's, not the caller's.
        self._settlement.settle(Cancelled(self._where, error))
        raise error

    def withdraw(self) -> bool:
        """Whether it has not begun, and never will. Any thread."""
        return self._claim.take("withdraw")

    def abandon(self) -> None:
        """Nobody waits for it any more. Any thread."""
        self.withdraw()


class _CallInLoop(_Call):
    """A call in an asyncio loop; what it gives is awaited there."""

    _future: Future[Any] | None = None  # only the thread of the loop reads and writes it

    def __init__(self, call: Callable[[], Any], loop: AbstractEventLoop) -> None:
        super().__init__(call, repr(loop))
        self._loop = loop

    def make(self) -> None:
        from asyncio import ensure_future, iscoroutine

        if not self._claim.take("make"):
            return
        try:
            given = self._call()
            if iscoroutine(given):
                self._future = ensure_future(given)
                self._future.add_done_callback(self._is_done)
            else:
                self._settlement.settle(Outcome(given))
        except BaseException as error:
            self._fail(error)

    def _is_done(self, future: Future[Any]) -> None:
        if future.cancelled():
            self._settlement.settle(Cancelled(self._where))
        elif (error := future.exception()) is not None:
            self._settlement.settle(outcome_of(error, self._where, self._origin))
        else:
            self._settlement.settle(Outcome(future.result()))

    def abandon(self) -> None:
        if self.withdraw() or self.done:
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:
            pass  # the loop is closed, and it with it

    def _cancel(self) -> None:
        """On the thread of the loop, so that it is not just about to await what was given."""
        if self._future is not None:
            self._future.cancel()


class _Parcel:
    """A call on its way into a loop. A loop that is closed drops it, and so it ends.

    But without a GIL, a thread that sleeps does not see that what it made was dropped elsewhere.
    """

    def __init__(self, call: _Call, lost: Signal) -> None:
        self._call = call
        self._lost = lost

    def __call__(self) -> None:
        self._call.make()

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing() and self._call.withdraw():
            self._lost.go()


@overload
def call_in(
    target: AbstractEventLoop,
    f: Callable[..., Coroutine[Any, Any, T]],
    *args: Any,
    timeout: float | None = None,
    **kwargs: Any,
) -> T: ...
@overload
def call_in(
    target: Job[Any] | AbstractEventLoop,
    f: Callable[..., T],
    *args: Any,
    timeout: float | None = None,
    **kwargs: Any,
) -> T: ...
def call_in(
    target: Job[Any] | AbstractEventLoop,
    f: Callable[..., Any],
    *args: Any,
    timeout: float | None = None,
    **kwargs: Any,
) -> Any:
    """Have ``f(*args, **kwargs)`` called by the thread that ``target`` runs in; gives its result.

    ``target`` is a worker, thread or task, :data:`MainThread`, or an asyncio loop, where a
    coroutine that f gives is awaited. It calls f when it next handles events; and at once, if it is
    the calling thread. Meanwhile the caller handles its own events. Context variables go along.

    Raises what f raises; TimeoutError when ``timeout`` seconds are over, and then f is not called
    any more if it was not yet; WorkerError when the target was never started, has ended, or ends
    before it calls f; DeadlockError if it waits, by whatever chain, for us, and would never call;
    WorkerCancelled if the target is ended in f, or the wait is stopped; TypeError for another
    target. On free-threaded builds, give a timeout to a call into a loop that may be closed
    meanwhile: that is noticed only then. Any thread.

    >>> from threadtree import call_in, create_worker, current, wait_forever
    >>> worker = create_worker(wait_forever, name="clerk")
    >>> call_in(worker, lambda: current().name)
    'clerk'
    >>> worker.stop().join()
    <Worker clerk: CANCELLED>
    """
    if not callable(f):
        raise TypeError(f"call_in() needs something to call, not {f!r}")
    deadline = deadline_after(timeout)
    if isinstance(target, Job):
        return _call_in_job(target, partial(f, *args, **kwargs), deadline)
    if not hasattr(target, "call_soon_threadsafe"):
        raise TypeError(f"call_in() needs a worker, or an asyncio loop, not {target!r}")
    return _call_in_loop(target, partial(f, *args, **kwargs), deadline)


def _call_in_job(target: Job[Any], f: Callable[[], Any], deadline: float) -> Any:
    run = target._life
    state = run.state  # once: it may begin or end between two looks
    if state is WorkerState.PENDING:
        raise WorkerError(f"{target.path} was never started, so it cannot call; start it first")
    if state is not WorkerState.RUNNING:
        raise WorkerError(f"{target.path} has ended ({state.name}), and calls nothing any more")
    if run.owner == threading.get_ident():
        return f()
    call = _Call(f, target.path)
    return _result(call, partial(target.later, call.make), target, run.stopped, deadline)


def _call_in_loop(loop: AbstractEventLoop, f: Callable[[], Any], deadline: float) -> Any:
    if running_loop() is loop:
        given = f()
        if isinstance(given, Awaitable):
            raise DeadlockError(
                "the loop that runs here cannot await a coroutine while it waits for it; "
                "await it instead"
            )
        return given
    call = _CallInLoop(f, loop)
    lost = Signal("lost")

    def send() -> None:
        try:
            loop.call_soon_threadsafe(_Parcel(call, lost))  # held by nobody else
        except RuntimeError:
            raise WorkerError(f"{loop!r} is closed, and calls nothing any more") from None

    return _result(call, send, owner_of(loop), lost, deadline)


def _result(
    call: _Call, send: Callable[[], object], target: Any, over: Signal, deadline: float
) -> Any:
    """Send the call on its way, and wait for it, or until it is over with the target."""
    waiter = current()
    adopt_loop()

    def wait() -> None:
        send()
        limit = None if deadline == FOREVER else max(deadline - monotonic(), 0.0)
        (call.done | over).wait(limit)

    try:
        if deadline == FOREVER and target is not None:
            # It looks for a circle before the call is sent: a target that itself waits for a call
            # in an event loop might make ours before we look, or might not.
            without_circle(waiter, target, wait, FOR_A_CALL)
        else:
            wait()
        if call.done or (over and not call.withdraw() and call.done.wait()):
            return call.outcome.get()
        raise _no_result(call, target, over, deadline)
    finally:
        call.abandon()


def _no_result(call: _Call, target: Any, over: Signal, deadline: float) -> Exception:
    has_not_begun = call.withdraw()
    where = call._where
    if over:
        return WorkerError(f"{where} has ended before it called")
    if monotonic() < deadline:
        return WorkerCancelled(f"the wait for a call in {where} was stopped")
    if has_not_begun:
        return TimeoutError(f"{where} has not called in time, and will not any more")
    return TimeoutError(f"{where} has called in time, but not returned; it goes on")
