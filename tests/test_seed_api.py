"""The API of pyThreadWorker: every name, argument, default, form and event of its manual."""

from __future__ import annotations

import gc
import inspect
import threading
from functools import partial, wraps

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
    Worker,
    WorkerExit,
    WorkerState,
    async_,
    await_,
    broadcast,
    bubble,
    call_in,
    create_worker,
    current,
    is_main,
    listen,
    sleep,
    wait_event,
    wait_forever,
    wait_thread,
)

from .helpers import Flag, in_threads, running


@pytest.fixture
def main():
    return current()


@pytest.fixture
def idle():
    """A worker that handles events."""
    with running() as worker:
        yield worker


@pytest.fixture
def family(main):
    """A worker, its child and its grandchild, which handle events. Main is the parent of all."""
    with (
        running(parent=main, name="worker") as worker,
        running(parent=worker, name="child") as child,
        running(parent=child, name="grandchild") as grandchild,
    ):
        yield main, worker, child, grandchild


@pytest.fixture
def hear():
    """``hear(worker, *names)`` gives the list to which these events of the worker go."""
    listening = []

    def hear(worker, *names):
        events = []
        for name in names:
            worker.listen(events.append, name)
        listening.append((worker, events.append))
        return events

    yield hear
    for worker, callback in listening:
        worker.unlisten(callback)


def give(*args, **kwargs):
    """What it was called with."""
    return args, kwargs


def fail():
    raise ValueError("as it must")


def settle(*workers):
    """Come back when these have handled what they were sent so far."""
    for worker in workers:
        defer = Defer()
        worker.later(defer.resolve, None)
        defer.get()


# -- signatures ----------------------------------------------------------------------------------

