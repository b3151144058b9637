"""ThreadPool and Future."""

from __future__ import annotations

import gc
import logging
import threading

import pytest

from threadtree import (
    DONE,
    Future,
    Queue,
    QueueClosed,
    Signal,
    Thread,
    ThreadPool,
    Till,
    WorkerCancelled,
    create_worker,
    current,
    graces,
    shutdown,
)

from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads
from .programs import run


def until_asked(please_stop: Signal) -> str:
    please_stop.wait()
    return "asked"


def crash(please_stop: Signal) -> None:
    raise KeyError("crashed")


# -- futures ---------------------------------------------------------------------------------------


def test_wait_gives_the_value_that_is_assigned():
    future: Future[int] = Future()
    worker = create_worker(future.wait)
    in_a_wait(worker)
    assert not future.is_ready
    assert future.assign(42) is future
    assert future.is_ready
    assert worker.get(LIMIT) == 42
    assert future.wait(0) == 42


@pytest.mark.parametrize("value", [None, False, 0])
def test_a_value_may_be_false(value):
    assert Future().assign(value).wait(0) is value


def test_the_first_value_or_error_counts():
    assert Future().assign(1).assign(2).fail(KeyError()).wait() == 1
    with pytest.raises(KeyError):
        Future().fail(KeyError()).assign(1).wait()


def test_of_many_that_assign_at_once_one_counts():
    with hectic_switching():
        for _ in range(30):
            future: Future[int] = Future()
            seen: list[int] = []
            in_threads(
                *[lambda n=n, f=future: f.assign(n) for n in range(3)],
                *[lambda f=future, s=seen: s.append(f.wait(LIMIT)) for _ in range(3)],
            )
            assert set(seen) == {future.wait()}


@pytest.mark.parametrize("till", [0, 0.001, DONE, lambda: Till(seconds=0.001)])
def test_a_future_that_is_not_ready_in_time(till):
    with pytest.raises(TimeoutError, match="not ready in time"):
        Future().wait(till() if callable(till) else till)


def test_a_stop_of_the_main_worker_ends_the_wait_for_a_future():
    main = current()
    main.later(main.stop)
    with pytest.raises(WorkerCancelled, match="was stopped"):
        Future().wait()


def test_wait_raises_the_original_error_each_time():
    error = KeyError("k")
    future = Future().fail(error)
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            future.wait()
        assert caught.value is error


@pytest.mark.parametrize("wrong", [None, "error", KeyError])
def test_fail_takes_an_exception(wrong):
    with pytest.raises(TypeError, match="needs an exception"):
        Future().fail(wrong)


def test_an_error_that_nobody_waits_for_is_logged_once(caplog):
    future = Future().fail(KeyError("lost"))
    del future
    gc.collect()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "lost" in caplog.text


# -- the pool --------------------------------------------------------------------------------------


def test_the_results_come_by_the_futures():
    with ThreadPool(3) as pool:
        futures = [pool.run("t", lambda a, b, please_stop: a - b, n, b=1) for n in range(20)]
    assert [future.wait(0) for future in futures] == list(range(-1, 19))


def test_no_more_run_at_a_time_than_the_pool_has_threads():
    running, most, threads = [], [], set()

    def work(please_stop: Signal) -> None:
        running.append(1)
        most.append(len(running))
        threads.add(Thread.current())
        Signal().wait(0.001)
        running.pop()

    with ThreadPool(3) as pool:
        for _ in range(30):
            pool.run("t", work)
    assert max(most) <= 3
    assert len(threads) <= 3
    assert len(most) == 30


def test_threads_are_begun_as_they_are_needed_below_the_maker():
    pool = ThreadPool(2, name="baths")
    assert current().children == set()
    assert pool.run("t", lambda please_stop: Thread.current().path).wait(LIMIT) == "main/baths 0"
    pool.join(LIMIT)
    assert current().children == set()


def test_an_error_goes_to_the_one_that_waits_and_the_thread_goes_on():
    with ThreadPool(1) as pool:
        bad, good = pool.run("bad one", crash), pool.run("good", lambda please_stop: 1)
        assert good.wait(LIMIT) == 1
        with pytest.raises(KeyError) as caught:
            bad.wait()
    assert "raised in bad one" in caught.value.__notes__


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_error_that_is_no_exception_is_the_futures_too(error):
    def leave(please_stop: Signal) -> None:
        raise error

    with ThreadPool(1) as pool:
        future = pool.run("leaves", leave)
        assert pool.run("good", lambda please_stop: 1).wait(LIMIT) == 1
        with pytest.raises(error):
            future.wait()


