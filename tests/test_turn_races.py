"""Turns under Ctrl-C, handlers that come in the middle, failed starts, and waits of every kind."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from unittest.mock import patch

import pytest

from tests.bytecodes import at_each_bytecode, at_one_in, ctrl_c
from tests.helpers import LIMIT, Flag
from threadtree import (
    DeadlockError,
    Task,
    WorkerCancelled,
    WorkerManager,
    WorkerState,
    as_completed,
    current,
    wait_all,
)
from threadtree.native import Launch

ONE_AT_A_TIME = [
    pytest.param({"limit": 1}, {}, id="limit"),
    pytest.param({}, {"exclusive": "wait"}, id="exclusive"),
]
CANCELLED, PENDING = WorkerState.CANCELLED, WorkerState.PENDING


def all_end(manager, go):
    go.set()
    for task in manager:
        task.join(LIMIT)
    assert len(manager) == 0
    assert not manager._turns._groups


class HeldUp:
    """A node that holds up the end of a task that was cancelled."""

    def __init__(self, name):
        self.name, self.reached, self.go_on = name, Flag(), Flag()

    def post_message(self, message):
        if (message.worker.name, message.worker.state) == (self.name, CANCELLED):
            self.reached.set()
            self.go_on.wait()


# -- Ctrl-C, and handlers -------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "how"), ONE_AT_A_TIME)
@at_each_bytecode
def test_ctrl_c_in_a_cancel_leaves_a_turn_to_those_that_follow(interrupt, options, how):
    manager, go = WorkerManager(parent=False, **options), Flag()
    manager.run(go.wait, **how)
    cancelled, following = [manager.run(int, **how) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        interrupt(cancelled.cancel, ctrl_c)
    assert cancelled.cancel().is_finished
    go.set()
    assert following.get(LIMIT) == 0
    all_end(manager, go)


@pytest.mark.parametrize(("options", "how"), ONE_AT_A_TIME)
@at_each_bytecode
def test_ctrl_c_in_run_leaves_a_turn_to_the_next(interrupt, options, how):
    manager = WorkerManager(parent=False, **options)
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: manager.run(int, **how), ctrl_c)
    assert manager.run(pow, 2, 3, **how).get(LIMIT) == 8
    assert len(manager) == 0


@pytest.mark.parametrize(("options", "how"), ONE_AT_A_TIME)
@at_one_in(7)
def test_a_handler_may_cancel_in_the_middle_of_a_cancel(interrupt, options, how):
    manager, go = WorkerManager(parent=False, **options), Flag()
    manager.run(go.wait, **how)
    one, other, following = [manager.run(int, **how) for _ in range(3)]
    interrupt(one.cancel, other.cancel, within="_settle")
    assert {one.state, other.state} == {CANCELLED}
    assert following.state is PENDING
    go.set()
    assert following.get(LIMIT) == 0
    all_end(manager, go)


@pytest.mark.parametrize("policy", ["wait", "replace"])
@at_one_in(7)
def test_a_handler_may_cancel_and_run_in_the_middle_of_a_run(interrupt, policy):
    manager, go, by_handler = WorkerManager(parent=False), Flag(), []
    first, rival = [manager.run(go.wait, exclusive="wait") for _ in range(2)]

    def handler():
        rival.cancel()
        by_handler.append(manager.run(int, exclusive="wait"))

    newest = interrupt(lambda: manager.run(int, exclusive=policy), handler, within="make_changes")
    go.set()
    for task in (first, rival, newest, *by_handler):
        task.join(LIMIT)
    assert WorkerState.SUCCESS in (newest.state, by_handler[0].state)
    all_end(manager, go)


def ctrl_c_once_in(owner, method, monkeypatch):
    original = getattr(owner, method)

    def interrupted(_):
        monkeypatch.setattr(owner, method, original)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, method, interrupted)


def test_ctrl_c_in_the_start_of_one_that_was_taken_in_before_keeps_no_place(monkeypatch):
    manager = WorkerManager(limit=1, parent=False)
    task = manager._take_in(lambda: Task(int, parent=False), "g", None, start=False)
    ctrl_c_once_in(WorkerManager, "_ask_and_launch", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        task.start()
    assert task.is_finished
    assert manager.run(pow, 2, 3).get(LIMIT) == 8


def not_begun(manager):
    """A task of the manager that is about to run, as a guest of a busy loop is."""
    with patch.object(Task, "_launch"):
        return manager.run(int)


def test_whose_launch_ctrl_c_comes_out_of_is_launched_all_the_same(monkeypatch):
    manager = WorkerManager(limit=1, parent=False)
    about_to_run = not_begun(manager)
    following = [manager.run(int) for _ in range(2)]
    ctrl_c_once_in(Launch, "start", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        about_to_run.cancel()
    assert wait_all(following, LIMIT) == [0, 0]


@pytest.mark.parametrize(("options", "how"), ONE_AT_A_TIME)
def test_many_whose_native_threads_cannot_begin_end_without_recursion(
    options, how, monkeypatch, caplog
):
    manager, depths = WorkerManager(parent=False, **options), []
    with patch.object(Task, "_launch"):
        first = manager.run(int, **how)
    tasks = [manager.run(int, **how) for _ in range(100)]

    def no_more_threads(launch):
        frame, depth = sys._getframe(), 0
        while frame is not None:
            frame, depth = frame.f_back, depth + 1
        depths.append(depth)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Launch, "start", no_more_threads)
    first.cancel()
    monkeypatch.undo()
    assert {task.state for task in tasks} == {CANCELLED}
    assert len(depths) == 100
    assert max(depths) < min(depths) + 30
    assert manager.run(int).get(LIMIT) == 0
    caplog.clear()


def test_a_coroutine_that_cannot_be_closed_is_logged_and_its_task_ends(caplog):
    class Stubborn(asyncio.Future):
        def __init__(self):
            pass

        def __await__(self):
            yield

    async def work():
        try:
            await Stubborn()
        finally:
            raise ValueError("clean-up failed")

    begun = work()
    begun.send(None)
    manager, go = WorkerManager(limit=1, parent=False), Flag()
    manager.run(go.wait)
    assert manager.run(begun).cancel().is_finished
    assert "clean-up failed" in caplog.text
    caplog.clear()
    all_end(manager, go)


# -- waits of one that runs for one that does not -------------------------------------------------


def in_asyncio(*tasks):
    async def main():
        await asyncio.gather(*(task.wait() for task in tasks))

    asyncio.run(main())


@pytest.mark.parametrize(
    "wait",
    [
        lambda a, c: c.get(),
        lambda a, c: c.join(),
        lambda a, c: a.join(),
        lambda a, c: current().wait_thread(c),
        lambda a, c: list(as_completed([a, c])),
        lambda a, c: wait_all([c, a]),
        in_asyncio,
    ],
)
def test_who_runs_does_not_wait_for_ever_for_one_that_is_behind_one_in_line(wait):
    manager = WorkerManager(limit=1, parent=False)

    def work():
        wait(*(manager.run(int, exclusive="wait", group="other") for _ in range(2)))
        return True

    assert manager.run(work).get(LIMIT)
    manager.wait_all(LIMIT)


def test_whose_turn_comes_while_one_waits_for_it_is_let_in_when_the_place_is_taken():
    manager, go = WorkerManager(limit=2, parent=False), Flag()

    def work():
        manager.run(go.wait, exclusive="wait", group="other")
        last = manager.run(int, exclusive="wait", group="other")
        manager.run(waiter.join)  # takes the place when that is free
        threading.Thread(target=go.set).start()
        return last.get()

    placed = Flag()
    waiter = manager.run(lambda: placed.wait() and work())
    placed.set()
    assert waiter.get(LIMIT) == 0
    all_end(manager, go)


def test_a_child_of_one_that_runs_is_let_in_too():
    manager = WorkerManager(limit=1, parent=False)

    def work():
        return Task(lambda: manager.run(int).get()).start().get()

    assert manager.run(work).get(LIMIT) == 0


# -- who is ahead, and who never begins -----------------------------------------------------------


@pytest.mark.parametrize("policy", ["replace", "latest"])
def test_of_those_that_were_replaced_before_their_turn_none_begins(policy):
    ran = []
    manager = WorkerManager(limit=None, parent=False)
    about_to_run = not_begun(manager)
    between = manager.run(ran.append, "replaced", exclusive="wait")
    ask = Task._ask

    def ask_late(task):
        if task is between:
            about_to_run.cancel()  # the turn of whoever is next comes before that one is asked
        ask(task)

    with patch.object(Task, "_ask", ask_late):
        newest = manager.run(ran.append, "newest", exclusive=policy)
        newest.join(LIMIT)
    assert ran == ["newest"]
    assert between.state is CANCELLED
    assert between.is_replaced


def test_the_circle_is_found_while_one_between_is_being_cancelled():
    node, told = HeldUp("between"), Flag()
    manager, others = WorkerManager(node, parent=False), []

    def wait_for_the_last():
        told.wait()
        with pytest.raises(DeadlockError):
            others[0].get()

    first = manager.run(wait_for_the_last, exclusive="wait")
    between = manager.run(int, name="between", exclusive="wait")
    others.append(manager.run(int, exclusive="wait"))
    canceller = threading.Thread(target=between.cancel)
    canceller.start()
    node.reached.wait()
    told.set()
    first.join(LIMIT)
    node.go_on.set()
    canceller.join(LIMIT)
    assert first.get(LIMIT) is None
    assert others[0].get(LIMIT) == 0


def test_one_that_is_being_cancelled_keeps_nobody_when_it_has_ended():
    node, go = HeldUp("last"), Flag()
    manager = WorkerManager(node, parent=False)
    manager.run(go.wait, exclusive="wait")
    between = manager.run(int, exclusive="wait")
    last = manager.run(int, name="last", exclusive="wait")
    canceller = threading.Thread(target=last.cancel)
    canceller.start()
    node.reached.wait()
    between.cancel()
    node.go_on.set()
    canceller.join(LIMIT)
    assert last.is_finished
    assert not last._life.waits_for
    all_end(manager, go)


def test_one_that_has_ended_by_its_state_holds_up_nobody_who_comes_in():
    class Node:
        def post_message(self, message):
            if message.worker is first and first.is_finished:
                results.append(manager.run(pow, 2, 3, exclusive="wait").get(LIMIT))

    results, go, first = [], Flag(), None
    manager = WorkerManager(Node(), parent=False)
    first = manager.run(go.wait, exclusive="wait")
    go.set()
    first.join(LIMIT)
    assert results == [8]


def test_start_by_hand_does_not_begin_one_whose_turn_has_not_come():
    manager, go = WorkerManager(parent=False), Flag()
    first, following = [manager.run(go.wait, exclusive="wait") for _ in range(2)]
    assert following.start().state is PENDING
    go.set()
    assert wait_all([first, following], LIMIT) == [True, True]


# -- many -----------------------------------------------------------------------------------------


def looks(manager, go, count):
    """How often so many tasks, each behind the one before, look at the state of one."""
    seen = []
    is_finished = Task.is_finished.fget

    def look(task):
        seen.append(task)
        return is_finished(task)

    with patch.object(Task, "is_finished", property(look)):
        for _ in range(count):
            manager.run(go.wait, exclusive="wait")
    return len(seen)


def test_running_one_more_takes_no_longer_when_there_are_many():
    manager, go = WorkerManager(parent=False), Flag()
    assert looks(manager, go, 200) < 1000
    manager.cancel_all()
    all_end(manager, go)


@pytest.mark.parametrize("kind", ["with", "async with"])
def test_the_end_of_a_block_looks_for_those_left_a_few_times_only(kind):
    rounds = []
    remaining = WorkerManager._those_that_are_not_over

    def count(manager):
        rounds.append(manager)
        return remaining(manager)

    async def main():
        if kind == "with":
            with WorkerManager(limit=1, parent=False) as tasks:
                fill(tasks)
        else:
            async with WorkerManager(limit=1, parent=False) as tasks:
                fill(tasks)

    def fill(tasks):
        for _ in range(50):
            tasks.run(asyncio.sleep if kind == "async with" else int, 0)

    with patch.object(WorkerManager, "_those_that_are_not_over", count):
        asyncio.run(main())
    assert len(rounds) <= 4


def test_a_lost_skip_is_given_up():
    manager, go, both = WorkerManager(parent=False), Flag(), []
    of_group = manager._turns.of_group
    there = manager.run(go.wait, exclusive="skip")
    with patch.object(manager._turns, "of_group", lambda key: []):  # it had not come in yet
        both.append(manager.run(int, exclusive="skip"))
    assert both == [there]
    assert of_group("default") == [there]
    with suppress(WorkerCancelled):
        all_end(manager, go)
