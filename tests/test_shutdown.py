"""L2, L3, L6: the ladder of an end: asked, told, left; and ``shutdown``, which leads down it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from threadtree import (
    Defer,
    Signal,
    Straggler,
    Worker,
    WorkerError,
    WorkerExit,
    WorkerState,
    async_,
    await_,
    checkpoint,
    create_worker,
    current,
    graces,
    node,
    shutdown,
    sleep,
    update,
    wait_event,
    wait_forever,
    wait_thread,
    wait_until,
)

from .helpers import LIMIT, Flag, in_threads, running


@pytest.fixture(autouse=True)
def short_graces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(graces, "asked", 0.05)
    monkeypatch.setattr(graces, "told", 0.05)
    yield
    for worker in node.tree.live.copy():  # what was asked, but not waited for
        if worker is not current():
            worker.stop().join(LIMIT)


class Stuck:
    """Foreign code: no stop reaches it. It goes on at the end of the test."""

    def __init__(self) -> None:
        self.entered, self.may_go = Flag(), Flag()

    def __call__(self) -> str:
        self.entered.set()
        self.may_go.wait()  # here it is stuck
        return "done after all"


@pytest.fixture
def stuck(short_graces: None) -> Iterator[Stuck]:
    stuck = Stuck()
    yield stuck
    stuck.may_go.set()


# -- the second rung: told -------------------------------------------------------------------------


WAITS: dict[str, Callable[[Worker[Any]], object]] = {
    "sleep": lambda other: sleep(LIMIT),
    "wait_forever": lambda other: wait_forever(),
    "wait_event": lambda other: wait_event("NEVER", LIMIT),
    "wait_until": lambda other: wait_until(lambda event: False),
    "wait_thread": lambda other: wait_thread(other),
    "get": lambda other: other.get(),
    "get in time": lambda other: other.get(LIMIT),
    "join": lambda other: other.join(),
    "join in time": lambda other: other.join(LIMIT),
    "await_": lambda other: await_(wait_forever),
    "Defer.get": lambda other: Defer().get(),
    "Signal.wait": lambda other: Signal().wait(),
    "composite.wait": lambda other: (Signal() | Signal()).wait(LIMIT),
    "update": lambda other: update(),
    "checkpoint": lambda other: checkpoint(),
    "shutdown": lambda other: other.shutdown(LIMIT),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_l2_after_the_grace_every_further_wait_raises_in_clean_up_code(
    wait: Callable[[Worker[Any]], object],
) -> None:
    raised = []
    graces.asked = LIMIT

    def refuse() -> None:
        try:
            wait_forever()
        finally:
            sleep(0)  # clean-up code may wait, until it is told
            graces.asked = 0.01
            with pytest.raises(WorkerExit):
                wait_forever()
            for _ in range(3):
                try:
                    wait(other)
                except WorkerExit:
                    raised.append(wait)

    with running() as other:
        worker = Worker(refuse).start().stop()
        worker.join(LIMIT)
        other_ran_on = other.is_running()
    assert raised == [wait] * 3
    assert worker.state is WorkerState.CANCELLED
    assert other_ran_on or wait is WAITS["shutdown"]


def test_l2_a_worker_that_is_paused_is_told_too() -> None:
    def refuse() -> None:
        try:
            wait_forever()
        finally:
            current().pause()
            sleep(0)

    assert Worker(refuse).start().stop().join(LIMIT).state is WorkerState.CANCELLED


def test_l3_a_whole_tree_has_one_deadline() -> None:
    graces.told = LIMIT  # what is told may be slow to end
    told: list[float] = []

    def grow(depth: int) -> None:
        if depth:
            create_worker(grow, depth - 1)
        else:
            grown.set()
        try:
            wait_forever()
        finally:
            try:
                wait_forever()
            finally:
                told.append(monotonic())

    grown = Flag()
    root = Worker(grow).start(20)
    grown.wait()
    assert root.shutdown() == []
    assert not root.is_running()
    assert len(told) == 21
    assert max(told) - min(told) < 10 * graces.asked  # it would be 20, were each to wait in turn


# -- the third: left -------------------------------------------------------------------------------


def test_l3_join_in_time_names_what_has_not_ended_and_where_it_is(stuck: Stuck) -> None:
    worker = Worker(lambda: Worker(stuck, name="child").start().join(), name="parent").start()
    stuck.entered.wait()
    with pytest.raises(TimeoutError) as caught:
        worker.join(0)
    assert "Worker parent/child is still running (never asked), at:" in str(caught.value)
    assert "here it is stuck" in str(caught.value)
    assert "Worker parent is still running" in str(caught.value)
    (child,) = worker.stop().children
    child.please_stop.wait(LIMIT)
    with pytest.raises(TimeoutError, match=r"parent/child is still running \(asked 0\.\d s ago\)"):
        worker.join(0.01)
    stuck.may_go.set()
    assert worker.join(LIMIT) is worker


def test_l3_shutdown_gives_the_stragglers_and_they_can_end_later(stuck: Stuck) -> None:
    graces.asked = 0.3  # in which the bystander can end on a busy machine, too
    parent = Worker(name="parent").start()
    worker = Worker(stuck, parent=parent, name="stuck").start()
    bystander = Worker(parent=parent).start()
    stuck.entered.wait()
    of_parent, of_worker = sorted(parent.shutdown(), key=lambda straggler: straggler.path)
    assert isinstance(of_worker, Straggler)
    assert (of_parent.worker, of_worker.worker) == (parent, worker)
    assert (of_parent.path, of_worker.path) == ("parent", "parent/stuck")
    assert of_worker.seconds is not None
    assert of_worker.seconds >= graces.asked
    assert "here it is stuck" in of_worker.stack
    assert "here it is stuck" not in of_parent.stack
    assert str(of_worker).startswith("Worker parent/stuck is still running (asked ")
    assert not bystander.is_running()
    stuck.may_go.set()
    # Code that was asked, and returned by itself, is a success.
    assert worker.get(LIMIT) == "done after all"
    assert worker.state is WorkerState.SUCCESS
    parent.join(LIMIT)
    assert parent.shutdown() == []  # of what has ended: nothing to do


def test_l3_a_grace_of_zero_tells_at_once(stuck: Stuck) -> None:
    graces.asked = LIMIT
    with running(stuck):
        stuck.entered.wait()
        (straggler,) = shutdown(0)
        assert straggler.path == "Stuck"
        stuck.may_go.set()


# -- shutdown of all -------------------------------------------------------------------------------


def test_l3_shutdown_ends_every_worker_in_the_process_whoever_calls() -> None:
    def tree_of_four() -> list[Worker[Any]]:
        top = Worker(parent=False).start()
        return [top, *(Worker(parent=parent).start() for parent in (top, top, current()))]

    for call in (shutdown, lambda: in_threads(shutdown)):
        workers = [*tree_of_four(), async_(wait_forever)]
        assert not call()
        assert {worker.state for worker in workers} == {WorkerState.CANCELLED}
        # Afterwards, things can start again, and the caller can wait.
        assert Worker(lambda: sleep(0.01)).start().get() is None


@pytest.mark.parametrize("end", [lambda top: shutdown(), lambda top: top.shutdown()])
def test_l3_a_worker_that_calls_it_is_asked_last_with_its_parents(
    end: Callable[[Worker[Any]], list[Straggler]],
) -> None:
    seen: list[Any] = []

    def caller() -> None:
        other = Worker(parent=top).start()
        seen.append(end(top))
        seen.append((other.is_running(), bool(current().please_stop), bool(top.please_stop)))
        wait_forever()

    top = Worker(name="top").start()
    worker = Worker(caller, parent=top).start().join(LIMIT)
    assert top.join(LIMIT).state is worker.state is WorkerState.CANCELLED
    assert seen == [[], (False, True, True)]


def test_l3_two_shutdowns_at_once_both_end_and_leave_the_program_open(stuck: Stuck) -> None:
    worker = Worker(stuck).start()
    stuck.entered.wait()
    first_is_in = Signal()
    worker.please_stop.then(first_is_in.go)
    # The second comes while the first waits, and ends after it.
    in_threads(shutdown, lambda: (first_is_in.wait(LIMIT), shutdown(0.1)))
    stuck.may_go.set()
    worker.join(LIMIT)
    assert Worker(lambda: 1).start().get() == 1


def test_l3_nothing_slips_through_a_shutdown() -> None:
    started: list[Worker[Any]] = []

    def start_one() -> None:
        started.append(Worker(parent=False).start())

    def start_until_refused() -> None:
        start_one()
        begun.set()
        with pytest.raises(WorkerError, match="shutting down"):
            for _ in iter(start_one, "never"):
                pass
        refused.set()

    def end_all() -> None:
        begun.wait()
        stragglers.extend(shutdown(LIMIT))

    begun, refused, stragglers = Flag(), Flag(), []
    with running(refused.wait):  # keeps the shutdown from being over before the starter saw it
        in_threads(start_until_refused, end_all)
    assert not stragglers
    assert not any(worker.is_running() for worker in started)


def test_l3_main_handles_its_events_while_it_waits_for_the_end() -> None:
    def last_question() -> None:
        try:
            wait_forever()
        finally:
            defer: Defer[str] = Defer()
            main.later(lambda: defer.resolve(threading.current_thread().name))
            answers.append(defer.get())

    answers: list[str] = []
    main = current()
    Worker(last_question).start()
    graces.asked = LIMIT
    assert shutdown() == []
    assert answers == [threading.main_thread().name]
