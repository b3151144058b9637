"""Thread: a signal asks it to end, a parent sees to that, and no error of it is silent."""

from __future__ import annotations

import contextvars
import functools
import gc
import logging
import threading
from weakref import ref

import pytest

from threadtree import (
    DONE,
    PLEASE_STOP,
    THREAD_STOP,
    THREAD_TIMEOUT,
    DeadlockError,
    Lock,
    Queue,
    Signal,
    Thread,
    Till,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerExit,
    WorkerState,
    checkpoint,
    create_worker,
    current,
    get_current_worker,
    graces,
    join_all_threads,
    sleep,
)

from .bytecodes import at_each_bytecode
from .helpers import LIMIT, Flag, described, hectic_switching, in_a_wait, in_threads
from .programs import run


def until_asked(please_stop: Signal) -> str:
    please_stop.wait()
    return "asked"


def crash(please_stop: Signal) -> None:
    raise KeyError("crashed")


def stop_and_join(*threads: Thread[object]) -> None:
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.stopped.wait(LIMIT)


# -- making and starting -----------------------------------------------------------------------


def test_a_thread_calls_its_target_with_its_arguments_and_its_signal():
    def target(*args: int, please_stop: Signal, **kwargs: int) -> object:
        return args, kwargs, please_stop is Thread.current().please_stop

    assert Thread.run("t", target, 1, 2, a=3).join(LIMIT) == ((1, 2), {"a": 3}, True)


def test_making_a_thread_does_not_start_it():
    thread = Thread("later", until_asked)
    assert (thread.name, thread.state) == ("later", WorkerState.PENDING)
    assert not thread.stopped
    assert thread.join() is thread
    assert thread.start() is thread
    assert thread.start() is thread
    assert thread.stop() is thread
    assert thread.join(LIMIT) == "asked"
    assert thread.stopped


def test_a_thread_is_the_current_one_in_its_code():
    def who(please_stop: Signal) -> bool:
        return Thread.current() is current() is get_current_worker() is thread

    thread = Thread("me", who)
    assert thread.start().join(LIMIT) is True
    assert Thread.current() is current()


def test_context_variables_are_copied():
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    token = variable.set("mine")
    try:
        assert Thread.run("t", lambda please_stop: variable.get()).join(LIMIT) == "mine"
    finally:
        variable.reset(token)


def test_a_thread_that_has_ended_can_be_started_again_with_new_signals():
    thread = Thread.run("again", until_asked)
    first = thread.please_stop
    thread.stop().join(LIMIT)
    thread.stop()  # nothing runs: it does not end the next run
    thread.start()
    in_a_wait(thread)
    assert thread.please_stop is not first
    assert thread.is_running()
    assert thread.stop().join(LIMIT) == "asked"


@pytest.mark.parametrize("ask", [Thread.stop, lambda thread: thread.please_stop.go()])
def test_a_thread_that_is_asked_before_its_start_still_runs(ask):
    thread = Thread("early", lambda please_stop: bool(please_stop))
    ask(thread)
    assert thread.start().join(LIMIT) is True


def test_a_thread_runs_with_a_given_signal_that_is_a_go_already():
    for given in (DONE, Signal().go(), Till(seconds=0)):
        thread = Thread.run("t", lambda please_stop: bool(please_stop), please_stop=given)
        assert thread.join(LIMIT) is True


def test_a_given_signal_asks_the_thread_and_its_children():
    given, children = Signal(), []

    def parent(please_stop: Signal) -> str:
        children.append(Thread.run("child", until_asked))
        in_a_wait(children[0])
        ready.go()
        return until_asked(please_stop)

    ready = Signal()
    thread = Thread.run("parent", parent, please_stop=given | Till(seconds=3600))
    ready.wait(LIMIT)
    assert not thread.please_stop
    given.go()
    assert thread.join(LIMIT) == "asked"
    assert children[0].join(LIMIT) == "asked"
    assert not given._jobs


