"""Progress tells: exact under contention, seldom, in order, and never without the last value."""

from __future__ import annotations

import threading

import pytest

from tests.helpers import LIMIT, Flag, Sink, hectic_switching, in_threads, running
from threadtree import (
    ProgressChanged,
    StateChanged,
    Task,
    Worker,
    WorkerManager,
    WorkerState,
    checkpoint,
    current,
    get_current_worker,
    sleep,
    wait_event,
    wait_forever,
)
from threadtree.native import Launch
from threadtree.tally import Tally


def test_sixteen_threads_advance_one_task_a_million_times_exactly():
    sink = Sink()
    task = Task(wait_forever, node=sink, total_steps=1_000_000).start()

    def advance():
        step = task.advance
        for _ in range(62_500):
            step()

    in_threads(*[advance] * 16)
    assert task.completed_steps == 1_000_000
    assert task.progress == 100.0
    task.cancel().join(LIMIT)
    assert sink.progress[-1] == 1_000_000
    assert sink.progress == sorted(sink.progress)


def test_many_steps_cost_few_messages_and_the_last_value_arrives():
    sink = Sink()

    def work():
        me = get_current_worker()
        me.progress_interval = 3600
        for _ in range(10_000):
            me.advance()

    Task(work, node=sink).start().get(LIMIT)
    assert sink.progress == [10_000]
    kinds = [type(message) for message in sink.messages]
    assert kinds == [StateChanged, ProgressChanged, StateChanged]
    assert sink.messages[-1].state is WorkerState.SUCCESS


def test_a_message_comes_while_it_runs_after_the_interval():
    came, go = Flag(), Flag()

    class Node:
        def post_message(self, message):
            if isinstance(message, ProgressChanged):
                came.set()

    def work():
        get_current_worker().advance()
        go.wait()

    task = Task(work, node=Node())
    task.progress_interval = 0.001
    task.start()
    came.wait()
    go.set()
    task.get(LIMIT)


def test_without_a_change_there_is_no_message():
    sink = Sink()
    Task(lambda: current().update(completed_steps=0), node=sink).start().get(LIMIT)
    Task(lambda: current().advance(0), node=sink).start().get(LIMIT)
    assert sink.progress == []


def test_update_sets_and_leaves_what_is_not_given():
    task = Task(wait_forever)
    task.update(completed_steps=5, total_steps=10)
    assert (task.completed_steps, task.total_steps, task.progress) == (5, 10, 50.0)
    task.update(completed_steps=3)
    assert (task.completed_steps, task.total_steps) == (3, 10)
    task.update(total_steps=None)
    assert (task.completed_steps, task.total_steps, task.progress) == (3, None, 0.0)
    task.advance(4)
    assert task.completed_steps == 7
    task.update(completed_steps=30, total_steps=10)
    assert task.progress == 100.0
    task.update(completed_steps=-3)
    assert task.progress == 0.0
    with pytest.raises(TypeError, match="total_steps"):
        task.update(completed_steps=1, total_steps="many")
    with pytest.raises(TypeError, match="steps are counted in whole numbers, not in 'some'"):
        task.update(completed_steps="some", total_steps=20)
    with pytest.raises(ValueError, match="total_steps must be 0 or more"):
        task.update(completed_steps=1, total_steps=-2)
    with pytest.raises(TypeError, match=r"steps are counted in whole numbers, not in 1\.5"):
        task.advance(1.5)
    assert (task.completed_steps, task.total_steps) == (-3, 10)
    task.cancel()


def test_update_without_arguments_handles_events_as_in_a_worker():
    def work():
        got = []
        current().later(got.append, 1)
        current().update()
        return got

    assert Task(work).start().get(LIMIT) == [1]


def test_a_count_that_is_set_while_others_add_loses_nothing_that_comes_after():
    with hectic_switching():
        for _ in range(20):
            tally = Tally()

            def add(tally=tally):
                for _ in range(2000):
                    tally.add()

            in_threads(add, add, lambda tally=tally: tally.set(0))
            assert 0 <= tally.value <= 4000
            tally.set(7)
            assert tally.value == 7


def test_it_is_an_event_for_those_above_who_listen():
    with running() as grandparent:
        got, over = [], Flag()

        def hear(event):
            got.append(event.data.completed_steps)
            over.set()

        grandparent.listen(hear, "PROGRESS_CHANGED")
        parent = Worker(wait_forever, parent=grandparent).start()
        task = Task(lambda: current().advance(3), parent=parent).start()
        task.get(LIMIT)
        over.wait()
        assert parent.stop().join(LIMIT).rejected == 0
    assert got == [3]


