"""WorkerManager: groups, exclusive tasks, limits, errors, blocks; work; waiting for several."""

from __future__ import annotations

import asyncio
import gc
import threading
import time

import pytest

from tests.helpers import LIMIT, Flag, described, hectic_switching, in_a_wait, in_threads, running
from threadtree import (
    DeadlockError,
    MainThread,
    Task,
    Thread,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerManager,
    WorkerState,
    as_completed,
    async_,
    checkpoint,
    current,
    get_current_worker,
    sleep,
    wait_all,
    wait_any,
    wait_forever,
    work,
)
from threadtree.native import Launch

SUCCESS, ERROR, CANCELLED = WorkerState.SUCCESS, WorkerState.ERROR, WorkerState.CANCELLED


def boom():
    raise ValueError("boom")


class Overlap:
    """Work that notes when it runs beside itself."""

    def __init__(self):
        self.running = 0
        self.most = 0
        self.began = []
        self._lock = threading.Lock()

    def __call__(self, name=None, until=None):
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.began.append(name)
        try:
            (until or checkpoint)()
            sleep(0)
        finally:
            with self._lock:
                self.running -= 1
        return name


# -- running --------------------------------------------------------------------------------------


def test_run_gives_a_task_with_what_was_asked_for():
    manager = WorkerManager()
    task = manager.run(pow, 2, 5, name="n", group="g", description="d")
    assert task.get() == 32
    assert (task.name, task.group, task.description) == ("n", "g", "d")
    assert manager.run(dict, one=1).get() == {"one": 1}

    async def double(n):
        return 2 * n

    async def main():
        assert await manager.run(double, 3) == 6
        assert await manager.run(double(4)) == 8

    asyncio.run(main())


def test_it_knows_those_that_have_not_ended():
    manager = WorkerManager()
    tasks = [manager.run(wait_forever) for _ in range(3)]
    assert list(manager) == tasks
    assert len(manager) == 3
    assert tasks[0] in manager
    assert bool(manager)
    assert manager.cancel_all() == tasks
    for task in tasks:
        assert task.join(LIMIT).state is CANCELLED
    assert len(manager) == 0
    assert bool(manager)


def test_groups_and_nodes_are_cancelled_by_themselves():
    class Node:
        def post_message(self, message):
            pass

    node = Node()
    manager = WorkerManager(node)
    a, b = manager.run(wait_forever, group="a"), manager.run(wait_forever, group="b")
    assert manager.cancel_group("a") == [a]
    a.join(LIMIT)
    assert b.is_running
    assert a.node is node
    assert manager.cancel_node(object()) == []
    assert manager.cancel_node(node) == [b]
    b.join(LIMIT)


def test_the_parent_of_the_tasks_is_who_makes_the_manager():
    assert WorkerManager().run(current).get().parent is MainThread
    with running() as boss:
        assert WorkerManager(parent=boss).run(current).get().parent is boss
        assert WorkerManager(boss).run(current).get().parent is boss
    assert WorkerManager(parent=False).run(current).get().parent is None


BAD = [
    ({"limit": 0}, ValueError, "at least 1"),
    ({"limit": 1.5}, TypeError, "whole number"),
    ({"on_error": 3}, TypeError, "callable"),
    ({"parent": 3}, TypeError, "parent must be"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), BAD, ids=described)
def test_bad_input_is_a_clear_error(arguments, kind, message):
    with pytest.raises(kind, match=message):
        WorkerManager(**arguments)


def test_bad_input_to_run_is_a_clear_error_and_leaves_nothing_behind():
    manager = WorkerManager()
    with pytest.raises(ValueError, match="exclusive must be"):
        manager.run(boom, exclusive="maybe")
    with pytest.raises(TypeError, match="something to call"):
        manager.run(3)
    with pytest.raises(TypeError, match="only what is callable"):
        manager.run(3, 4)
    with pytest.raises(TypeError, match="post_message"):
        WorkerManager(3).run(boom)
    assert len(manager) == 0


