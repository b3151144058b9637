"""L7: threads that other libraries have started are first-class."""

from __future__ import annotations

import _thread
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from threadtree import (
    WORKER_POOL,
    Defer,
    Signal,
    Worker,
    WorkerState,
    async_,
    current,
    is_main,
    later,
    listen,
    sleep,
    update,
    wait,
    wait_all,
    wait_event,
    wait_forever,
    wait_thread,
)

from .helpers import LIMIT, Flag, in_threads, running


def in_thread(function):
    threading.Thread(target=function).start()


def in_raw_thread(function):
    _thread.start_new_thread(function, ())


def in_executor(function):
    with ThreadPoolExecutor(1) as executor:
        executor.submit(function)


KINDS = [in_thread, in_raw_thread, in_executor]


def call_in(kind, function):
    """Call the function in a foreign thread of this kind; give its result or raise its error."""
    outcome = Defer()

    def run():
        try:
            result = function()
        except BaseException as error:
            outcome.reject(error)
        else:
            outcome.resolve(result)

    kind(run)
    return outcome.get(LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_l7_a_foreign_thread_can_wait_fire_start_and_stop(kind):
    def use_everything():
        heard = []
        me = current()
        assert not is_main()
        assert me is current()
        assert me.is_running()
        listen(lambda event: heard.append(event.data), "X")
        me.fire("X", 1)
        update()
        worker = Worker(lambda: wait_event("GO")).start()
        assert worker.parent is None  # nobody could promise that this thread waits for it
        assert worker.fire("GO", 2).get() == 2
        assert async_(pow, 2, 3).get() == 8
        with Worker(wait_forever, parent=me) as child:
            assert child in me.children
        assert wait_thread(child) == (None, None)
        defer = Defer()
        later(defer.resolve, 3, timeout=0.001)
        heard.append(defer.get())
        sleep(0)
        assert not Signal().wait(0)
        return heard

    assert call_in(kind, use_everything) == [1, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_l7_others_can_talk_to_it_and_a_stop_ends_its_wait_and_its_children(kind):
    def wait():
        child = Worker(parent=current()).start()
        me.resolve(current())
        assert wait_forever() is None
        return child.join(LIMIT).state

    me = Defer()
    stopper = threading.Thread(target=lambda: me.get(LIMIT).stop())
    stopper.start()
    assert call_in(kind, wait) is WorkerState.CANCELLED
    stopper.join()
    assert me.get().stopped.wait(LIMIT)  # a raw thread cannot be joined


@pytest.mark.parametrize("kind", KINDS)
def test_l7_when_it_ends_its_worker_does_and_what_is_fired_at_it_is_rejected(kind):
    def leave():
        current().stopped.then(ended.set)
        return current().fire("BEFORE")

    ended = Flag()
    worker = call_in(kind, leave)
    ended.wait()
    worker.fire("AFTER")
    assert worker.rejected == 2
    assert not worker.is_running()
    assert worker.thread is None
    assert not any(worker in stack for stack in WORKER_POOL.pool.values())


async def awaited(worker):
    return await worker


@pytest.mark.parametrize(
    ("wait", "given"),
    [
        (Worker.get, None),
        (wait_thread, (None, None)),
        (wait, (None, None)),
        (lambda worker: wait_all([worker]), [None]),
        (lambda worker: asyncio.run(awaited(worker)), None),
    ],
    ids=["get", "wait_thread", "wait", "wait_all", "await"],
)
@pytest.mark.parametrize("has_ended", [True, False])
def test_l7_its_end_can_be_waited_for_like_any_other(wait, given, has_ended):
    def leave():
        worker.resolve(current())
        go_on.wait()

    worker, go_on = Defer(), Flag()
    thread = threading.Thread(target=leave)
    thread.start()
    foreign = worker.get(LIMIT)
    if has_ended:
        go_on.set()
        thread.join()
        assert foreign.stopped.wait(LIMIT)
    else:
        current().later(go_on.set)  # when we wait
    assert wait(foreign) == given
    assert foreign.state is WorkerState.SUCCESS
    thread.join()


@pytest.mark.parametrize("kind", KINDS)
def test_l7_when_it_ends_its_children_are_asked_to(kind):
    child = call_in(kind, lambda: Worker(parent=current()).start())
    assert child.join(LIMIT).state is WorkerState.CANCELLED


def test_l7_each_foreign_thread_has_a_worker_of_its_own():
    workers = []
    in_threads(*[lambda: workers.append(current())] * 4)
    assert len(set(workers)) == 4


def test_l7_a_foreign_thread_can_stop_and_join_a_worker_of_ours():
    with running() as worker:
        in_threads(lambda: worker.stop().join(LIMIT))
        assert worker.state is WorkerState.CANCELLED
