"""A typed program written for pyThreadWorker. Checked by mypy, and not run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_type

import worker as package
from worker import (
    Channel,
    Defer,
    Event,
    Worker,
    WorkerCancelled,
    create_worker,
    current,
    is_main,
    listen,
    wait_forever,
    wait_thread,
)

import threadtree


def the_names_are_those_of_threadtree(worker: package.Worker[int]) -> None:
    assert_type(worker, threadtree.Worker[int])
    assert_type(package.Defer[int](), threadtree.Defer[int])
    assert_type(package.tree(), str)
    error: threadtree.WorkerError = WorkerCancelled()
    print(error, package.__version__)


def the_event_loop() -> None:
    @create_worker
    def worker() -> None:
        print("thread created")
        wait_forever()

    assert_type(worker, Worker[None])


def stopping() -> None:
    thread = Worker().start()
    wait_thread(thread.stop())
    print(thread.is_running())


def cleaning_up() -> None:
    @contextmanager
    def open_server() -> Iterator[str]:
        yield "server"

    @create_worker(daemon=True)
    def server_thread() -> None:
        with open_server() as server:
            print(server)
            wait_forever()

    server_thread.stop()


def the_shortcuts() -> None:
    @create_worker
    def printer() -> None:
        @listen("PRINT")
        def _(event: Event) -> None:
            print(event.data)

        wait_forever()

    printer.fire("PRINT", "foo")
    printer.fire("PRINT", "bar")
    printer.stop().join()


def a_defer_and_a_channel() -> None:
    main_thread = current()
    channel = Channel()

    @create_worker
    def worker() -> None:
        defer = Defer()
        print("worker", is_main())
        main_thread.later(print, 0, end="", file=None)
        main_thread.later(defer.resolve, "OK")
        defer.get()
        channel.sub()
        channel.pub("NEWS", data=1)

    worker.stop()
