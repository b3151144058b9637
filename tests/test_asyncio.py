"""await worker, async_(...), defer and signal: their result, without blocking the loop."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, NamedTuple

import pytest

from threadtree import (
    NEVER,
    Defer,
    MainThread,
    Signal,
    Worker,
    WorkerCancelled,
    WorkerError,
    async_,
    call_in,
    current,
    later,
    sleep,
    update,
    wait_forever,
)
from threadtree.roots import Root
from threadtree.timers import Timer

from .helpers import LIMIT, Flag, hectic_switching, in_threads, running


class Case(NamedTuple):
    """Something to await, that ends by ``finish``, and the signal that tells of its end."""

    awaitable: Any
    finish: Callable[[], object]
    signal: Signal
    result: object


def a_worker() -> Case:
    go_on = Flag()
    worker = Worker(lambda: go_on.wait() and "result", parent=False).start()
    return Case(worker, go_on.set, worker.stopped, "result")


def an_async() -> Case:
    go_on = Flag()
    work = async_(lambda: go_on.wait() and "result")
    return Case(work, go_on.set, work.stopped, "result")


def a_defer() -> Case:
    defer: Defer[str] = Defer()
    return Case(defer, lambda: defer.resolve("result"), defer._fulfilled, "result")


def a_signal() -> Case:
    signal = Signal()
    return Case(signal, signal.go, signal, True)


def a_composite() -> Case:
    signal = Signal()
    composite = (signal & Signal().go()) | Signal()
    return Case(composite, signal.go, composite, True)


cases = pytest.mark.parametrize("make", [a_worker, an_async, a_defer, a_signal, a_composite])


def finish(case: Case) -> None:
    case.finish()
    if isinstance(case.awaitable, Worker):
        case.awaitable.join(LIMIT)


def leaves_nothing_behind(case: Case) -> bool:
    return not case.signal._jobs and not case.signal._dependents


async def give(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def waiting_for(*awaitables: Any) -> list[asyncio.Task[Any]]:
    """A task for each, that has come to its await."""
    tasks = [asyncio.create_task(give(awaitable)) for awaitable in awaitables]
    await asyncio.sleep(0)
    return tasks


# -- results -----------------------------------------------------------------------------------


@cases
def test_await_gives_the_result_and_the_loop_goes_on_meanwhile(make):
    case = make()

    async def main() -> object:
        (task,) = await waiting_for(case.awaitable)
        assert not task.done()
        case.finish()  # only a loop that is not blocked comes here
        return await asyncio.wait_for(task, LIMIT)

    assert asyncio.run(main()) == case.result
    assert leaves_nothing_behind(case)


@cases
def test_await_of_what_has_ended_gives_the_result_again_and_again(make):
    case = make()
    finish(case)

    async def main() -> list[object]:
        return [await case.awaitable, await case.awaitable]

    assert asyncio.run(main()) == [case.result] * 2
    assert leaves_nothing_behind(case)


@cases
def test_many_tasks_may_await_one(make):
    case = make()

    async def main() -> list[object]:
        tasks = await waiting_for(*[case.awaitable] * 10)
        case.finish()
        return await asyncio.wait_for(asyncio.gather(*tasks), LIMIT)

    assert asyncio.run(main()) == [case.result] * 10
    assert leaves_nothing_behind(case)


@cases
def test_loops_in_several_threads_may_await_one(make):
    case, results = make(), []
    with running(lambda: results.append(asyncio.run(give(case.awaitable)))) as worker:
        in_threads(
            lambda: results.append(asyncio.run(give(case.awaitable))),
            lambda: results.append(asyncio.run(give(case.awaitable))),
            case.finish,
        )
        worker.join(LIMIT)
    assert results == [case.result] * 3
    assert leaves_nothing_behind(case)


@cases
def test_gather_and_wait_for_take_it_as_it_is(make):
    case = make()

    async def main() -> list[object]:
        asyncio.get_running_loop().call_soon(case.finish)
        return await asyncio.wait_for(asyncio.gather(case.awaitable), LIMIT)

    assert asyncio.run(main()) == [case.result]


def test_many_workers_may_be_awaited_at_once():
    async def main() -> list[int]:
        return await asyncio.gather(*[async_(pow, i, 2) for i in range(40)])

    assert asyncio.run(main()) == [i * i for i in range(40)]


def test_l1_after_an_await_the_native_thread_has_ended():
    """Not only its task: callbacks of ``stopped`` run on it after that."""
    go_on = Flag()
    worker = Worker(go_on.wait, parent=False).start()
    thread, lingering = worker.thread, Flag()

    async def main() -> bool:
        (task,) = await waiting_for(worker)
        worker.stopped.then(lingering.wait)
        go_on.set()
        Timer(monotonic() + 0.01, lingering.set)
        await task
        return thread.is_alive()

    assert asyncio.run(main()) is False


def test_a_handle_of_later_can_be_awaited():
    with running() as worker:

        async def main() -> object:
            return await worker.later(lambda: "result", timeout=0.001)

        assert asyncio.run(main()) == "result"


def test_a_signal_that_goes_while_tasks_begin_to_await_it_wakes_them_all():
    for _ in range(15):
        signal = Signal()

        async def main(signal: Signal = signal) -> list[bool]:
            tasks = [asyncio.create_task(give(signal)) for _ in range(20)]
            return await asyncio.wait_for(asyncio.gather(*tasks), LIMIT)

        results: list[list[bool]] = []
        with hectic_switching():
            in_threads(lambda r=results, m=main: r.append(asyncio.run(m())), signal.go)
        assert results == [[True] * 20]
        assert not signal._jobs


# -- errors ------------------------------------------------------------------------------------


class OopsError(Exception):
    pass


def fail() -> None:
    raise OopsError


def rejected(error: BaseException) -> Defer[Any]:
    defer: Defer[Any] = Defer()
    defer.reject(error)
    return defer


FAILURES = {
    "worker": lambda: Worker(fail, parent=False, print_traceback=False).start(),
    "async_": lambda: async_(fail),
    "defer": lambda: rejected(OopsError()),
}


@pytest.mark.parametrize("make", FAILURES.values(), ids=FAILURES)
def test_await_raises_the_original_error_and_its_traceback_does_not_grow(make):
    awaitable = make()
    errors, lengths = set(), set()

    async def main() -> None:
        for _ in range(3):
            try:
                await awaitable
            except OopsError as error:
                errors.add(error)
                lengths.add(len(traceback.extract_tb(error.__traceback__)))

    asyncio.run(main())
    assert len(errors) == 1
    assert len(lengths) == 1


def test_await_of_a_stopped_worker_raises_worker_cancelled():
    worker = Worker(wait_forever, parent=False).start()

    async def main() -> None:
        (task,) = await waiting_for(worker)
        worker.stop()
        with pytest.raises(WorkerCancelled):
            await asyncio.wait_for(task, LIMIT)
        with pytest.raises(WorkerCancelled):
            await worker

    asyncio.run(main())


def test_await_of_what_never_started_raises_worker_error():
    async def main() -> None:
        with pytest.raises(WorkerError, match="never started"):
            await Worker(int, parent=False)

    asyncio.run(main())


# -- cancellation ------------------------------------------------------------------------------


@cases
def test_a_cancelled_await_leaves_nothing_subscribed_and_cancels_nothing_else(make, caplog):
    case = make()

    async def main() -> None:
        cancelled, timed_out, stays = await waiting_for(
            case.awaitable, asyncio.wait_for(case.awaitable, 0.001), case.awaitable
        )
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        with pytest.raises(TimeoutError):
            await timed_out
        assert len(case.signal._jobs) + len(case.signal._dependents) == 1
        case.finish()
        assert await asyncio.wait_for(stays, LIMIT) == case.result

    asyncio.run(main())
    assert leaves_nothing_behind(case)
    assert not caplog.records


@cases
def test_a_loop_that_ends_takes_back_what_its_tasks_awaited(make, caplog):
    case = make()

    async def main() -> None:
        await waiting_for(case.awaitable, case.awaitable)

    asyncio.run(main())
    assert leaves_nothing_behind(case)
    finish(case)
    assert not caplog.records


def test_awaiting_never_can_be_cancelled():
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(NEVER, 0.001)

    asyncio.run(main())
    assert not NEVER._jobs


def test_a_task_may_be_cancelled_in_the_moment_in_which_the_signal_goes(caplog):
    for _ in range(25):
        signal = Signal()

        async def main(signal: Signal = signal) -> None:
            (task,) = await waiting_for(signal)
            went = asyncio.get_running_loop().run_in_executor(None, signal.go)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await went

        with hectic_switching():
            asyncio.run(main())
        assert not signal._jobs
    assert not caplog.records


# -- beside the loop ---------------------------------------------------------------------------


def test_a_worker_that_runs_a_loop_may_await_and_be_awaited():
    def inner() -> int:
        async def main() -> int:
            return await async_(pow, 2, 3)

        return asyncio.run(main())

    async def main() -> int:
        return await async_(inner)

    assert asyncio.run(main()) == 8


def test_a_callback_of_the_loop_may_let_a_signal_go_that_a_worker_waits_for():
    signal = Signal()

    async def main() -> object:
        work = async_(signal.wait, LIMIT)
        asyncio.get_running_loop().call_later(0.001, signal.go)
        return await work

    assert asyncio.run(main()) is True


def test_a_loop_that_runs_again_after_another_handles_the_events_of_its_thread():
    async def call_here() -> int:
        def call() -> int:
            return call_in(MainThread, pow, 2, 3, timeout=LIMIT)

        return await async_(call)

    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    for loop in (first, second, first, second):
        assert loop.run_until_complete(call_here()) == 8
    second.close()
    assert first.run_until_complete(call_here()) == 8
    first.close()


def test_a_loop_that_owns_the_thread_handles_the_events_of_its_worker_when_it_is_woken():
    """The mailbox wakes the loop, which calls update(), as a GUI's would."""

    async def main() -> object:
        loop = asyncio.get_running_loop()
        mailbox = current()._mailbox
        mailbox.be_woken_by(lambda: loop.call_soon_threadsafe(update))
        try:
            return await asyncio.wait_for(later(lambda: "result", timeout=0.001), LIMIT)
        finally:
            mailbox.be_woken_by(None)

    assert asyncio.run(main()) == "result"


def test_a_loop_in_a_listener_of_main_rests_while_it_awaits(monkeypatch):
    turns, me = [], current()
    turn = Root._turn

    def counted(root, *arguments):
        turns.append(root)
        return turn(root, *arguments)

    async def main():
        await Worker(sleep, parent=False).start(0.05)

    me.listen(lambda event: asyncio.run(main()), "RUN", once=True)
    me.fire("RUN")
    monkeypatch.setattr(Root, "_turn", counted)
    update()
    assert len(turns) < 20
