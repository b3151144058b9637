"""pyThreadWorker's import name, served by threadtree: programs change nothing.

``from worker import *`` gives what pyThreadWorker gives. Every other public name of threadtree can
be imported from here too, so that a program can grow into it.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

import threadtree as _threadtree
from threadtree import (
    WORKER_POOL,
    Async,
    Channel,
    Defer,
    Event,
    Listener,
    Worker,
    WorkerExit,
    async_,
    await_,
    broadcast,
    bubble,
    children_fire,
    create_worker,
    current,
    exit,
    is_main,
    later,
    listen,
    parent_fire,
    sleep,
    unlisten,
    update,
    wait,
    wait_event,
    wait_forever,
    wait_thread,
    wait_timeout,
    wait_until,
)
from threadtree import __version__ as __version__

if _TYPE_CHECKING:
    from threadtree import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        if name in _threadtree.__all__:
            return getattr(_threadtree, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "WORKER_POOL",
    "Async",
    "Channel",
    "Defer",
    "Event",
    "Listener",
    "Worker",
    "WorkerExit",
    "async_",
    "await_",
    "broadcast",
    "bubble",
    "children_fire",
    "create_worker",
    "current",
    "exit",
    "is_main",
    "later",
    "listen",
    "parent_fire",
    "sleep",
    "unlisten",
    "update",
    "wait",
    "wait_event",
    "wait_forever",
    "wait_thread",
    "wait_timeout",
    "wait_until",
]