def test_it_can_be_waited_for_above():
    def boss():
        Task(lambda: current().advance(2), parent=current()).start()
        return wait_event("PROGRESS_CHANGED").completed_steps

    assert Worker(boss).start().get(LIMIT) == 2


def test_a_parents_progress_can_be_the_sum_of_its_childrens():
    sink = Sink()
    all_there, go = threading.Barrier(4, timeout=LIMIT), Flag()

    def part(number):
        me = get_current_worker()
        me.update(total_steps=10)
        me.advance(5 if number == 2 else 10)
        all_there.wait()
        go.wait()
        if number == 2:
            me.advance(5)

    def whole():
        with WorkerManager() as tasks:
            for number in range(3):
                tasks.run(part, number)

    task = Task(whole, node=sink, sum_children=True).start()
    all_there.wait()
    assert (task.completed_steps, task.total_steps) == (25, 30)
    go.set()
    task.get(LIMIT)
    assert (task.completed_steps, task.total_steps, task.progress) == (30, 30, 100.0)
    assert sink.progress[-1] == 30


def test_a_sum_is_exact_while_children_leave():
    def part():
        get_current_worker().advance(10)

    def whole():
        for _ in range(30):
            for task in [Task(part).start() for _ in range(4)]:
                task.get()

    with hectic_switching():
        task = Task(whole, sum_children=True).start()
        last = 0
        while not task.is_finished:
            now = task.completed_steps
            assert now >= last
            last = now
    assert task.completed_steps == 1200


# -- generators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yielded", "completed", "total"),
    [
        ([None, None], 2, None),
        (["a", "b", "c"], 3, None),
        ([3, 7], 7, None),
        ([(3, 10), (7, 10)], 7, 10),
        ([True], 1, None),
        ([(4, None)], 4, None),
    ],
)
@pytest.mark.parametrize("thread", [True, False])
def test_each_yield_reports_progress(yielded, completed, total, thread):
    import asyncio

    def work():
        yield from yielded
        return "result"

    async def asynchronous():
        for item in yielded:
            yield item

    async def main():
        task = Task(work, thread=thread).start()
        assert await task == "result"
        other = Task(asynchronous, thread=thread).start()
        assert await other is None
        return task, other

    for task in asyncio.run(main()):
        assert (task.completed_steps, task.total_steps) == (completed, total)


@pytest.mark.parametrize("thread", [True, False])
def test_each_yield_is_a_point_where_cancel_acts_and_the_generator_cleans_up(thread):
    import asyncio

    cleaned = []

    def work():
        try:
            while True:
                yield
        finally:
            cleaned.append("work")

    async def asynchronous():
        try:
            while True:
                yield
        finally:
            cleaned.append("async")

    async def main():
        for code in (work, asynchronous):
            task = Task(code, thread=thread).start()
            await asyncio.sleep(0.002)
            await task.cancel().stopped
            assert task.state is WorkerState.CANCELLED

    asyncio.run(main())
    assert cleaned == ["work", "async"]


def test_l5_each_yield_is_a_point_where_a_pause_acts():
    steps = []

    def work():
        while True:
            steps.append(1)
            yield
            sleep(0)

    task = Task(work).start().pause()
    paused = Flag()
    task.later(paused.set)
    paused.wait()
    before = len(steps)
    handled = Flag()
    task.later(handled.set)
    handled.wait()  # in the pause, in which events are handled
    assert len(steps) == before
    task.resume().cancel().join(LIMIT)


def test_a_generator_may_wait_on_after_it_was_cancelled():
    def work():
        try:
            while True:
                yield
        except BaseException:
            yield
            checkpoint()
            return "cleaned"

    task = Task(work).start().cancel()
    assert task.get(LIMIT) == "cleaned"
    assert task.is_cancelled


def test_a_child_whose_start_failed_is_in_the_sum_once(monkeypatch):
    def whole():
        child = Task(lambda: child.advance(10), total_steps=10)
        child.advance(5)
        with monkeypatch.context() as patched:
            patched.setattr(Launch, "start", no_more_threads)
            with pytest.raises(RuntimeError):
                child.start()
        child.start().join(LIMIT)
        return task.completed_steps, task.total_steps

    def no_more_threads(launch):
        raise RuntimeError("can't start new thread")

    task = Task(whole, sum_children=True, parent=False)
    assert task.start().get(LIMIT) == (15, 10)