# -- what a target must take -------------------------------------------------------------------


class Methods:
    def good(self, please_stop: Signal) -> str:
        return "good"

    def bad(self) -> None: ...

    @classmethod
    def good_of_class(cls, *, please_stop: Signal) -> str:
        return "good"

    @staticmethod
    def good_static(please_stop: Signal) -> str:
        return "good"

    @staticmethod
    def bad_static() -> None: ...


class Good:
    def __call__(self, please_stop: Signal) -> str:
        return "good"


class Bad:
    def __call__(self) -> None: ...


class MadeWithOne:
    def __init__(self, please_stop: Signal) -> None: ...

    def __eq__(self, other: object) -> bool:
        return other == "good"

    __hash__ = None  # type: ignore[assignment]


def passing_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def good(first: object = None, please_stop: Signal | None = None) -> str:
    return "good"


def bad(first: object = None) -> None: ...


GOOD = [
    good,
    lambda please_stop: "good",
    lambda **kwargs: "good",
    Methods().good,
    Methods.good_of_class,
    Methods.good_static,
    Good(),
    MadeWithOne,
    functools.partial(good, 1),
    functools.partial(Methods.good, Methods()),
    functools.partial(passing_on(good), 1),
    passing_on(passing_on(good)),
    passing_on(Methods().good),
    functools.cache(good),
    staticmethod(good),
]
BAD = [
    bad,
    lambda *args: None,
    lambda please_stop, /: None,
    Methods().bad,
    Methods().bad_static,
    Bad(),
    Bad,
    functools.partial(bad, 1),
    functools.partial(good, 1, 2),
    functools.partial(Methods.good, Methods(), 1),
    functools.partial(passing_on(bad), 1),
    passing_on(passing_on(bad)),
    passing_on(Methods().bad),
    functools.cache(bad),
    functools.partial(functools.partial(bad), 1),
    print,
    [].append,
    len,
]


@pytest.mark.parametrize("target", GOOD, ids=described)
def test_what_takes_a_please_stop_is_run(target):
    assert Thread.run("t", target).join(LIMIT) == "good"


@pytest.mark.parametrize("target", BAD, ids=described)
def test_what_takes_no_please_stop_is_refused_at_once(target):
    with pytest.raises(TypeError, match="please_stop"):
        Thread.run("t", target)
    assert current().children == set()


def test_bad_input_raises_at_once():
    for name in (None, good, 1):
        with pytest.raises(TypeError, match="its name, a string"):
            Thread(name, good)
    for target in (None, "good", 1):
        with pytest.raises(TypeError, match="what it calls"):
            Thread("t", target)
    with pytest.raises(TypeError, match="parent_thread must be"):
        Thread("t", good, parent_thread="main")
    with pytest.raises(TypeError, match="please_stop must be a Signal"):
        Thread("t", good, please_stop=True)
    thread = Thread.run("t", until_asked)
    for till in ("soon", True, float("nan")):
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            thread.join(till)
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            join_all_threads([thread], till)
    for wrong in (None, threading.current_thread(), thread.stopped):
        with pytest.raises(TypeError, match="can be joined, not"):
            join_all_threads([thread, wrong])
    stop_and_join(thread)
    with pytest.raises(WorkerError, match="has ended"):
        Thread("t", good, parent_thread=thread)


def test_the_words():
    assert PLEASE_STOP == "please_stop"
    assert THREAD_STOP is PLEASE_STOP
    assert (lambda please_stop: please_stop)(**{PLEASE_STOP: 1}) == 1
    thread = Thread.run("t", until_asked)
    with pytest.raises(TimeoutError) as caught:
        thread.join(0)
    assert THREAD_TIMEOUT in str(caught.value)
    stop_and_join(thread)


# -- joining -----------------------------------------------------------------------------------


def test_join_returns_the_result_each_time():
    thread = Thread.run("t", lambda please_stop: [1])
    assert thread.join(LIMIT) is thread.join()