def test_a_parent_that_has_ended_is_a_clear_error():
    manager = WorkerManager(parent=Worker(int, parent=False).start().join())
    with pytest.raises(WorkerError, match="has ended"):
        manager.run(boom)
    assert len(manager) == 0


# -- one at a time --------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [True, "replace"])
def test_replace_starts_when_the_old_has_ended(policy):
    manager, overlap = WorkerManager(), Overlap()
    tasks = [manager.run(overlap, n, wait_forever, exclusive=policy) for n in range(5)]
    last = manager.run(overlap, "last", exclusive=policy)
    assert last.get(LIMIT) == "last"
    assert overlap.most == 1
    assert [task.state for task in tasks] == [CANCELLED] * 5
    assert all(task.is_replaced for task in tasks)
    assert not last.is_replaced


def test_replace_with_coroutines_never_overlaps():
    async def main():
        running = most = 0

        async def job(n):
            nonlocal running, most
            running += 1
            most = max(most, running)
            try:
                await asyncio.sleep(0 if n == 9 else 60)
            finally:
                await asyncio.sleep(0)
                running -= 1
            return n

        manager = WorkerManager()
        tasks = []
        for n in range(10):
            tasks.append(manager.run(job, n, exclusive=True))
            await asyncio.sleep(0)
        assert await tasks[-1] == 9
        assert most == 1
        assert [task.state for task in tasks[:-1]] == [CANCELLED] * 9

    asyncio.run(main())


def test_a_late_result_of_a_replaced_task_is_dropped_and_marked_so():
    manager = WorkerManager()
    old = manager.run(lambda: get_current_worker().cancelled_event.wait(LIMIT), exclusive=True)
    new = manager.run(lambda: "new", exclusive=True)
    assert new.get(LIMIT) == "new"
    assert (old.state, old.result, old.is_replaced, old.is_cancelled) == (SUCCESS, None, True, True)
    with pytest.raises(WorkerCancelled, match="dropped"):
        old.get()


def test_wait_runs_them_one_after_the_other_in_their_order():
    manager, overlap = WorkerManager(), Overlap()
    tasks = [manager.run(overlap, n, exclusive="wait") for n in range(6)]
    assert wait_all(tasks) == list(range(6))
    assert overlap.began == list(range(6))
    assert overlap.most == 1


def test_skip_gives_the_one_that_runs():
    manager, go = WorkerManager(), Flag()
    first = manager.run(go.wait, exclusive="skip")

    async def never():
        raise AssertionError

    assert manager.run(never, exclusive="skip") is first
    go.set()
    first.get(LIMIT)
    assert manager.run(lambda: 2, exclusive="skip").get(LIMIT) == 2


def test_latest_keeps_only_the_newest_of_those_asked_for_meanwhile():
    manager, overlap, go = WorkerManager(), Overlap(), Flag()
    tasks = [manager.run(overlap, n, go.wait, exclusive="latest") for n in range(5)]
    go.set()
    assert tasks[4].get(LIMIT) == 4
    assert tasks[0].result == 0
    assert overlap.began == [0, 4]
    assert [task.state for task in tasks] == [SUCCESS, CANCELLED, CANCELLED, CANCELLED, SUCCESS]


def test_groups_do_not_hinder_each_other():
    manager, go = WorkerManager(), Flag()
    first = manager.run(go.wait, group="a", exclusive=True)
    assert manager.run(lambda: 1, group="b", exclusive=True).get(LIMIT) == 1
    go.set()
    assert first.get(LIMIT) is True


def test_exclusive_tasks_from_many_threads_never_overlap():
    for policy in ("replace", "wait", "latest"):
        manager, overlap = WorkerManager(), Overlap()
        with hectic_switching():

            def ask(manager=manager, overlap=overlap, policy=policy):
                for n in range(15):
                    manager.run(overlap, n, exclusive=policy)

            in_threads(*[ask] * 4)
            while len(manager):
                for task in manager:
                    task.join(LIMIT)
        assert overlap.most == 1
        assert len(manager) == 0


