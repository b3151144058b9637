"""What a worker waits for, in its own thread: the public waits, over the loop's one wait.

Each raises WorkerError in any other thread, and WorkerExit when the worker was asked to end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .errors import WorkerExit
from .events import Event
from .loop import NOTHING
from .parking import deadline_after
from .runner import Runner
from .signals import Signal
from .waits import ConditionWait, EventWait

if TYPE_CHECKING:
    from .futures import Async, Defer
    from .jobs import Job

__all__ = ["Result", "Waiting"]

T = TypeVar("T")


class Result:
    """What ``wait()`` takes for a result that somebody supplies, also if it can be called, too."""

    def get(self) -> Any:
        raise NotImplementedError

    def _waited_for_by(self, waiter: Waiting, *args: Any, **kwargs: Any) -> Any:
        return self.get(*args, **kwargs)


class Waiting(Runner):
    """A runner with the waits of pyThreadWorker. The base of Worker; use that."""

    def _waited_for_by(self, waiter: Waiting, *args: Any, **kwargs: Any) -> Any:
        """What it means to ``waiter.wait()`` for this one."""
        raise NotImplementedError

    def update(self) -> None:
        """Handle the events that are queued now, and return; a point where a stop takes effect.

        Call it from a foreign loop to hook this one in (the README shows it for Tk). While
        paused it blocks, except in the main thread. (From pyThreadWorker.)
        """
        self._linger(NOTHING, 0.0)

    def checkpoint(self) -> None:
        """A point where a stop or a pause takes effect, for code without a loop: ``update()``."""
        self.update()

    def exit(self) -> None:
        """End this worker, which must be the current one: raises WorkerExit.

        In the main thread and in foreign ones, it stops the children, and ends the present wait.
        (From pyThreadWorker.)
        """
        self._own_run()
        raise WorkerExit

    def wait_timeout(self, timeout: float) -> None:
        """Wait for so many seconds; None raises TypeError. (From pyThreadWorker.)"""
        if timeout is None:
            raise TypeError("a timeout must be a number of seconds, not None; see wait_forever()")
        self._linger(NOTHING, deadline_after(timeout))

    def wait_forever(self) -> Any:
        """Handle events until a stop. (From pyThreadWorker.)"""
        self._loop(NOTHING)

    def wait_event(
        self, name: str, timeout: float | None = None, target: Job[Any] | None = None
    ) -> Any:
        """Wait for the event of a name, about ``target`` if given, and return its data.

        None when ``timeout`` seconds are over first. (From pyThreadWorker.)
        """
        return self._registered(EventWait(name, target), deadline_after(timeout))

    def wait_until(self, condition: Callable[[Event], object], timeout: float | None = None) -> Any:
        """Wait until ``condition(event)`` is true for an event, and return that event's data.

        None when ``timeout`` seconds are over first. An error in the condition is raised here.
        (From pyThreadWorker.)
        """
        return self._registered(ConditionWait(condition), deadline_after(timeout))

    def wait_thread(
        self, thread: Job[T], timeout: float | None = None
    ) -> tuple[BaseException | None, T | None] | None:
        """Wait for the end of another worker; gives ``(error, result)``.

        Raises WorkerError if it was never started, TimeoutError when ``timeout`` seconds are
        over, DeadlockError if it would close a circle. None if the main thread's or a foreign
        thread's wait is stopped. (From pyThreadWorker.)
        """
        if not isinstance(thread, Waiting):
            raise TypeError(f"wait_thread() needs a Worker, not {thread!r}")
        self._own_run()
        deadline = deadline_after(timeout)
        run = thread._started_run()
        if not thread._loop_until_end(run, self, deadline):
            return None
        assert run.outcome is not None
        return run.outcome.look(), run.outcome.result

    @overload
    def wait(  # type: ignore[overload-overlap]  # an Async is a Worker, too
        self, param: Async[T] | Defer[T], timeout: float | None = None
    ) -> T: ...
    @overload
    def wait(
        self, param: Job[T], timeout: float | None = None
    ) -> tuple[BaseException | None, T | None] | None: ...
    @overload
    def wait(self, param: Signal, till: Signal | float | None = None) -> bool: ...
    @overload
    def wait(self, param: float) -> None: ...
    @overload
    def wait(self, param: Any, *args: Any, **kwargs: Any) -> Any: ...
    def wait(self, param: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for whatever is given, by its type.

        A string: :meth:`Worker.wait_event`; an Async or a Defer: its ``get()``; another Worker:
        :meth:`Worker.wait_thread`; a Signal: its ``wait()``; something callable:
        :meth:`Worker.wait_until`; something else with a ``get()``: that; a number:
        :meth:`Worker.wait_timeout`. The first that fits is taken. (From pyThreadWorker.)
        """
        if isinstance(param, str):
            return self.wait_event(param, *args, **kwargs)
        if isinstance(param, (Waiting, Result)):
            return param._waited_for_by(self, *args, **kwargs)
        if isinstance(param, Signal):
            return param.wait(*args, **kwargs)
        if callable(param):
            return self.wait_until(param, *args, **kwargs)
        if hasattr(param, "get"):
            return param.get(*args, **kwargs)
        return self.wait_timeout(param, *args, **kwargs)