class FalsyError(Exception):
    def __bool__(self) -> bool:
        return False


@pytest.mark.parametrize("error", [KeyError("k"), FalsyError(), SystemExit(3), KeyboardInterrupt()])
def test_join_raises_the_original_error_each_time(error):
    def target(please_stop: Signal) -> None:
        raise error

    thread = Thread.run("t", target)
    depths = []
    for _ in range(3):
        with pytest.raises(type(error)) as caught:
            thread.join(LIMIT)
        assert caught.value is error
        depths.append(len(caught.traceback))
    assert depths[0] == depths[1] == depths[2]
    assert caught.traceback[-1].name == "target"
    assert any("t" in note for note in error.__notes__)
    assert (thread.state, thread.error) == (WorkerState.ERROR, error)


@pytest.mark.parametrize("till", [0, -1, 0.001, DONE, lambda: Till(seconds=0.001)])
def test_join_raises_timeout_error_and_can_be_called_again(till):
    thread = Thread.run("slow", until_asked)
    with pytest.raises(TimeoutError, match="slow"):
        thread.join(till=till() if callable(till) else till)
    assert thread.is_running()
    assert thread.stop().join(LIMIT) == "asked"
    assert thread.join(till=till() if callable(till) else till) == "asked"


def test_a_till_that_goes_while_join_waits_ends_it():
    till, thread = Signal(), Thread.run("slow", until_asked)

    def join() -> str:
        with pytest.raises(TimeoutError):
            thread.join(till)
        return "timeout"

    worker = create_worker(join)
    in_a_wait(worker)
    till.go()
    assert worker.get(LIMIT) == "timeout"
    stop_and_join(thread)
    assert not till._jobs
    assert not till._dependents


def test_join_handles_the_events_of_the_worker():
    thread, handled = Thread.run("t", until_asked), Flag()
    worker = create_worker(thread.join)
    in_a_wait(worker)
    worker.later(handled.set)
    handled.wait()
    stop_and_join(thread)
    assert worker.get(LIMIT) == "asked"


def test_a_thread_that_joins_itself_gets_a_deadlock_error():
    thread = Thread("me", lambda please_stop: thread.join())
    with pytest.raises(DeadlockError, match="me waits for"):
        thread.start().join(LIMIT)


def test_after_join_the_native_thread_has_ended():
    natives: list[threading.Thread] = []
    for _ in range(50):
        Thread.run("t", lambda please_stop: natives.append(threading.current_thread())).join(LIMIT)
        assert not natives[-1].is_alive()


def test_a_stop_of_the_main_worker_ends_its_join():
    main, free = current(), Signal()
    thread = Thread.run("t", lambda please_stop: free.wait())  # a child of main: it is asked, too
    main.later(main.stop)
    with pytest.raises(WorkerCancelled, match="the wait for main/t was stopped"):
        thread.join()
    assert thread.please_stop
    free.go()
    assert thread.join(LIMIT) is True


def test_join_all_gives_the_results_in_order():
    threads = [Thread.run("t", lambda n, please_stop: n, n) for n in range(20)]
    assert join_all_threads(threads, LIMIT) == list(range(20))
    assert Thread.join_all(reversed(threads)) == list(reversed(range(20)))
    assert join_all_threads([]) == []


def test_join_all_raises_one_group_of_all_the_errors():
    slow = Thread.run("slow", until_asked)
    threads = [
        Thread.run("first", crash),
        Thread.run("second", lambda please_stop: 2),
        slow,
        Thread.run("last", crash),
    ]
    for thread in (threads[0], threads[1], threads[3]):
        thread.stopped.wait(LIMIT)
    with pytest.raises(ExceptionGroup) as caught:
        join_all_threads(threads, 0.02)
    assert [type(error) for error in caught.value.exceptions] == [KeyError, TimeoutError, KeyError]
    stop_and_join(slow)


