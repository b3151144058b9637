"""What type checkers are to see of the classes. Checked by mypy, and not run."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, assert_type

from threadtree import (
    DONE,
    NEVER,
    WORKER_POOL,
    Async,
    Channel,
    Defer,
    Event,
    Job,
    Listener,
    Signal,
    Straggler,
    Worker,
    WorkerState,
    current,
)


def task(number: int, *, flag: bool = False) -> str:
    return f"{number}{flag}"


class Task:
    def __call__(self) -> int:
        return 1


def a_worker_has_the_type_of_its_result() -> None:
    worker = Worker(task)
    assert_type(worker, Worker[str])
    assert_type(worker.get(), str)
    assert_type(worker.get(timeout=1), str)
    assert_type(worker.ret, str | None)
    assert_type(worker.result, str | None)
    assert_type(worker.err, BaseException | None)
    assert_type(worker.error, BaseException | None)
    assert_type(Worker(Task()), Worker[int])
    assert_type(Worker(partial(task, 1)), Worker[str])
    assert_type(Worker(lambda: 1.5, None, True, False, name="lambda"), Worker[float])


def what_returns_self_keeps_the_type(worker: Worker[str]) -> None:
    assert_type(worker.start(1, flag=True), Worker[str])
    assert_type(worker.start_overlay(1), Worker[str])
    assert_type(worker.pause().resume().stop().stop(now=True), Worker[str])
    assert_type(worker.join().join(1.5).join(timeout=None), Worker[str])
    assert_type(worker.fire("NAME", 1, bubble=True, target=worker), Worker[str])
    assert_type(worker.bubble("NAME").broadcast(Event("NAME")), Worker[str])
    with Worker(task) as running:
        assert_type(running, Worker[str])
    assert_type(Async(task).start(1), Async[str])


def a_worker_without_a_task_needs_no_annotation() -> None:
    thread = Worker().start()
    assert_type(thread.is_running(), bool)
    result: str = thread.get()
    print(result)


def a_worker_of_a_narrower_type_is_one_of_a_wider_type(worker: Worker[bool]) -> None:
    workers: list[Worker[int]] = [worker, Async(task=bool)]
    print(workers)


def the_parts_of_a_worker(worker: Worker[str]) -> None:
    assert_type(worker.name, str)
    assert_type(worker.node_name, str)
    assert_type(worker.path, str)
    assert_type(worker.state, WorkerState)
    assert_type(worker.thread, threading.Thread | None)
    assert_type(worker.paused, bool)
    assert_type(worker.backlog, int)
    assert_type(worker.rejected, int)
    assert_type(worker.please_stop, Signal)
    assert_type(worker.stopped, Signal)
    assert_type(worker.is_running(), bool)
    assert_type(worker.is_daemon(), bool)
    assert_type(worker.listeners["NAME"], list[Listener])
    assert_type(worker.shutdown(1), list[Straggler])
    assert_type(worker.progress, float)


async def what_is_awaited(worker: Worker[str], work: Async[int], defer: Defer[bytes]) -> None:
    assert_type(await worker, str)
    assert_type(await work, int)
    assert_type(await defer, bytes)
    assert_type(await worker.stopped, bool)


def what_is_waited_for(worker: Worker[str], work: Async[int], defer: Defer[bytes]) -> None:
    here = current()
    assert_type(here.wait_thread(worker), tuple[BaseException | None, str | None] | None)
    assert_type(here.wait(worker, 1), tuple[BaseException | None, str | None] | None)
    assert_type(here.wait(work), int)
    assert_type(here.wait(defer), bytes)
    assert_type(here.wait(DONE), bool)
    here.wait(0.5)
    here.wait("NAME", timeout=1, target=worker)
    here.wait(lambda event: event.data == 1, timeout=1)


def listen_returns_the_callback(worker: Worker[str]) -> None:
    def callback(event: Event) -> int:
        return len(event.name)

    assert_type(worker.listen(callback, "NAME")(Event("NAME")), int)

    @worker.listen("NAME", priority=1, once=True)
    def decorated(event: Event) -> float:
        return 1.5

    assert_type(decorated(Event("NAME")), float)
    worker.unlisten(decorated)


def later_may_return_a_worker(worker: Worker[str]) -> None:
    handle = worker.later(task, 1, flag=True, timeout=0.5)
    if handle is not None:
        assert_type(handle.stop().is_daemon(), bool)


def a_defer_has_the_type_of_its_value() -> None:
    defer = Defer[str]()
    defer.resolve("value")
    defer.reject(ValueError())
    assert_type(defer.get(), str)
    assert_type(defer.get(timeout=1), str)
    assert_type(defer.status, str)
    unknown = Defer()
    number: int = unknown.get()
    print(number)


def signals_are_combined_to_signals(one: Signal, other: Signal | None) -> None:
    assert_type(one | other, Signal)
    assert_type(None | one | NEVER, Signal)
    assert_type(one & DONE & True, Signal)
    assert_type(one.go().then(print), Signal)
    assert_type(one.wait(till=other), bool)
    assert_type(one.wait(1.5), bool)


def the_pool_and_the_channel(worker: Worker[str]) -> None:
    assert_type(WORKER_POOL.pool[threading.main_thread()], list[Job[Any]])
    assert_type(WORKER_POOL.current(), Job[Any])
    channel = Channel()
    channel.sub(worker)
    assert_type(channel.pool, set[Job[Any]])
    channel.pub("NAME", 1, bubble=True)


def what_a_type_checker_refuses(worker: Worker[str], defer: Defer[str]) -> None:
    Worker(3)  # type: ignore[arg-type]
    Worker(task, parent=3)  # type: ignore[arg-type]
    Async(None)  # type: ignore[arg-type]
    Event(3)  # type: ignore[arg-type]
    Listener(3, "NAME")  # type: ignore[arg-type]
    worker.fire(3)  # type: ignore[arg-type]
    worker.later(3)  # type: ignore[arg-type]
    worker.join("1")  # type: ignore[arg-type]
    worker.wait_event(3)  # type: ignore[arg-type]
    worker.listen(3, "NAME")  # type: ignore[call-overload]
    defer.resolve(3)  # type: ignore[arg-type]
    defer.reject("no exception")  # type: ignore[arg-type]
