"""L8: a fork in a threaded program leaves a child whose registry holds only its own main thread."""

from __future__ import annotations

import os
import signal

import pytest

from .programs import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")

PRELUDE = """
from contextlib import ExitStack, contextmanager

from threadtree.node import tree as live

def in_child(check):
    "Fork, have the child check, and exit with its code."
    pid = os.fork()
    if pid == 0:
        check()
        sys.exit(7)  # an orderly exit, through the hook
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7, status
    print("the child was right")

@contextmanager
def held(*locks):
    "Another thread has these locks, as it may at any fork."
    taken, release = threading.Event(), threading.Event()
    def hold():
        with ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            taken.set()
            release.wait(10)
    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    yield
    release.set()
    holder.join()
"""


def check(body: str) -> None:
    """Run the prelude and the body; it must print that the child was right, and exit with 0."""
    result = run(PRELUDE + body)
    assert (result.returncode, result.stderr) == (0, "")
    assert "the child was right" in result.lines


def test_l8_the_registry_of_the_child_holds_only_its_main_thread():
    check("""
worker = Worker(name="worker").start()
child = Worker(name="below main", parent=current()).start()
handle = later(print, timeout=3600)
never = Worker()

def check():
    assert list(WORKER_POOL.pool) == [threading.current_thread()]
    assert list(live.live) == [current()]
    assert not current().children
    for other in (worker, child, handle):
        assert not other.is_running(), other
        assert other.state is WorkerState.CANCELLED
        assert other.stopped
        assert other.join() is other
    assert is_main() and not never.is_running()
    assert tree() == "main: RUNNING"

in_child(check)
for other in (worker, child, handle):
    assert other.is_running()
    other.stop().join()
""")


def test_l8_the_child_can_run_workers_and_timers_of_its_own():
    check("""
worker = Worker(name="worker").start()
later(print, "the parent's", timeout=3600)

def check():
    assert async_(pow, 2, 3).get() == 8
    defer = Defer()
    later(defer.resolve, "on time", timeout=0.001)
    assert defer.get() == "on time"
    worker.start().stop().join()  # again, as one that has ended
    with Worker(wait_forever, parent=current()):
        pass

in_child(check)
worker.stop().join()
""")


def test_l8_a_lock_that_was_held_elsewhere_at_the_fork_does_not_hang_the_child():
    check("""
kinds = type(threading.Lock()), type(threading.RLock())
modules = [module for name, module in sys.modules.items() if name.startswith("threadtree")]
values = [value for holder in (*modules, live) for value in vars(holder).values()]
locks = {id(value): value for value in values if isinstance(value, kinds)}.values()
assert live.lock in locks and len(locks) > 2

def check():
    @listen("X")
    def _(event):
        current().advance()
    for _ in range(2000):
        current().fire("X")
    update()
    assert current().completed_steps == 2000
    assert async_(pow, 2, 3).get() == 8

with held(*locks):
    in_child(check)
""")


