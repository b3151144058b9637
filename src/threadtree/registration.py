"""Threads of others, registered, so that the end of the program waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Token
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from .jobs import Job
from .outcomes import Outcome, outcome_of
from .parking import here, in_main_thread
from .pool import WORKER_POOL, active_worker
from .roots import MainThread, Root
from .signals import Signal
from .threads import Thread

__all__ = ["RegisterThread", "register_thread"]

P = ParamSpec("P")
T = TypeVar("T")


class RegisterThread:
    """A block in which a thread that we have not started is a child of :data:`MainThread`.

    The block gives its :class:`Thread`, which ``Thread.current()`` is in there; it has the native
    thread's name, or ``name``. When the program ends, it is asked by its ``please_stop``, and
    waited for. In the main thread, and in a thread that the library runs anyway, this changes
    nothing, and gives that. Raises WorkerError when the program is shutting down. Use each once.
    (From mo-threads.)

    >>> import threading
    >>> from threadtree import RegisterThread, Thread
    >>> def callback_of_a_foreign_library():
    ...     with RegisterThread():
    ...         paths.append(Thread.current().path)
    >>> paths = []
    >>> alien = threading.Thread(target=callback_of_a_foreign_library, name="alien")
    >>> alien.start()
    >>> alien.join()
    >>> paths
    ['main/alien']
    """

    def __init__(self, name: str | None = None) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"a name must be a string, not {name!r}")
        self._name = name
        self._alien: _Alien | None = None

    def __enter__(self) -> Job[Any]:
        stack = here.stack
        if in_main_thread() or (stack and not isinstance(stack[-1], Root)):
            return stack[-1] if stack else MainThread
        self._alien = _Alien(self._name or threading.current_thread().name)
        self._alien._enter()
        return self._alien

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        alien, self._alien = self._alien, None
        if alien is not None:
            alien._leave(error)


class _Alien(Thread[None]):
    """The thread that a foreign one is while it is registered."""

    _token: Token[Any]

    def __init__(self, name: str) -> None:
        super().__init__(name, _not_ours, parent_thread=MainThread)

    def _enter(self) -> None:
        thread = threading.current_thread()
        self._begin(thread, None)
        self._life.owner = thread.ident
        WORKER_POOL._enter(self, thread)
        self._token = active_worker.set(self)

    def _leave(self, error: BaseException | None) -> None:
        run = self._life
        if error is None:
            run.verdict = Outcome(None)
        else:  # it goes on its way, so somebody will see it
            run.verdict = outcome_of(error, self.path, run.origin)
            run.verdict.look()
        active_worker.reset(self._token)
        self._go_through([*self._steps_of_the_end])


def _not_ours(please_stop: Signal) -> None:
    """The target of what runs already."""


def register_thread(function: Callable[P, T]) -> Callable[P, T]:
    """A decorator: whatever thread calls this function is registered meanwhile.

    See :class:`RegisterThread`. (From mo-threads.)
    """

    @wraps(function)
    def registered(*args: P.args, **kwargs: P.kwargs) -> T:
        with RegisterThread():
            return function(*args, **kwargs)

    return registered