def test_join_all_raises_a_base_group_where_one_is_no_exception():
    def leave(please_stop: Signal) -> None:
        raise SystemExit(1)

    threads = [Thread.run("leaves", leave), Thread.run("fine", lambda please_stop: 1)]
    with pytest.raises(BaseExceptionGroup) as caught:
        Thread.join_all(threads, LIMIT)
    assert not isinstance(caught.value, Exception)


# -- a with block ------------------------------------------------------------------------------


def test_a_with_block_starts_and_joins():
    go_on = Signal()
    with Thread("t", lambda please_stop: go_on.wait()) as thread:
        in_a_wait(thread)
        go_on.go()
    assert thread.stopped
    assert thread.join() is True


def test_an_error_in_the_block_stops_the_thread():
    with pytest.raises(ZeroDivisionError), Thread("t", until_asked) as thread:
        raise ZeroDivisionError
    assert thread.stopped
    assert thread.join() == "asked"


def test_an_error_of_the_thread_leaves_the_block():
    with pytest.raises(KeyError, match="crashed"), Thread("t", crash):
        pass


def test_errors_of_both_leave_the_block_as_a_group():
    with pytest.raises(ExceptionGroup) as caught, Thread("t", crash):
        raise ZeroDivisionError
    assert [type(e) for e in caught.value.exceptions] == [ZeroDivisionError, KeyError]


def test_an_error_that_the_block_got_from_the_thread_is_raised_as_it_is():
    with pytest.raises(KeyError), Thread("t", crash) as thread:
        thread.join(LIMIT)


def test_a_worker_that_is_stopped_at_the_end_of_the_block_stops_the_thread():
    made = []

    def block() -> None:
        with Thread("t", until_asked, parent_thread=current()) as thread:
            made.append(thread)

    worker = create_worker(block)
    in_a_wait(worker)
    worker.stop().join(LIMIT)
    assert made[0].join(LIMIT) == "asked"


# -- no error is silent ------------------------------------------------------------------------