def test_one_that_waits_for_its_turn_can_be_cancelled():
    manager, go = WorkerManager(), Flag()
    first = manager.run(go.wait, exclusive="wait")
    second = manager.run(boom, exclusive="wait")
    third = manager.run(lambda: 3, exclusive="wait")
    assert second.cancel().state is CANCELLED
    go.set()
    assert third.get(LIMIT) == 3
    assert first.get(LIMIT) is True


# -- so many at a time ----------------------------------------------------------------------------


def test_no_more_than_the_limit_run_at_a_time():
    manager, overlap = WorkerManager(limit=3), Overlap()
    with hectic_switching():
        tasks = [manager.run(overlap, n) for n in range(20)]
        assert wait_all(tasks) == list(range(20))
    assert overlap.most <= 3
    assert sorted(overlap.began) == list(range(20))


def test_the_timeout_counts_from_the_start():
    manager, go = WorkerManager(limit=1), Flag()
    first = manager.run(go.wait)
    second = manager.run(lambda: 2, timeout=0.01)
    time.sleep(0.02)  # the time of the second, were it to count from here
    go.set()
    assert second.get(LIMIT) == 2
    assert first.get(LIMIT)


def test_one_in_line_can_be_cancelled_and_the_line_goes_on():
    manager, go = WorkerManager(limit=1), Flag()
    tasks = [manager.run(go.wait), manager.run(boom), manager.run(lambda: 3)]
    assert tasks[1].cancel().state is CANCELLED
    go.set()
    assert tasks[2].get(LIMIT) == 3


def test_a_task_that_waits_for_one_in_line_lets_it_in():
    manager = WorkerManager(limit=1)

    def factorial(n):
        return n * manager.run(factorial, n - 1).get() if n else 1

    assert manager.run(factorial, 5).get(LIMIT) == 120

    async def asynchronous(n):
        return n * await manager.run(asynchronous, n - 1) if n else 1

    async def main():
        return await manager.run(asynchronous, 5)

    assert asyncio.run(main()) == 120


def test_a_parent_that_ends_cancels_also_those_in_line():
    with running() as boss:
        manager = WorkerManager(parent=boss, limit=1)
        tasks = [manager.run(wait_forever) for _ in range(3)]
    for task in tasks:
        task.join(LIMIT)
    assert [task.state for task in tasks] == [CANCELLED] * 3
    assert len(manager) == 0


# -- errors and blocks ----------------------------------------------------------------------------


def test_an_error_goes_to_on_error_in_the_thread_of_the_task():
    got = []
    manager = WorkerManager(on_error=lambda error: got.append((error, threading.get_ident())))
    task = manager.run(boom)
    task.join(LIMIT)
    assert got[0][0] is task.error
    assert got[0][1] != threading.get_ident()
    quiet = manager.run(boom, exit_on_error=False).join(LIMIT)
    assert isinstance(quiet.error, ValueError)
    assert len(got) == 1


def test_an_error_is_logged_by_default_and_an_on_error_that_raises_is(caplog):
    task = WorkerManager().run(boom).join(LIMIT)
    assert [(r.worker, r.exc_info[0]) for r in caplog.records] == [(task.path, ValueError)]
    caplog.clear()

    def fails(error):
        raise KeyError

    WorkerManager(on_error=fails).run(boom).join(LIMIT)
    assert [r.exc_info[0] for r in caplog.records] == [KeyError]


def test_the_end_of_a_block_waits():
    with WorkerManager() as tasks:
        task = tasks.run(sleep, 0.001)
    assert task.is_finished
    assert task.thread is None

    async def main():
        async with WorkerManager() as tasks:
            task = tasks.run(asyncio.sleep, 0.001)
        assert task.is_finished

    asyncio.run(main())


@pytest.mark.timeout(10)
def test_the_end_of_a_block_does_not_wait_for_what_nobody_starts():
    def never_started(manager):
        task = Task(boom, parent=False)
        return manager._take_in(lambda: task, "default", None, start=False)

    with pytest.raises(WorkerError, match="never started"), WorkerManager() as tasks:
        task = never_started(tasks)
    assert task.state is CANCELLED

    async def main():
        with pytest.raises(WorkerError, match="never started"):
            async with WorkerManager() as tasks:
                task = never_started(tasks)
        assert task.state is CANCELLED

    asyncio.run(main())


