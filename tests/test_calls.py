"""Calls into other threads, circles of them, and the asyncio loops that own a thread."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from time import monotonic

import pytest

from tests.helpers import (
    FREE_THREADED,
    LIMIT,
    Flag,
    hectic_switching,
    in_a_wait,
    in_threads,
    running,
)
from threadtree import (
    Async,
    DeadlockError,
    MainThread,
    Worker,
    WorkerCancelled,
    WorkerError,
    async_,
    call_in,
    calls,
    current,
    sleep,
)

from .bytecodes import at_each_bytecode


def boom():
    raise ValueError("boom")


def test_it_runs_in_the_thread_of_the_target_and_gives_the_result():
    with running() as worker:
        assert call_in(worker, lambda *args, **more: (current(), args, more), 1, two=2) == (
            worker,
            (1,),
            {"two": 2},
        )


def test_it_raises_the_original_error_whose_traceback_does_not_grow():
    with running() as worker:
        for _ in range(2):
            with pytest.raises(ValueError, match="boom") as raised:
                call_in(worker, boom)
            assert worker.path in raised.value.__notes__[0]


def test_context_variables_go_along():
    var = contextvars.ContextVar("var", default="none")
    var.set("mine")
    with running() as worker:
        assert call_in(worker, var.get) == "mine"


def test_it_is_called_inline_when_it_is_there_already():
    assert call_in(MainThread, threading.get_ident) == threading.get_ident()
    with running() as worker:
        assert call_in(worker, lambda: call_in(worker, current)) is worker


def test_a_target_that_was_never_started_or_has_ended_is_an_error_at_once():
    worker = Worker()
    with pytest.raises(WorkerError, match="never started"):
        call_in(worker, boom)
    worker.start().stop().join()
    with pytest.raises(WorkerError, match="has ended"):
        call_in(worker, boom)


def test_a_target_that_ends_before_it_calls_is_an_error_and_nothing_is_called():
    called, go = Flag(), Flag()

    def code():
        go.wait()
        sleep(0)

    with running(code) as worker:
        waits = async_(call_in, worker, called.set)
        in_a_wait(waits)
        worker.stop(now=True)  # overtakes the call, which is so rejected
        go.set()
        with pytest.raises(WorkerError, match="ended before it called"):
            waits.get(LIMIT)
    assert not called.is_set()


@at_each_bytecode
def test_a_target_that_ends_while_that_is_asked_is_not_called_one_that_never_was_started(interrupt):
    class WasRunningError(Exception):
        pass

    def later(call):
        raise WasRunningError

    ended = Flag()
    with running(parent=False) as worker:
        worker.stopped.then(ended.set)
        worker.later = later
        with pytest.raises((WasRunningError, WorkerError), match=r"^$|has ended"):
            interrupt(lambda: call_in(worker, boom), lambda: worker.stop() and ended.wait())


def test_a_timeout_before_it_has_begun_means_that_it_never_will():
    called, go = Flag(), Flag()
    with running(go.wait) as worker:
        with pytest.raises(TimeoutError, match="will not any more"):
            call_in(worker, called.set, timeout=0.01)
        go.set()
    assert not called.is_set()


@pytest.fixture
def begun(monkeypatch):
    """A flag for the called to set: no caller sees the time pass before."""
    flag = Flag()
    monkeypatch.setattr(calls, "monotonic", lambda: flag.wait() and monotonic())
    return flag


def test_a_timeout_after_it_has_begun_says_so(begun):
    go = Flag()
    with running() as worker:

        def slow():
            begun.set()
            go.wait()

        caller = async_(call_in, worker, slow, timeout=0.01)
        with pytest.raises(TimeoutError, match="it goes on"):
            caller.get(LIMIT)
        go.set()


def test_a_caller_that_is_stopped_withdraws_the_call():
    called, go = Flag(), Flag()
    with running(go.wait) as worker, running() as caller:
        caller.later(call_in, worker, called.set)
        in_wait = Flag()
        caller.later(in_wait.set)  # handled in the wait of the call
        in_wait.wait()
        caller.stop().join(LIMIT)
        go.set()
    assert not called.is_set()


def test_a_target_that_is_stopped_in_the_call_cancels_it():
    called = Flag()
    with running() as worker:
        caller = async_(call_in, worker, lambda: (called.set(), sleep(60)))
        called.wait()
        worker.stop()
        with pytest.raises(WorkerCancelled):
            caller.get(LIMIT)


def test_main_waits_for_a_worker_that_calls_main():
    assert async_(call_in, MainThread, threading.get_ident).get(LIMIT) == threading.get_ident()
    assert async_(call_in, MainThread, threading.get_ident).get() == threading.get_ident()


def test_r3_a_circle_of_calls_raises_in_the_call_that_closes_it():
    circle = pytest.raises(DeadlockError, match=r"a waits for b|b waits for a")
    with running(name="a") as a, running(name="b") as b, circle:
        call_in(a, lambda: call_in(b, lambda: call_in(a, current)))


def test_r3_a_circle_of_calls_raises_however_fast_the_other_hears_of_them():
    with running(name="a") as a, running(name="b") as b:

        def later(callback):
            Worker.later(a, callback)
            if current() is b:
                a_has_heard = Flag()
                Worker.later(a, a_has_heard.set)
                a_has_heard.wait()

        a.later = later
        with pytest.raises(DeadlockError, match="b waits for a waits for b"):
            call_in(a, lambda: call_in(b, lambda: call_in(a, current)))


def test_r3_a_call_to_somebody_who_joins_us_raises_in_the_later_of_the_two():
    with running(name="a") as a:
        b = Async(lambda: call_in(a, current), name="b")
        join = async_(call_in, a, lambda: b.start().join())  # so a calls nothing in between
        errors = [work.error for work in (join.join(LIMIT), b.join(LIMIT))]
    assert [type(error) for error in errors if error] == [DeadlockError]


def test_r3_joining_somebody_who_calls_us_raises_but_getting_their_result_makes_the_call():
    with running(name="a") as a:
        entered = Flag()
        b = Worker(lambda: call_in(a, current), parent=False, name="b")

        def join_b():
            b.start()
            entered.set()
            return b.get(LIMIT)

        assert call_in(a, join_b) is a


def test_a_wait_with_a_timeout_closes_no_circle():
    with running() as a, running() as b:
        # a hears calls while it waits for its own, so this one is made.
        assert call_in(a, lambda: call_in(b, lambda: call_in(a, current, timeout=LIMIT))) is a


@pytest.mark.parametrize("target", [None, 3, "worker"])
def test_another_target_is_a_type_error(target):
    with pytest.raises(TypeError, match="a worker, or an asyncio loop"):
        call_in(target, current)


def test_what_cannot_be_called_is_a_type_error():
    with pytest.raises(TypeError, match="something to call"):
        call_in(MainThread, 3)


def test_many_threads_call_into_one_worker():
    counts = []
    with running() as worker, hectic_switching():

        def call():
            for _ in range(50):
                call_in(worker, lambda: counts.append(threading.get_ident()))

        in_threads(*[call] * 4)
    assert len(counts) == 200
    assert len(set(counts)) == 1


# -- asyncio loops ---------------------------------------------------------------------------------


def test_a_loop_calls_and_awaits_what_a_worker_asks_of_it():
    async def main():
        loop = asyncio.get_running_loop()

        async def double(n):
            await asyncio.sleep(0)
            return 2 * n, threading.get_ident()

        assert await async_(call_in, loop, double, 21) == (42, threading.get_ident())
        assert await async_(call_in, loop, threading.get_ident) == threading.get_ident()
        with pytest.raises(ValueError, match="boom"):
            await async_(call_in, loop, boom)

    asyncio.run(main())


def test_the_main_thread_is_reached_while_asyncio_runs_it():
    async def main():
        assert await async_(call_in, MainThread, threading.get_ident) == threading.get_ident()

    asyncio.run(main())


def test_events_of_a_foreign_thread_are_handled_by_its_loop():
    got = []

    def run():
        async def main():
            me = current()
            came = asyncio.Event()

            def hear(event):
                got.append(event.data)
                came.set()

            me.listen(hear, "HELLO")
            await async_(me.fire, "HELLO", 1)
            await came.wait()

        asyncio.run(main())

    in_threads(run)
    assert got == [1]


def test_the_listeners_of_a_loops_thread_run_in_the_context_of_nobody():
    """Not in that of who first awaited there: it is not theirs, and would be kept for good."""
    variable = contextvars.ContextVar("variable", default="nobody's")
    got = []

    class Kept:
        pass

    async def main():
        me = current()
        came = asyncio.Event()

        def hear(event):
            got.append(variable.get())
            came.set()

        async def first():
            kept = Kept()
            variable.set(kept)
            await async_(me.fire, "HELLO")
            return weakref.ref(kept)

        me.listen(hear, "HELLO")
        link = await asyncio.create_task(first())
        await came.wait()
        return link

    def run():
        link = asyncio.run(main())
        gc.collect()
        got.append(link())

    in_threads(run)
    assert got == ["nobody's", None]


def test_a_closed_loop_is_a_clear_error():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(WorkerError, match="closed"):
        call_in(loop, current)


def test_a_loop_that_closes_before_it_calls_is_a_clear_error():
    loop = asyncio.new_event_loop()
    # Without a GIL, a thread that sleeps does not see that what it made was dropped elsewhere.
    limit = {"timeout": 0.1} if FREE_THREADED else {}
    send, sent = loop.call_soon_threadsafe, Flag()
    loop.call_soon_threadsafe = lambda callback: (send(callback), sent.set())
    caller = async_(call_in, loop, current, **limit)
    sent.wait()
    loop.close()
    with pytest.raises((TimeoutError, WorkerError) if FREE_THREADED else WorkerError):
        caller.get(LIMIT)


def test_r3_a_worker_that_calls_the_loop_that_waits_for_it_raises():
    async def main():
        loop = asyncio.get_running_loop()
        with running(name="clerk") as worker, pytest.raises(DeadlockError):
            call_in(worker, call_in, loop, current)

    asyncio.run(main())


def test_a_coroutine_in_the_loop_that_runs_here_is_refused():
    async def main():
        async def nothing():
            pass

        with pytest.raises(DeadlockError):
            call_in(asyncio.get_running_loop(), nothing)
        gc.collect()

    with pytest.warns(RuntimeWarning, match="never awaited"):
        asyncio.run(main())


def test_a_timeout_cancels_the_coroutine(begun):
    async def main():
        cancelled = asyncio.Event()

        async def slow():
            begun.set()
            try:
                await asyncio.sleep(60)
            finally:
                cancelled.set()

        with pytest.raises(TimeoutError):
            await async_(call_in, asyncio.get_running_loop(), slow, timeout=0.01)
        await asyncio.wait_for(cancelled.wait(), LIMIT)

    asyncio.run(main())


def test_a_caller_that_is_stopped_while_the_loop_makes_the_coroutine_cancels_it():
    async def main():
        made = asyncio.Event()
        called, caller_is_gone = Flag(), Flag()

        def make():
            called.set()
            caller_is_gone.wait()
            made.set()
            return asyncio.sleep(60)

        caller = async_(call_in, asyncio.get_running_loop(), make)
        caller.stopped.then(caller_is_gone.set)
        stopper = async_(lambda: called.wait() and caller.stop())
        await made.wait()
        (sleeping,) = asyncio.all_tasks() - {asyncio.current_task()}
        done, _ = await asyncio.wait([sleeping], timeout=LIMIT)
        assert done
        assert sleeping.cancelled()
        await stopper

    asyncio.run(main())


# -- events ----------------------------------------------------------------------------------------


def test_events_can_be_iterated_over_until_the_worker_ends():
    async def main():
        with running() as worker:
            stream = worker.events("N")
            for number in range(3):
                worker.fire("N", number)
            worker.fire("OTHER").stop()
            assert [event.data async for event in stream] == [0, 1, 2]

    asyncio.run(main())


def test_each_iterator_gets_all_events_and_a_dropped_one_listens_no_more():
    async def main():
        with running() as worker:
            first, second = worker.events("N"), worker.events("N")
            worker.fire("N", 1).fire("N", 2)
            assert [(await anext(first)).data, (await anext(second)).data] == [1, 1]
            in_a_wait(worker)  # while it hands an event over, it holds the iterator, too
            del first
            gc.collect()  # without a GIL, it takes that
            assert len(worker.listeners["N"]) == 1
            async for event in second:
                assert event.data == 2
                break
            in_a_wait(worker)
            del second
            gc.collect()
            assert "N" not in worker.listeners

    asyncio.run(main())


def test_events_come_from_a_busy_worker_while_asyncio_waits():
    async def main():
        def task():
            for number in range(100):
                current().fire("N", number)
                sleep(0)

        worker = Worker(task)
        stream = worker.events("N")
        worker.start()
        assert [event.data async for event in stream] == list(range(100))
        worker.join(LIMIT)

    with hectic_switching():
        asyncio.run(main())


def test_a_stream_may_be_read_in_one_loop_after_the_other():
    async def read(number):
        asyncio.get_running_loop().call_soon(worker.fire, "N", number)
        return (await asyncio.wait_for(anext(stream), LIMIT)).data

    with running() as worker:
        stream = worker.events("N")
        assert [asyncio.run(read(number)) for number in range(3)] == [0, 1, 2]


def test_a_stream_that_several_read_gives_each_event_to_one_and_ends_for_all():
    async def read():
        return [event.data async for event in stream]

    async def main():
        readers = [asyncio.create_task(read()) for _ in range(3)]
        for number in range(9):
            worker.fire("N", number)
            await asyncio.sleep(0)
        worker.stop()
        got = await asyncio.wait_for(asyncio.gather(*readers), LIMIT)
        assert sorted(number for some in got for number in some) == list(range(9))

    with running() as worker:
        stream = worker.events("N")
        asyncio.run(main())


def test_events_of_a_name_that_is_no_string_are_a_type_error():
    with pytest.raises(TypeError, match="must be a string"):
        MainThread.events(3)
