"""Bad input: a clear error that names what was given and what is expected, nothing half-changed."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

import threadtree
from threadtree import (
    DONE,
    WORKER_POOL,
    Async,
    Channel,
    Defer,
    Event,
    Listener,
    Signal,
    Task,
    Worker,
    WorkerError,
    WorkerState,
    async_,
    await_,
    create_worker,
    current,
    graces,
    later,
    laters,
    listen,
    sleep,
    wait,
    wait_event,
    wait_forever,
    wait_thread,
    wait_timeout,
    wait_until,
)
from threadtree.node import tree

from . import programs
from .helpers import LIMIT, described, in_threads, running

NAN = math.nan


@pytest.fixture
def idle():
    """A worker that handles events, and has nothing to do."""
    with running(name="idle") as worker:
        defer = Defer()
        worker.later(defer.resolve, None)
        defer.get()
        yield worker


def world():
    """Everything that a refused call must leave as it was."""
    return {
        "threads": {t for t in threading.enumerate() if t.name != "threadtree-timers"},
        "pool": {thread: stack.copy() for thread, stack in WORKER_POOL.pool.items()},
        "handles": laters._pending.copy(),
        "graces": repr(graces),
        "workers": {worker: shown(worker) for worker in tree.live},
    }


def shown(worker):
    run = worker._life
    return {
        "signals": (worker.please_stop, worker.stopped, bool(worker.please_stop)),
        "run": (worker.state, worker.thread, worker.result, worker.paused),
        "events": (worker.backlog, worker.rejected, dict(worker.listeners)),
        "waits": (run.waits.copy(), run.asked_at, run.deadline),
        "children": worker.children,
    }


@contextmanager
def refused(error, *words, but_for=None):
    """The block raises the error, with these words in its message, and changes nothing."""
    before = world(), but_for and shown(but_for)
    with pytest.raises(error) as caught:
        yield
    assert (world(), but_for and shown(but_for)) == before
    for word in words:
        assert word.lower() in str(caught.value).lower()


def give(*args, **kwargs):
    return args, kwargs


def no(event):
    return False


# -- what must be callable -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda idle: Worker(3),
        lambda idle: Worker(task=3, parent=idle),
        lambda idle: Async(3),
        lambda idle: create_worker()(3),
        lambda idle: create_worker(daemon=True)(3),
        lambda idle: async_()(3),
        lambda idle: await_()(3),
        lambda idle: Listener(3, "NAME"),
        lambda idle: idle.listen(3, "NAME"),
        lambda idle: idle.listen("NAME")(3),
        lambda idle: listen(3, "NAME"),
        lambda idle: idle.later(3),
        lambda idle: idle.later(3, timeout=1),
        lambda idle: later(3),
        lambda idle: wait_until(3),
        lambda idle: Signal().then(3),
    ],
)
def test_a_task_or_a_listener_that_is_not_callable(call, idle):
    with refused(TypeError, "callable", "3"):
        call(idle)


def test_an_async_needs_a_task():
    with refused(TypeError, "callable", "None"):
        Async(None)


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [3, None, b"NAME", Event])
@pytest.mark.parametrize(
    "call",
    [
        lambda idle, name: Event(name),
        lambda idle, name: Listener(give, name),
        lambda idle, name: idle.fire(name),
        lambda idle, name: idle.fire(name, bubble=True, broadcast=True),
        lambda idle, name: idle.parent_fire(name),
        lambda idle, name: idle.children_fire(name),
        lambda idle, name: idle.bubble(name),
        lambda idle, name: idle.broadcast(name),
        lambda idle, name: Channel().pub(name),
        lambda idle, name: idle.listen(give, name),
        lambda idle, name: listen(give, name),
        lambda idle, name: wait_event(name),
        lambda idle, name: wait_event(name, 0),
    ],
)
def test_an_event_name_that_is_not_a_string(call, name, idle):
    with refused(TypeError, "string", repr(name)):
        call(idle, name)


@pytest.mark.parametrize("listen_to", [Worker.listen, lambda idle, *args: listen(*args)])
def test_a_listener_whose_name_comes_first(listen_to, idle):
    with refused(TypeError, "callback first", "listen(callback, 'NAME')"):
        listen_to(idle, "NAME", give)


def test_a_listener_without_an_event_name(idle):
    with refused(TypeError, "event_name"):
        idle.listen(give)


class Unhashable(str):
    def __eq__(self, other):
        return str.__eq__(self, other)


@pytest.mark.parametrize(
    "call",
    [
        lambda idle, name: idle.fire(name),
        lambda idle, name: Event(name),
        lambda idle, name: idle.listen(give, name),
        lambda idle, name: wait_event(name),
    ],
)
def test_an_event_name_that_no_table_could_hold(call, idle):
    with refused(TypeError, "hashable", "'NAME'"):
        call(idle, Unhashable("NAME"))


def test_an_event_that_would_be_known_by_its_attributes(idle):
    class Equal(Event):
        __hash__ = Event.__hash__

        def __eq__(self, other):
            return True

    with refused(TypeError, "Equal", "identity", "eq=False"):
        Equal("NAME")


def test_a_worker_that_would_be_known_by_its_attributes():
    class Connection(Worker):
        host: str

        def __post_init__(self):
            super().__init__()

    plain = dataclass(eq=False)(Connection)("localhost")
    assert plain.start().stop().join(LIMIT).host == "localhost"

    class Equal(Task):
        __hash__ = Task.__hash__

        def __eq__(self, other):
            return True

    with refused(TypeError, "Connection", "identity", "eq=False"):
        dataclass(Connection)("localhost")
    with refused(TypeError, "Equal", "identity"):
        Equal(give)


def test_a_worker_name_that_is_not_a_string():
    with refused(TypeError, "string", "3"):
        Worker(name=3)


@pytest.mark.parametrize("priority", ["high", None])
def test_a_priority_that_is_no_number(priority, idle):
    with refused(TypeError, "number", repr(priority)):
        idle.listen(give, "NAME", priority=priority)


# -- what is not there ---------------------------------------------------------------------------


@pytest.mark.parametrize("callback", [no, 3])
def test_an_unknown_callback_given_to_unlisten(callback, idle):
    idle.listen(give, "NAME")
    with refused(KeyError, "idle", repr(callback)):
        idle.unlisten(callback)


def test_a_callback_that_was_unlistened_before(idle):
    idle.listen(give, "NAME")
    idle.unlisten(give)
    with refused(KeyError, "idle", repr(give)):
        idle.unlisten(give)


def test_a_worker_that_has_not_subscribed(idle):
    channel = Channel()
    channel.sub()
    with refused(KeyError, "idle"):
        channel.unsub(idle)
    assert channel.pool == {current()}


def test_a_thread_that_is_not_in_the_pool():
    with refused(KeyError):
        WORKER_POOL.remove(threading.Thread())


# -- timeouts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(NAN, ValueError), ("1", TypeError), ([], TypeError), (1j, TypeError), (give, TypeError)],
    ids=described,
)
@pytest.mark.parametrize(
    "call",
    [
        lambda idle, timeout: sleep(timeout),
        lambda idle, timeout: wait_timeout(timeout),
        lambda idle, timeout: wait_event("NAME", timeout),
        lambda idle, timeout: wait_until(no, timeout=timeout),
        lambda idle, timeout: wait_thread(idle, timeout),
        lambda idle, timeout: wait("NAME", timeout),
        lambda idle, timeout: idle.join(timeout),
        lambda idle, timeout: idle.get(timeout),
        lambda idle, timeout: idle.shutdown(timeout),
        lambda idle, timeout: threadtree.shutdown(timeout),
        lambda idle, timeout: idle.later(give, timeout=timeout),
        lambda idle, timeout: later(give, timeout=timeout),
        lambda idle, timeout: Defer().get(timeout),
        lambda idle, timeout: Signal().wait(timeout),
        lambda idle, timeout: setattr(graces, "asked", timeout),
        # Nothing would have to be waited for, and still:
        lambda idle, timeout: Worker().join(timeout),
        lambda idle, timeout: DONE.wait(timeout),
    ],
)
def test_a_timeout_that_is_no_number(call, timeout, error, idle):
    with refused(error, "number", repr(timeout)):
        call(idle, timeout)


@pytest.mark.parametrize("call", [sleep, wait_timeout, wait])
@pytest.mark.parametrize("timeout", [None, [], object()], ids=["None", "list", "object"])
def test_a_span_of_time_that_is_no_number(call, timeout):
    with refused(TypeError, "number", repr(timeout)):
        call(timeout)


def test_a_grace_that_there_is_not():
    with refused(AttributeError, "patience", "asked"):
        graces.patience = 1


# -- workers -------------------------------------------------------------------------------------


STARTS = [Worker.start, Worker.start_overlay]


@pytest.mark.parametrize("parent", [3, 0, "idle", Worker, threading.main_thread()], ids=described)
@pytest.mark.parametrize("make", [Worker, create_worker])
def test_a_parent_that_is_no_worker(make, parent):
    with refused(TypeError, "Worker", repr(parent)):
        make(give, parent=parent)


def test_a_parent_that_has_already_ended():
    parent = Worker(give, name="father").start().join()
    for make in (Worker, create_worker):
        with refused(WorkerError, "father", "ended", "parent"):
            make(give, parent=parent)


def test_a_parent_whose_thread_has_ended():
    parents = []
    in_threads(lambda: parents.append(current()))
    with refused(WorkerError, "ended", parents[0].path):
        Worker(parent=parents[0])


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_parent_that_has_ended_before_the_start(start, ran_before):
    parent = Worker(name="father").start()
    child = Worker(give, parent=parent, name="son")
    if ran_before:
        child.start().join()
    parent.stop().join()
    with refused(WorkerError, "father/son", "ended", "parent", but_for=child):
        start(child)
    assert parent.children == set()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Worker(give).get(),
        lambda: Worker(give).get(0),
        lambda: Async(give).get(),
        lambda: wait_thread(Worker(give)),
        lambda: wait_thread(Worker(give), timeout=0),
        lambda: wait(Worker(give)),
        lambda: wait(Async(give)),
        lambda: Worker(give).__await__(),
    ],
)
def test_get_on_what_never_started(call):
    with refused(WorkerError, "give", "never started"):
        call()


@pytest.mark.parametrize("thread", [3, None, "idle", threading.main_thread()], ids=described)
def test_wait_thread_for_what_is_no_worker(thread):
    with refused(TypeError, "Worker", repr(thread)):
        wait_thread(thread)


WAITS = [
    lambda worker: worker.wait_event("NAME"),
    lambda worker: worker.wait_event("NAME", 0),
    lambda worker: worker.wait_until(no),
    lambda worker: worker.wait_timeout(0),
    Worker.wait_forever,
    Worker.update,
    Worker.checkpoint,
    Worker.exit,
    lambda worker: worker.wait("NAME"),
    lambda worker: worker.wait(no),
    lambda worker: worker.wait(0),
    lambda worker: worker.wait(Worker(give).start().join()),
    lambda worker: worker.wait_thread(Worker(give).start().join()),
]


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_inside_the_wrong_thread(wait, idle):
    with refused(WorkerError, "idle", "MainThread", "current()"):
        wait(idle)


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("ended", [True, False])
def test_a_wait_of_a_worker_that_has_no_thread(wait, ended):
    worker = Worker(give, name="idle")
    if ended:
        worker.start().join()
    with refused(WorkerError, "idle", but_for=worker):
        wait(worker)


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_of_main_inside_a_worker(wait):
    main = current()
    with pytest.raises(WorkerError, match="main"):
        await_(wait, main)


def test_a_subscriber_that_is_no_worker():
    channel = Channel()
    for change in (channel.sub, channel.unsub):
        with refused(TypeError, "Worker", "3"):
            change(3)
    assert channel.pool == set()


def test_what_is_added_to_the_pool_without_a_thread():
    worker = Worker(name="idle")
    with refused(ValueError, "idle", "thread", but_for=worker):
        WORKER_POOL.add(worker)


@pytest.mark.parametrize("err", ["no exception", None, ValueError], ids=described)
def test_a_rejection_with_what_is_no_exception(err):
    defer = Defer()
    with refused(TypeError, "exception", repr(err)):
        defer.reject(err)
    assert defer.status == "PENDING"


def test_an_event_about_what_is_no_worker_cannot_keep_a_worker_from_its_end():
    # Of two events that come at the very end, the second is rejected.
    def task():
        listen(lambda event: worker.fire("SECOND", target="no worker"), "FIRST")
        worker.fire("FIRST", target="no worker")

    worker = Worker(task)
    worker.start().join(LIMIT)
    worker.fire("THIRD", target="no worker")
    assert (worker.state, worker.rejected) == (WorkerState.SUCCESS, 2)


# -- at the end of the program -------------------------------------------------------------------


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("ran_before", [False, True])
def test_a_start_in_a_program_that_is_shutting_down(start, ran_before):
    late = Worker(give, name="late")
    if ran_before:
        late.start().join()

    def task():
        try:
            wait_forever()
        finally:
            with refused(WorkerError, "late", "shutting down", but_for=late):
                start(late)

    worker = Worker(task, print_traceback=False).start()
    assert threadtree.shutdown() == []
    assert worker.error is None
    assert start(late).get() == ((), {})  # afterwards it can


def test_events_for_a_worker_whose_start_was_refused_wait_for_its_start(idle):
    parent = Worker().start()
    child = Worker(lambda: wait_event("NAME"), parent=parent)
    child.fire("NAME", 1)
    parent.stop().join()
    with refused(WorkerError, but_for=child):
        child.start()
    with parent.start():
        assert child.start().get() == 1


def test_a_start_at_the_exit_of_the_interpreter():
    ended = programs.run("""
        def task():
            try:
                wait_forever()
            finally:
                try:
                    Worker(name="late").start()
                except WorkerError as error:
                    say(error)

        create_worker(task, daemon=True)
    """)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["task/late cannot start: the program has ended"]
