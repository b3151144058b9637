"""The promises about errors and costs: R1 to R3, C4, T2. Those about exits are in test_exit.py."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import pickle
import traceback
import weakref
from dataclasses import dataclass
from functools import partial

import pytest

import threadtree
from threadtree import (
    Async,
    DeadlockError,
    NoActiveWorker,
    ProcessFailed,
    Task,
    Thread,
    ThreadPool,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerFailed,
    WorkerState,
    async_,
    create_worker,
    current,
    get_current_worker,
    listen,
    update,
    wait_event,
    wait_forever,
    wait_thread,
)
from threadtree.outcomes import report_unseen

from .helpers import LIMIT, Flag, in_threads, running


class FalsyError(Exception):
    def __bool__(self):
        return False


@dataclass(frozen=True)
class FrozenError(Exception):
    what: str


class MuteError(Exception):
    __notes__ = ()

    def __str__(self):
        raise ValueError("no")

    __repr__ = __str__


def failing(error=None):
    raise error if error is not None else ValueError("no")


ERRORS = [
    ValueError("no"),
    FalsyError(),
    FrozenError("no"),
    MuteError(),
    SystemExit(3),
    GeneratorExit(),
]

# -- R1: nothing is silent ------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=type)
def test_r1_an_error_of_any_kind_reaches_whoever_gets_or_waits(error):
    work = Async(failing).start(error)
    with pytest.raises(type(error)) as caught:
        work.get()
    assert caught.value is error
    assert wait_thread(work) == (error, None)
    assert work.state is WorkerState.ERROR
    assert work.error is error


@pytest.mark.parametrize("error", ERRORS[:4], ids=type)
def test_r1_an_error_of_any_kind_reaches_whoever_waits_for_a_thread_a_task_or_a_pool(error):
    thread = Thread.run("thread", lambda please_stop: failing(error))
    task = Task(partial(failing, error), exit_on_error=False).start()
    with ThreadPool(2) as pool:
        future = pool.run("job", lambda please_stop: failing(error))
        waits = [thread.join, task.get, future.wait]
        assert [raised_by(wait) for wait in waits] == [error] * 3
    with pytest.raises(WorkerFailed) as caught:
        asyncio.run(task.wait())
    assert caught.value.error is error


def raised_by(wait):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - that is the question
        wait()
    return caught.value


def test_r1_print_traceback_logs_at_the_crash_and_only_then(caplog):
    logged = []
    worker = Worker(failing, parent=False)
    worker.start()
    worker.stopped.then(lambda: logged.append(len(caplog.records)))
    worker.join()
    report_unseen()
    del worker
    gc.collect()
    assert logged == [1]
    (record,) = caplog.records
    assert record.worker == "failing"
    assert "ValueError: no" in caplog.text
    assert __file__ in record.getMessage()  # where it was started


def test_r1_the_log_comes_before_any_waiter_is_told(caplog):
    logged = []
    with running() as parent:
        parent.listen(lambda event: logged.append(len(caplog.records)), "CHILD_THREAD_ERROR")
        Worker(failing, parent=parent).start().join()
        parent.stop().join()
    assert logged == [1]


def test_r1_an_unseen_error_is_logged_once_at_its_collection(caplog):
    Async(failing).start().join()
    gc.collect()
    report_unseen()
    (record,) = caplog.records
    assert "nobody has looked" in record.getMessage()
    assert record.worker == "failing"


def test_r1_an_unseen_error_is_logged_once_at_the_parents_end(caplog):
    kept = []

    def task():
        child = create_worker(failing, print_traceback=False)
        kept.append(child.join())
        assert not caplog.records

    Worker(task, parent=False).start().get()
    assert [record.worker for record in caplog.records] == ["task/failing"]
    kept.clear()
    gc.collect()
    assert len(caplog.records) == 1


def test_c4_a_parent_forgets_the_failures_of_children_that_are_gone():
    def task():
        for _ in range(20):
            with pytest.raises(ValueError, match="no"):
                create_worker(failing, print_traceback=False).get()
        gc.collect()
        update()  # the last words of the children
        return current()._life.failed_children

    assert Worker(task, parent=False).start().get(LIMIT) == {}


@pytest.mark.parametrize("look", [Worker.get, wait_thread, lambda w: w.error, lambda w: w.err])
def test_r1_an_error_that_was_seen_is_not_logged(caplog, look):
    work = Async(failing).start().join()
    try:
        look(work)
    except ValueError:
        pass
    del work
    gc.collect()
    report_unseen()
    assert not caplog.records


def test_r1_get_after_a_stop_raises_and_never_gives_none():
    with running() as worker:
        worker.stop()
        with pytest.raises(WorkerCancelled):
            worker.get()


@pytest.mark.parametrize("wait", [Worker.get, wait_thread])
def test_r1_a_wait_for_what_was_never_started_raises(wait):
    with pytest.raises(WorkerError, match="never started"):
        wait(Worker(parent=False))


def test_r1_a_result_wins_over_a_stop_that_came_later():
    def task():
        current().stop()
        return 5

    worker = Worker(task, parent=False).start()
    assert worker.get() == 5
    assert worker.please_stop


# -- R2: the original error -----------------------------------------------------------------------


def test_r2_the_original_error_with_its_own_traceback_and_a_note():
    work = Async(failing, name="job").start()
    line = inspect.currentframe().f_lineno - 1
    lengths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="no") as caught:
            work.get()
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert caught.traceback[-1].name == "failing"
    assert len(set(lengths)) == 1
    assert caught.value.__notes__ == [f"raised in worker job (started at {__file__}:{line})"]


def test_r2_an_error_whose_attributes_cannot_be_set_has_its_note_too():
    with pytest.raises(FrozenError) as caught:
        Async(failing, name="job").start(FrozenError("no")).get()
    (note,) = caught.value.__notes__
    assert note.startswith("raised in worker job")
    assert caught.traceback[-1].name == "failing"


def test_r2_several_errors_of_a_with_block_come_as_one_group():
    worker = Worker(failing, print_traceback=False, parent=False)
    with pytest.raises(ExceptionGroup) as caught, worker:  # noqa: PT012
        worker.join()
        raise KeyError("mine")
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]


def test_r2_a_with_block_raises_the_workers_error_alone_if_it_is_alone():
    with (
        pytest.raises(ValueError, match="no"),
        Worker(failing, print_traceback=False, parent=False) as worker,
    ):
        worker.join()


def test_a_with_block_starts_and_stops():
    with Worker(parent=False) as worker:
        assert worker.is_running()
    assert worker.state is WorkerState.CANCELLED


# -- R3: circles of waits -------------------------------------------------------------------------

WAITS = [Worker.join, Worker.get, lambda worker: wait_thread(worker)]


@pytest.mark.parametrize("wait", WAITS)
def test_r3_waiting_for_oneself(wait):
    worker = Async(lambda: wait(current()), name="narcissus").start()
    with pytest.raises(DeadlockError, match="narcissus waits for narcissus"):
        worker.get()


@pytest.mark.parametrize("wait", WAITS)
def test_r3_a_circle_raises_in_the_wait_that_closes_it(wait):
    """Whoever comes last raises; by that it ends, and the others go on."""
    workers = {}

    def task(other):
        wait_event("GO")
        try:
            wait(workers[other])
        except DeadlockError as error:
            circles.append(str(error))

    circles = []
    ring = {"a": "b", "b": "c", "c": "a"}
    for name, other in ring.items():
        workers[name] = Worker(task, parent=False, name=name).start(other)
    for worker in workers.values():
        worker.fire("GO")
    for worker in workers.values():
        worker.join(LIMIT)
    (circle,) = circles
    assert circle.count("waits for") == 3


def test_r3_a_nested_wait_takes_part_in_the_circle():
    """The outer wait of a thread cannot go on before the nested one has, and nor can the end."""
    nested, tried = Flag(), Flag()

    def task():
        @listen("NEST")
        def _(event):
            current().later(nested.set)
            wait_event("GO_ON")

        wait_thread(other)

    def close_the_circle():
        with pytest.raises(DeadlockError):
            worker.join()
        tried.set()

    with running() as other:
        worker = Worker(task, parent=False).start().fire("NEST")
        nested.wait()
        other.later(close_the_circle)
        tried.wait()
        worker.fire("GO_ON")
    assert worker.join().state is WorkerState.SUCCESS
    assert other.rejected == 0


def test_r3_a_wait_with_a_timeout_closes_no_circle():
    def task():
        with pytest.raises(TimeoutError):
            current().join(timeout=0.001)
        return "went on"

    assert Async(task).start().get() == "went on"


# -- C4, T2, and the rest -------------------------------------------------------------------------


@pytest.mark.parametrize("task", [int, wait_forever])
def test_c4_a_finished_worker_that_nobody_holds_is_collected(task):
    worker = Worker(task, parent=False).start()
    worker.listen(print, "X")
    worker.fire("X").stop().join()
    link = weakref.ref(worker)
    del worker
    gc.collect()
    assert link() is None


def test_c4_without_the_garbage_collector_too():
    gc.disable()
    try:
        work = async_(int)
        work.get()
        link = weakref.ref(work)
        del work
        assert link() is None
    finally:
        gc.enable()


variable = contextvars.ContextVar("variable", default="unset")


def test_t2_context_variables_of_the_starting_place_are_copied():
    variable.set("set by the starter")

    def task():
        seen = variable.get()
        variable.set("set by the worker")
        return seen, get_current_worker()

    work = async_(task)
    assert work.get() == ("set by the starter", work)
    assert variable.get() == "set by the starter"
    with pytest.raises(NoActiveWorker):
        get_current_worker()


def test_t2_current_is_decided_by_the_thread():
    def task():
        context = contextvars.copy_context()
        seen = []
        in_threads(lambda: seen.append(context.run(lambda: (current(), get_current_worker()))))
        return seen[0]

    work = async_(task)
    by_thread, by_context = work.get()
    assert by_thread is not work
    assert by_context is work


def test_progress_is_exact_under_contention_and_clamped():
    with running() as worker:
        assert worker.progress == 0
        worker.total_steps = 4000
        in_threads(*[lambda: [worker.advance() for _ in range(500)]] * 4)
        assert worker.completed_steps == 2000
        assert worker.progress == 50
        worker.advance(10_000)
        assert worker.progress == 100
        worker.total_steps = 10**400  # as a server may say
        assert worker.progress == 0
        with pytest.raises(TypeError, match="whole numbers, not in 'x'"):
            worker.advance("x")
        assert worker.completed_steps == 12_000


def test_tree_shows_everything_with_its_state():
    with running(name="a") as a, running(name="b", parent=a, daemon=True) as b:
        b.total_steps = 4
        b.advance()
        assert threadtree.tree().splitlines() == [
            "main: RUNNING",
            "a: RUNNING",
            "  b: RUNNING, daemon, 25 %",
        ]


@pytest.mark.parametrize(
    "error",
    [
        WorkerError("text"),
        WorkerCancelled("text"),
        WorkerFailed(ValueError("why")),
        ProcessFailed("text", 2, ["last", "words"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_r2_an_error_can_go_to_another_process_and_back(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert repr(vars(copy)) == repr(vars(error))
