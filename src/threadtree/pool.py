"""Which worker runs on which thread: ``current()``, and the registry of what is alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from .errors import NoActiveWorker
from .forks import after_fork_in_child
from .parking import here, in_main_thread

if TYPE_CHECKING:
    from .jobs import Job

__all__ = ["WORKER_POOL", "active_worker", "current", "get_current_worker", "is_main"]

active_worker: ContextVar[Any] = ContextVar("active_worker")
"""The innermost worker, thread or task whose code runs in this context. (From Textual.)"""


class Registry:
    """The registry of the live threads that workers run on. There is one: :data:`WORKER_POOL`.

    (From pyThreadWorker.)
    """

    def __init__(self) -> None:
        self.pool: dict[threading.Thread, list[Job[Any]]] = {}
        """Native thread -> the workers on it, innermost last. Live threads only."""
        # Makes the worker of a thread that we did not start. Set once, by roots.py.
        self._make_root: Callable[[], Job[Any]]

    def current(self) -> Job[Any]:
        """The worker of the calling thread, which every thread has."""
        return current()

    def add(self, node: Job[Any]) -> None:
        """Register a worker as the innermost one on its native thread."""
        thread = node.thread
        if thread is None:
            raise ValueError(f"{node.path} runs on no thread: start it first")
        if thread is threading.current_thread():
            self._enter(node, thread)
        else:
            self.pool.setdefault(thread, []).append(node)

    def _enter(self, node: Any, thread: threading.Thread) -> None:
        """Register a worker on the calling thread, whose own stack is the registered one."""
        stack = here.stack
        if not isinstance(stack, list):
            here.stack = self.pool[thread] = stack = []
        stack.append(node)

    def _leave(self, node: Any, thread: threading.Thread) -> None:
        """The reverse, if it is the innermost."""
        stack = here.stack
        if stack and stack[-1] is node:
            self.remove(thread)

    def remove(self, thread: threading.Thread) -> None:
        """Take the innermost worker off a native thread. Raises KeyError when it has none."""
        stack = self.pool[thread]
        stack.pop()
        if not stack:
            self.pool.pop(thread, None)
            if stack is here.stack:
                here.stack = ()

    def is_main(self, thread: Job[Any] | None = None) -> bool:
        """Whether this worker, by default the current one, is the innermost on the main thread."""
        if thread is None:
            return in_main_thread()
        stack = self.pool.get(threading.main_thread())
        return bool(stack) and stack[-1] is thread  # type: ignore[index]

    def _after_fork(self) -> None:
        """Only the forking thread is left."""
        self.pool.clear()
        if isinstance(here.stack, list):
            self.pool[threading.current_thread()] = here.stack


WORKER_POOL: Final = Registry()
"""The registry of this process."""

after_fork_in_child(WORKER_POOL._after_fork)


def current() -> Job[Any]:
    """The worker of the calling thread. Every thread has one, the main thread and foreign ones too.

    Decided by the thread, not by context variables. (From pyThreadWorker.)
    """
    stack = here.stack
    return stack[-1] if stack else WORKER_POOL._make_root()


def is_main(thread: Job[Any] | None = None) -> bool:
    """Whether a worker, by default the current one, is that of the main thread.

    (From pyThreadWorker.)
    """
    return WORKER_POOL.is_main(thread)


def get_current_worker() -> Any:
    """The innermost Worker, Thread or Task whose code is running here.

    Raises NoActiveWorker in code that none of them runs, such as the main thread's.
    (From Textual.)
    """
    try:
        return active_worker.get()
    except LookupError:
        raise NoActiveWorker(
            "no worker is active here: this code was not started by a Worker, Thread or Task"
        ) from None
