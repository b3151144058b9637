"""pyThreadWorker's vocabulary: one script for pythreadworker and for threadtree.

Which of them answers to the name ``worker`` is decided by the path that the harness sets: the
drop-in of this repository, or the package of the index.
"""

from __future__ import annotations  # pythreadworker's Worker has no type parameter

from collections.abc import Callable, Iterator
from threading import Barrier, Semaphore, Thread
from time import monotonic
from typing import Any

from worker import Channel, Event, Worker, async_, create_worker, listen, wait_event, wait_forever

from . import task


def native(*workers: Worker[Any]) -> list[Thread]:
    """The threads of running workers, to wait for their native end: ``Worker.join()`` of
    pythreadworker does not wait for a worker that has begun to end."""
    return [worker.thread for worker in workers if worker.thread is not None]


def join(threads: list[Thread]) -> None:
    for thread in threads:
        thread.join()


def counters(n: int, news: Channel | None = None) -> tuple[list[Worker[Any]], list[int]]:
    """``n`` running workers with a listener that counts, and what they have counted."""
    handled = [0] * n
    ready = Barrier(n + 1)

    def counter(number: int) -> None:
        @listen("TICK")
        def count(event: Event) -> None:
            handled[number] += 1

        if news:
            news.sub()
        ready.wait()
        wait_forever()

    workers = [create_worker(counter, number) for number in range(n)]
    ready.wait()
    return workers, handled


def events(n: int) -> Iterator[None]:
    [worker], handled = counters(1)
    threads = native(worker)
    yield
    for i in range(n):
        worker.fire("TICK", i)
    worker.stop()  # is handled after the ticks
    join(threads)
    assert handled == [n]


def channel(n: int, subscribers: int = 100) -> Iterator[None]:
    news = Channel()
    workers, handled = counters(subscribers, news)
    threads = native(*workers)
    yield
    for i in range(n):
        news.pub("TICK", i)
    for worker in workers:
        worker.stop()
    join(threads)
    assert handled == [n] * subscribers


def ping_pong(n: int) -> Iterator[None]:
    def ping() -> None:
        wait_event("START")
        for i in range(n):
            ponger.fire("PING", i)
            wait_event("PONG")

    def pong() -> None:
        for i in range(n):
            wait_event("PING")
            pinger.fire("PONG", i)

    pinger, ponger = create_worker(ping), create_worker(pong)
    threads = native(pinger, ponger)
    yield
    pinger.fire("START")
    join(threads)


def one_by_one(n: int) -> Iterator[None]:
    yield
    for i in range(n):
        assert async_(task, i).get() == i


def at_once(n: int) -> Iterator[None]:
    yield
    tasks = [async_(task, i) for i in range(n)]
    assert [each.get() for each in tasks] == list(range(n))


def later(timeouts: list[float], land: Callable[[float], None]) -> Iterator[None]:
    worker = create_worker(wait_forever)
    yield
    for timeout in timeouts:
        worker.later(land, monotonic() + timeout, timeout=timeout)


def rest(ready: Semaphore) -> None:
    ready.release()
    wait_forever()


def wait_for(n: int, ready: Semaphore) -> None:
    for _ in range(n):
        ready.acquire()


def stop_all(n: int) -> Iterator[None]:
    ready = Semaphore(0)
    children: list[Worker[Any]] = []

    @create_worker
    def parent() -> None:
        children.extend(create_worker(rest, ready) for _ in range(n))
        rest(ready)

    wait_for(n + 1, ready)
    threads = native(parent, *children)
    yield
    parent.stop()
    join(threads)


def idle(n: int) -> Iterator[None]:
    yield
    ready = Semaphore(0)
    for _ in range(n):
        create_worker(rest, ready)
    wait_for(n, ready)
