"""The promises about life: L1 to L5, the ladder of an end, and the rulings that go with them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque

import pytest

import threadtree
from threadtree import (
    DeadlockError,
    Defer,
    Signal,
    Task,
    Thread,
    Till,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerExit,
    WorkerManager,
    WorkerState,
    as_completed,
    async_,
    await_,
    call_in,
    checkpoint,
    create_worker,
    current,
    graces,
    listen,
    sleep,
    update,
    wait,
    wait_any,
    wait_event,
    wait_forever,
    wait_thread,
)
from threadtree import native as native_module
from threadtree.native import Launch
from threadtree.node import tree as live_tree

from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running


@pytest.fixture
def short_graces(monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.1)
    monkeypatch.setattr(graces, "told", 0.1)


class Jobs(list):
    """Work that is false, as long as there is nothing in it."""

    def __call__(self, *args):
        return "done", *args


class Crew(Worker):
    """A worker that is false, as long as there is nobody in it."""

    def __len__(self):
        return 0


def test_what_is_false_is_work_and_a_parent_like_any_other():
    assert Worker(Jobs()).start(1).get(LIMIT) == ("done", 1)
    assert async_(Jobs()).get(LIMIT) == ("done",)
    assert Task(Jobs()).start().get(LIMIT) == ("done",)
    kids = []
    crew = Crew(lambda: kids.append(create_worker(wait_forever)), name="crew").start()
    made = [kind(wait_forever, parent=crew).parent for kind in (Worker, Task)]
    made.append(WorkerManager(parent=crew).run(wait_forever).parent)
    assert made == [crew] * 3
    assert crew.join(LIMIT).state is WorkerState.SUCCESS
    assert kids[0].parent is crew
    assert kids[0].state is WorkerState.CANCELLED


# -- L1: the order of an end --------------------------------------------------------------------


def test_l1_the_order_of_an_end(monkeypatch):
    order = []

    def child_task():
        try:
            wait_forever()
        finally:
            order.append("child ended")

    def task():
        create_worker(child_task)
        current().stopped.then(lambda: order.append(("stopped", worker.state.name)))
        return 5

    def note(event):
        in_pool = any(worker in stack for stack in threadtree.WORKER_POOL.pool.values())
        order.append((event.name, worker.state.name, worker.result, in_pool))

    parent = Worker(parent=False)
    monkeypatch.setattr(parent, "_post", note)
    worker = Worker(task, parent=parent)
    monkeypatch.setattr(worker, "_tell_sender", note)
    # What the listener of the last leftover fires is rejected when the mailbox is closed.
    worker.listen(lambda event: worker.fire("X"), "X")
    worker.fire("X").start().join()
    assert order == [
        ("CHILD_THREAD_START", "RUNNING", None, True),
        "child ended",
        ("CHILD_THREAD_DONE", "RUNNING", 5, True),
        ("CHILD_THREAD_END", "RUNNING", 5, True),
        ("X", "RUNNING", 5, True),
        ("stopped", "SUCCESS"),
    ]


@pytest.mark.parametrize("wait", [Worker.join, Worker.get, lambda worker: wait_thread(worker)])
def test_l1_a_wait_for_the_end_returns_after_the_native_end(wait):
    for _ in range(50):
        worker = Worker(int, parent=False).start()
        thread = worker._life.launch
        wait(worker)
        assert not thread.is_alive()


def test_l1_on_the_ending_thread_itself_join_returns_at_once():
    joined = []
    worker = Worker(parent=False).start()
    worker.stopped.then(lambda: joined.append(worker.join()))
    worker.stop().join()
    assert joined == [worker]


def test_l1_signals_are_new_for_each_run():
    worker = Worker(parent=False).start()
    first = worker.please_stop, worker.stopped
    worker.stop().join()
    assert all(first)
    worker.start()
    assert not worker.please_stop
    assert not worker.stopped
    worker.stop().join()


# -- L2: a stop is a request ----------------------------------------------------------------------


def test_l2_please_stop_is_visible_at_once_and_code_that_polls_it_succeeds():
    started = Flag()

    def task():
        started.set()
        while not current().please_stop:
            pass
        return "ended by itself"

    worker = Worker(task, parent=False).start()
    started.wait()
    worker.stop()
    assert worker.please_stop
    assert worker.get() == "ended by itself"
    assert worker.state is WorkerState.SUCCESS


WAITS = {
    "sleep": lambda other: sleep(LIMIT),
    "wait_forever": lambda other: wait_forever(),
    "wait_event": lambda other: wait_event("NEVER"),
    "Signal.wait": lambda other: Signal().wait(),
    "Defer.get": lambda other: threadtree.Defer().get(),
    "get": lambda other: other.get(),
    "join": lambda other: other.join(),
    "wait_thread": wait_thread,
}


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_l2_a_stop_reaches_every_wait(wait, now):
    about_to_wait = Flag()

    def task(other):
        about_to_wait.set()
        wait(other)

    with running() as other:
        worker = Worker(task, parent=False).start(other)
        about_to_wait.wait()
        worker.stop(now).join(LIMIT)
        assert worker.state is WorkerState.CANCELLED
        assert other.is_running()


@pytest.mark.parametrize("point", [update, checkpoint])
def test_l2_update_and_checkpoint_are_points_where_a_stop_takes_effect(point):
    def task():
        current().stop()
        point()
        raise AssertionError("not reached")

    worker = Worker(task, parent=False).start().join()
    assert worker.state is WorkerState.CANCELLED


def test_l2_the_exit_is_raised_once_so_clean_up_may_wait():
    def task():
        try:
            wait_forever()
        finally:
            sleep(0.001)
            notes.append(await_(lambda: "cleaned up"))

    notes = []
    with running(task) as worker:
        worker.stop().stop().stop(now=True).join()
    assert notes == ["cleaned up"]


@pytest.mark.usefixtures("short_graces")
def test_l2_after_the_grace_every_wait_raises():
    def task():
        try:
            wait_forever()
        finally:
            for _ in range(3):
                try:
                    sleep(LIMIT)
                except WorkerExit:
                    notes.append("told")

    notes = []
    began = time.monotonic()
    Worker(task, parent=False).start().stop().join()
    assert notes == ["told"] * 3
    assert time.monotonic() - began < LIMIT / 2


def test_an_end_by_exit_is_cancelled_and_get_says_so():
    worker = Worker(lambda: threadtree.exit(), parent=False).start()
    with pytest.raises(WorkerCancelled, match="stopped before it had a result"):
        worker.get()


# -- L3: parents and children --------------------------------------------------------------------


def test_l3_children_are_told_all_at_once_and_newest_first():
    """Ten children that need 0.2 s each to clean up end in well under a second."""
    told = []

    def child(number):
        try:
            wait_forever()
        finally:
            sleep(0.2)

    def task():
        for number in range(10):
            worker = create_worker(child, number)
            worker.please_stop.then(lambda number=number: told.append(number))
        all_there.set()
        wait_forever()

    all_there = Flag()
    worker = Worker(task, parent=False).start()
    all_there.wait()
    began = time.monotonic()
    worker.stop().join()
    assert time.monotonic() - began < 0.9
    assert told == list(reversed(range(10)))


def test_l3_a_parent_dispatches_a_childs_last_words():
    def child():
        try:
            wait_forever()
        finally:
            current().parent.fire("LAST_WORDS", "farewell")

    def task():
        listen(lambda event: heard.append(event.data), "LAST_WORDS")
        create_worker(child)

    heard = []
    Worker(task, parent=False).start().join()
    assert heard == ["farewell"]


def test_l3_a_daemon_child_is_told_but_not_waited_for():
    entered, go_on = Flag(), Flag()

    def child():
        entered.set()
        go_on.wait()
        sleep(0)

    def task():
        children.append(create_worker(child, daemon=True))
        entered.wait()

    children = []
    Worker(task, parent=False).start().join()
    (daemon,) = children
    assert daemon.is_running()
    assert daemon.please_stop
    go_on.set()
    daemon.join()
    assert daemon.state is WorkerState.CANCELLED


def test_l3_the_end_of_the_last_child_that_is_waited_for_ends_the_parent():
    """Also when daemons, which are not, are still there."""
    entered, go_on = Flag(), Flag()

    def stuck():
        entered.set()
        go_on.wait()

    def task():
        create_worker(stuck, daemon=True)
        create_worker(wait_forever)
        create_worker(stuck, daemon=True)
        entered.wait()

    parent = Worker(task, parent=False).start().join(LIMIT)
    assert len(parent.children) == 2
    children = parent.children
    go_on.set()
    for child in children:
        child.join(LIMIT)


def test_l3_a_child_that_is_started_by_an_ending_parent_is_told_at_once():
    late = []

    def first_child():
        try:
            wait_forever()
        finally:
            parent = current().parent
            late.append(Worker(wait_forever, parent=parent).start())
            late[0].join()

    Worker(lambda: create_worker(first_child), parent=False).start().join(LIMIT)
    assert late[0].state is WorkerState.CANCELLED


def test_l3_one_deadline_for_a_tree_and_stragglers_are_named():
    entered, go_on = Flag(), Flag()

    def stuck():
        entered.set()
        go_on.wait()

    def task():
        create_worker(stuck, name="stuck")
        wait_forever()

    top = Worker(task, parent=False, name="top").start()
    entered.wait()
    with pytest.raises(TimeoutError, match="top/stuck") as caught:
        top.join(timeout=0.01)
    assert "go_on.wait()" in str(caught.value)
    go_on.set()
    top.stop().join()


@pytest.mark.usefixtures("short_graces")
def test_l3_shutdown_tells_and_returns_the_stragglers():
    entered, go_on = Flag(), Flag()

    def stuck():
        entered.set()
        go_on.wait()

    def stubborn():
        try:
            wait_forever()
        finally:
            with contextlib.suppress(WorkerExit):
                sleep(LIMIT)
            notes.append("told")

    def task():
        create_worker(stubborn, name="stubborn")
        create_worker(stuck, name="stuck")
        wait_forever()

    notes = []
    top = Worker(task, parent=False, name="top").start()
    entered.wait()
    paths = [straggler.path for straggler in top.shutdown(grace=0.05)]
    assert paths == ["top", "top/stuck"]
    assert notes == ["told"]
    go_on.set()
    top.join()


def test_a_parent_cannot_be_one_that_has_ended():
    ended = Worker(int, parent=False).start().join()
    with pytest.raises(WorkerError, match="has ended"):
        Worker(parent=ended)


# -- L4: start and stop ----------------------------------------------------------------------------


def test_l4_two_starts_give_one_run():
    runs = []
    worker = Worker(lambda: runs.append(wait_forever()), parent=False)
    with hectic_switching():
        for round_number in range(30):
            in_threads(*[worker.start] * 4)
            threads = [t for t in threading.enumerate() if t.name == worker.name]
            assert len(threads) == 1, round_number
            worker.stop().join()


def test_l4_a_failed_native_start_leaves_the_worker_startable(monkeypatch):
    def no_more_threads(self):
        raise RuntimeError("can't start new thread")

    with running() as parent:
        worker = Worker(parent=parent).fire("X", 1)
        heard = []
        worker.listen(lambda event: heard.append(event.data), "X")
        with monkeypatch.context() as patch:
            patch.setattr(native_module.threading.Thread, "start", no_more_threads)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                worker.start()
        assert worker.state is WorkerState.PENDING
        assert not parent.children
        assert worker not in live_tree.live
        worker.start().stop().join()
    assert heard == [1]


@pytest.fixture
def failing_start(monkeypatch):
    """Gives a function: what it is given is called in the next native start, which then fails."""
    start = native_module.threading.Thread.start
    meanwhile = []

    def fail(thread):
        if not meanwhile or not isinstance(thread, Launch) or thread.name != "victim":
            return start(thread)
        meanwhile.pop()()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(native_module.threading.Thread, "start", fail)
    return meanwhile.append


def fails_to_start(worker):
    with pytest.raises(RuntimeError, match="can't start"):
        worker.start()


def test_l3_a_parent_does_not_wait_for_a_child_whose_start_has_failed(failing_start, monkeypatch):
    monkeypatch.setattr(graces, "asked", 2 * LIMIT)
    waits = Flag()

    class Parent(Worker):
        def _wait_for_children(self, run):
            waits.set()
            super()._wait_for_children(run)

    parent = Parent(lambda: wait_event("END")).start()
    child = Worker(name="victim", parent=parent)

    def end_the_parent():
        parent.fire("END")
        waits.wait()
        in_a_wait(parent)

    failing_start(end_the_parent)
    fails_to_start(child)
    assert parent.join(LIMIT).state is WorkerState.SUCCESS


def test_l3_a_guest_does_not_wait_for_a_child_whose_start_has_failed(failing_start):
    async def main():
        ending, go_on = asyncio.Event(), Flag()
        guest = Task(ending.wait(), parent=False, name="guest").start()
        child = Worker(name="victim", parent=guest)
        loop = asyncio.get_running_loop()

        def wait_for_the_end():
            loop.call_soon_threadsafe(ending.set)
            go_on.wait()

        failing_start(wait_for_the_end)
        start = asyncio.create_task(asyncio.to_thread(fails_to_start, child))
        await ending.wait()
        while not guest._life.winding_up:
            await asyncio.sleep(0)
        go_on.set()
        await start
        await asyncio.wait_for(guest.wait(), LIMIT)

    asyncio.run(main())


@pytest.mark.parametrize("runs", [0, 1])
def test_l4_who_joins_a_start_that_fails_goes_on(failing_start, runs):
    worker = Worker(lambda: 1, name="victim", parent=False)
    for _ in range(runs):
        worker.start().join()
    joiners = []

    def join():
        joiners.extend(Worker(wait).start(worker) for wait in (Worker.join, Worker.get))
        in_a_wait(joiners[1])

    failing_start(join)
    fails_to_start(worker)
    assert joiners[0].get(LIMIT) is worker
    with pytest.raises(WorkerCancelled):
        joiners[1].get(LIMIT)
    assert worker.state is (WorkerState.SUCCESS if runs else WorkerState.PENDING)  # as before
    assert worker.start().get(LIMIT) == 1


def test_l4_a_stop_that_comes_late_for_a_failed_start_does_not_end_the_next(
    failing_start, monkeypatch
):
    has_looked, go_on = Flag(), Flag()

    def late():
        if threading.current_thread() is stopper:
            has_looked.set()
            go_on.wait()
        return time.monotonic()

    def stop():
        stopper.start()
        has_looked.wait()

    monkeypatch.setattr("threadtree.addressee.monotonic", late)
    worker = Worker(lambda: wait_event("GO"), name="victim", parent=False).fire("GO", 1)
    stopper = threading.Thread(target=worker.stop)
    failing_start(stop)
    fails_to_start(worker)
    go_on.set()
    stopper.join()
    assert worker.start().get(LIMIT) == 1
    assert not worker.please_stop


@pytest.mark.parametrize("began", [False, True])
def test_l4_an_interrupt_out_of_the_native_start(monkeypatch, began):
    """Whether the run has begun decides, not the exception."""
    start = native_module.threading.Thread.start
    entered = Flag()

    def task():
        entered.set()
        wait_forever()

    def interrupted(self):
        if began:
            start(self)
            entered.wait()
        raise KeyboardInterrupt

    worker = Worker(task, parent=False)
    with monkeypatch.context() as patch:
        patch.setattr(native_module.threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worker.start()
    assert worker.is_running() is began
    worker.start().stop().join()


def test_l4_an_ended_worker_can_be_started_again():
    results = iter([1, 2])
    worker = Worker(lambda: next(results), parent=False)
    assert worker.start().get() == 1
    assert worker.start().get() == 2


def test_l4_a_stop_when_nothing_runs_does_not_end_the_next_run():
    worker = Worker(lambda: wait_event("GO"), parent=False)
    for _ in range(2):
        worker.stop().stop(now=True).pause().resume()
        assert worker.start().fire("GO", 1).get() == 1


def test_l4_stop_now_overtakes_the_queue_and_what_it_overtook_is_rejected():
    entered, go_on = Flag(), Flag()
    notes = []
    worker = Worker(parent=False)
    worker.listen(lambda event: notes.append(event.data), "X")

    @worker.listen("BLOCK")
    def block(event):
        entered.set()
        go_on.wait()

    worker.start().fire("BLOCK")
    entered.wait()
    worker.fire("X", 1).stop(now=True)
    worker.fire("X", 2)
    go_on.set()
    worker.join()
    assert notes == [2]  # came later than the stop: a leftover
    assert worker.rejected == 1


def test_l4_a_shutdown_of_what_does_not_run_hurries_no_till_of_the_next_run():
    def task():
        ask = Till(seconds=LIMIT)
        return bool(ask)

    worker = Worker(task, parent=False)
    assert worker.shutdown() == []
    assert worker.start().get() is False


# -- L5: pause --------------------------------------------------------------------------------


def paused_worker(task):
    """A worker that runs the task, and is known to be paused in it."""
    worker = Worker(task, parent=False)
    paused = Flag()
    worker.listen(lambda event: worker.later(paused.set), "PAUSE_THREAD")
    worker.start().pause()
    paused.wait()
    assert worker.paused
    return worker


def test_l5_while_paused_events_are_handled_and_no_wait_returns():
    handled = Flag()

    def task():
        listen(lambda event: handled.set(), "X")
        got = wait_event("WANTED")
        assert not current().paused
        return got

    worker = paused_worker(task)
    worker.fire("WANTED", "kept").fire("X")
    handled.wait()
    assert worker.is_running()
    assert worker.resume().get() == "kept"


def test_l5_a_timeout_runs_on_and_what_comes_after_it_is_too_late():
    class Watched(Worker):
        def _hold(self):
            held.set()  # the wait is over, and outlives its timeout only since it is paused
            super()._hold()

    def task():
        current().pause()
        return wait_event("WANTED", timeout=0.001)

    held = Flag()
    worker = Watched(task, parent=False).start()
    held.wait()
    worker.fire("WANTED", "too late").resume()
    assert worker.get() is None


def test_l5_a_stop_ends_a_paused_worker():
    worker = paused_worker(wait_forever)
    assert worker.stop().join(LIMIT).state is WorkerState.CANCELLED


def test_l5_clean_up_code_of_a_paused_worker_can_wait():
    def task():
        try:
            wait_forever()
        finally:
            current().pause()  # too late
            sleep(0.001)
            notes.append("cleaned up")

    notes = []
    paused_worker(task).stop().join(LIMIT)
    assert notes == ["cleaned up"]


@pytest.mark.parametrize("point", [update, checkpoint])
def test_l5_update_and_checkpoint_block_while_paused(point):
    passed = Flag()

    def task():
        current().pause()
        listen(lambda event: current().later(blocked_in.set), "PAUSE_THREAD")
        point()
        passed.set()

    blocked_in = Flag()
    worker = Worker(task, parent=False).start()
    blocked_in.wait()
    assert not passed.is_set()
    worker.resume().join()
    assert passed.is_set()


def test_l5_in_main_update_does_not_block_while_paused():
    current().pause()
    update()
    assert current().paused
    current().resume()
    update()
    assert not current().paused


def test_l5_each_run_starts_unpaused():
    worker = paused_worker(wait_forever)
    worker.stop().join()
    worker.start()
    assert not worker.paused
    worker.stop().join()


def test_l5_stopping_does_not_need_the_wait_to_be_satisfied():
    def task():
        try:
            wait_event("WANTED")
        except WorkerExit:
            return "stopped"

    worker = paused_worker(task)
    assert worker.fire("WANTED").stop().get() == "stopped"


# -- a wait for what is there already is a wait ----------------------------------------------------


def resolved():
    defer = Defer()
    defer.resolve(1)
    return defer


def ended():
    return Worker(int, parent=False).start().join()


SATISFIED = pytest.mark.parametrize(
    ("what", "wait"),
    [
        (resolved, Defer.get),
        (resolved, wait),
        (ended, Worker.join),
        (ended, Worker.get),
        (ended, wait_thread),
        (ended, lambda worker: wait_any([worker])),
        (ended, lambda worker: list(as_completed([worker]))),
    ],
    ids=["Defer.get", "wait(Defer)", "join", "get", "wait_thread", "wait_any", "as_completed"],
)


@SATISFIED
def test_l2_a_stop_is_noticed_in_a_wait_for_what_is_there(what, wait):
    def task():
        begun.set()
        go_on.wait()
        wait(there)

    there, begun, go_on = what(), Flag(), Flag()
    worker = Worker(task, parent=False).start()
    begun.wait()
    worker.stop()
    go_on.set()
    assert worker.join(LIMIT).state is WorkerState.CANCELLED


@SATISFIED
def test_l2_the_end_of_the_grace_is_noticed_in_a_wait_for_what_is_there(what, wait):
    def task():
        try:
            wait_forever()
        except WorkerExit:
            with pytest.raises(WorkerExit):
                wait(there)
            return "raised again"

    there = what()
    worker = Worker(task, parent=False).start()
    worker.shutdown(grace=0)
    assert worker.get(LIMIT) == "raised again"


@SATISFIED
def test_l5_a_wait_for_what_is_there_does_not_return_while_paused(what, wait):
    there, passed = what(), Flag()
    worker = paused_worker(wait_forever)
    worker.later(lambda: (wait(there), passed.set()))
    in_a_wait(worker)
    assert not passed.is_set()
    worker.resume()
    passed.wait()
    worker.stop().join(LIMIT)


@SATISFIED
def test_a_stop_of_main_lets_a_wait_for_what_is_there_give_it(what, wait):
    there = what()
    given = wait(there)
    current().stop()
    assert wait(there) == given
    assert is_at_rest(current())


# -- main and foreign threads: they do not end ----------------------------------------------------


def test_a_stop_of_main_ends_its_present_wait_and_stops_its_children():
    child = Worker(parent=current()).start()
    current().later(current().stop)
    assert current().wait_forever() is None
    child.join(LIMIT)
    assert child.state is WorkerState.CANCELLED


def test_a_stop_of_main_ends_a_get_and_a_join():
    with running() as worker:
        current().stop()
        with pytest.raises(WorkerCancelled):
            worker.get()
        current().stop()
        assert worker.join() is worker
        assert worker.is_running()


def test_of_two_stops_of_main_at_once_each_ends_a_wait(monkeypatch):
    """The second has not posted its event when main handles that of the first."""
    main, asks, go_on = current(), Flag(), Flag()
    post = type(main)._post

    def slowly(self, event):
        if threading.current_thread().name == "second" and event.name == "STOP_THREAD":
            asks.set()
            go_on.wait()
        post(self, event)

    monkeypatch.setattr(type(main), "_post", slowly)
    second = threading.Thread(target=main.stop, name="second")
    second.start()
    asks.wait()
    main.stop()
    assert main.wait_forever() is None
    with running() as worker:
        later = threading.Timer(0, go_on.set)
        later.start()
        assert worker.join() is worker
        assert worker.is_running()
    second.join()
    later.join()


def in_the_main_thread(function):
    function()


HERE_AND_THERE = pytest.mark.parametrize("kind", [in_the_main_thread, in_threads])


def is_at_rest(root):
    """Whether no stop of it is left: the next wait finds what it waits for."""
    return root.fire("AT_REST", 1).wait_event("AT_REST") == 1 and not root.backlog


@HERE_AND_THERE
def test_l4_two_stops_of_a_thread_that_does_not_end_are_one(kind):
    def stop_twice():
        me = current().stop().stop()
        assert me.backlog == 1
        assert wait_forever() is None
        assert is_at_rest(me)
        me.stop()  # after that it is another
        assert wait_event("X") is None
        assert is_at_rest(me)

    kind(stop_twice)


def test_l4_two_stops_of_main_that_do_not_see_each_other_are_one(monkeypatch):
    """As when a signal handler asks, in the middle of a stop."""
    main = current()
    post = type(main)._post

    def post_and_ask_again(self, event):
        post(self, event)
        monkeypatch.setattr(type(main), "_post", post)
        main.stop()

    monkeypatch.setattr(type(main), "_post", post_and_ask_again)
    main.stop()
    assert main.backlog == 2
    assert wait_forever() is None
    assert is_at_rest(main)


def test_l4_stops_of_a_root_from_many_threads_leave_none_behind():
    def stop_often():
        for number in range(300):
            me.get(LIMIT).stop(now=number % 3 == 0)

    def wait():
        me.resolve(current())
        while not is_over.is_set():
            wait_forever()
        is_stopped.wait()
        update()
        assert is_at_rest(current())
        assert not current()._life.attention
        assert current().rejected == 0

    def end():
        for stopper in stoppers:
            stopper.join(LIMIT)
        is_over.set()
        me.get(LIMIT).stop()
        is_stopped.set()

    me, is_over, is_stopped = Defer(), Flag(), Flag()
    stoppers = [threading.Thread(target=stop_often) for _ in range(4)]
    with hectic_switching():
        for stopper in stoppers:
            stopper.start()
        in_threads(end, wait)


def test_a_stop_of_main_while_a_listener_of_another_waits_ends_that_wait_and_then_the_outer():
    main, waits = current(), []

    def wait(event):
        waits.append(event)
        if len(waits) == 1:
            with running() as worker:
                with pytest.raises(TimeoutError):
                    worker.join(0)  # the stop is in our hands, and no more queued
                main.stop()
                assert worker.join() is worker
                assert worker.is_running()

    listen(wait, "STOP_THREAD")
    main.stop()
    assert wait_forever() is None
    main.unlisten(wait)
    assert len(waits) == 2
    assert is_at_rest(main)


@HERE_AND_THERE
@pytest.mark.parametrize("is_asked_already", [False, True])
def test_l4_a_stop_now_of_a_thread_that_does_not_end_overtakes_its_queue(kind, is_asked_already):
    def overtake():
        me = current()
        rejected = me.rejected
        me.fire("X", 1)
        if is_asked_already:
            me.stop()
        me.stop(now=True).fire("X", 2)
        assert wait_event("X") is None
        assert me.rejected == rejected + 1
        assert wait_event("X") == 2
        assert is_at_rest(me)
        assert not me._life.attention  # it is as fast as before

    kind(overtake)


def test_a_stop_of_a_root_behind_many_events_is_looked_for_in_the_time_of_few():
    class Queue(deque):
        looks = 0

        def __getitem__(self, place):
            self.looks += 1
            return super().__getitem__(place)

    def wait():
        queue = current()._mailbox.queue = Queue()
        for _ in range(1000):
            current().fire("X")
        current().stop()
        with running() as worker:
            worker.join()
        assert not queue
        assert queue.looks < 5000

    in_threads(wait)


def test_exit_in_main_returns_none_outside_a_wait():
    assert current().exit() is None


def test_l3_a_parent_outlives_the_native_end_of_a_child_that_had_ended_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = []
    child_has_left, is_waited_for = Flag(), Flag()
    await_end = Launch.await_end

    def wait(launch: Launch) -> None:
        is_waited_for.set()
        await_end(launch)

    def last_words() -> None:
        child_has_left.set()
        is_waited_for.wait()
        order.append("child")

    def parent() -> None:
        child = Worker(lambda: None)
        child.stopped.then(last_words)  # by then it has left its parent
        child.start()
        child_has_left.wait()

    monkeypatch.setattr(Launch, "await_end", wait)
    worker = Worker(parent, parent=False)
    worker.stopped.then(lambda: order.append("parent"))
    worker.start().join(LIMIT)
    assert order == ["child", "parent"]


def test_l3_a_parent_does_not_wait_for_a_thread_that_a_child_only_overlaid():
    def parent() -> str:
        Worker(lambda: None).start_overlay()
        Worker(lambda: None, parent=current()).start().join()
        return "ended"

    assert Worker(parent, parent=False).start().get(LIMIT) == "ended"


# -- an overlay ------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", [None, False])
def test_l2_a_stop_of_what_an_overlay_runs_above_ends_the_overlay(parent):
    cleaned = []

    def overlay():
        begun.set()
        try:
            wait_forever()
        finally:
            sleep(0.001)
            cleaned.append("overlay")

    def beneath():
        inner = Worker(overlay, parent, name="inner")
        try:
            inner.start_overlay()
            wait_forever()
        finally:
            Worker(cleaned.append).start_overlay("beneath")
            Worker(sleep).start_overlay(0.001)  # clean-up may wait, in an overlay too
            cleaned.append("slept")

    begun = Flag()
    worker = Worker(beneath, parent=False).start()
    begun.wait()
    assert worker.stop().join(LIMIT).state is WorkerState.CANCELLED
    assert cleaned == ["overlay", "beneath", "slept"]


@pytest.mark.parametrize("wait", [Worker.join, Worker.get, wait_thread])
def test_r3_an_overlay_that_waits_for_what_it_runs_above_raises(wait):
    def beneath():
        inner = Worker(wait, name="inner", print_traceback=False)
        return inner.start_overlay(current()).error

    error = Worker(beneath, parent=False).start().get(LIMIT)
    assert isinstance(error, DeadlockError)
    assert not current()._life.waits_for


def test_r3_an_overlay_of_main_that_waits_for_who_calls_main_raises():
    caller = Worker(lambda: call_in(current_main, int), print_traceback=False)
    current_main = current()

    def overlay():
        caller.start()
        return caller.get()

    inner = Worker(overlay, print_traceback=False).start_overlay()
    errors = [inner.error, caller.error]
    assert any(isinstance(error, DeadlockError) for error in errors)
    current_main.update()
    caller.stop().join(LIMIT)


def test_l2_an_overlay_that_begins_after_a_thread_was_asked_is_its_clean_up():
    def task(please_stop):
        please_stop.wait()
        return Worker(sleep, parent=False).start_overlay(0.001).state

    assert Thread.run("asked", task).stop().join(LIMIT) is WorkerState.SUCCESS


def test_r3_who_was_asked_to_end_is_in_no_circle():
    """It waits for the worker beneath the overlay, but is about to leave that wait."""

    def overlay(beneath):
        other = Worker(beneath.get, parent=False).start()
        in_a_wait(other)
        return other.stop().join().state

    worker = Worker(lambda: Worker(overlay).start_overlay(current()).result, parent=False)
    assert worker.start().get(LIMIT) is WorkerState.CANCELLED


def test_r3_a_block_ends_whose_worker_waits_for_its_owner():
    owner = current()
    with Worker(owner.get, parent=False) as worker:
        in_a_wait(worker)
    assert worker.state is WorkerState.CANCELLED
