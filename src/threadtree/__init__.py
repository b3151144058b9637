"""Threads that can be talked to, watched, paused and ended in order.

Every piece of concurrent work is a node of one tree: it has a name, a parent, a state, an outcome,
and an orderly end.
"""

from .channels import Channel
from .errors import (
    DeadlockError,
    NoActiveWorker,
    WorkerCancelled,
    WorkerError,
    WorkerExit,
    WorkerFailed,
)
from .events import Event, Listener
from .futures import Async, Defer
from .graces import Graces, graces
from .node import Node
from .outcomes import WorkerState
from .pool import WORKER_POOL, active_worker, current, get_current_worker, is_main
from .roots import main_root as _main_root  # noqa: F401 - gives each thread its worker
from .shortcuts import (
    async_,
    await_,
    broadcast,
    bubble,
    checkpoint,
    children_fire,
    create_worker,
    exit,
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
from .shutdown import install_exit_hook, shutdown
from .signals import DONE, NEVER, Signal
from .stragglers import Straggler
from .treetext import tree
from .workers import Worker

install_exit_hook()
del install_exit_hook

__version__ = "0.1.0"

__all__ = [
    "DONE",
    "NEVER",
    "WORKER_POOL",
    "Async",
    "Channel",
    "DeadlockError",
    "Defer",
    "Event",
    "Graces",
    "Listener",
    "NoActiveWorker",
    "Node",
    "Signal",
    "Straggler",
    "Worker",
    "WorkerCancelled",
    "WorkerError",
    "WorkerExit",
    "WorkerFailed",
    "WorkerState",
    "active_worker",
    "async_",
    "await_",
    "broadcast",
    "bubble",
    "checkpoint",
    "children_fire",
    "create_worker",
    "current",
    "exit",
    "get_current_worker",
    "graces",
    "is_main",
    "later",
    "listen",
    "parent_fire",
    "shutdown",
    "sleep",
    "tree",
    "unlisten",
    "update",
    "wait",
    "wait_event",
    "wait_forever",
    "wait_thread",
    "wait_timeout",
    "wait_until",
]