SIGNATURES = {
    "Worker": "task=None, parent=None, daemon=None, print_traceback=True",
    "Worker.bubble": "self, *args, **kwargs",
    "Worker.broadcast": "self, *args, **kwargs",
    "Worker.children_fire": "self, *args, **kwargs",
    "Worker.exit": "self",
    "Worker.is_daemon": "self",
    "Worker.is_running": "self",
    "Worker.join": "self",
    "Worker.later": "self, callback, *args, timeout=0, **kwargs",
    "Worker.parent_fire": "self, *args, **kwargs",
    "Worker.pause": "self",
    "Worker.resume": "self",
    "Worker.start": "self, *args, **kwargs",
    "Worker.start_overlay": "self, *args, **kwargs",
    "Worker.stop": "self",
    "Worker.unlisten": "self, callback",
    "Worker.update": "self",
    "Worker.wait": "self, param, *args, **kwargs",
    "Worker.wait_event": "self, name, timeout=None, target=None",
    "Worker.wait_forever": "self",
    "Worker.wait_thread": "self, thread",
    "Worker.wait_timeout": "self, timeout",
    "Worker.wait_until": "self, condition, timeout=None",
    "Async": "task",
    "Async.get": "self",
    "Defer": "",
    "Defer.get": "self",
    "Defer.reject": "self, err",
    "Defer.resolve": "self, value",
    "Channel": "",
    "Channel.sub": "self, thread=None",
    "Channel.unsub": "self, thread=None",
    "Event": "name, data=None, *, bubble=False, broadcast=False, target=None",
    "Listener": "callback, event_name, *, target=None, priority=0, once=False, permanent=True",
    "WORKER_POOL.add": "node",
    "WORKER_POOL.current": "",
    "WORKER_POOL.is_main": "thread=None",
    "WORKER_POOL.remove": "thread",
    "current": "",
    "is_main": "thread=None",
    "later": "callback, *args, timeout=0, **kwargs",
    "sleep": "timeout",
    "unlisten": "callback",
    "update": "",
    "wait": "param, *args, **kwargs",
    "wait_event": "name, timeout=None, target=None",
    "wait_forever": "",
    "wait_thread": "thread",
    "wait_timeout": "timeout",
    "wait_until": "condition, timeout=None",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_that_of_the_manual_but_for_what_can_be_left_out(name):
    manual = inspect.signature(eval(f"lambda {SIGNATURES[name]}: None"))
    actual = inspect.signature(eval(name, vars(threadtree)))
    parameters = [p.replace(annotation=p.empty) for p in actual.parameters.values()]
    known = [p for p in parameters if p.name in manual.parameters]
    new = [p for p in parameters if p.name not in manual.parameters]
    assert known == list(manual.parameters.values())
    assert all(p.default is not p.empty for p in new)
    # In its place, none stands before one that was there before.
    places = [p.name in manual.parameters for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert places == sorted(places, reverse=True)


# -- functions -----------------------------------------------------------------------------------


def test_current_is_the_worker_of_the_calling_thread(main):
    worker = Worker(current).start()
    assert worker.get() is worker
    assert current() is main is WORKER_POOL.current()


def test_is_main_tells_the_main_thread_from_others(main, idle):
    assert is_main()
    assert is_main(main)
    assert not is_main(idle)
    assert await_(lambda: (is_main(), is_main(current()), is_main(main))) == (False, False, True)


def test_sleep_enters_the_event_loop(main, hear):
    events = hear(main, "KNOCK")
    main.fire("KNOCK")
    assert sleep(0) is None
    assert len(events) == 1


@pytest.mark.parametrize(
    "create",
    [
        lambda: create_worker(give, 1, two=2, parent=False, daemon=True, print_traceback=False),
        lambda: create_worker(1, two=2, parent=False, daemon=True, print_traceback=False)(give),
    ],
    ids=["function", "decorator"],
)
def test_create_worker_sends_each_argument_to_its_place(create):
    worker = create()
    assert type(worker) is Worker
    assert worker.get() == ((1,), {"two": 2})
    assert (worker.parent, worker.daemon, worker.print_traceback) == (None, True, False)


def greet(name):
    return "hello", name


class Greeting:
    def __init__(self, name):
        self.said = "hello", name

    def __iter__(self):
        return iter(self.said)

    def again(self, *, name="nobody"):
        return "hello", name

    __call__ = again


@wraps(greet)
def wrapped(*args, **kwargs):
    return greet(*args, **kwargs)


@pytest.mark.parametrize(
    "task", [greet, Greeting, Greeting("Ann"), Greeting("Ann").again, partial(greet), wrapped]
)
@pytest.mark.parametrize("is_decorator", [False, True])
def test_a_keyword_name_is_the_tasks_if_it_has_one(task, is_decorator):
    worker = create_worker(name="Bob")(task) if is_decorator else create_worker(task, name="Bob")
    assert tuple(worker.get()) == ("hello", "Bob")
    assert worker.name == Worker(task).name


@pytest.mark.parametrize(
    ("task", "args"),
    [
        (give, ()),
        (len, ([],)),
        (greet, ("Ann",)),
        (partial(greet, "Ann"), ()),
        (lambda **name: name, ()),
        (lambda name, /: name, (1,)),
    ],
)
def test_a_keyword_name_is_the_workers_if_the_task_has_none_or_has_got_it(task, args):
    worker = create_worker(task, *args, name="Bob")
    assert worker.get() == task(*args)
    assert worker.name == "Bob"


@pytest.mark.parametrize("call", [create_worker, async_, await_])
def test_the_callback_may_be_given_by_its_name(call):
    given = call(callback=give, two=2)
    assert (given if call is await_ else given.get()) == ((), {"two": 2})


def test_create_worker_has_the_defaults_of_worker():
    made, created = Worker(give), create_worker(give).join()
    for name in ("parent", "daemon", "print_traceback", "name"):
        assert getattr(made, name) == getattr(created, name)


@pytest.mark.parametrize("decorator", [create_worker, create_worker(), async_, async_()])
def test_a_decorator_makes_the_name_stand_for_the_running_worker(decorator):
    @decorator
    def task():
        return "done"

    assert task.get() == "done"


@pytest.mark.parametrize("decorator", [await_, await_()])
def test_the_decorator_await_makes_the_name_stand_for_the_result(decorator):
    @decorator
    def task():
        return "done"

    assert task == "done"


@pytest.mark.parametrize("start", [partial(async_, give), lambda *a, **k: async_(*a, **k)(give)])
def test_async_starts_an_async(start):
    work = start(1, two=2)
    assert type(work) is Async
    assert work.get() == ((1,), {"two": 2})


def test_await_gives_the_result_or_raises_the_error():
    assert await_(give, 1, two=2) == await_(1, two=2)(give) == ((1,), {"two": 2})
    with pytest.raises(ValueError, match="as it must"):
        await_(fail)


def test_await_handles_events_while_the_function_blocks(main):
    handled = Flag()
    main.later(handled.set)
    assert await_(handled.wait)


SHORTCUTS = {
    "broadcast": ("X", 1),
    "bubble": ("X", 1),
    "checkpoint": (),
    "children_fire": ("X", 1),
    "exit": (),
    "later": (print, 1),
    "listen": (print, "X"),
    "parent_fire": ("X", 1),
    "unlisten": (print,),
    "update": (),
    "wait": ("X", 1),
    "wait_event": ("X", 1, None),
    "wait_forever": (),
    "wait_thread": (None, 1),
    "wait_timeout": (1,),
    "wait_until": (print, 1),
}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_a_shortcut_calls_the_method_of_the_current_worker(name, main, monkeypatch):
    calls = []
    monkeypatch.setattr(main, name, lambda *args, **kwargs: calls.append((args, kwargs)))
    getattr(threadtree, name)(*SHORTCUTS[name])
    added = {"listen": {"permanent": False}, "later": {"timeout": 0}}
    assert calls == [(SHORTCUTS[name], added.get(name, {}))]


# -- what a worker is ----------------------------------------------------------------------------


def test_a_worker_without_a_task_waits_for_ever():
    worker = Worker().start()
    settle(worker)
    assert worker.is_running()
    assert worker.stop().join().state is WorkerState.CANCELLED


def test_the_arguments_of_a_worker_in_their_places(idle):
    worker = Worker(give, idle, True, False)
    assert (worker.parent, worker.daemon, worker.print_traceback) == (idle, True, False)
    assert worker.start().get() == ((), {})


def test_the_parent_is_the_current_worker_unless_that_is_main(main):
    def parents():
        return [worker.parent for worker in (Worker(), Worker(parent=False), Worker(parent=main))]

    assert parents() == [None, None, main]
    worker = Worker(parents).start()
    assert worker.get() == [worker, None, main]


@pytest.mark.parametrize(
    ("own", "of_the_root", "expected"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_is_daemon_is_the_flag_or_else_what_the_parent_is(own, of_the_root, expected):
    root = Worker(daemon=of_the_root)
    assert Worker(parent=Worker(parent=root), daemon=own).is_daemon() is expected


@pytest.mark.parametrize("daemon", [None, True, False])
def test_without_a_parent_only_the_flag_makes_a_daemon(daemon):
    assert Worker(parent=False, daemon=daemon).is_daemon() is bool(daemon)


@pytest.mark.parametrize("print_traceback", [True, False])
def test_print_traceback_says_whether_a_crash_is_logged(print_traceback, caplog):
    worker = Worker(fail, print_traceback=print_traceback).start()
    assert isinstance(wait_thread(worker)[0], ValueError)
    assert [r.exc_info[0] for r in caplog.records] == [ValueError] * print_traceback


class Callable:
    def __call__(self): ...


@pytest.mark.parametrize(
    ("task", "name"),
    [(give, "give"), (partial(give, 1), "give"), (Callable(), "Callable"), (None, "Worker")],
)
def test_the_name_of_a_worker_is_that_of_its_task_by_default(task, name):
    assert Worker(task).node_name == Worker(task).name == name
    assert Worker(task, name="given").node_name == "given"


def test_what_a_worker_shows_before_in_and_after_a_run():
    go = Flag()

    def task():
        go.wait()
        return "done"

    worker = Worker(task)

    def shown():
        return worker.is_running(), worker.thread, worker.ret, worker.err, worker.paused

    assert shown() == (False, None, None, None, False)
    worker.start()
    native = worker.thread
    assert shown() == (True, native, None, None, False)
    assert native in threading.enumerate()
    go.set()
    worker.join()
    assert shown() == (False, None, "done", None, False)


def test_a_new_run_forgets_the_outcome_of_the_last():
    go = Flag()

    def task(error):
        if error:
            raise error
        go.wait()

    error = ValueError()
    worker = Worker(task, print_traceback=False).start(error).join()
    assert (worker.err, worker.ret) == (error, None)
    worker.start(None)
    assert (worker.err, worker.ret) == (None, None)
    go.set()
    worker.join()


def test_children_are_those_that_run():
    with running() as parent, running(parent=parent) as child:
        Worker(parent=parent)  # was never started
        assert parent.children == {child}
        assert child.parent is parent
        child.stop().join()
        assert parent.children == set()


# -- the life of a worker ------------------------------------------------------------------------


def test_start_passes_its_arguments_to_the_task():
    assert Worker(give).start(1, two=2).get() == ((1,), {"two": 2})


def test_start_does_nothing_while_it_runs():
    go = Flag()

    def task(number):
        go.wait()
        return number

    worker = Worker(task).start(1).start(2)
    go.set()
    assert worker.get() == 1


def test_start_overlay_runs_in_the_calling_thread(main):
    def task(*args, **kwargs):
        return current(), is_main(), is_main(worker), is_main(main), worker.thread, args, kwargs

    worker = Worker(task)
    assert worker.start_overlay(1, two=2) is worker
    here = threading.current_thread()
    assert worker.ret == (worker, True, True, False, here, (1,), {"two": 2})
    assert current() is main


def test_start_overlay_keeps_an_error_as_the_outcome():
    worker = Worker(fail, print_traceback=False).start_overlay()
    assert isinstance(worker.err, ValueError)


def test_start_overlay_re_raises_an_interrupt(main):
    def interrupted():
        raise KeyboardInterrupt

    worker = Worker(interrupted, print_traceback=False)
    with pytest.raises(KeyboardInterrupt):
        worker.start_overlay()
    assert (worker.is_running(), worker.state, current()) == (False, WorkerState.ERROR, main)
    assert isinstance(worker.err, KeyboardInterrupt)


def test_a_worker_exit_ends_a_worker_like_a_stop():
    def task():
        raise WorkerExit

    worker = Worker(task).start().join()
    assert (worker.state, worker.err, worker.ret) == (WorkerState.CANCELLED, None, None)
    assert not issubclass(WorkerExit, Exception)


def test_exit_ends_the_current_worker():
    def task():
        current().exit()
        return "not reached"

    assert Worker(task).start().join().state is WorkerState.CANCELLED


def test_exit_stops_the_children_of_main_and_not_main(main):
    child = Worker(parent=main).start()
    assert main.exit() is None
    assert child.join().state is WorkerState.CANCELLED
    assert main.is_running()


def test_join_runs_no_listener(main, hear):
    events = hear(main, "KNOCK")
    assert Worker(lambda: main.fire("KNOCK")).start().join().is_running() is False
    assert events == []
    main.update()
    assert len(events) == 1


def test_join_of_what_was_never_started_returns_at_once():
    worker = Worker()
    assert worker.join() is worker


def test_a_paused_worker_handles_events_but_its_waits_do_not_return(hear):
    def task():
        wait_event("GO")
        return worker.paused

    worker = Worker(task).start()
    worker.pause()
    worker.fire("GO")
    settle(worker)
    assert (worker.is_running(), worker.paused) == (True, True)
    assert worker.resume().get() is False


@pytest.mark.parametrize(
    "call",
    [
        Worker.start,
        Worker.stop,
        Worker.pause,
        Worker.resume,
        lambda worker: worker.fire("X"),
        lambda worker: worker.bubble("X"),
        lambda worker: worker.broadcast("X"),
    ],
)
def test_what_returns_self(call, main, idle):
    workers = [main, idle, Worker()]
    assert [call(worker) for worker in workers] == workers
    main.resume().update()
    workers[-1].stop().join()


@pytest.mark.parametrize("call", [Signal.go, lambda signal: signal.then(int)])
def test_what_of_a_signal_returns_self(call):
    signal = Signal()
    assert call(signal) is signal
    assert call(DONE) is DONE


# -- events --------------------------------------------------------------------------------------


def test_an_event_keeps_what_it_was_made_with(main):
    event = Event("NAME")
    shown = (event.name, event.data, event.bubble, event.broadcast, event.target)
    assert shown == ("NAME", None, False, False, None)
    event = Event("NAME", 1, bubble=True, broadcast=True, target=main)
    shown = (event.name, event.data, event.bubble, event.broadcast, event.target)
    assert shown == ("NAME", 1, True, True, main)


def test_a_listener_keeps_what_it_was_made_with(main):
    names = ("callback", "event_name", "target", "priority", "once", "permanent")

    def shown(listener):
        return tuple(getattr(listener, name) for name in names)

    assert shown(Listener(give, "NAME")) == (give, "NAME", None, 0, False, True)
    options = {"target": main, "priority": 2, "once": True, "permanent": False}
    assert shown(Listener(give, "NAME", **options)) == (give, "NAME", *options.values())


def test_fire_takes_an_event_or_what_makes_one(main, hear, idle):
    events = hear(main, "NAME")
    event = Event("NAME", 1)
    main.fire(event).fire("NAME", 2).fire("NAME", data=3, target=idle)
    main.update()
    assert events[0] is event
    assert [(e.data, e.target) for e in events] == [(1, main), (2, main), (3, idle)]


def test_the_target_of_an_event_is_the_one_that_fires_it(main, hear, idle):
    events = hear(main, "NAME")
    idle.later(main.fire, "NAME")
    settle(idle)
    assert [event.target for event in events] == [idle]


@pytest.mark.parametrize(
    ("send", "hearers"),
    [
        (lambda worker: worker.fire("X"), ["child"]),
        (lambda worker: worker.fire("X", bubble=True), ["main", "worker", "child"]),
        (lambda worker: worker.fire("X", broadcast=True), ["child", "grandchild"]),
        (lambda worker: worker.parent_fire("X"), ["worker"]),
        (lambda worker: worker.parent_fire(Event("X")), ["worker"]),
        (lambda worker: worker.children_fire("X"), ["grandchild"]),
        (lambda worker: worker.bubble("X"), ["main", "worker"]),
        (lambda worker: worker.parent.broadcast("X"), ["child", "grandchild"]),
        (lambda worker: worker.parent.children_fire("X"), ["child"]),
        (lambda worker: worker.bubble(Event("X")), ["main", "worker"]),
        (lambda worker: worker.parent.broadcast(Event("X")), ["child", "grandchild"]),
        (lambda worker: worker.parent_fire(Event("X"), bubble=True), ["main", "worker"]),
        (lambda worker: call_in(worker, bubble, Event("X")), ["main", "worker"]),
        (lambda worker: call_in(worker.parent, broadcast, Event("X")), ["child", "grandchild"]),
    ],
)
def test_who_hears_an_event(send, hearers, family, hear):
    heard = {worker: hear(worker, "X") for worker in family}
    send(family[2])
    settle(*family)
    assert [worker.name for worker, events in heard.items() if len(events) == 1] == hearers
    assert sum(map(len, heard.values())) == len(hearers)


@pytest.mark.parametrize("send", [Worker.parent_fire, Worker.bubble])
def test_the_target_of_what_goes_up_is_where_it_comes_from(send, main, family, hear):
    events = hear(main, "X")
    send(family[1], "X", 1)
    main.update()
    assert [(event.data, event.target) for event in events] == [(1, family[1])]


@pytest.mark.parametrize("send", [Worker.parent_fire, Worker.bubble])
def test_without_a_parent_nothing_goes_up(send, idle, hear):
    events = hear(idle, "X")
    send(idle, "X")
    settle(idle)
    assert events == []


class Condition:
    """Something callable that has a ``get``, as a dict of conditions may."""

    def __call__(self, event):
        return event.name == "X"

    def get(self):
        return "got"


class CallableDefer(Defer):
    def __call__(self, event): ...


class Ticket:
    def get(self):
        return "got"


def resolved(defer):
    defer.resolve("got")
    return defer


@pytest.mark.parametrize(
    ("param", "given"),
    [
        (Condition(), 1),
        (resolved(Defer()), "got"),
        (resolved(CallableDefer()), "got"),
        (Ticket(), "got"),
        (0, None),
    ],
)
def test_wait_asks_for_the_kinds_in_the_order_of_the_manual(main, param, given):
    main.fire("X", 1)
    assert main.wait(param) == given
    main.update()


def test_listen_is_a_method_and_a_decorator(main):
    assert main.listen(give, "NAME") is give

    @main.listen("NAME", priority=1)
    def handler(event): ...

    for listen_to in main.listen, listen:

        @listen_to(event_name="OTHER", priority=1)
        def other(event): ...

        assert main.listeners["OTHER"][0].callback is other
        main.unlisten(other)

    listeners = main.listeners["NAME"]
    assert type(listeners) is list
    assert [listener.callback for listener in listeners] == [handler, give]
    pool = main.listener_pool
    assert pool == {handler: [listeners[0]], give: [listeners[1]]}
    main.unlisten(give)
    main.unlisten(handler)
    assert "NAME" not in main.listeners
    assert main.listener_pool == {}


def test_unlisten_forgets_all_listeners_with_the_callback(main):
    main.listen(give, "ONE")
    main.listen(give, "TWO")
    main.unlisten(give)
    assert main.listeners == {}


def test_the_higher_priority_is_called_first_and_equal_ones_in_their_order(main):
    called = []
    callbacks = [(lambda event, n=n: called.append(n)) for n in range(5)]
    for callback, priority in zip(callbacks, (0, -1, 10, 0, 10), strict=True):
        main.listen(callback, "NAME", priority=priority)
    main.fire("NAME").update()
    for callback in callbacks:
        main.unlisten(callback)
    assert called == [2, 4, 0, 3, 1]


def test_a_listener_with_a_target_hears_of_that_only(main, idle):
    events = []
    main.listen(events.append, "NAME", target=idle)
    main.fire("NAME", 1).fire("NAME", 2, target=idle).update()
    main.unlisten(events.append)
    assert [event.data for event in events] == [2]


def test_a_listener_that_listens_once_is_forgotten_then(main):
    events = []
    main.listen(events.append, "NAME", once=True)
    main.fire("NAME", 1).fire("NAME", 2).update()
    assert [event.data for event in events] == [1]
    assert (main.listeners, main.listener_pool) == ({}, {})


def test_only_permanent_listeners_outlive_a_run():
    def task():
        listen(give, "SHORTCUT")
        listen(give, "PERMANENT SHORTCUT", permanent=True)
        current().listen(give, "METHOD")
        current().listen(give, "TEMPORARY METHOD", permanent=False)
        return set(current().listeners)

    worker = Worker(task).start().join()
    assert len(worker.ret) == 4
    assert set(worker.listeners) == {"PERMANENT SHORTCUT", "METHOD"}
    assert worker.start().join().ret == {
        "PERMANENT SHORTCUT",
        "METHOD",
        "SHORTCUT",
        "TEMPORARY METHOD",
    }


def test_update_handles_what_is_queued_without_waiting(main, hear):
    events = hear(main, "NAME")
    main.fire("NAME").fire("NAME")
    assert main.update() is None
    assert len(events) == 2
    main.update()
    assert len(events) == 2


# -- waiting -------------------------------------------------------------------------------------


def test_wait_event_gives_the_data_of_the_event(main):
    main.fire("OTHER", 1).fire("NAME", 2).fire("NAME", 3)
    assert main.wait_event("NAME") == 2
    assert main.wait_event("NAME") == 3


def test_wait_event_can_ask_for_a_target(main, idle):
    main.fire("NAME", 1).fire("NAME", 2, target=idle)
    assert main.wait_event("NAME", target=idle) == 2


def test_wait_until_gives_the_data_of_the_event_that_fits(main):
    main.fire("A", 1).fire("B", 2).fire("C", 3)
    assert main.wait_until(lambda event: event.data > 1) == 2
    assert main.wait_until(lambda event: event.name == "C") == 3


@pytest.mark.parametrize(
    "wait",
    [
        lambda timeout: current().wait_event("NEVER", timeout),
        lambda timeout: current().wait_event("NEVER", timeout=timeout),
        lambda timeout: current().wait_until(lambda event: False, timeout),
        lambda timeout: current().wait_until(lambda event: False, timeout=timeout),
        lambda timeout: current().wait_timeout(timeout),
        lambda timeout: sleep(timeout),
    ],
)
@pytest.mark.parametrize("timeout", [-1, 0, 0.001])
def test_a_wait_gives_none_when_its_time_is_up(wait, timeout, main, hear):
    events = hear(main, "NAME")
    main.fire("NAME")
    assert wait(timeout) is None
    assert len(events) == 1


def test_wait_forever_handles_events_until_a_stop():
    heard = []

    def task():
        listen(heard.append, "NAME")
        wait_forever()

    Worker(task).start().fire("NAME").stop().join()
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("task", "error", "result"),
    [(lambda: "done", type(None), "done"), (fail, ValueError, None), (None, type(None), None)],
    ids=["done", "failed", "stopped"],
)
def test_wait_thread_gives_the_error_and_the_result(task, error, result):
    worker = Worker(task, print_traceback=False).start()
    if task is None:
        worker.stop()
    err, ret = wait_thread(worker)
    assert (type(err), ret) == (error, result)
    assert wait_thread(worker) == (err, ret)


def fulfilled():
    defer = Defer()
    defer.resolve("done")
    return defer


@pytest.mark.parametrize(
    ("make", "arguments", "given"),
    [
        (lambda: "NAME", {}, "data"),
        (lambda: "NAME", {"timeout": 0, "target": Worker()}, None),
        (lambda: Async(give).start(), {}, ((), {})),
        (lambda: Worker(give).start(), {}, (None, ((), {}))),
        (lambda: lambda event: event.name == "NAME", {}, "data"),
        (lambda: lambda event: False, {"timeout": 0}, None),
        (lambda: 0.001, {}, None),
        (lambda: 0, {}, None),
        (fulfilled, {}, "done"),
        (lambda: DONE, {}, True),
    ],
    ids=[
        "event",
        "event with options",
        "Async",
        "Worker",
        "condition",
        "condition with a timeout",
        "seconds",
        "none at all",
        "Defer",
        "Signal",
    ],
)
def test_wait_chooses_by_the_type_of_what_is_given(make, arguments, given, main):
    main.fire("NAME", "data")
    assert main.wait(make(), **arguments) == given


# -- later ---------------------------------------------------------------------------------------


def test_later_calls_in_the_thread_of_the_worker(idle):
    called = Defer()
    assert idle.later(lambda *a, **k: called.resolve((current(), a, k)), 1, two=2) is None
    assert called.get() == (idle, (1,), {"two": 2})


@pytest.mark.parametrize("timeout", [0, 0.0, -1])
def test_later_without_a_delay_returns_none(timeout, main):
    called = []
    assert main.later(called.append, 1, timeout=timeout) is None
    assert called == []
    main.update()
    assert called == [1]


def test_later_with_a_timeout_returns_a_daemon_worker_that_ends_with_the_call(main):
    threads = []
    handle = main.later(lambda: threads.append(current()), timeout=0.001)
    assert isinstance(handle, Worker)
    assert (handle.is_daemon(), handle.is_running(), handle.parent) == (True, True, None)
    assert wait_thread(handle) == (None, None)
    assert threads == [main]
    assert not handle.is_running()


def test_later_is_cancelled_by_a_stop(main):
    called = []
    handle = main.later(called.append, 1, timeout=1000)
    assert handle.stop().join() is handle
    assert (handle.state, main.backlog, called) == (WorkerState.CANCELLED, 0, [])


def test_later_is_cancelled_by_a_stop_that_comes_after_it_was_queued(main, idle):
    called = []
    handle = main.later(called.append, 1, timeout=0.001)
    queued = Flag()
    idle.later(queued.set, timeout=0.001)  # comes behind it
    queued.wait()
    assert main.backlog == 1
    handle.stop()
    main.update()
    assert (handle.state, called) == (WorkerState.CANCELLED, [])


# -- Async, Defer, Channel -----------------------------------------------------------------------


def test_an_async_is_a_worker_without_a_parent_a_daemon_and_silent(caplog):
    def in_a_worker():
        work = Async(fail)
        return isinstance(work, Worker), work.parent, work.daemon, work.print_traceback

    assert await_(in_a_worker) == (True, None, True, False)
    with pytest.raises(ValueError, match="as it must"):
        Async(fail).start().get()
    assert caplog.records == []


def test_get_of_an_async_enters_the_event_loop(main):
    handled = Flag()
    main.later(handled.set)
    assert Async(handled.wait).start().get()


def test_get_gives_the_same_each_time():
    work = Async(give).start(1)
    assert work.get() is work.get()


def test_a_defer_gives_what_it_is_resolved_with():
    defer = Defer()
    assert (defer.status, defer.result) == ("PENDING", None)
    defer.resolve(1)
    assert (defer.status, defer.result, defer.get(), defer.get()) == ("RESOLVED", 1, 1, 1)


def test_a_defer_raises_what_it_is_rejected_with():
    defer = Defer()
    error = ValueError("rejected")
    defer.reject(error)
    assert (defer.status, defer.result) == ("REJECTED", error)
    for _ in range(2):
        with pytest.raises(ValueError, match="rejected") as caught:
            defer.get()
        assert caught.value is error


@pytest.mark.parametrize("second", [lambda d: d.resolve(2), lambda d: d.reject(ValueError())])
def test_the_first_fulfilment_counts(second):
    resolved, rejected = Defer(), Defer()
    resolved.resolve(1)
    rejected.reject(KeyError("first"))
    for defer in (resolved, rejected):
        second(defer)
    assert (resolved.status, resolved.get()) == ("RESOLVED", 1)
    with pytest.raises(KeyError, match="first"):
        rejected.get()


@pytest.mark.parametrize("by", ["worker", "native thread", "itself"])
def test_a_defer_can_be_fulfilled_from_any_thread(by, main):
    defer = Defer()
    got = []
    waiters = [async_(lambda: got.append(defer.get())) for _ in range(3)]
    resolve = partial(defer.resolve, "value")
    if by == "worker":
        Worker(resolve).start().join()
    elif by == "native thread":
        in_threads(resolve)
    else:
        main.later(resolve)
    assert defer.get() == "value"
    for waiter in waiters:
        waiter.get()
    assert got == ["value"] * 3


def test_get_of_a_defer_enters_the_event_loop(main, hear):
    events = hear(main, "NAME")
    defer = Defer()
    main.fire("NAME").later(defer.resolve, 1)
    assert defer.get() == 1
    assert len(events) == 1


def test_a_channel_reaches_its_subscribers_and_no_others(family, hear):
    channel = Channel()
    main, first, second, third = family
    heard = {worker: hear(worker, "NEWS") for worker in family}
    channel.sub()
    channel.sub(first)
    channel.sub(first)  # twice is once
    channel.sub(thread=second)
    assert channel.pool == {main, first, second}
    channel.unsub(thread=second)
    channel.pub("NEWS", 1)
    channel.unsub()
    channel.pub(Event("NEWS", 2, target=third))
    settle(*family)
    got = {w.name: [(e.data, e.target) for e in events] for w, events in heard.items() if events}
    assert got == {"main": [(1, main)], "worker": [(1, main), (2, third)]}
    assert channel.pool == {first}


def test_sub_means_the_current_worker(idle):
    channel = Channel()
    idle.later(channel.sub)
    settle(idle)
    assert channel.pool == {idle}
    idle.later(channel.unsub)
    settle(idle)
    assert channel.pool == set()


def test_a_channel_holds_its_subscribers_weakly():
    channel = Channel()
    channel.sub(Worker())
    gc.collect()
    assert channel.pool == set()
    channel.pub("NEWS")


# -- the pool ------------------------------------------------------------------------------------


def test_the_pool_holds_the_workers_of_live_threads(main, idle):
    pool = WORKER_POOL.pool
    assert pool[threading.main_thread()] == [main]
    assert WORKER_POOL.is_main()
    assert WORKER_POOL.is_main(main)
    assert not WORKER_POOL.is_main(idle)
    settle(idle)
    native = idle.thread
    assert pool[native] == [idle]
    idle.stop().join()
    assert native not in pool
    assert set(pool) <= set(threading.enumerate())


def test_the_pool_shows_an_overlay_above_the_worker_of_its_thread(main):
    worker = Worker(lambda: WORKER_POOL.pool[threading.current_thread()].copy())
    assert worker.start_overlay().ret == [main, worker]
    assert WORKER_POOL.pool[threading.main_thread()] == [main]


def test_what_is_added_to_the_pool_is_the_innermost_until_it_is_removed(main):
    thread = threading.current_thread()
    WORKER_POOL.add(main)
    try:
        assert WORKER_POOL.pool[thread] == [main, main]
    finally:
        WORKER_POOL.remove(thread)
    assert WORKER_POOL.pool[thread] == [main]
    assert current() is main


# -- built-in events -----------------------------------------------------------------------------

CHILD_EVENTS = [f"CHILD_THREAD_{word}" for word in ("START", "DONE", "STOP", "ERROR", "END")]


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (lambda: "result", "DONE"),
        (fail, "ERROR"),
        (None, "STOP"),
        (lambda: current().exit(), "STOP"),
    ],
)
def test_a_parent_hears_of_the_start_the_outcome_and_the_end_of_a_child(task, name, main, hear):
    events = hear(main, *CHILD_EVENTS)
    child = Worker(task, parent=main, print_traceback=False).start()
    err, ret = wait_thread(child if task else child.stop())
    data = {"DONE": ret, "ERROR": err, "STOP": None}[name]
    assert [(event.name, event.data) for event in events] == [
        ("CHILD_THREAD_START", None),
        (f"CHILD_THREAD_{name}", data),
        ("CHILD_THREAD_END", (err, ret)),
    ]
    assert {event.target for event in events} == {child}


@pytest.mark.parametrize("stop", [Worker.stop, lambda worker: worker.fire("STOP_THREAD")])
def test_a_worker_hears_its_stop_before_it_ends(stop, hear):
    worker = Worker()
    events = hear(worker, "STOP_THREAD")
    stop(worker.start())
    worker.join()
    assert [(event.name, event.data) for event in events] == [("STOP_THREAD", None)]
    assert worker.state is WorkerState.CANCELLED


def test_a_worker_hears_its_pause_and_its_resumption(idle, hear):
    shown = []
    idle.listen(lambda event: shown.append((event.name, event.data)), "PAUSE_THREAD")
    idle.listen(lambda event: shown.append((event.name, event.data)), "RESUME_THREAD")
    idle.pause()
    settle(idle)
    assert idle.paused
    idle.resume()
    settle(idle)
    assert not idle.paused
    assert shown == [("PAUSE_THREAD", None), ("RESUME_THREAD", None)]


def test_pause_and_resume_are_events_that_can_be_fired(idle):
    idle.fire("PAUSE_THREAD")
    settle(idle)
    assert idle.paused
    idle.fire("RESUME_THREAD")
    settle(idle)
    assert not idle.paused


def test_an_error_in_a_listener_bubbles_up_as_an_event(family, hear):
    main, worker, child, grandchild = family
    heard = {w: hear(w, "LISTENER_ERROR") for w in family}
    error = ValueError("in a listener")

    def listener(event):
        raise error

    child.listen(listener, "NAME")
    child.fire("NAME")
    settle(child)
    settle(*family)
    assert [(e.data, e.target) for w in (main, worker, child) for e in heard[w]] == [
        (error, child)
    ] * 3
    assert heard[grandchild] == []


@pytest.mark.parametrize("with_target", [False, True])
def test_the_target_of_a_rejected_event_is_told(with_target, main, idle, hear):
    ended = Worker(give).start().join()
    told = idle if with_target else main
    events = hear(told, "EVENT_REJECT")
    event = Event("NAME", target=idle if with_target else None)
    ended.fire(event)
    settle(told)
    assert [e.data for e in events] == [(event, ended)]
    assert ended.rejected == 1


def test_a_wait_for_the_end_of_a_worker_ends_by_an_event(main, hear):
    events = hear(main, "WAIT_THREAD_PENDING_DONE")
    worker = Worker(give).start()
    wait_thread(worker)
    assert [event.target for event in events] == [worker]


def test_later_is_an_event(main, hear):
    events = hear(main, "EXECUTE")
    called = []
    main.later(give, 1, two=2)
    main.fire("EXECUTE", (called.append, (3,), {}))
    main.update()
    assert events[0].data == (give, (1,), {"two": 2})
    assert called == [3]


def test_the_waiter_for_a_defer_hears_of_its_fulfilment(main, hear):
    events = hear(main, "DEFER_FULFILL")
    defer = Defer()
    main.later(defer.resolve, 1)
    defer.get()
    assert [event.data for event in events] == [defer]