class HeldUp:
    """A node that is slow to take in that a task has ended well."""

    def __init__(self):
        self.is_told, self.may_go_on = Flag(), Flag()

    def post_message(self, message):
        if message.state is SUCCESS:
            self.is_told.set()
            self.may_go_on.wait()


def test_the_end_of_a_block_waits_for_the_last_word_of_each_task():
    node = HeldUp()
    with WorkerManager(node=node, parent=False) as tasks:
        task = tasks.run(int, thread=True)
        node.is_told.wait()
        assert task.is_finished
        assert not task.stopped
        current().later(node.may_go_on.set)  # which only a wait handles
    assert task.stopped

    async def main():
        node = HeldUp()
        async with WorkerManager(node=node, parent=False) as tasks:
            task = tasks.run(int, thread=True)
            node.is_told.wait()
            asyncio.get_running_loop().call_soon(node.may_go_on.set)
        assert task.stopped

    asyncio.run(main())


def test_l1_the_end_of_a_block_is_the_native_end_of_each_task(monkeypatch):
    may_end = Flag()
    await_end = Launch.await_end

    def waited_for(launch):
        may_end.set()
        await_end(launch)

    monkeypatch.setattr(Launch, "await_end", waited_for)
    go, gone = Flag(), Flag()
    with WorkerManager(parent=False) as tasks:
        task = tasks.run(go.wait)
        native = task._life.launch
        task.stopped.then(gone.set)
        task.stopped.then(may_end.wait)
        go.set()
        gone.wait()  # it is no task of the manager any more
        assert not may_end.is_set()
    assert may_end.is_set()
    assert not native.is_alive()


def test_an_error_in_a_task_cancels_the_others_and_is_raised_at_the_end():
    with pytest.raises(ExceptionGroup) as raised, WorkerManager() as tasks:
        other = tasks.run(wait_forever)
        tasks.run(boom)
    assert [type(error) for error in raised.value.exceptions] == [ValueError]
    assert other.state is CANCELLED

    async def main():
        with pytest.raises(ExceptionGroup) as raised:
            async with WorkerManager() as tasks:
                other = tasks.run(asyncio.sleep, 60)
                tasks.run(boom)
        assert [type(error) for error in raised.value.exceptions] == [ValueError]
        assert other.state is CANCELLED

    asyncio.run(main())


def test_r1_an_error_that_a_block_raises_is_not_logged_and_one_that_it_cannot_is(caplog):
    with pytest.raises(ExceptionGroup), WorkerManager() as tasks:
        tasks.run(boom)
    assert not caplog.records

    def interrupted():
        with WorkerManager() as tasks:
            tasks.run(boom).join(LIMIT)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    gc.collect()
    assert [r.exc_info[0] for r in caplog.records] == [ValueError]


def test_an_error_in_the_block_cancels_and_is_raised_itself():
    with pytest.raises(KeyError), WorkerManager() as tasks:
        task = tasks.run(wait_forever)
        raise KeyError
    assert task.state is CANCELLED

    async def main():
        with pytest.raises(KeyError):
            async with WorkerManager() as tasks:
                task = tasks.run(asyncio.sleep, 60)
                raise KeyError
        assert task.state is CANCELLED

    asyncio.run(main())


def test_errors_in_both_are_one_group_and_a_base_exception_goes_first():
    with pytest.raises(ExceptionGroup) as raised, WorkerManager() as tasks:
        tasks.run(boom).join(LIMIT)
        raise KeyError
    assert [type(error) for error in raised.value.exceptions] == [KeyError, ValueError]
    with pytest.raises(KeyboardInterrupt), WorkerManager() as tasks:
        tasks.run(boom).join(LIMIT)
        raise KeyboardInterrupt
    with pytest.raises(ExceptionGroup) as raised, WorkerManager() as tasks:
        tasks.run(boom).get(LIMIT)
    assert [type(error) for error in raised.value.exceptions] == [ValueError]


