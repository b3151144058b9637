"""What type checkers are to see of tasks, managers and pools. Checked by mypy, and not run."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import Executor
from functools import partial
from threading import Event as ThreadingEvent
from typing import Any, assert_type

from threadtree import (
    Event,
    Job,
    Pool,
    ProgressChanged,
    StateChanged,
    Task,
    Worker,
    WorkerManager,
    WorkerState,
    as_completed,
    call_in,
    wait_all,
    wait_any,
    work,
)


def plain() -> int:
    return 1


async def coroutine() -> str:
    return ""


def generator() -> Generator[int, None, bytes]:
    yield 1
    return b""


async def async_generator() -> AsyncGenerator[int, None]:
    yield 1


def add(one: int, two: int = 2) -> float:
    return one + two


def a_task_has_the_type_of_its_result() -> None:
    assert_type(Task(plain), Task[int])
    assert_type(Task(coroutine), Task[str])
    assert_type(Task(coroutine()), Task[str])
    assert_type(Task(generator), Task[bytes])
    assert_type(Task(generator()), Task[bytes])
    assert_type(Task(async_generator), Task[None])
    assert_type(Task(partial(add, 1)), Task[float])
    assert_type(Task(lambda: 1), Task[int])
    Task(plain, colour="red")  # type: ignore[call-overload]
    Task(3)  # type: ignore[call-overload]


async def its_waits_have_it(task: Task[int]) -> None:
    assert_type(task.start(), Task[int])
    assert_type(task.cancel(), Task[int])
    assert_type(task.get(), int)
    assert_type(await task, int)
    assert_type(await task.wait(), int)
    assert_type(task.result, int | None)
    assert_type(task.error, BaseException | None)
    assert_type(task.state, WorkerState)
    assert_type(task.is_running, bool)
    assert_type(task.cancelled_event, ThreadingEvent)
    assert_type(task.progress, float)
    assert_type(task.total_steps, int | None)


def a_manager_gives_tasks(manager: WorkerManager) -> None:
    assert_type(manager.run(add, 1, two=3, group="g", exclusive="latest"), Task[float])
    assert_type(manager.run(coroutine), Task[str])
    assert_type(manager.run(coroutine()), Task[str])
    assert_type(manager.run(generator), Task[bytes])
    assert_type(manager.run(async_generator), Task[None])
    assert_type(manager.map(add, [1, 2]), Iterator[float])
    with manager as same:
        assert_type(same, WorkerManager)


@work
def decorated(number: int) -> str:
    return str(number)


@work(exclusive="wait", timeout=3)
async def decorated_with(number: int) -> str:
    return str(number)


@work(thread=True)
def decorated_generator() -> Generator[int, None, bytes]:
    yield 1
    return b""


def work_gives_tasks() -> None:
    assert_type(decorated(1), Task[str])
    assert_type(decorated_with(1), Task[str])
    assert_type(decorated_generator(), Task[bytes])
    decorated("1")  # type: ignore[arg-type]


def several_keep_their_types(jobs: list[Job[int]], tasks: list[Task[int]]) -> None:
    assert_type(wait_all(tasks), list[int])
    assert_type(wait_any(jobs), Job[int])
    assert_type(as_completed(jobs), Iterator[Job[int]])


def a_pool_is_an_executor(pool: Pool) -> None:
    executor: Executor = pool
    assert_type(pool.submit(add, 1).result(), float)
    assert_type(list(executor.map(plain)), list[int])


def a_call_has_the_type_of_its_function(worker: Worker[Any], loop: AbstractEventLoop) -> None:
    assert_type(call_in(worker, add, 1), float)
    assert_type(call_in(loop, coroutine, timeout=1), str)


async def events_are_events(worker: Worker[Any]) -> None:
    async for event in worker.events("NAME"):
        assert_type(event, Event)


def messages_say_what_has_changed(state: StateChanged, progress: ProgressChanged) -> None:
    assert_type(state.state, WorkerState)
    assert_type(progress.completed_steps, int)
