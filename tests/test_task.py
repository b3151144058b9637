"""Task: its states on every path, cancellation, deadlines, errors, and every entry of seed 004."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import logging
import random
import threading
import types
import weakref

import pytest

import threadtree
from tests.helpers import (
    LIMIT,
    Flag,
    Sink,
    described,
    hectic_switching,
    in_a_wait,
    in_threads,
    running,
)
from threadtree import (
    DeadlockError,
    MainThread,
    NoActiveWorker,
    Task,
    Thread,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerExit,
    WorkerFailed,
    WorkerManager,
    WorkerState,
    active_worker,
    as_completed,
    async_,
    checkpoint,
    current,
    get_current_worker,
    graces,
    sleep,
    tree,
    wait_all,
    wait_any,
    wait_event,
    wait_forever,
    wait_thread,
)
from threadtree.node import tree as tree_of_all

from .bytecodes import at_each_bytecode

PENDING, RUNNING = WorkerState.PENDING, WorkerState.RUNNING
SUCCESS, ERROR, CANCELLED = WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED


def boom():
    raise ValueError("boom")


async def forever():
    await asyncio.sleep(3600)


@pytest.fixture
def short_graces():
    before = graces.asked, graces.told
    graces.asked = graces.told = 0.05
    yield
    graces.asked, graces.told = before


# -- the page of the seed, entry by entry ---------------------------------------------------------


def test_the_states_are_those_of_the_page():
    assert {state.name: state.value for state in WorkerState} == {
        "PENDING": 1,
        "RUNNING": 2,
        "CANCELLED": 3,
        "ERROR": 4,
        "SUCCESS": 5,
    }


def test_the_errors_are_those_of_the_page():
    assert issubclass(DeadlockError, WorkerError)
    assert issubclass(WorkerCancelled, WorkerError)
    assert issubclass(WorkerFailed, WorkerError)
    assert WorkerError.__bases__ == NoActiveWorker.__bases__ == (Exception,)
    error = ValueError("why")
    assert WorkerFailed(error).error is error


def test_there_is_no_active_worker_in_unmanaged_code_and_the_task_in_its_own():
    with pytest.raises(NoActiveWorker):
        get_current_worker()
    assert isinstance(active_worker, contextvars.ContextVar)
    task = Task(lambda: (get_current_worker(), current())).start()
    assert task.get() == (task, task)

    async def main():
        task = Task(inner).start()
        assert await task == (task, MainThread)

    async def inner():
        return get_current_worker(), current()

    asyncio.run(main())


def test_the_attributes_of_the_page_have_the_defaults_of_the_page():
    task = Task(boom)
    assert (task.group, task.description, task.node) == ("default", "", None)
    assert (task.completed_steps, task.total_steps, task.progress) == (0, None, 0.0)
    assert (task.is_cancelled, task.is_finished, task.is_running) == (False, False, False)
    assert (task.state, task.result, task.error) == (PENDING, None, None)
    assert isinstance(task.cancelled_event, threading.Event)
    assert not task.cancelled_event.is_set()
    assert task.name == "boom"
    given = Task(boom, name="n", group="g", description="d", node=Sink())
    assert (given.name, given.group, given.description) == ("n", "g", "d")


def test_result_and_error_are_properties():
    done = Task(lambda: 5).start().join()
    failed = Task(boom).start().join()
    assert (done.result, done.error) == (5, None)
    assert failed.result is None
    assert isinstance(failed.error, ValueError)
    assert all(task.is_finished and not task.is_running for task in (done, failed))


@at_each_bytecode
def test_one_that_begins_while_that_is_asked_is_not_finished(interrupt):
    go = Flag()
    task = Task(go.wait, parent=False)
    assert not interrupt(lambda: task.is_finished, task.start)
    go.set()
    task.join(LIMIT)


def test_wait_gives_the_result_or_raises_what_the_page_says():
    async def main():
        assert await Task(lambda: 5).start().wait() == 5
        with pytest.raises(WorkerFailed) as failed:
            await Task(boom).start().wait()
        assert isinstance(failed.value.__cause__, ValueError)
        assert failed.value.error is failed.value.__cause__
        with pytest.raises(WorkerCancelled):
            await Task(wait_forever).start().cancel().wait()
        with pytest.raises(WorkerError, match="never started"):
            await Task(boom).wait()
        assert await Task(lambda: 6).start() == 6
        with pytest.raises(ValueError, match="boom"):
            await Task(boom).start()

    asyncio.run(main())


def test_run_can_be_overridden():
    class Asynchronous(Task):
        async def run(self):
            await asyncio.sleep(0)
            return get_current_worker() is self

    class Plain(Task):
        def run(self):
            return current() is self

    class Wrapping(Task):
        async def run(self):
            return 2 * await super().run()

    class Stepwise(Task):
        def run(self):
            yield 1, 4
            return "end"

    assert Asynchronous().start().get() is True
    assert Plain().start().get() is True
    assert Wrapping(lambda: 21).start().get() == 42
    stepwise = Stepwise().start()
    assert stepwise.get() == "end"
    assert stepwise.progress == 25.0
    with pytest.raises(TypeError, match="something to call"):
        Task()


# -- what work is ---------------------------------------------------------------------------------


class PlainCallable:
    def __call__(self):
        return threading.get_ident()


class AsyncCallable:
    async def __call__(self):
        return threading.get_ident()


async def coroutine():
    await asyncio.sleep(0)
    return threading.get_ident()


def generator():
    yield
    return threading.get_ident()


async def async_generator():
    yield


PLAIN = [threading.get_ident, PlainCallable(), functools.partial(threading.get_ident), generator]
ASYNC = [coroutine, AsyncCallable(), functools.partial(coroutine), coroutine]


@pytest.mark.parametrize("work", PLAIN, ids=described)
@pytest.mark.parametrize("thread", [True, None])
def test_plain_work_runs_in_a_thread(work, thread):
    assert Task(work, thread=thread).start().get() != threading.get_ident()

    async def main():
        return await Task(work, thread=thread).start()

    assert asyncio.run(main()) != threading.get_ident()


@pytest.mark.parametrize("work", ASYNC, ids=described)
def test_asynchronous_work_runs_on_the_running_loop_or_else_in_a_thread(work):
    async def main(thread):
        return await Task(work, thread=thread).start()

    assert asyncio.run(main(None)) == threading.get_ident()
    assert asyncio.run(main(False)) == threading.get_ident()
    assert asyncio.run(main(True)) != threading.get_ident()
    assert Task(work).start().get() != threading.get_ident()


@pytest.mark.parametrize("work", [threading.get_ident, generator])
def test_with_thread_false_all_work_runs_on_the_loop(work):
    async def main():
        return await Task(work, thread=False).start()

    assert asyncio.run(main()) == threading.get_ident()


def test_coroutines_futures_and_async_generators_are_work():
    async def main():
        assert await Task(coroutine()).start() == threading.get_ident()
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        assert await Task(future).start() == 7
        counted = Task(async_generator).start()
        assert await counted is None
        assert counted.completed_steps == 1

    asyncio.run(main())
    counted = Task(async_generator).start()
    assert counted.get() is None
    assert counted.completed_steps == 1


def test_a_call_that_gives_a_coroutine_has_it_run():
    assert Task(lambda: coroutine()).start().get() != threading.get_ident()


def test_thread_false_without_a_loop_is_a_clear_error_and_leaves_it_startable():
    task = Task(coroutine, thread=False)
    with pytest.raises(WorkerError, match="asyncio loop"):
        task.start()
    assert task.state is PENDING

    async def main():
        return await task.start()

    assert asyncio.run(main()) == threading.get_ident()


def test_context_variables_go_along():
    var = contextvars.ContextVar("var", default="none")
    var.set("mine")
    assert Task(var.get).start().get() == "mine"

    async def get():
        return var.get()

    async def main():
        return await Task(get).start()

    assert asyncio.run(main()) == "mine"
    assert Task(get).start().get() == "mine"


def test_waits_events_and_later_work_in_a_thread():
    def work():
        current().later(current().fire, "N", 3, timeout=0.001)
        sleep(0)
        return wait_event("N")

    assert Task(work).start().get(LIMIT) == 3


def test_events_reach_a_guest_and_are_handled_on_its_loop():
    async def main():
        got = []

        async def work():
            me = get_current_worker()
            came = asyncio.Event()

            def hear(event):
                got.append((event.data, threading.get_ident(), get_current_worker() is me))
                came.set()

            me.listen(hear, "N")
            await came.wait()

        task = Task(work)
        task.fire("IGNORED").start()
        await asyncio.sleep(0)
        await async_(task.fire, "N", 1)
        await task
        assert got == [(1, threading.get_ident(), True)]

    asyncio.run(main())


BAD = [
    ({"work": 3}, "something to call"),
    ({"work": None}, "something to call"),
    ({"work": boom, "name": 3}, "name of a task"),
    ({"work": boom, "group": None}, "group of a task"),
    ({"work": boom, "description": 3}, "description of a task"),
    ({"work": boom, "thread": 3}, "thread must be"),
    ({"work": boom, "timeout": "1"}, "timeout must be"),
    ({"work": boom, "total_steps": 1.5}, "total_steps must be"),
    ({"work": boom, "node": object()}, "post_message"),
    ({"work": boom, "parent": object()}, "parent must be"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=described)
def test_bad_input_is_a_type_error_at_once(arguments, message):
    arguments = dict(arguments)
    with pytest.raises(TypeError, match=message):
        Task(arguments.pop("work"), **arguments)


def test_a_timeout_that_is_nan_and_a_parent_that_has_ended_are_errors():
    with pytest.raises(ValueError, match="NaN"):
        Task(boom, timeout=float("nan"))
    with pytest.raises(WorkerError, match="has ended"):
        Task(boom, parent=Worker(int, parent=False).start().join())


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", [Task, Worker])
def test_who_is_told_of_a_start_may_wait_for_others_to_start(kind, monkeypatch):
    """A watcher, and a callback of please_stop of a child that comes late."""
    told = []

    def start_another(*_):
        in_threads(lambda: told.append(Worker(int, parent=False).start().get(LIMIT)))

    def boss(please_stop):
        please_stop.wait()
        child = kind(int, parent=current())
        child.please_stop.then(start_another)
        child.start().join()

    Thread.run("boss", boss).stop().join(LIMIT)
    assert told == [0]
    monkeypatch.setitem(
        tree_of_all.watchers, "test", lambda node, _: node is task and start_another()
    )
    task = kind(int, parent=False)
    assert task.start().get(LIMIT) == 0
    assert len(told) > 1


def test_guests_begin_one_after_the_other_also_on_a_loop_with_eager_tasks():
    order = []

    async def work(number):
        order.append(number)

    async def main():
        eager = getattr(asyncio, "eager_task_factory", None)  # since Python 3.12
        asyncio.get_running_loop().set_task_factory(eager)
        Task(functools.partial(work, "guest"), thread=False).start()
        order.append("started")
        tasks = WorkerManager(limit=1)
        for number in range(500):
            tasks.run(work, number)
        await tasks.wait_for_complete()

    asyncio.run(main())
    assert order == ["started", "guest", *range(500)]


# -- the states of every path ---------------------------------------------------------------------


def ends(how, gate):
    """Work that ends so, when it is asked to, or when the gate opens."""

    def plain():
        gate.wait()
        checkpoint()
        return how()

    async def asynchronous():
        await asyncio.to_thread(gate.wait)
        return how()

    return {"thread": plain, "guest": asynchronous, "own loop": asynchronous}


def give():
    return 1


def leave():
    raise WorkerExit


def cancel_self():
    raise asyncio.CancelledError


def exit_():
    raise SystemExit(3)


PATHS = {
    "returns": (give, False, [RUNNING, SUCCESS]),
    "raises": (boom, False, [RUNNING, ERROR]),
    "raises SystemExit": (exit_, False, [RUNNING, ERROR]),
    "raises WorkerExit": (leave, False, [RUNNING, CANCELLED]),
    "is cancelled": (give, True, [RUNNING, CANCELLED]),
    "is cancelled and raises": (boom, True, [RUNNING, CANCELLED]),
}


@pytest.mark.parametrize("place", ["thread", "guest", "own loop"])
@pytest.mark.parametrize("path", PATHS)
def test_the_states_of_every_path_are_told_in_order_once_each(path, place):
    how, is_cancelled, states = PATHS[path]
    gate, sink = threading.Event(), Sink()

    async def main():
        task = Task(ends(how, gate)[place], node=sink, thread=place != "guest")
        assert task.state is PENDING
        task.start()
        if place == "guest":
            await asyncio.sleep(0)
        if is_cancelled:
            task.cancel()
            assert task.is_cancelled
            assert task.please_stop
            assert task.cancelled_event.is_set()
            if place != "own loop":  # there, it may be at its end already
                assert not task.is_finished  # its code still runs
        gate.set()
        await task.stopped
        assert sink.states == states
        assert task.state is states[-1]
        assert task.is_cancelled == is_cancelled
        assert type(task.error) is {boom: ValueError, exit_: SystemExit}.get(
            how if states[-1] is ERROR else None, type(None)
        )
        task.join()

    asyncio.run(main())


def test_an_asyncio_cancel_in_the_code_is_cancelled():
    async def main():
        task = Task(forever).start()
        await asyncio.sleep(0)
        task._coroutine.cancel()  # as asyncio's own cancel, "from either side"
        with pytest.raises(WorkerCancelled):
            await task
        assert task.is_cancelled

    asyncio.run(main())


def test_the_end_of_asyncio_run_cancels_its_guests():
    sink, begun = Sink(), Sink()

    async def main():
        task = Task(forever, node=begun).start()
        await asyncio.sleep(0)
        return task, Task(forever, node=sink).start()  # this one has not taken its first step

    tasks = asyncio.run(main())
    assert [task.state for task in tasks] == [CANCELLED, CANCELLED]
    assert begun.states == [RUNNING, CANCELLED]
    assert sink.states[-1] is CANCELLED


def test_a_guest_of_a_loop_that_is_closed_ends_as_soon_as_it_is_asked():
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # it says that a task was left behind

    async def start():
        return Task(forever).start()

    task = loop.run_until_complete(start())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert task.cancel().state is CANCELLED
    with pytest.raises(WorkerCancelled):
        task.get()


def test_a_guest_that_is_thrown_away_with_its_loop_is_so_in_any_order():
    """The collector closes the coroutines of a cycle, be it the inner ones first."""

    class Kept(Task):
        def _work_as_guest(self):
            self.kept = super()._work_as_guest()
            return self.kept

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)

    async def start():
        return Kept(forever).start()

    task = loop.run_until_complete(start())
    loop.run_until_complete(asyncio.sleep(0))
    (life,) = asyncio.all_tasks(loop)
    loop.close()
    task.kept.close()
    life.get_coro().close()
    assert task.state is CANCELLED


@pytest.mark.parametrize("work", [boom, forever])
def test_cancel_before_the_start_means_it_never_runs(work):
    sink = Sink()
    task = Task(work, node=sink).cancel()
    assert (task.state, task.is_cancelled, task.is_finished) == (CANCELLED, True, True)
    assert sink.states == [CANCELLED]
    assert task.start().cancel().state is CANCELLED
    assert sink.states == [CANCELLED]
    with pytest.raises(WorkerCancelled):
        task.get()


def test_a_coroutine_that_is_cancelled_before_the_start_does_not_complain():
    Task(coroutine()).cancel()
    gc.collect()


def test_please_stop_in_other_hands_cancels():
    task = Task(wait_forever).start()
    task.please_stop.go()
    assert task.join(LIMIT).state is CANCELLED
    pending = Task(boom)
    pending.please_stop.go()
    assert pending.state is CANCELLED


def test_a_start_and_a_cancel_at_once_end_in_one_state():
    with hectic_switching():
        for _ in range(100):
            sink = Sink()
            task = Task(checkpoint, node=sink)
            in_threads(task.start, task.cancel, task.start)
            task.join(LIMIT)
            assert task.is_finished
            assert sink.states in ([RUNNING, CANCELLED], [CANCELLED], [RUNNING, SUCCESS])


def test_code_that_polls_and_returns_is_a_success_that_was_cancelled():
    def work():
        while not get_current_worker().is_cancelled:
            get_current_worker().cancelled_event.wait(LIMIT)
        return "by itself"

    task = Task(work).start().cancel()
    assert task.get(LIMIT) == "by itself"
    assert (task.state, task.is_cancelled) == (SUCCESS, True)


def end_cancelled(*works):
    """Run these on a loop, and cancel them when they have begun."""

    async def main():
        tasks = [Task(work).start() for work in works]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with pytest.raises(WorkerCancelled):
                await task

    asyncio.run(main())


def test_clean_up_may_wait():
    cleaned = []

    def plain():
        try:
            wait_forever()
        finally:
            sleep(0.001)
            cleaned.append("plain")

    async def asynchronous():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            cleaned.append("async")

    end_cancelled(plain, asynchronous)
    assert sorted(cleaned) == ["async", "plain"]


def test_clean_up_is_cut_short_when_the_grace_is_over(short_graces):
    cut_short = []

    def plain():
        try:
            wait_forever()
        finally:
            with pytest.raises(WorkerExit):
                wait_forever()
            cut_short.append("plain")

    async def asynchronous():
        try:
            await forever()
        finally:
            with pytest.raises(asyncio.CancelledError):
                await forever()
            cut_short.append("async")

    end_cancelled(plain, asynchronous)
    assert sorted(cut_short) == ["async", "plain"]


def test_cancelling_a_waiter_cancels_the_wait_not_the_work():
    async def main():
        go = Flag()
        task = Task(go.wait).start()
        waiter = asyncio.ensure_future(task.wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert task.is_running
        assert not task.is_cancelled
        go.set()
        assert await task is True

    asyncio.run(main())


def test_a_thousand_tasks_cancelled_at_random_moments_end_once_with_one_message():
    sinks = [Sink() for _ in range(1000)]
    chance = random.Random(4)

    def work():
        checkpoint()
        return 1

    async def guest():
        await asyncio.sleep(0)
        return 1

    async def main():
        tasks = []
        for number, sink in enumerate(sinks):
            task = Task(guest if number % 2 else work, node=sink)
            tasks.append(task)
            if chance.random() < 0.1:
                task.cancel()
            task.start()
            if chance.random() < 0.5:
                chance.choice(tasks).cancel()
            if number % 10 == 0:
                await asyncio.sleep(0)
        for task in tasks:
            await task.stopped
        return tasks

    tasks = asyncio.run(main())
    for task in tasks:
        task.join(LIMIT)
    for task, sink in zip(tasks, sinks, strict=True):
        assert task.state in (SUCCESS, CANCELLED)
        assert sink.states in ([RUNNING, task.state], [CANCELLED])


# -- waiting --------------------------------------------------------------------------------------


def test_get_raises_the_original_and_its_traceback_does_not_grow():
    task = Task(boom).start()
    depths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="boom") as raised:
            task.get()
        depths.append(len(raised.traceback))
        assert task.path in raised.value.__notes__[0]
    assert len(set(depths)) == 1


def test_get_and_join_may_time_out():
    go = Flag()
    task = Task(go.wait).start()
    for wait in (task.get, task.join):
        with pytest.raises(TimeoutError, match=task.path):
            wait(timeout=0)
    go.set()
    assert task.get() is True


@pytest.mark.parametrize("ask", [Task.cancel, lambda task: task.shutdown(0)])
def test_l2_a_stop_reaches_a_blocking_join_in_a_coroutine_with_a_loop_of_its_own(ask):
    joins = Flag()

    async def code():
        worker.join()

    class Watched(Task):
        def _rest(self, *args):
            joins.set()
            return super()._rest(*args)

    with running() as worker:
        task = Watched(code, thread=True).start()
        joins.wait()
        ask(task)
        assert task.join(LIMIT).state is CANCELLED
        assert worker.is_running()


def test_r3_a_task_that_waits_for_itself_raises():
    async def wait():
        await get_current_worker().wait()

    for work in (wait, lambda: get_current_worker().get()):
        with pytest.raises(DeadlockError):
            Task(work).start().get(LIMIT)

    async def main():
        with pytest.raises(WorkerFailed) as failed:
            await Task(wait).start().wait()
        assert isinstance(failed.value.error, DeadlockError)

    asyncio.run(main())


def test_r3_guests_that_wait_in_a_circle_raise_in_the_wait_that_closes_it():
    async def main():
        tasks = {}

        async def wait_for(name):
            return await tasks[name].wait()

        tasks["a"] = Task(lambda: wait_for("b"), thread=False, name="a")
        tasks["b"] = Task(lambda: wait_for("a"), thread=False, name="b")
        for task in tasks.values():
            task.start()
        errors = []
        for task in tasks.values():
            try:
                await task
            except Exception as error:
                errors.append(type(error))
        assert sorted(error.__name__ for error in errors) == ["DeadlockError", "WorkerFailed"]

    asyncio.run(main())


BLOCKS = {
    "get": Task.get,
    "join": Task.join,
    "wait_thread": wait_thread,
    "wait_all": lambda task: wait_all([task]),
    "wait_any": lambda task: wait_any([task]),
    "as_completed": lambda task: next(as_completed([task])),
}


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_r3_blocking_a_loop_for_its_own_guest_raises(block, has_begun):
    async def main():
        task = Task(forever, name="guest").start()
        if has_begun:
            await asyncio.sleep(0)
        with pytest.raises(DeadlockError, match="waits for main/guest waits for main"):
            block(task)
        with pytest.raises(TimeoutError):
            task.get(timeout=0)
        task.cancel()
        await task.stopped
        assert block(task) is task if block is Task.join else True

    asyncio.run(main())


@pytest.mark.parametrize("in_thread", [True, False])
def test_r3_who_awaits_a_guest_leaves_it_the_loop(in_thread):
    async def inner():
        await asyncio.sleep(0)
        return 1

    async def outer():
        async with WorkerManager() as tasks:
            several = [tasks.run(inner) for _ in range(2)]
        thread = Task(lambda: several[0].get(), thread=True).start()
        return await Task(inner).start() + await several[1] + await thread

    async def main():
        return await Task(outer).start()

    if in_thread:
        assert Task(outer, thread=True).start().get(LIMIT) == 3
    else:
        assert asyncio.run(main()) == 3


def test_r3_a_guest_is_placed_without_a_lock_in_the_wrong_order(monkeypatch):
    class Entering:
        def __enter__(self):
            assert not tree_of_all.lock._is_owned()

        def __exit__(self, *args):
            pass

    async def main():
        guest = Task(asyncio.sleep(0)).start()
        await guest
        with pytest.raises(DeadlockError):
            Task(asyncio.sleep(0)).start().get()

    monkeypatch.setattr("threadtree.circles._entering", Entering())
    asyncio.run(main())


def test_one_whose_start_was_refused_was_never_started():
    parent = Worker(wait_forever, parent=False).start()
    task = Task(int, parent=parent)
    parent.stop().join(LIMIT)
    with pytest.raises(WorkerError, match="its parent has ended"):
        task.start()
    with pytest.raises(WorkerError, match="never started"):
        task.get()


def test_r3_a_guest_that_blocks_its_loop_for_another_raises():
    async def main():
        async def outer():
            return Task(forever, name="inner").start().get()

        with pytest.raises(DeadlockError, match="inner"):
            await Task(outer).start()

    asyncio.run(main())


def test_r3_who_waits_for_a_guest_that_was_cancelled_before_it_began_closes_no_circle():
    async def main():
        task = Task(forever).start().cancel()
        other = Task(task.join).start()
        await other
        assert other.get() is task
        assert not task._life.waits_for

    asyncio.run(main())


# -- deadlines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["thread", "guest", "own loop"])
def test_a_timeout_cancels_with_a_timeout_error(place):
    async def main():
        work = wait_forever if place == "thread" else forever
        task = Task(work, timeout=0.01, thread=place != "guest").start()
        with pytest.raises(WorkerCancelled) as cancelled:
            await task
        assert isinstance(cancelled.value.__cause__, TimeoutError)
        assert isinstance(task.error, TimeoutError)
        assert task.state is CANCELLED

    asyncio.run(main())


def test_a_timeout_that_does_not_come_leaves_nothing_behind():
    assert Task(lambda: 1, timeout=3600).start().get() == 1  # the leak check looks for its timer


def test_a_result_after_the_timeout_wins():
    def work():
        get_current_worker().cancelled_event.wait(LIMIT)
        return 1

    task = Task(work, timeout=0.01).start()
    assert task.get(LIMIT) == 1
    assert task.is_cancelled


# -- the tree -------------------------------------------------------------------------------------


def test_a_task_stands_in_the_tree_and_stops_with_its_parent():
    with running(name="boss") as boss:
        task = Task(wait_forever, parent=boss, name="helper", total_steps=4).start()
        assert task.path == "boss/helper"
        assert "  helper: RUNNING" in tree()
    assert task.state is CANCELLED


def test_the_parent_is_the_node_or_who_makes_it():
    with running() as boss:
        assert Task(boom, node=boss).parent is boss
        assert Task(boom).parent is MainThread
        assert Task(boom, parent=False).parent is None

    async def main():
        async def outer():
            return Task(boom).parent

        task = Task(outer).start()
        assert await task is task

    asyncio.run(main())
    task = Task(lambda: Task(boom).parent).start()
    assert task.get() is task


@pytest.mark.parametrize("place", ["thread", "guest"])
def test_l3_a_task_ends_after_its_children_whom_it_asks_at_once(place):
    ended = []

    def child():
        try:
            wait_forever()
        finally:
            sleep(0.005)
            ended.append("child")

    async def guest_child():
        try:
            await forever()
        finally:
            await asyncio.sleep(0.005)
            ended.append("guest")

    async def main():
        async def parent():
            Task(child).start()
            Task(guest_child).start()
            await asyncio.sleep(0.005)

        def plain_parent():
            Task(child).start()
            Task(guest_child).start()

        task = Task(parent if place == "guest" else plain_parent).start()
        await task
        assert sorted(ended) == ["child", "guest"]

    asyncio.run(main())


def test_shutdown_ends_tasks_in_order():
    task = Task(wait_forever).start()
    assert threadtree.shutdown() == []
    assert task.state is CANCELLED


def test_c4_a_finished_task_that_nobody_holds_is_collected():
    async def main():
        await Task(coroutine).start()
        task = Task(coroutine).start()
        await task
        return weakref.ref(task)

    links = [asyncio.run(main())]
    links.append(weakref.ref(Task(lambda: 1, node=Sink()).start().join()))
    gc.collect()
    assert [link() for link in links] == [None, None]


def test_errors_that_nobody_looks_at_are_logged_once(caplog):
    with caplog.at_level(logging.ERROR, "threadtree"):
        Task(boom).start().stopped.wait()
        gc.collect()
    assert len([r for r in caplog.records if "crashed" in r.message]) == 1


def test_exit_on_error_logs_at_the_crash(caplog):
    task = Task(boom, exit_on_error=True).start()
    task.stopped.wait()
    assert [r.worker for r in caplog.records] == [task.path]
    task.join()


def test_e1_events_for_a_task_are_dispatched_or_rejected_once():
    async def main():
        got = []

        async def work():
            get_current_worker().listen(lambda event: got.append(event.data), "N")
            await asyncio.sleep(0.01)

        task = Task(work).start()

        def fire():
            for number in range(500):
                task.fire("N", number)

        fires = [async_(fire) for _ in range(3)]
        await task
        for one in fires:
            await one
        assert len(got) + task.rejected == 1500

    with hectic_switching():
        asyncio.run(main())


def test_l5_a_paused_guest_goes_on_when_it_is_resumed():
    async def main():
        steps = []

        async def work():
            for step in range(3):
                steps.append(step)
                await asyncio.sleep(0)
            return "end"

        task = Task(work)
        task.start()
        task.pause()
        for _ in range(10):
            await asyncio.sleep(0)
        assert task.paused
        assert len(steps) < 3
        task.resume()
        assert await task == "end"
        stopped = Task(work).start().pause()
        await asyncio.sleep(0)
        stopped.cancel()
        with pytest.raises(WorkerCancelled):
            await stopped

    asyncio.run(main())


def test_l4_a_start_without_threads_raises_and_it_can_be_started_later(monkeypatch):
    task = Task(lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            task.start()
    assert task.state is PENDING
    assert task.start().get() == 1


def no_more_threads(self):
    raise RuntimeError("can't start new thread")


def test_a_node_that_raises_is_logged_and_changes_nothing(caplog):
    node = types.SimpleNamespace(post_message=lambda message: boom())
    assert Task(lambda: 1, node=node).start().get() == 1
    assert len(caplog.records) == 2


def test_a_worker_as_the_node_gets_events_in_order():
    with running() as worker:
        got, over = [], Flag()

        def hear(event):
            got.append((event.data.state, event.target))
            if event.data.state is SUCCESS:
                over.set()

        worker.listen(hear, "STATE_CHANGED")
        task = Task(lambda: 1, node=worker, parent=False).start()
        over.wait()
    assert got == [(RUNNING, task), (SUCCESS, task)]


def test_the_cancelled_event_is_a_threading_event():
    task = Task(wait_forever)
    event = task.cancelled_event
    assert not event.wait(0)
    with pytest.raises(WorkerError):
        task.cancel().cancelled_event.clear()
    assert event.wait(0)
    assert event.is_set()
    setting = Task(wait_forever).start()
    setting.cancelled_event.set()
    assert setting.join(LIMIT).state is CANCELLED


def test_wait_with_an_argument_is_what_it_is_in_a_worker():
    def work():
        return threadtree.wait(0.001), inspect.iscoroutine(coro := current().wait()), coro.close()

    assert Task(work).start().get() == (None, True, None)


def test_t3_cancel_in_a_wait_is_handled():
    task = Task(wait_forever).start()
    in_a_wait(task)
    assert task.cancel().join(LIMIT).state is CANCELLED
