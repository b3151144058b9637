"""What type checkers are to see of the functions. Checked by mypy, and not run."""

from __future__ import annotations

from typing import Any, assert_type

from threadtree import (
    Async,
    Defer,
    Event,
    Job,
    Signal,
    Straggler,
    Worker,
    async_,
    await_,
    create_worker,
    current,
    is_main,
    later,
    listen,
    shutdown,
    tree,
    unlisten,
    wait,
    wait_event,
    wait_thread,
)


def task(number: int, *, flag: bool = False) -> str:
    return f"{number}{flag}"


def create_worker_in_each_form() -> None:
    assert_type(create_worker(task, 1), Worker[str])
    assert_type(create_worker(task, 1, flag=True, daemon=True, parent=False), Worker[str])
    assert_type(create_worker(callback=task, daemon=True), Worker[str])

    @create_worker
    def bare() -> int:
        return 1

    @create_worker()
    def called() -> int:
        return 1

    @create_worker(daemon=True, parent=current(), print_traceback=False, name="given")
    def with_options() -> int:
        return 1

    @create_worker(1, daemon=True)
    def with_arguments(number: int) -> int:
        return number

    for worker in (bare, called, with_options, with_arguments):
        assert_type(worker, Worker[int])


def async_in_each_form() -> None:
    assert_type(async_(task, 1, flag=True), Async[str])
    assert_type(async_(task, 1).get(), str)

    @async_
    def bare() -> int:
        return 1

    @async_()
    def called() -> int:
        return 1

    @async_(number=1)
    def with_arguments(number: int) -> int:
        return number

    for work in (bare, called, with_arguments):
        assert_type(work, Async[int])


def await_in_each_form() -> None:
    assert_type(await_(task, 1, flag=True), str)

    @await_
    def bare() -> int:
        return 1

    @await_()
    def called() -> int:
        return 1

    @await_(number=1)
    def with_arguments(number: int) -> int:
        return number

    for result in (bare, called, with_arguments):
        assert_type(result, int)


def listen_in_each_form() -> None:
    def callback(event: Event) -> int:
        return len(event.name)

    assert_type(listen(callback, "NAME", once=True)(Event("NAME")), int)

    @listen(event_name="NAME")
    def by_keyword(event: Event) -> None: ...

    unlisten(by_keyword)

    @listen("NAME")
    def decorated(event: Event) -> float:
        return 1.5

    assert_type(decorated(Event("NAME")), float)
    unlisten(decorated)


def the_waits(worker: Worker[str], work: Async[int], defer: Defer[bytes]) -> None:
    assert_type(wait_thread(worker, timeout=1), tuple[BaseException | None, str | None] | None)
    assert_type(wait(worker), tuple[BaseException | None, str | None] | None)
    assert_type(wait(work), int)
    assert_type(wait(defer, timeout=1), bytes)
    assert_type(wait(Signal()), bool)
    assert_type(wait_event("NAME", 1, worker), Any)
    wait(1.5)


def the_others() -> None:
    assert_type(current(), Job[Any])
    assert_type(is_main(current()), bool)
    assert_type(later(print, 1, timeout=1.5, end=""), Job[Any] | None)
    assert_type(shutdown(1), list[Straggler])
    assert_type(tree(), str)


def what_a_type_checker_refuses() -> None:
    async_(task, "no number")  # type: ignore[call-overload]
    async_(task)  # type: ignore[call-overload]
    await_(task, "no number")  # type: ignore[call-overload]
    await_(task, flag=True)  # type: ignore[call-overload]
    create_worker(task, 1, parent=3)  # type: ignore[call-overload]
    listen(3, "NAME")  # type: ignore[call-overload]