def test_after_an_error_the_block_starts_nothing_more():
    with pytest.raises(ExceptionGroup), WorkerManager() as tasks:
        tasks.run(boom).join(LIMIT)
        assert tasks.run(boom).state is CANCELLED


def test_a_block_with_on_error_goes_on():
    errors = []
    with WorkerManager(on_error=errors.append) as tasks:
        tasks.run(boom)
        task = tasks.run(lambda: 2)
    assert task.result == 2
    assert len(errors) == 1


def test_a_block_whose_worker_is_stopped_cancels_and_waits():
    cleaned = []

    def job():
        try:
            wait_forever()
        finally:
            sleep(0.001)
            cleaned.append(1)

    def boss():
        with WorkerManager() as tasks:
            tasks.run(job)
            tasks.run(job)

    worker = Worker(boss).start()
    in_a_wait(worker)
    worker.stop().join(LIMIT)
    assert worker.state is CANCELLED
    assert len(cleaned) <= 2
    assert not worker.children


def test_a_block_in_a_cancelled_coroutine_cancels_and_waits():
    async def main():
        async def job():
            begun.set()
            await asyncio.sleep(60)

        async def boss():
            async with WorkerManager() as tasks:
                seen.append(tasks.run(job))

        seen, begun = [], asyncio.Event()
        task = Task(boss).start()
        await begun.wait()
        await task.cancel().stopped
        assert seen[0].state is CANCELLED

    asyncio.run(main())


def test_a_manager_is_in_one_block_at_a_time():
    manager = WorkerManager()
    with manager, pytest.raises(RuntimeError, match="with block"), manager:
        pass
    with manager:
        pass


def test_map_gives_the_results_in_order_and_raises_where_the_error_would_come():
    with WorkerManager(limit=2) as tasks:
        assert list(tasks.map(pow, [2, 3, 4], [2, 2, 2])) == [4, 9, 16]
        results = tasks.map(lambda n: 1 // n, [1, 0])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
        go = Flag()
        with pytest.raises(TimeoutError):
            next(tasks.map(go.wait, [None], timeout=0))
        go.set()


def test_a_block_can_wait_for_its_tasks():
    with WorkerManager() as tasks:
        for n in range(3):
            tasks.run(lambda n=n: n)
        assert tasks.wait_all() == [0, 1, 2]
        assert sorted(task.result for task in tasks.as_completed()) == [0, 1, 2]
        assert tasks.wait_any().is_finished

    async def main():
        manager = WorkerManager()
        tasks = [manager.run(asyncio.sleep, 0) for _ in range(3)]
        await manager.wait_for_complete()
        assert all(task.is_finished for task in tasks)
        await manager.wait_for_complete(tasks)

    asyncio.run(main())


# -- work -----------------------------------------------------------------------------------------


def test_work_makes_each_call_a_task():
    @work
    def double(n: int) -> int:
        """Twice as much."""
        return 2 * n

    @work(name="n", group="g", description="d", timeout=60, total_steps=3, thread=True)
    async def triple(n: int) -> int:
        return 3 * n

    assert double(4).get() == 8
    assert double.__doc__ == "Twice as much."
    task = triple(5)
    assert task.get() == 15
    assert (task.name, task.group, task.description, task.total_steps) == ("n", "g", "d", 3)


def test_a_method_uses_the_manager_of_its_object():
    class App:
        def __init__(self):
            self.workers = WorkerManager()

        @work(exclusive=True)
        def search(self, what):
            sleep(60 if what == "old" else 0)
            return what

    class Bare:
        @work
        def answer(self):
            return self

    app = App()
    old = app.search("old")
    assert old in app.workers
    assert app.search(what="new").get(LIMIT) == "new"
    assert old.state is CANCELLED
    bare = Bare()
    assert bare.answer().get() is bare
    assert callable(App.search)


def test_exclusive_work_of_a_function_is_exclusive_among_its_calls():
    overlap = Overlap()
    job = work(exclusive="wait")(overlap)
    assert wait_all([job(n) for n in range(4)]) == [0, 1, 2, 3]
    assert overlap.most == 1


def test_the_tasks_of_a_function_are_children_of_who_calls():
    @work
    def parent():
        return current().parent

    assert parent().get() is MainThread
    worker = Worker(lambda: parent().get()).start()
    assert worker.get(LIMIT) is worker


def test_work_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="colour"):
        work(colour="red")
    with pytest.raises(TypeError, match="makes a task of a function"):
        work(3)