def test_an_error_that_nobody_waits_for_is_logged_when_the_future_is_dropped(caplog):
    with ThreadPool(1) as pool:
        pool.run("bad", crash)
    del pool
    gc.collect()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "main/pool 0 crashed" in record.getMessage()
    assert "test_thread_pool.py" in record.getMessage()  # who asked for it
    assert "raised in bad" in caplog.text


def test_an_error_in_the_block_asks_what_runs_and_cancels_what_has_not_begun():
    pool = ThreadPool(1)
    runs, waits = pool.run("runs", until_asked), pool.run("waits", until_asked)
    in_a_wait(*current().children)
    with pytest.raises(ZeroDivisionError), pool:
        raise ZeroDivisionError
    assert runs.wait(0) == "asked"
    with pytest.raises(WorkerCancelled):
        waits.wait(0)


def test_a_stopped_pool_takes_no_more():
    pool = ThreadPool(2)
    future = pool.run("t", until_asked)
    in_a_wait(*current().children)
    assert pool.stop() is pool
    pool.join(LIMIT)
    assert future.wait(0) == "asked"
    with pytest.raises(QueueClosed, match="pool"):
        pool.run("late", until_asked)
    assert current().children == set()


def test_join_waits_for_everything_or_raises_in_time():
    pool, go_on = ThreadPool(1), Signal()
    futures = [pool.run("t", lambda please_stop: go_on.wait()) for _ in range(3)]
    with pytest.raises(ExceptionGroup) as caught:
        pool.join(0.01)
    assert [type(error) for error in caught.value.exceptions] == [TimeoutError]
    go_on.go()
    pool.join(LIMIT)
    assert [future.wait(0) for future in futures] == [True] * 3


def test_at_a_shutdown_it_finishes_what_is_queued():
    pool = ThreadPool(1)
    futures = [pool.run("t", lambda please_stop: bool(please_stop.wait())) for _ in range(3)]
    in_a_wait(*current().children)
    assert shutdown(grace=LIMIT) == []
    assert [future.wait(0) for future in futures] == [True] * 3
    with pytest.raises(QueueClosed):
        pool.run("late", until_asked)


def test_at_the_exit_it_finishes_what_is_queued():
    ended = run("""
        pool = ThreadPool(1)
        for number in range(5):
            pool.run("t", lambda n, please_stop: say(n), number)
    """)
    assert (ended.lines, ended.returncode) == (["0", "1", "2", "3", "4"], 0)


def test_when_the_grace_is_over_the_rest_is_cancelled(monkeypatch):
    monkeypatch.setattr(graces, "told", LIMIT)
    pool = ThreadPool(1)
    futures = [pool.run("t", lambda please_stop: Signal().wait()) for _ in range(3)]
    in_a_wait(*current().children)
    assert shutdown(grace=0.02) == []
    for future in futures:
        with pytest.raises(WorkerCancelled):
            future.wait(0)


def test_a_thread_that_cannot_be_begun_leaves_nothing_queued(monkeypatch):
    pool = ThreadPool(2)

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start"):
            pool.run("t", until_asked)
    assert pool.run("t", lambda please_stop: 1).wait(LIMIT) == 1
    pool.join(LIMIT)


def test_work_given_in_the_moment_of_the_stop_is_done_or_cancelled_or_refused():
    with hectic_switching():
        for _ in range(20):
            pool, futures = ThreadPool(2), []

            def give(pool: ThreadPool = pool, futures: list[Future[int]] = futures) -> None:
                try:
                    for _ in range(10):
                        futures.append(pool.run("t", lambda please_stop: 1))
                except QueueClosed:
                    pass

            in_threads(give, give, pool.stop)
            pool.join(LIMIT)
            for future in futures:
                assert future.is_ready
                try:
                    assert future.wait(0) == 1
                except WorkerCancelled:
                    pass


def test_what_it_runs_may_use_the_librarys_waits():
    queue, done = Queue("q"), Flag()
    with ThreadPool(2) as pool:
        reader = pool.run("reader", lambda please_stop: queue.pop())
        pool.run("writer", lambda please_stop: queue.add("item") and done.set())
        assert reader.wait(LIMIT) == "item"
        done.wait()


@pytest.mark.parametrize("size", [0, -1, 1.5, "2", None, True])
def test_a_bad_size_is_refused(size):
    with pytest.raises(ValueError, match="whole number from 1"):
        ThreadPool(size)


def test_bad_work_is_refused_at_once():
    with ThreadPool(1) as pool:
        with pytest.raises(TypeError, match="please_stop"):
            pool.run("t", lambda: None)
        with pytest.raises(TypeError, match="please_stop"):
            pool.run("t", None)
        with pytest.raises(TypeError, match="a name, a string"):
            pool.run(until_asked, until_asked)
    assert current().children == set()
