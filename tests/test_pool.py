"""Pool: a standard executor in full, whose threads are workers, and whose work can be cancelled."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextvars
import functools
import gc
import logging
import threading
import weakref

import pytest

import threadtree
from tests.helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running
from tests.programs import run
from threadtree import (
    DeadlockError,
    Pool,
    Worker,
    WorkerCancelled,
    WorkerState,
    checkpoint,
    current,
    get_current_worker,
    sleep,
    tree,
    wait_event,
    wait_forever,
)


def boom():
    raise ValueError("boom")


@pytest.fixture
def pool():
    with Pool(2, name="pool") as pool:
        yield pool


# -- as the standard says -------------------------------------------------------------------------


def test_it_is_an_executor(pool):
    assert isinstance(pool, concurrent.futures.Executor)
    future = pool.submit(pow, 2, 5)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result() == 32
    assert pool.submit(dict, a=1).result() == {"a": 1}
    assert list(pool.map(pow, [2, 3], [3, 2])) == [8, 9]
    assert future.done()
    assert not future.cancelled()
    assert future.exception() is None


def test_an_error_is_raised_by_result_and_given_by_exception(pool):
    future = pool.submit(boom)
    with pytest.raises(ValueError, match="boom"):
        future.result()
    assert isinstance(future.exception(), ValueError)
    assert isinstance(pool.submit(exit).exception(), SystemExit)


def test_map_raises_where_the_error_would_come_and_times_out(pool):
    results = pool.map(lambda n: 1 // n, [1, 0])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    go = Flag()
    with pytest.raises(TimeoutError):
        list(pool.map(lambda _: go.wait(), [1], timeout=0))
    go.set()


def test_wait_as_completed_and_callbacks_of_the_standard_library(pool):
    futures = [pool.submit(pow, 2, n) for n in range(10)]
    assert concurrent.futures.wait(futures).done == set(futures)
    assert sum(f.result() for f in concurrent.futures.as_completed(futures)) == 1023
    called = Flag()
    futures[0].add_done_callback(lambda future: called.set())
    called.wait()


def test_result_and_exception_may_time_out(pool):
    go = Flag()
    future = pool.submit(go.wait)
    for wait in (future.result, future.exception):
        with pytest.raises(TimeoutError):
            wait(timeout=0)
    go.set()
    assert future.result() is True


def test_asyncio_runs_functions_in_it(pool):
    async def main():
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, pow, 2, 5) == 32
        with pytest.raises(ValueError, match="boom"):
            await loop.run_in_executor(pool, boom)
        waiting = loop.run_in_executor(pool, wait_forever)
        await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_after_shutdown_it_takes_nothing_and_what_is_queued_is_done():
    pool, go = Pool(1), Flag()
    futures = [pool.submit(go.wait), pool.submit(pow, 2, 3)]
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit(pow, 2, 3)
    go.set()
    pool.shutdown()
    assert [future.result() for future in futures] == [True, 8]


def test_shutdown_may_cancel_what_has_not_begun():
    pool, go, begun = Pool(1), Flag(), Flag()

    def work():
        begun.set()
        return go.wait()

    futures = [pool.submit(work), pool.submit(pow, 2, 3)]
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    assert futures[1].cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        futures[1].result()
    go.set()
    pool.shutdown()
    assert futures[0].result() is True


def test_bad_input_is_a_clear_error(pool):
    for bad in (0, -1):
        with pytest.raises(ValueError, match="at least 1"):
            Pool(bad)
    for bad in (1.5, "2", True):
        with pytest.raises(TypeError, match="whole number"):
            Pool(bad)
    with pytest.raises(TypeError, match="name of a pool"):
        Pool(name=3)
    with pytest.raises(TypeError, match="something to call"):
        pool.submit(3)


def test_the_default_number_is_that_of_the_standard_library():
    standard = concurrent.futures.ThreadPoolExecutor()
    assert Pool()._core._size == standard._max_workers


# -- threads of the tree --------------------------------------------------------------------------


def test_its_threads_are_workers_that_are_used_again(pool):
    workers = {pool.submit(current).result() for _ in range(20)}
    assert 1 <= len(workers) <= 2
    worker = workers.pop()
    assert worker.name in ("pool 0", "pool 1")
    assert f"{worker.name}: RUNNING" in tree()
    assert worker.parent is None
    assert pool.submit(get_current_worker).result() is pool.submit(current).result()
    go = Flag()
    futures = [pool.submit(go.wait) for _ in range(9)]
    assert len(pool._core.threads) == 2
    go.set()
    concurrent.futures.wait(futures)


def test_events_and_waits_work_in_it(pool):
    def work():
        current().later(current().fire, "N", 3, timeout=0.001)
        sleep(0)
        return wait_event("N")

    assert pool.submit(work).result(LIMIT) == 3


def test_context_variables_go_along(pool):
    var = contextvars.ContextVar("var", default="none")
    assert pool.submit(var.get).result() == "none"
    var.set("mine")
    assert pool.submit(var.get).result() == "mine"


def test_a_wait_for_a_future_handles_the_waiters_events_and_a_stop_ends_it(pool):
    go = Flag()
    future = pool.submit(go.wait)
    worker = Worker(lambda: future.result()).start()
    in_a_wait(worker)
    assert worker.stop().join(LIMIT).state is WorkerState.CANCELLED
    threadtree.MainThread.stop()
    with pytest.raises(WorkerCancelled):
        future.result()
    go.set()
    assert future.result() is True


def test_a_pool_of_a_worker_ends_with_it_and_does_what_is_queued():
    results = []

    def boss():
        pool = Pool(1)
        for n in range(5):
            pool.submit(results.append, n)
        return pool, pool.submit(current).result().parent

    worker = Worker(boss).start()
    pool, parent = worker.get(LIMIT)
    assert parent is worker
    assert results == list(range(5))
    with pytest.raises(RuntimeError):
        pool.submit(boom)


def test_shutdown_of_everything_asks_what_runs_and_finishes_what_is_queued():
    pool, begun = Pool(1), Flag()

    def work(please_stop):
        begun.set()
        return please_stop.wait(LIMIT)

    futures = [pool.submit(work), pool.submit(pow, 2, 3)]
    begun.wait()
    assert threadtree.shutdown() == []
    assert [future.result() for future in futures] == [True, 8]


def test_c4_a_pool_that_nobody_holds_ends_its_threads():
    pool = Pool(2)
    worker = pool.submit(current).result()
    link = weakref.ref(pool)
    del pool
    gc.collect()
    assert link() is None
    assert worker.stopped.wait(LIMIT)
    worker.shutdown()


def test_a_pool_that_was_never_used_leaves_nothing():
    Pool(2)
    Pool(2).shutdown()
    with Pool(2):
        pass


def test_without_threads_submit_raises_and_nothing_is_queued(monkeypatch):
    pool = Pool(1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            pool.submit(boom)
    assert pool.submit(pow, 2, 3).result() == 8
    pool.shutdown()


def no_more_threads(self):
    raise RuntimeError("can't start new thread")


# -- cancelling -----------------------------------------------------------------------------------


def test_what_has_not_begun_never_runs():
    with Pool(1) as pool:
        go = Flag()
        first, second = pool.submit(go.wait), pool.submit(boom)
        assert second.cancel()
        assert second.cancelled()
        go.set()
    assert first.result() is True


def test_what_runs_is_cancelled_at_its_next_wait(pool):
    begun = Flag()

    def work():
        begun.set()
        wait_forever()

    future = pool.submit(work)
    begun.wait()
    called = Flag()
    future.add_done_callback(lambda _: called.set())
    assert future.cancel() is False  # as the standard says: it runs
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(LIMIT)
    assert future.cancelled()
    called.wait()
    assert concurrent.futures.wait([future], LIMIT).done == {future}
    assert pool.submit(pow, 2, 3).result() == 8


def test_its_clean_up_may_wait_and_a_result_all_the_same_wins(pool):
    begun = Flag()

    def work():
        try:
            begun.set()
            wait_forever()
        except BaseException:
            sleep(0.001)
            return "cleaned"

    future = pool.submit(work)
    begun.wait()
    future.cancel()
    assert future.result(LIMIT) == "cleaned"
    assert not future.cancelled()


@pytest.mark.parametrize("wrap", [lambda f: f, functools.partial], ids=["function", "partial"])
def test_a_function_that_names_please_stop_is_handed_it(pool, wrap):
    begun = Flag()

    def work(please_stop):
        begun.set()
        return please_stop.wait(LIMIT)

    future = pool.submit(wrap(work))
    begun.wait()
    future.cancel()
    assert future.please_stop
    assert future.result(LIMIT) is True
    assert pool.submit(lambda **kwargs: kwargs, a=1).result() == {"a": 1}
    assert pool.submit(lambda please_stop: please_stop, please_stop=3).result() == 3


def test_a_cancel_never_reaches_the_next_work_of_the_same_thread():
    with Pool(1) as pool, hectic_switching():
        for _ in range(200):
            first = pool.submit(checkpoint)
            second = pool.submit(lambda: (checkpoint(), sleep(0), 7)[-1])
            in_threads(first.cancel)
            assert second.result(LIMIT) == 7
            assert first.done()


# -- work that waits for work ---------------------------------------------------------------------


def test_work_that_waits_for_queued_work_of_the_same_pool_does_it_itself():
    with Pool(1) as pool:

        def factorial(n):
            return n * pool.submit(factorial, n - 1).result() if n else 1

        assert pool.submit(factorial, 20).result(LIMIT) == 2432902008176640000
        assert len(pool._core.threads) == 1


def test_r3_work_that_waits_for_itself_or_in_a_circle_raises():
    with Pool(2) as pool:
        futures = {}
        given = Flag()

        def wait_for(name):
            given.wait()
            return futures[name].result()

        futures["self"] = pool.submit(wait_for, "self")
        given.set()
        with pytest.raises(DeadlockError):
            futures["self"].result(LIMIT)
        given.clear()
        futures["a"] = pool.submit(wait_for, "b")
        futures["b"] = pool.submit(wait_for, "a")
        given.set()
        errors = [futures[name].exception(LIMIT) for name in "ab"]
        assert {type(error) for error in errors} == {DeadlockError}


# -- races ----------------------------------------------------------------------------------------


def test_a_thread_that_is_woken_for_what_is_done_already_is_woken_again(monkeypatch):
    """Who submits is cut off between the putting and the waking, as long as the work takes."""
    with Pool(1) as pool:
        pool.submit(int).result()
        thread = pool._core.threads[0]
        call_up = pool._core._call_up

        def slowly():
            call_up()  # another one wakes it
            while pool._core._work or thread._life.asleep_for is not thread.chance:
                sleep(0)
            call_up()  # for nothing

        with monkeypatch.context() as patch:
            patch.setattr(pool._core, "_call_up", slowly)
            pool.submit(int)
        handled = Flag()
        thread.later(handled.set)
        handled.wait()  # it has looked
        assert pool.submit(pow, 2, 3).result(LIMIT) == 8


def test_everything_that_is_submitted_is_done_or_refused():
    for _ in range(10):
        pool, done, refused, some_are_done = Pool(3), [], [], Flag()

        def work(n, done=done, some_are_done=some_are_done):
            done.append(n)
            if len(done) >= 20:
                some_are_done.set()

        def submit(pool=pool, work=work, refused=refused):
            for n in range(50):
                try:
                    pool.submit(work, n)
                except RuntimeError:
                    refused.append(n)

        def end(pool=pool, some_are_done=some_are_done):
            some_are_done.wait()
            pool.shutdown(wait=False)

        with hectic_switching():
            in_threads(submit, submit, submit, end)
        pool.shutdown()
        assert len(done) + len(refused) == 150


def test_what_is_submitted_as_the_pool_closes_is_done():
    """The one thread has found no work; then there is some; and then the pool is closed."""
    pool, futures, closes = Pool(1), [], Flag()

    class Work(collections.deque):
        def popleft(self):
            try:
                return super().popleft()
            except IndexError:
                if not futures:
                    futures.append(pool.submit(pow, 2, 5))
                    pool.shutdown(wait=False)
                    closes.set()
                raise

    pool._core._work = Work()
    pool.submit(int).result(LIMIT)
    closes.wait()
    pool.shutdown()
    assert futures[0].result(LIMIT) == 32


def test_a_callback_of_what_was_cancelled_but_has_a_result_may_wait():
    begun, go_on = Flag(), Flag()

    def work():
        begun.set()
        go_on.wait()
        return 1

    heard = []
    with Pool(1) as pool:
        future = pool.submit(work)
        future.add_done_callback(lambda _: sleep(0.001))
        future.add_done_callback(lambda _: heard.append("second"))
        begun.wait()
        after = pool.submit(pow, 2, 3)
        assert not future.cancel()
        go_on.set()
        assert (future.result(LIMIT), after.result(LIMIT)) == (1, 8)
        assert pool.submit(int).result(LIMIT) == 0
    assert heard == ["second"]


def test_a_callback_of_what_was_cancelled_is_called_without_the_lock_of_the_future():
    states, begun = [], Flag()

    def work():
        begun.set()
        wait_forever()

    with Pool(1) as pool:
        future = pool.submit(work)
        future.add_done_callback(lambda f: in_threads(lambda: states.append(f.cancelled())))
        begun.wait()
        future.cancel()
    assert states == [True]
    assert future.cancelled()


def test_without_threads_because_of_a_shutdown_submit_raises_and_nothing_is_queued():
    done, go_on = [], Flag()

    def slow():
        try:
            wait_forever()
        finally:
            go_on.wait()

    pool, worker = Pool(1), Worker(slow).start()
    in_a_wait(worker)
    ending = threading.Thread(target=threadtree.shutdown)
    ending.start()
    worker.please_stop.wait()
    with pytest.raises(RuntimeError, match="shutting down"):
        pool.submit(done.append, "refused")
    go_on.set()
    ending.join()
    pool.submit(done.append, "taken").result(LIMIT)
    pool.shutdown()
    assert done == ["taken"]


def test_errors_that_nobody_looks_at_are_logged_once(caplog):
    with caplog.at_level(logging.ERROR, "threadtree"), Pool(1) as pool:
        concurrent.futures.wait([pool.submit(boom)])
        pool.submit(boom).exception()
        pool.submit(int).result()
    gc.collect()
    assert [record.exc_info[0] for record in caplog.records] == [ValueError]


def test_a_paused_thread_does_not_hold_up_the_others():
    with Pool(2) as pool:
        barrier = threading.Barrier(2, timeout=LIMIT)
        workers = [pool.submit(lambda: (barrier.wait(), current())[1]) for _ in range(2)]
        paused = workers[0].result().pause()
        with running() as main_like:
            main_like.later(lambda: None)
        for n in range(5):
            assert pool.submit(pow, 2, n).result(LIMIT) == 2**n
        paused.resume()


# -- the exit -------------------------------------------------------------------------------------


def test_l6_at_the_exit_a_pool_finishes_what_is_queued():
    ended = run(
        """
        pool = Pool(1)
        pool.submit(sleep, 0.05)
        for n in range(3):
            pool.submit(say, "done", n)
        """
    )
    assert (ended.returncode, ended.lines) == (0, ["done 0", "done 1", "done 2"])


def test_l6_ctrl_c_at_the_exit_asks_what_runs_in_a_pool():
    ended = run(
        """
        pool = Pool(1)
        def work(please_stop):
            at_exit = Signal()
            main.later(at_exit.go)  # main handles events when it waits for us
            at_exit.wait()
            ask()
            say("asked", please_stop.wait(10))
        pool.submit(work)
        """
    )
    assert ended.lines == ["asked True"]
    assert ended.returncode == -2


def test_l8_a_pool_can_be_used_in_the_child_of_a_fork():
    ended = run(
        """
        pool = Pool(1)
        pool.submit(int).result()
        if os.fork():
            os.wait()
            say("parent", pool.submit(pow, 2, 3).result())
        else:
            say("child", pool.submit(pow, 2, 4).result(5))
        """
    )
    assert ended.lines == ["child 16", "parent 8"]


def test_c4_a_future_that_is_done_keeps_neither_its_arguments_nor_who_has_waited():
    class Argument:
        pass

    argument, go = Argument(), Flag()
    link = weakref.ref(argument)
    with Pool(1) as pool:
        future = pool.submit(lambda _: go.wait(), argument)
        del argument
        for _ in range(3):
            with pytest.raises(TimeoutError):
                future.result(timeout=0)
        assert not future._done_callbacks
        go.set()
        assert future.result(LIMIT)
        assert pool.submit(int).result(LIMIT) == 0  # so the thread has left the first behind
        gc.collect()
        assert link() is None