# -- waiting for several --------------------------------------------------------------------------


def nodes():
    return [
        Worker(lambda: 1).start(),
        Thread.run("t", lambda please_stop: 2),
        Task(lambda: 3).start(),
        async_(lambda: 4),
    ]


def test_wait_all_takes_any_nodes_and_gives_the_results_in_order():
    assert wait_all(nodes()) == [1, 2, 3, 4]
    assert wait_all([]) == []


def test_wait_all_raises_one_group_when_all_have_ended():
    go = Flag()
    slow = Task(go.wait).start()
    waiter = async_(wait_all, [Task(boom).start(), slow, Task(boom).start()])
    in_a_wait(waiter)
    go.set()
    with pytest.raises(ExceptionGroup) as raised:
        waiter.get(LIMIT)
    assert [type(error) for error in raised.value.exceptions] == [ValueError] * 2
    assert slow.is_finished


def test_wait_any_gives_the_first():
    go = Flag()
    slow, fast = Task(go.wait).start(), Task(boom).start()
    assert wait_any([slow, fast]) is fast
    assert fast.state is ERROR
    assert isinstance(fast.error, ValueError)
    go.set()
    assert wait_any([slow.join(), fast]) is slow
    with pytest.raises(ValueError, match="at least one"):
        wait_any([])


def test_as_completed_gives_each_when_it_has_ended():
    gates = [Flag() for _ in range(3)]
    tasks = [Task(gate.wait).start() for gate in gates]
    order = as_completed(tasks)
    for number in (2, 0, 1):
        gates[number].set()
        assert next(order) is tasks[number]
    assert list(order) == []
    assert {node.get() for node in as_completed(nodes())} == {1, 2, 3, 4}


@pytest.mark.parametrize("function", [wait_all, wait_any, lambda *a: next(as_completed(*a))])
def test_waits_for_several_may_time_out(function):
    go = Flag()
    task = Task(go.wait).start()
    with pytest.raises(TimeoutError):
        function([task], 0)
    go.set()
    task.get(LIMIT)


@pytest.mark.parametrize("function", [wait_all, wait_any, as_completed])
def test_what_is_no_node_or_was_never_started_is_a_clear_error(function):
    with pytest.raises(TypeError, match="can be waited for"):
        function([3])
    with pytest.raises(WorkerError, match="never started"):
        function([Task(boom)])


def test_r3_waiting_for_oneself_raises():
    for function in (wait_all, as_completed):
        with pytest.raises(DeadlockError):
            Task(lambda f=function: f([current()])).start().get(LIMIT)


def test_r3_waiting_for_the_first_of_several_raises_when_each_waits_for_us():
    def wait_for_both(other):
        return wait_any([current(), other])

    with running() as other:
        alone = Worker(wait_any).start([other])
        in_a_wait(alone)
        task = Task(lambda: wait_for_both(other)).start()
        in_a_wait(task)  # one of the two can still end
    assert task.get(LIMIT) is other
    assert alone.get(LIMIT) is other
    with pytest.raises(DeadlockError, match="waits for"):
        Task(lambda: wait_any([current()])).start().get(LIMIT)


def test_a_wait_for_several_is_ended_by_a_stop():
    go = Flag()
    slow = Task(go.wait).start()
    waiter = Worker(wait_any).start([slow])
    in_a_wait(waiter)
    assert waiter.stop().join(LIMIT).state is CANCELLED
    go.set()
    slow.get(LIMIT)