def test_l8_a_child_ends_its_own_in_order_and_the_parents_go_on():
    result = run("""
def work(name):
    try:
        wait_forever()
    finally:
        say(os.getpid() == parent, name)

parent = os.getpid()
create_worker(work, "daemon", daemon=True)
failed = async_(lambda: 1 / 0).join()  # which nobody looks at: the parent alone reports it
pid = os.fork()
if pid == 0:
    over = Worker(work, parent=main).start("child").stopped
    create_worker(work, "daemon", daemon=True)

    @create_worker
    def orphan():
        over.wait()
        say(False, "orphan")

    raise SystemExit(7)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")
    assert result.returncode == 0
    lines = ["False child", "False orphan", "False daemon", "7", "True daemon"]
    assert result.lines == lines
    assert result.stderr.count("ZeroDivisionError") == 1


def test_l8_a_child_can_be_interrupted():
    result = run("""
pid = os.fork()
if pid == 0:
    Worker(say, parent=main).start("in the child").join()
    signal.raise_signal(signal.SIGINT)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")
    assert (result.returncode, result.lines) == (0, ["in the child", str(-signal.SIGINT)])


def test_l8_a_process_of_multiprocessing_can_run_workers():
    result = run("""
import multiprocessing

def task():
    create_worker(lambda: (sleep(0.01), say("orphan")))
    create_worker(wait_forever, daemon=True)
    sys.exit(await_(pow, 2, 3))

create_worker(wait_forever, daemon=True)
process = multiprocessing.get_context("fork").Process(target=task)
process.start()
process.join()
say(process.exitcode)
""")
    assert (result.returncode, result.lines, result.stderr) == (0, ["orphan", "8"], "")


def test_l8_a_fork_inside_a_worker_makes_it_the_childs_main():
    result = run(
        PRELUDE
        + """
def task():
    pid = os.fork()
    if pid == 0:
        assert is_main()
        assert is_main(current())
        assert list(live.live) == [current()]
        assert async_(pow, 2, 3).get() == 8
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)

print(Worker(task).start().get())
"""
    )
    assert (result.returncode, result.lines, result.stderr) == (0, ["7"], "")


def test_l8_the_workers_of_foreign_threads_are_the_parent_processs_to_end():
    """Of each thread that is gone, the child collects what was local to it, before anything else.
    So it must neither take a lock there nor ask anybody to end."""
    check("""
begun, release, told = threading.Event(), threading.Event(), threading.Event()
asked = []

def tell():
    asked.append(os.getpid())
    told.set()

def foreign():
    child = Thread.run("child", lambda please_stop: please_stop.wait())
    child.please_stop.then(tell)
    begun.set()
    release.wait(10)

thread = threading.Thread(target=foreign)
thread.start()
begun.wait(10)

def check():
    assert not asked
    assert async_(pow, 2, 3).get() == 8

with held(live.lock):
    in_child(check)
release.set()
thread.join()
told.wait(10)
assert asked == [os.getpid()]
""")


def test_l8_a_till_that_was_waited_for_before_the_fork_goes_in_the_child_too():
    check("""
asked = Signal()
late = Till(seconds=0.05)
either = asked | late

def check():
    assert either.wait(10) and late

in_child(check)
""")


def test_l8_what_was_to_follow_a_till_follows_in_the_parent_only():
    check("""
sent, told = [], threading.Event()

def tell():
    sent.append(os.getpid())
    told.set()

Till(seconds=0.02).then(tell)

def check():
    sleep(0.05)
    assert not sent
    assert not live.live.keys() - {current()}

in_child(check)
told.wait(10)
assert sent == [os.getpid()]
""")


def test_l8_queues_managers_and_pools_can_be_used_in_the_child():
    check("""
class Equal(Queue):
    def __eq__(self, other):
        return True

queue, manager, pool = Equal("queue").add(1), WorkerManager(limit=1), ThreadPool(1)
others = [Equal("other") for _ in range(3)]
slow = ThreadedQueue("slow", [], period=60)
there = manager.run(wait_forever), manager.run(wait_forever)
pool.run("first", lambda please_stop: please_stop.wait())
pool.run("second", lambda please_stop: None)
waits = Thread.run("waits", lambda please_stop: Queue("empty").pop())

def check():
    assert queue.add(2).pop_all() == [1, 2]
    assert [task.state for task in there] == [WorkerState.CANCELLED] * 2
    assert not list(manager) and manager.run(pow, 2, 3).get(10) == 8
    assert pool.run("third", lambda please_stop: 3).wait(10) == 3
    try:
        slow.add(1)
    except QueueClosed:
        pass
    else:
        raise AssertionError("nobody would ship it")
    pool.join()

with held(queue._lock, manager._turns.lock, slow._lock, pool._jobs._lock):
    in_child(check)
for task in there:
    task.cancel()
pool.stop().join()
""")


def test_l8_a_thread_that_was_at_the_changes_of_a_manager_is_not_waited_for_in_the_child():
    check("""
manager = WorkerManager(limit=1)
manager._turns.settling[threading.get_ident()] = object()  # as if it had had the same identifier

def check():
    assert manager.run(pow, 2, 3).get(10) == 8

in_child(check)
""")


def test_l8_a_task_that_was_about_to_run_keeps_no_place_in_the_child():
    check("""
import asyncio
from unittest.mock import patch
from threadtree import Task

manager = WorkerManager(limit=1, parent=False)
with patch.object(Task, "_launch"):
    about_to_run = manager.run(int)

def check():
    assert about_to_run.state is WorkerState.CANCELLED
    assert manager.run(pow, 2, 3).get(10) == 8

in_child(check)
about_to_run.cancel()
""")
