"""Waiting for the end of a run: blocking, in an event loop, or in asyncio.

The outcome of a run stands before its ``stopped`` goes, and that goes before the native thread has
ended; so every wait here is for ``stopped`` first, and then for the last moments of the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Final

from .circles import AWAITING, DEAF, HEARING, Kind, enter, without_circle
from .errors import WorkerError
from .events import Event
from .loop import NOTHING, EventLoop
from .outcomes import Outcome, WorkerState
from .parking import FOREVER
from .pool import active_worker, current
from .run import Run
from .signals import NEVER, Signal
from .stragglers import find_stragglers
from .waits import ExactWait

__all__ = ["THREAD_TIMEOUT", "Joinable"]

THREAD_TIMEOUT: Final = "has not ended in time"
"""What the TimeoutError of a ``join`` says: ``THREAD_TIMEOUT in str(error)``. (From mo-threads.)"""


class Joinable(EventLoop):
    """An event loop whose runs others can wait for."""

    # Has the asyncio loop that runs here handle the events of this thread. Set by loops.py, which
    # knows the workers of threads that are not ours.
    _adopt_loop: ClassVar[Callable[[], object]]

    _coroutine: Any = None  # the asyncio task that is its code, if it is asynchronous

    def _is_in_its_coroutine(self) -> bool:
        """Whether that runs here, and no other that it has begun: of several, one may be enough."""
        from asyncio import current_task

        return self._coroutine is not None and current_task() is self._coroutine

    _is_at_the_exit = NEVER  # goes when it begins to wait for these

    def _waits_at_its_end(self) -> Iterable[Any]:
        """For whom it now waits before it ends, without a limit and without asking. Any thread."""
        return ()

    def _will_end(self, run: Run) -> bool:
        """Whether its end can be waited for: somebody has started it."""
        return run.state is not WorkerState.PENDING

    def _started_run(self) -> Run:
        run = self._life
        if not self._will_end(run):
            raise WorkerError(f"{self.path} was never started, so it has no result to wait for")
        return run

    def _wait_for_end(
        self,
        run: Run,
        deadline: float,
        wait: Callable[[], object],
        till: Signal = NEVER,
        kind: Kind = HEARING,
    ) -> bool:
        """Have the current worker wait for the end of our run, by ``wait()``; whether it came.

        False means that the waiter, which is no worker that ends, was stopped itself.
        """
        is_unlimited = deadline == FOREVER and (till is NEVER or till is self._is_at_the_exit)
        if is_unlimited and not run.stopped:
            without_circle(current(), self, wait, kind)
        else:
            wait()
        if run.stopped:
            run.await_native_end()
            return True
        if monotonic() < deadline and not till:
            return False
        late = "\n".join(map(str, find_stragglers([self])))
        raise TimeoutError(f"{self.path} {THREAD_TIMEOUT}\n{late}")

    def _join(self, deadline: float) -> None:
        """Wait, without dispatching events, for the end of the present run, if there is one."""
        run = self._life  # once: another thread may start us again
        if not self._will_end(run):
            return
        self._rest_until_end(run, deadline)

    def _rest_until_end(self, run: Run, deadline: float, till: Signal = NEVER) -> bool:
        """Wait for the end of the run, or for ``till``, without dispatching events."""
        waiter = current()
        if run.ended:
            waiter._glance()
            run.await_native_end()
            return True
        either = run.stopped | till
        key = either._subscribe(waiter.wake)
        try:
            rest = partial(waiter._rest, either, deadline)
            return self._wait_for_end(run, deadline, rest, till, DEAF)
        finally:
            either._unsubscribe(key)

    def _glance(self) -> None:
        """What a wait that dispatches no events does when it need not wait: a stop or a pause
        reaches us here, too. For the owner."""
        run = self._own_run()
        if run.attention:
            self._attend(run)
        if self._stop_is_queued(run):
            self._heed_stop(run)
        self._hold()

    def _loop_until_end(
        self, run: Run, waiter: EventLoop, deadline: float, till: Signal = NEVER
    ) -> bool:
        """Wait for the end of the run, or for ``till``, in the event loop of ``waiter``.

        The end comes as an event of its own, behind everything that was sent before.
        """
        if waiter._is_deep:
            return self._rest_until_end(run, deadline, till)
        if run.stopped and waiter._has_nothing_to_hear("WAIT_THREAD_PENDING_DONE"):
            # As most often: without the event and the loop, half of a get().
            run.await_native_end()
            return True
        done = Event("WAIT_THREAD_PENDING_DONE", target=self)
        if run.stopped:
            waiter._post(done)
            return self._wait_for_end(run, deadline, lambda: waiter._loop(NOTHING, 0.0))
        wait = ExactWait(done)
        either = run.stopped | till
        key = either._subscribe(waiter._mailbox.delivery(done))
        try:
            return self._wait_for_end(
                run, deadline, lambda: waiter._registered(wait, deadline), till
            )
        finally:
            either._unsubscribe(key)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._get_in_asyncio(self._started_run()).__await__()

    async def _get_in_asyncio(self, run: Run) -> Any:
        return (await self._outcome_in_asyncio(run)).get()

    async def _outcome_in_asyncio(self, run: Run) -> Outcome:
        Joinable._adopt_loop()
        waiter = active_worker.get(None)
        if waiter is None or not waiter._is_in_its_coroutine():
            await run.stopped
        else:
            entry, entries = object(), waiter._life.waits_for
            try:
                enter(entry, waiter, self, AWAITING)
                await (run.stopped | self._is_at_the_exit)
                if not run.stopped:
                    enter(entry, waiter, self, AWAITING)  # is it a circle now?
                    await run.stopped
            finally:
                entries.pop(entry, None)
        run.await_native_end()
        assert run.outcome is not None
        return run.outcome
