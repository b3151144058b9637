"""Threads that can be talked to, watched, paused and ended in order.

Every piece of concurrent work is a node of one tree: it has a name, a parent, a state, an outcome,
and an orderly end.
"""

import os as _os
import typing as _typing

from .errors import (
    DeadlockError,
    NoActiveWorker,
    ProcessFailed,
    QueueClosed,
    WorkerCancelled,
    WorkerError,
    WorkerExit,
    WorkerFailed,
)
from .events import Event, Listener
from .futures import Async, Defer
from .graces import Graces, graces
from .jobs import Job
from .joinable import THREAD_TIMEOUT
from .laters import Later as _Later  # noqa: F401 - what later() gives
from .loops import adopt_loop as _adopt_loop  # noqa: F401 - it makes asyncio handle our events
from .node import Node
from .outcomes import WorkerState
from .pool import WORKER_POOL, active_worker, current, get_current_worker, is_main
from .pool import current as current_thread
from .roots import MainThread
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
from .workers import Worker

install_exit_hook()
del install_exit_hook

if _typing.TYPE_CHECKING:
    from .calls import call_in
    from .channels import Channel
    from .commands import Command
    from .executors import Pool
    from .gathering import as_completed, wait_all, wait_any
    from .locks import Lock, locked
    from .mainthread import (
        main,
        start_main_thread,
        stop_main_thread,
        wait_for_shutdown_signal,
    )
    from .managers import WorkerManager
    from .messages import ProgressChanged, StateChanged
    from .please_stop import PLEASE_STOP, THREAD_STOP
    from .priority_queue import PriorityQueue
    from .processes import Process
    from .queues import Queue
    from .registration import RegisterThread, register_thread
    from .tasks import Task
    from .thread_pool import Future, ThreadPool
    from .threaded_queue import ThreadedQueue
    from .threads import Thread, join_all_threads
    from .tills import Till
    from .treetext import tree
    from .work_decorator import work
else:
    # Imported when they are first asked for. Some need subprocess or asyncio, and those take longer
    # than all the rest; no program needs all of the others, and they take 10 % of the time.
    _LATER = {
        "Channel": "channels",
        "Command": "commands",
        "Future": "thread_pool",
        "Lock": "locks",
        "PLEASE_STOP": "please_stop",
        "Pool": "executors",
        "PriorityQueue": "priority_queue",
        "Process": "processes",
        "ProgressChanged": "messages",
        "Queue": "queues",
        "RegisterThread": "registration",
        "StateChanged": "messages",
        "THREAD_STOP": "please_stop",
        "Task": "tasks",
        "Thread": "threads",
        "ThreadPool": "thread_pool",
        "ThreadedQueue": "threaded_queue",
        "Till": "tills",
        "WorkerManager": "managers",
        "as_completed": "gathering",
        "call_in": "calls",
        "join_all_threads": "threads",
        "locked": "locks",
        "main": "mainthread",
        "register_thread": "registration",
        "start_main_thread": "mainthread",
        "stop_main_thread": "mainthread",
        "tree": "treetext",
        "wait_all": "gathering",
        "wait_any": "gathering",
        "wait_for_shutdown_signal": "mainthread",
        "work": "work_decorator",
    }

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return value

    def __dir__():
        return sorted({*globals(), *_LATER})


if _os.environ.get("THREADTREE_PROFILE"):
    from .profile import profile_program as _profile_program  # with yappi: only when asked for

    # Taken out, so that a child process does not write its profile over ours.
    _profile_program(_os.environ.pop("THREADTREE_PROFILE"))

__version__ = "0.1.0"

__all__ = [
    "DONE",
    "NEVER",
    "PLEASE_STOP",
    "THREAD_STOP",
    "THREAD_TIMEOUT",
    "WORKER_POOL",
    "Async",
    "Channel",
    "Command",
    "DeadlockError",
    "Defer",
    "Event",
    "Future",
    "Graces",
    "Job",
    "Listener",
    "Lock",
    "MainThread",
    "NoActiveWorker",
    "Node",
    "Pool",
    "PriorityQueue",
    "Process",
    "ProcessFailed",
    "ProgressChanged",
    "Queue",
    "QueueClosed",
    "RegisterThread",
    "Signal",
    "StateChanged",
    "Straggler",
    "Task",
    "Thread",
    "ThreadPool",
    "ThreadedQueue",
    "Till",
    "Worker",
    "WorkerCancelled",
    "WorkerError",
    "WorkerExit",
    "WorkerFailed",
    "WorkerManager",
    "WorkerState",
    "active_worker",
    "as_completed",
    "async_",
    "await_",
    "broadcast",
    "bubble",
    "call_in",
    "checkpoint",
    "children_fire",
    "create_worker",
    "current",
    "current_thread",
    "exit",
    "get_current_worker",
    "graces",
    "is_main",
    "join_all_threads",
    "later",
    "listen",
    "locked",
    "main",
    "parent_fire",
    "register_thread",
    "shutdown",
    "sleep",
    "start_main_thread",
    "stop_main_thread",
    "tree",
    "unlisten",
    "update",
    "wait",
    "wait_all",
    "wait_any",
    "wait_event",
    "wait_for_shutdown_signal",
    "wait_forever",
    "wait_thread",
    "wait_timeout",
    "wait_until",
    "work",
]
