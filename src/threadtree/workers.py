"""Worker: a thread that can be talked to, watched, paused and ended in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from .jobs import Job, T_co
from .parking import deadline_after
from .pool import current

__all__ = ["Worker", "name_of"]


def name_of(task: Any) -> str:
    """What a person calls it: the name of a function, within whatever it is wrapped."""
    while isinstance(task, partial):
        task = task.func
    name = getattr(task, "__name__", None)
    return name if isinstance(name, str) else type(task).__name__


class Worker(Job[T_co]):
    """A thread with an event queue, a parent, children, a state and an outcome.

    ``task`` is what a run does; without it, it is :meth:`wait_forever`. ``parent`` is the worker
    that tells this one to end when it ends itself, and waits for it: by default the current one,
    if this is called in a worker; in the main thread, in one that the library did not start, and
    with ``parent=False``, there is none.
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
        parent: Job[Any] | bool | None = None,
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
        if parent is not False and not isinstance(parent, Job):
            raise TypeError(
                f"a parent must be a Worker or Thread, False for none, or None, not {parent!r}"
            )
        if name is None:
            name = type(self).__name__ if task is None else name_of(task)
        super().__init__(name, None if parent is False else parent)
        self._task = task
        self.daemon = daemon
        self.print_traceback = print_traceback

    def _work(self, *args: Any, **kwargs: Any) -> Any:
        task = self.wait_forever if self._task is None else self._task
        return task(*args, **kwargs)

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

    def join(self, timeout: float | None = None) -> Self:
        """Wait, without handling events, until the run and its native thread have ended.

        Returns self, at once if it was never started. ``timeout`` is in seconds; TimeoutError
        names what has not ended. A stop of the calling worker ends the wait with WorkerExit.
        Raises DeadlockError if, without a timeout, it would close a circle of waits.
        (From pyThreadWorker.)
        """
        self._join(deadline_after(timeout))
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop().join()
        self._leave_block(error)
