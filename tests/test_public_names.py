"""What can be imported, that it is documented, and that importing it does nothing (C3)."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import worker

import threadtree

from .helpers import described

# The names of pyThreadWorker, which are those of the drop-in.
OF_PYTHREADWORKER = {
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
}

OF_MO_THREADS = {
    "DONE",
    "NEVER",
    "PLEASE_STOP",
    "THREAD_STOP",
    "THREAD_TIMEOUT",
    "Command",
    "Future",
    "Lock",
    "MainThread",
    "PriorityQueue",
    "Process",
    "Queue",
    "RegisterThread",
    "Signal",
    "Thread",
    "ThreadPool",
    "ThreadedQueue",
    "Till",
    "current_thread",
    "join_all_threads",
    "locked",
    "main",
    "register_thread",
    "start_main_thread",
    "stop_main_thread",
    "wait_for_shutdown_signal",
}

NEW = {
    "DeadlockError",
    "Graces",
    "Job",
    "NoActiveWorker",
    "Node",
    "Pool",
    "ProcessFailed",
    "QueueClosed",
    "ProgressChanged",
    "StateChanged",
    "Straggler",
    "Task",
    "WorkerCancelled",
    "WorkerError",
    "WorkerFailed",
    "WorkerManager",
    "WorkerState",
    "active_worker",
    "as_completed",
    "call_in",
    "checkpoint",
    "get_current_worker",
    "graces",
    "shutdown",
    "tree",
    "wait_all",
    "wait_any",
    "work",
}


def imported_by_a_star(package):
    names = {}
    exec(f"from {package} import *", names)
    del names["__builtins__"]
    return set(names)


def test_the_names_of_threadtree_are_the_documented_ones():
    assert set(threadtree.__all__) == OF_PYTHREADWORKER | OF_MO_THREADS | NEW
    assert imported_by_a_star("threadtree") == set(threadtree.__all__)
    # Nothing else can be reached without an underscore, but for the modules themselves.
    others = {name for name in vars(threadtree) if not name.startswith("_")} - {*threadtree.__all__}
    assert [name for name in others if not inspect.ismodule(vars(threadtree)[name])] == []


def test_the_names_of_the_drop_in_are_those_of_pythreadworker():
    assert imported_by_a_star("worker") == OF_PYTHREADWORKER
    assert sorted(worker.__all__) == sorted(OF_PYTHREADWORKER)


@pytest.mark.parametrize("name", [*threadtree.__all__, "__version__"])
def test_each_name_is_in_the_drop_in_too(name):
    assert getattr(worker, name) is getattr(threadtree, name)


PUBLIC = [getattr(threadtree, name) for name in threadtree.__all__]
CLASSES = [thing for thing in PUBLIC if inspect.isclass(thing)] + [type(threadtree.WORKER_POOL)]
FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]


@pytest.mark.parametrize("thing", [threadtree, worker, *CLASSES, *FUNCTIONS], ids=described)
def test_what_is_public_has_a_docstring(thing):
    assert thing.__doc__


@pytest.mark.parametrize("cls", CLASSES)
def test_the_public_methods_of_a_class_have_docstrings(cls):
    bare = [
        name
        for name, method in inspect.getmembers(cls)
        if (inspect.isroutine(method) or isinstance(method, property))
        and not name.startswith("_")
        and not inspect.getdoc(method)
    ]
    assert bare == []


WATCHED_IMPORT = """
import logging, signal, sys, threading

def state():
    return (
        threading.enumerate(),
        [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        signal.set_wakeup_fd(-1),
        [(logger, logger.level, logger.handlers, logger.filters, logger.propagate)
         for logger in (logging.getLogger(), logging.getLogger("threadtree"))],
        logging.lastResort, logging.getLoggerClass(), logging.getLogRecordFactory(),
        sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.getprofile(),
        sys.getswitchinterval(), sys.getrecursionlimit(),
    )

def start(thread):
    sys.exit("a thread was started")  # also one that has ended again

threading.Thread.start = start
before = repr(state())
import {package}
assert repr(state()) == before, (before, state())
assert "asyncio" not in sys.modules
"""


IMPORTED_LATER = "threadtree.channels, threadtree.mainthread, threadtree.queues, threadtree.tills"


@pytest.mark.parametrize("package", ["threadtree", "worker", IMPORTED_LATER])
def test_c3_the_import_starts_installs_and_configures_nothing(package):
    program = WATCHED_IMPORT.replace("{package}", package)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_what_is_imported_later_is_listed_before():
    program = "import threadtree; print(*{*threadtree.__all__} - {*dir(threadtree)})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\n", "")
