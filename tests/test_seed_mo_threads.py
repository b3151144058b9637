"""Each sentence of mo-threads' page that promises something, and the page's examples as they run.

The examples are those of the page; where it leaves out a name (``function``, ``todo``) or the
middle of a line, that is supplied. Logging and profiling have tests of their own.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time

import pytest

from threadtree import (
    PLEASE_STOP,
    DeadlockError,
    Lock,
    Queue,
    RegisterThread,
    Signal,
    Thread,
    Till,
    current,
)

from .helpers import LIMIT, in_a_wait, in_threads
from .programs import run


def until_asked(please_stop: Signal) -> str:
    please_stop.wait()
    return "asked"


def play(example: str, **names: object) -> dict[str, object]:
    """Run the text of an example; gives the names it made."""
    exec(compile(inspect.cleandoc(example), "<example>", "exec"), names)
    return names


# -- "the main benefits" ---------------------------------------------------------------------------


def test_multi_threaded_queues_do_not_use_serialization():
    class NotToBeCopied:
        def __reduce_ex__(self, protocol):
            raise AssertionError("serialized")

        __copy__ = __deepcopy__ = None

    item, queue = NotToBeCopied(), Queue("queue")
    reader = Thread.run("reader", lambda please_stop: queue.pop())
    queue.add(item)
    assert reader.join(LIMIT) is item


def test_each_thread_can_shut_down_on_its_own_terms():
    def work(please_stop: Signal) -> str:
        please_stop.wait()
        Till(seconds=0.01).wait()  # it is not interrupted, whatever it does
        return "saved"

    thread = Thread.run("work", work)
    assert thread.stop().join(LIMIT) == "saved"


def test_all_threads_are_required_to_accept_a_please_stop_signal():
    with pytest.raises(TypeError, match="please_stop"):
        Thread.run("no signal", lambda: None)
    assert isinstance(Thread.run("t", lambda please_stop: please_stop).join(LIMIT), Signal)


def test_they_can_test_it_in_a_timely_manner_and_exit_when_signalled():
    def poll(please_stop: Signal) -> str:
        begun.go()
        while not please_stop:
            pass
        return "exited"

    begun = Signal()
    thread = Thread.run("polls", poll)
    begun.wait()
    assert thread.stop().join(LIMIT) == "exited"


def test_all_threads_have_a_parent():
    def parent(please_stop: Signal) -> bool:
        return Thread.run("child", lambda please_stop: Thread.current().parent).join() is me[0]

    me = [Thread("parent", parent)]
    assert me[0].parent is current()
    assert me[0].start().join(LIMIT) is True


def test_a_parent_ensures_its_children_get_the_signal_and_are_dead_before_it_stops_itself():
    order = []

    def child(please_stop: Signal) -> None:
        please_stop.wait()
        order.append("child")

    def parent(please_stop: Signal) -> None:
        for _ in range(3):
            Thread.run("child", child)

    thread = Thread.run("parent", parent)
    thread.stopped.then(lambda: order.append("parent"))
    thread.join(LIMIT)
    assert order == ["child", "child", "child", "parent"]


def test_the_shutdown_order_is_deterministic():
    ended = run("""
        def work(name, please_stop):
            if name != "c":
                Thread.run("child", work, chr(ord(name) + 1)).stopped.then(
                    lambda: say(name, "sees its child stopped"))
            else:
                all_run.go()
            please_stop.wait()
            say(name, "was asked")

        all_run = Signal()
        Thread.run("parent", work, "a")
        all_run.wait()
    """)
    assert ended.returncode == 0
    assert sorted(line for line in ended.lines if "asked" in line) == [
        "a was asked",
        "b was asked",
        "c was asked",
    ]
    assert [line for line in ended.lines if "stopped" in line] == [
        "b sees its child stopped",
        "a sees its child stopped",
    ]


def test_parent_threads_have_access_to_uncaught_child_thread_exceptions():
    def fail(please_stop: Signal) -> None:
        raise KeyError("of the child")

    def parent(please_stop: Signal) -> BaseException | None:
        child = Thread.run("child", fail)
        child.stopped.wait()
        return child.error

    assert isinstance(Thread.run("parent", parent).join(LIMIT), KeyError)


# -- threads ---------------------------------------------------------------------------------------


def test_most_threads_are_declared_and_run_in_a_single_line():
    made = play(
        """
        thread = Thread.run("name", function, p1, p2)
        result = thread.join()     # may raise exception
        """,
        Thread=Thread,
        function=lambda a, b, please_stop: a + b,
        p1=1,
        p2=2,
    )
    assert made["result"] == 3
    assert made["thread"].name == "name"


def test_a_thread_demands_a_name():
    with pytest.raises(TypeError, match="its name, a string"):
        Thread.run(until_asked, until_asked)


def test_creation_can_be_separated_from_starting():
    made = play(
        """
        thread = Thread("name", function, p1, p2)
        before = thread.thread
        thread.start()
        result = thread.join()
        """,
        Thread=Thread,
        function=lambda a, b, please_stop: a - b,
        p1=1,
        p2=2,
    )
    assert (made["before"], made["result"]) == (None, -1)


def test_join_waits_returns_the_result_or_re_raises_the_exception_in_the_caller():
    def fail(please_stop: Signal) -> None:
        raise error

    error = KeyError("mine")
    assert Thread.run("t", lambda please_stop: 42).join() == 42
    with pytest.raises(KeyError) as caught:
        Thread.run("t", fail).join()
    assert caught.value is error


def test_release_ignores_the_result_and_posts_an_exception_to_logging(caplog):
    def fail(please_stop: Signal) -> None:
        raise KeyError("logged")

    good = Thread.run("good", lambda please_stop: 42).release()
    bad = Thread.run("bad", fail).release()
    assert good.join(LIMIT) == 42  # one may still join
    bad.stopped.wait(LIMIT)
    (record,) = caplog.records  # too late: it was logged already
    assert "bad" in record.getMessage()


def test_released_threads_are_still_properly_stopped():
    ended = run("""
        def work(please_stop):
            please_stop.wait()
            say("stopped properly")
        Thread.run("released", work).release()
    """)
    assert (ended.lines, ended.returncode) == (["stopped properly"], 0)


def test_alien_threads_are_registered():
    def my_method() -> None:
        play(
            """
            with RegisterThread():
                t = Thread.current()   # we can now use this library on this thread
                names.append(t.name)   # a name is always given to the alien thread
                Till(seconds=0.001).wait()
            """,
            RegisterThread=RegisterThread,
            Thread=Thread,
            Till=Till,
            names=names,
        )

    names: list[str] = []
    alien = threading.Thread(target=my_method)
    alien.start()
    alien.join(LIMIT)
    assert names
    assert all(names)


def test_the_alien_work_is_done_for_a_clean_stop():
    ended = run("""
        def alien():
            with RegisterThread() as me:
                ready.go()
                me.please_stop.wait()
                say("finished its work")
        ready = Signal()
        threading.Thread(target=alien, daemon=True).start()
        ready.wait()
    """)
    assert (ended.lines, ended.returncode) == (["finished its work"], 0)


# -- locks -----------------------------------------------------------------------------------------


def test_wait_always_acquires_the_lock_before_it_returns():
    lock = Lock()
    with lock:
        lock.wait(Till(seconds=0.001))
        with pytest.raises(DeadlockError):  # it is ours
            lock.acquire()


def test_leaving_the_block_always_signals_a_waiting_thread():
    lock = Lock()

    def wait(please_stop: Signal) -> bool:
        with lock:
            return lock.wait()

    threads = [Thread.run("waits", wait) for _ in range(5)]
    in_a_wait(*threads)
    with lock:
        pass
    assert Thread.join_all(threads, LIMIT) == [True] * 5  # each, as it leaves, signals the next


def test_the_lock_is_not_reentrant():
    lock = Lock()
    with lock, pytest.raises(DeadlockError):
        lock.acquire()


def test_the_example_of_a_lock():
    """``please_stop`` is set by the work; somebody adds a todo while the loop waits for it."""
    done, todo, please_stop, lock = [], [], Signal(), Lock()

    def consume() -> None:
        play(
            """
            while not please_stop:
                with lock:
                    while not todo:
                        lock.wait(Till(seconds=1))
                    # DO SOME WORK
                    done.append(todo.pop())
                    please_stop.go()
            """,
            please_stop=please_stop,
            lock=lock,
            todo=todo,
            done=done,
            Till=Till,
        )

    def produce() -> None:
        with lock:
            todo.append("this")

    in_threads(consume, produce)
    assert done == ["this"]


# -- signals ---------------------------------------------------------------------------------------


def test_a_signal_can_be_signalled_once_and_never_reversed():
    signal, ran = Signal(), []
    signal.then(lambda: ran.append(1))
    assert not signal  # it initializes to False
    signal.go()
    signal.go()
    assert signal
    assert ran == [1]
    with pytest.raises(AttributeError):
        signal.clear()


def test_all_waiting_threads_are_unblocked_and_all_subsequent_ones():
    signal = Signal()
    threads = [Thread.run("waits", lambda please_stop: signal.wait()) for _ in range(10)]
    in_a_wait(*threads)
    in_threads(signal.go)  # by any thread
    assert Thread.join_all(threads, LIMIT) == [True] * 10
    assert signal.wait() is True


def test_signals_are_like_promises():
    ran = []
    s, t = Signal(), Signal()
    both, either = s & t, s | t
    s.then(lambda: ran.append("then"))
    s.go()
    assert s.wait()
    assert (bool(both), bool(either), ran) == (False, True, ["then"])
    t.go()
    assert both

    async def wait() -> bool:
        return await s

    assert asyncio.run(wait()) is True


def test_a_method_is_run_just_once_upon_go_or_immediately_if_already_signalled(capsys):
    made = play(
        """
        is_done = Signal()
        is_done.then(lambda: print("done"))
        """,
        Signal=Signal,
    )
    assert capsys.readouterr().out == ""
    made["is_done"].go().go()
    assert capsys.readouterr().out == "done\n"
    made["is_done"].then(lambda: print("again"))
    assert capsys.readouterr().out == "again\n"


def test_waiting_for_a_thread_that_has_stopped(capsys):
    worker_thread = Thread.run("worker", lambda please_stop: 1)
    made = play(
        """
        is_done = worker_thread.stopped.wait()
        print("worker thread is done")
        """,
        worker_thread=worker_thread,
    )
    assert made["is_done"] is True
    assert capsys.readouterr().out == "worker thread is done\n"


def test_waiting_for_stopped_is_different_from_join():
    def fail(please_stop: Signal) -> None:
        raise KeyError

    thread = Thread.run("fails", fail)
    assert thread.stopped.wait(LIMIT) is True  # and raises nothing
    with pytest.raises(KeyError):
        thread.join()


def test_a_worker_that_is_cancelled_by_the_user_or_by_time():
    def worker(please_stop: Signal) -> int:
        turns = 0
        while not please_stop:
            turns += 1  # DO WORK
        return turns

    user_cancel = Signal()
    assert worker(user_cancel | Till(seconds=0.01)) >= 0
    thread = Thread.run("w", worker, please_stop=user_cancel | Till(seconds=360))
    user_cancel.go()
    assert thread.join(LIMIT) >= 0


def test_both_is_triggered_only_when_both_are(capsys):
    a, b = Thread.run("a", until_asked), Thread.run("b", until_asked)
    both = a.stopped & b.stopped
    a.stop().join(LIMIT)
    assert not both
    b.stop()
    play(
        """
        (workerA.stopped & workerB.stopped).wait()
        print("both threads are done")
        """,
        workerA=a,
        workerB=b,
    )
    assert both
    assert capsys.readouterr().out == "both threads are done\n"


# -- till ------------------------------------------------------------------------------------------


def test_a_till_at_a_date():
    class Date:
        def __init__(self, text: str) -> None:
            self.unix = time.mktime(time.strptime(text, "%d %b %Y"))

    play('Till(till=Date("21 Jan 2016").unix).wait()', Till=Till, Date=Date)


def test_all_tills_are_triggered_before_expiry_when_the_program_is_asked_to_shut_down():
    ended = run("""
        graces.asked = 30
        def work(please_stop):
            till = Till(seconds=3600)
            ready.go()
            say(till.wait())
        ready = Signal()
        Thread.run("work", work)
        ready.wait()
    """)
    assert (ended.lines, ended.returncode) == (["True"], 0)


def test_the_word_is_what_a_queue_gives_at_its_end():
    assert Queue("queue").close().pop() is PLEASE_STOP
