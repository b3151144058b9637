"""Turns: when each task of a manager starts, against a model that says it without cleverness."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import LIMIT, Flag, running
from threadtree import DeadlockError, WorkerManager, WorkerState, sleep, wait_all
from threadtree.turns import Turn, Turns


class FakeTask:
    """What turns know of a task."""

    def __init__(self, placed):
        self._place = "here" if placed else None
        self._life = self
        self.waits_for = {}
        self.is_finished = False


class Model:
    """Each task is behind all others of its kind that are there when it comes in."""

    def __init__(self, limit):
        self.limit = limit
        self.behind, self.line, self.started = {}, [], []

    def come_in(self, task, others):
        self.behind[task] = set(others)

    def come_turns(self):
        for task in [t for t in self.behind if t._place and not self.behind[t]]:
            del self.behind[task]
            self.line.append(task)
        free = len(self.line) if self.limit is None else self.limit - len(self.started)
        begin, self.line = self.line[: max(free, 0)], self.line[max(free, 0) :]
        self.started += begin
        return begin

    def end(self, task):
        self.behind.pop(task, None)
        for those in (self.line, self.started):
            if task in those:
                those.remove(task)
        for others in self.behind.values():
            others.discard(task)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("in"), st.booleans(), st.booleans()),
        st.tuples(st.sampled_from(["end", "is placed"]), st.integers(0, 30)),
    ),
    max_size=40,
)


@given(limit=st.sampled_from([None, 1, 2]), steps=STEPS)
def test_turns_come_as_in_the_model(limit, steps):
    turns, model, there = Turns(limit), Model(limit), []
    for what, *how in steps:
        if what == "in":
            exclusive, placed = how
            task = FakeTask(placed)
            model.come_in(task, list(there) if exclusive else [])
            there.append(task)
            turns.come_in(Turn(task, "group", "wait" if exclusive else None))
        elif not there:
            continue
        elif what == "is placed":
            task = there[how[0] % len(there)]
            task._place = "here"
            turns.look_at(turns.tasks[task])
        else:
            task = there.pop(how[0] % len(there))
            model.end(task)
            turns.leave(task)
            turns.leave(task)
        turns.make_changes()
        assert list(turns.to_start) == model.come_turns()
        turns.to_start.clear()
        assert list(turns.tasks) == there
        assert all(bool(t.waits_for) == bool(model.behind.get(t)) for t in there)


# -- of real tasks --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["wait", "latest"])
def test_r3_a_task_that_waits_for_one_behind_it_is_told_of_the_circle(policy):
    manager = WorkerManager()

    def wait_for_the_next():
        following = manager.run(int, exclusive=policy)
        with pytest.raises(DeadlockError, match="waits for"):
            following.get()
        return following

    assert manager.run(wait_for_the_next).get(LIMIT).get(LIMIT) == 0

    async def await_the_next():
        following = manager.run(sleep, 0, exclusive=policy)
        with pytest.raises(DeadlockError, match="waits for"):
            await following.wait()

    async def main():
        await asyncio.wait_for(manager.run(await_the_next).wait(), LIMIT)

    asyncio.run(main())


def test_r3_the_circle_is_found_through_those_between():
    manager = WorkerManager()

    def wait_for_the_last():
        last = [manager.run(int, exclusive="wait") for _ in range(3)][-1]
        with pytest.raises(DeadlockError):
            last.join()
        return last

    assert manager.run(wait_for_the_last).get(LIMIT).get(LIMIT) == 0


def test_who_was_behind_a_cancelled_one_is_behind_those_before_it():
    manager, go = WorkerManager(), Flag()
    first = manager.run(go.wait, exclusive="wait")
    between = [manager.run(int, exclusive="wait") for _ in range(2)]
    last = manager.run(lambda: first.is_finished, exclusive="wait")
    for task in between:
        task.cancel()
    assert last.state is WorkerState.PENDING
    go.set()
    assert last.get(LIMIT)
    assert first.get(LIMIT)


def test_of_many_in_a_row_each_waits_for_one():
    manager, go = WorkerManager(), Flag()
    tasks = [manager.run(go.wait, exclusive="wait") for _ in range(100)]
    assert [len(task._life.waits_for) for task in tasks] == [0] + 99 * [1]
    go.set()
    assert wait_all(tasks, LIMIT) == 100 * [True]
    assert not any(task._life.waits_for for task in tasks)
    assert not manager._turns._groups


@pytest.mark.parametrize(("limit", "exclusive"), [(1, False), (None, "wait")])
@pytest.mark.parametrize("guest", [False, True])
def test_many_that_cannot_begin_as_their_parent_has_ended_end_without_recursion(
    limit, exclusive, guest
):
    async def main():
        go = asyncio.Event() if guest else Flag()
        with running() as boss:
            manager = WorkerManager(parent=boss, limit=limit)
            manager._parent = None  # the first is no child
            first = manager.run(go.wait, exclusive=exclusive)
            manager._parent = boss
            tasks = [manager.run(go.wait, exclusive=exclusive) for _ in range(400)]
        await asyncio.sleep(0)
        go.set()
        await first.wait()
        for task in tasks:
            await asyncio.to_thread(task.join, LIMIT) if not task.stopped else None
        assert {task.state for task in tasks} == {WorkerState.CANCELLED}
        assert len(manager) == 0

    asyncio.run(main())