def crashes(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_released_thread_that_fails_is_logged_at_once(caplog):
    thread = Thread("lost", crash)
    assert thread.release() is thread
    thread.start()
    thread.stopped.wait(LIMIT)
    assert len(crashes(caplog)) == 1
    assert "main/lost" in crashes(caplog)[0]
    with pytest.raises(KeyError):  # it can still be joined
        thread.join()
    assert len(crashes(caplog)) == 1


def test_releasing_a_thread_that_has_failed_logs_it_at_once(caplog):
    thread = Thread.run("lost", crash)
    thread.stopped.wait(LIMIT)
    assert crashes(caplog) == []
    thread.release().release()
    assert len(crashes(caplog)) == 1


def test_a_release_while_the_thread_fails_logs_once(caplog):
    with hectic_switching():
        for _ in range(30):
            caplog.clear()
            go = Signal()

            def fail(please_stop: Signal, go: Signal = go) -> None:
                go.wait()
                raise KeyError

            thread = Thread.run("lost", fail)
            in_threads(go.go, thread.release)
            thread.stopped.wait(LIMIT)
            assert len(crashes(caplog)) == 1


def test_a_joined_error_is_not_logged(caplog):
    thread = Thread.run("seen", crash)
    with pytest.raises(KeyError):
        thread.join(LIMIT)
    del thread
    gc.collect()
    assert crashes(caplog) == []


def test_an_unjoined_failure_is_reported_when_its_parent_ends(caplog):
    kept = []

    def parent(please_stop: Signal) -> None:
        kept.append(Thread.run("child", crash))
        kept[0].stopped.wait()
        assert crashes(caplog) == []

    Thread.run("parent", parent).join(LIMIT)
    assert len(crashes(caplog)) == 1
    assert "main/parent/child" in crashes(caplog)[0]


def test_a_failure_that_nobody_holds_is_reported(caplog):
    thread = Thread.run("dropped", crash)
    stopped, native = thread.stopped, thread._life.launch
    assert native is not None
    del thread
    stopped.wait(LIMIT)
    native.join(LIMIT)  # whose last steps hold it
    current().update()  # and so do the events that told us of its end
    gc.collect()
    assert len(crashes(caplog)) == 1


def test_a_finished_thread_costs_no_native_thread_and_is_collected():
    before = threading.active_count()
    threads = [Thread.run("t", lambda please_stop: 1) for _ in range(50)]
    for thread in threads:
        thread.stopped.wait(LIMIT)
        assert thread._life.launch is not None
        thread._life.launch.join(LIMIT)
    assert threading.active_count() <= before + 1  # the timers' thread may have come
    assert [thread.thread for thread in threads] == [None] * 50
    links = [ref(thread) for thread in threads]
    current().update()  # the events that told us of their ends hold them
    del threads, thread
    gc.collect()
    assert [link() for link in links] == [None] * 50


def test_errors_at_the_exit_are_reported():
    ended = run("""
        import logging
        logging.basicConfig(format="%(message)s")
        def fail(please_stop):
            please_stop.wait()
            raise KeyError("at the end")
        thread = Thread.run("failing", fail)
    """)
    assert ended.returncode == 0
    assert ended.stderr.count("Worker main/failing crashed") == 1
    assert "at the end" in ended.stderr


# -- the parent ----------------------------------------------------------------------------------


def test_the_current_thread_is_the_parent():
    def parent(please_stop: Signal) -> tuple[object, ...]:
        child = Thread("child", until_asked)
        given = Thread("given", until_asked, parent_thread=main)
        return child.parent is Thread.current(), child.path, given.parent is main

    main = current()
    assert Thread.run("parent", parent).join(LIMIT) == (True, "main/parent/child", True)
    assert Thread("t", until_asked).parent is main


def test_an_asked_thread_passes_the_word_on_at_once():
    families = []

    def parent(depth: int, please_stop: Signal) -> None:
        me = Thread.current()
        families.append(me)
        if depth:
            Thread.run("child", parent, depth - 1)
        else:
            ready.go()
        until_free.wait()  # it does not look at its own signal

    ready, until_free = Signal(), Signal()
    top = Thread.run("top", parent, 3)
    ready.wait(LIMIT)
    top.stop()
    assert [bool(thread.please_stop) for thread in families] == [True] * 4
    assert all(thread.is_running() for thread in families)
    until_free.go()
    top.join(LIMIT)


def test_a_parent_has_not_ended_before_its_children():
    order = []

    def child(please_stop: Signal) -> None:
        please_stop.wait()
        order.append("child")

    def parent(please_stop: Signal) -> str:
        Thread.run("child", child)
        return "result"

    thread = Thread.run("parent", parent)
    thread.stopped.then(lambda: order.append("parent"))
    assert thread.join(LIMIT) == "result"
    assert order == ["child", "parent"]


def test_a_child_started_by_an_asked_thread_is_asked_at_once():
    def parent(please_stop: Signal) -> list[bool]:
        please_stop.wait()
        children = [Thread.run("child", lambda please_stop: bool(please_stop)) for _ in range(3)]
        return Thread.join_all(children)

    assert Thread.run("parent", parent).stop().join(LIMIT) == [True] * 3


def test_a_child_started_in_the_moment_of_the_stop_is_asked():
    def parent(please_stop: Signal) -> str:
        starting.set()
        return Thread.run("child", until_asked).join()

    with hectic_switching():
        for _ in range(40):
            starting = Flag()
            thread = Thread.run("parent", parent)
            starting.wait()
            assert thread.stop().join(LIMIT) == "asked"


@at_each_bytecode
def test_a_child_is_asked_at_whatever_bytecode_of_its_start_the_parent_is(interrupt):
    def parent(please_stop: Signal) -> str:
        me = Thread.current()
        child = Thread("child", until_asked)
        if interrupt.came:
            me.stop()
        interrupt(child.start, me.stop)
        return child.join(LIMIT)

    assert Thread.run("parent", parent).join(LIMIT) == "asked"


def test_a_worker_below_a_thread_is_asked_with_it():
    def parent(please_stop: Signal) -> str:
        worker = create_worker(lambda: Signal().wait(), name="worker", parent=True)
        in_a_wait(worker)
        ready.go()
        with pytest.raises(WorkerCancelled):
            worker.get()
        return "ended"

    ready = Signal()
    thread = Thread.run("parent", parent)
    ready.wait(LIMIT)
    assert thread.stop().join(LIMIT) == "ended"


def test_a_worker_asks_its_threads_when_its_code_has_ended():
    started = []

    def work() -> None:
        started.append(Thread.run("child", until_asked))

    create_worker(work).join(LIMIT)
    assert started[0].join(LIMIT) == "asked"


def test_the_word_goes_down_a_chain_of_10_000_without_recursion(monkeypatch):
    """They stand in for threads: as far as the tree can see, they run."""
    chain = [Thread("0", until_asked)]
    for number in range(1, 10_000):
        chain.append(Thread(str(number), until_asked, parent_thread=chain[-1]))
    for thread in chain:
        thread._life.state = WorkerState.RUNNING
        if thread.parent is not current():
            thread.parent._children[thread] = None
    try:
        chain[0].stop()
        assert all(thread.please_stop for thread in chain)
        assert all(thread._life.attention for thread in chain)
    finally:
        for thread in chain:
            thread._life.state = WorkerState.PENDING
            thread._children.clear()


def test_a_signal_that_is_handed_down_by_hand_needs_no_recursion_either(caplog):
    depth = 400

    def descend(depth: int, please_stop: Signal) -> int:
        if not depth:
            ready.go()
            please_stop.wait()
            return 0
        return 1 + Thread.run("t", descend, depth - 1, please_stop=please_stop).join()

    ready = Signal()
    top = Thread.run("top", descend, depth)
    assert ready.wait(LIMIT)
    assert top.stop().join(LIMIT) == depth
    assert caplog.records == []


def test_a_daemon_is_not_waited_for():
    kept = []

    def parent(please_stop: Signal) -> None:
        kept.append(Thread.run("daemon", until_free, daemon=True))

    def until_free(please_stop: Signal) -> None:
        free.wait()

    free = Signal()
    Thread.run("parent", parent).join(LIMIT)
    assert kept[0].is_running()
    assert kept[0].please_stop
    free.go()
    kept[0].join(LIMIT)


# -- asked, and told -----------------------------------------------------------------------------


def test_an_asked_thread_may_wait_as_it_likes():
    def work(please_stop: Signal) -> list[object]:
        please_stop.wait()
        sleep(0.001)
        checkpoint()
        lock = Lock()
        with lock:
            waits = [Signal().wait(0.001), lock.wait(0.001), Till(seconds=0.001).wait()]
        return [*waits, Queue("q").pop() is PLEASE_STOP]

    thread = Thread.run("t", work)
    assert thread.stop().stop().join(LIMIT) == [False, False, True, True]
    assert thread.state is WorkerState.SUCCESS


def test_when_the_grace_is_over_every_wait_raises(monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.05)
    raised = []

    def work(please_stop: Signal) -> None:
        lock, queue, other = Lock(), Queue("q", max=1).add(1), Thread.run("o", until_free)
        for wait in (
            Signal().wait,
            lambda: sleep(60),
            lambda: sleep(0),
            checkpoint,
            queue.pop,
            lambda: queue.add(2),
            queue.join,
            other.join,
            lambda: other.join(60),
            Till(seconds=60).wait,
            DONE.wait,
        ):
            try:
                wait()
            except WorkerExit:
                raised.append(True)
            else:
                raised.append(False)
        with lock:
            try:
                lock.wait()
            except WorkerExit:
                raised.append(lock._held.get(None) == threading.get_ident())
        free.set()
        raise WorkerExit

    def until_free(please_stop: Signal) -> None:
        free.wait()  # no wait of the library

    free = Flag()
    thread = Thread.run("t", work)
    in_a_wait(thread)
    thread.stop()
    with pytest.raises(WorkerCancelled):
        thread.join(LIMIT)
    assert raised == [True] * 12
    assert thread.state is WorkerState.CANCELLED


def test_a_thread_that_ends_by_itself_when_asked_is_a_success():
    thread = Thread.run("t", until_asked)
    assert thread.stop().join(LIMIT) == "asked"
    assert thread.state is WorkerState.SUCCESS


# -- paused --------------------------------------------------------------------------------------


def test_no_wait_of_a_paused_thread_returns():
    go_on, returned = Signal(), []

    def work(please_stop: Signal) -> None:
        returned.append(go_on.wait())

    thread = Thread.run("t", work)
    in_a_wait(thread)
    assert thread.pause() is thread
    in_a_wait(thread)
    go_on.go()
    in_a_wait(thread)
    assert returned == []
    assert thread.resume() is thread
    thread.join(LIMIT)
    assert returned == [True]


@pytest.mark.parametrize("ask", [Thread.stop, lambda thread: thread.please_stop.go()])
def test_a_stop_ends_the_pause(ask):
    thread = Thread.run("t", until_asked)
    in_a_wait(thread)
    thread.pause()
    in_a_wait(thread)
    ask(thread)
    assert thread.join(LIMIT) == "asked"


def test_an_asked_thread_cannot_be_paused():
    def work(please_stop: Signal) -> str:
        please_stop.wait()
        ready.go()
        go_on.wait()
        return "done"

    ready, go_on = Signal(), Signal()
    thread = Thread.run("t", work).stop()
    ready.wait(LIMIT)
    thread.pause()
    in_a_wait(thread)
    go_on.go()
    assert thread.join(LIMIT) == "done"


def test_a_pause_and_a_stop_at_once_end_in_the_stop():
    with hectic_switching():
        for _ in range(50):
            thread = Thread.run("t", until_asked)
            in_threads(thread.pause, thread.stop)
            assert thread.join(LIMIT) == "asked"


# -- Ctrl-C and other things from outside ----------------------------------------------------------


def test_ctrl_c_ends_the_main_threads_join_and_the_thread_can_be_joined_again():
    ended = run("""
        thread = Thread.run("t", lambda please_stop: please_stop.wait())
        later(ask)
        try:
            thread.join()
        except KeyboardInterrupt:
            say("interrupted", thread.is_running())
        say(thread.stop().join())
        try:
            with Thread("t", lambda please_stop: say("ended", please_stop.wait())):
                later(ask)
        except KeyboardInterrupt:
            say("out")
    """)
    assert ended.lines[:2] == ["interrupted True", "True"]
    assert sorted(ended.lines[2:]) == ["ended True", "out"]
    assert ended.returncode == 0


def test_stop_in_a_signal_handler_during_the_waits_of_the_main_thread():
    ended = run("""
        signal.signal(signal.SIGTERM, lambda *args: thread.stop())
        thread = Thread.run("t", lambda please_stop: please_stop.wait())
        later(ask, "SIGTERM")
        say(thread.join())
    """)
    assert (ended.lines, ended.returncode) == (["True"], 0)


def test_threads_and_workers_live_in_one_tree():
    def work(please_stop: Signal) -> str:
        return Worker(lambda: current().path, parent=True, name="w").start().get()

    assert Thread.run("t", work).join(LIMIT) == "main/t/w"


def test_starts_and_stops_of_one_thread_from_many_give_one_run_at_a_time():
    running, most = [], []

    def work(please_stop: Signal) -> None:
        running.append(1)
        most.append(len(running))
        please_stop.wait()
        running.pop()

    thread = Thread("t", work)

    def drive() -> None:
        for _ in range(20):
            thread.start()
            thread.stop()

    with hectic_switching():
        in_threads(*[drive] * 4)
        thread.stop().stopped.wait(LIMIT)
    assert set(most) == {1}
