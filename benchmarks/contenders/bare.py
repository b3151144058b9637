"""What the bare interpreter offers: Thread, SimpleQueue, and sched for timers."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue, SimpleQueue
from sched import scheduler
from threading import Lock, Semaphore, Thread
from time import monotonic, sleep
from typing import Any

from . import task


def start(threads: list[Thread]) -> list[Thread]:
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[Thread]) -> None:
    for thread in threads:
        thread.join()


Inbox = SimpleQueue[Any]  # None is the word to end


def counters(n: int) -> tuple[list[Inbox], list[Thread], list[int]]:
    """``n`` running threads that call a function for each item, and what that has counted."""
    inboxes: list[Inbox] = [SimpleQueue() for _ in range(n)]
    handled = [0] * n

    def counter(number: int) -> None:
        def count(item: int) -> None:
            handled[number] += 1

        for item in iter(inboxes[number].get, None):
            count(item)

    return inboxes, start([Thread(target=counter, args=(i,)) for i in range(n)]), handled


def events(n: int) -> Iterator[None]:
    [inbox], threads, handled = counters(1)
    yield
    for i in range(n):
        inbox.put(i)
    inbox.put(None)
    join(threads)
    assert handled == [n]


def channel(n: int, subscribers: int = 100) -> Iterator[None]:
    inboxes, threads, handled = counters(subscribers)
    yield
    for i in range(n):
        for inbox in inboxes:
            inbox.put(i)
    for inbox in inboxes:
        inbox.put(None)
    join(threads)
    assert handled == [n] * subscribers


def ping_pong(n: int) -> Iterator[None]:
    pings: Inbox = SimpleQueue()
    pongs: Inbox = SimpleQueue()

    def ping() -> None:
        for i in range(n):
            pings.put(i)
            pongs.get()

    def pong() -> None:
        for i in range(n):
            pings.get()
            pongs.put(i)

    yield
    join(start([Thread(target=ping), Thread(target=pong)]))


def one_by_one(n: int) -> Iterator[None]:
    yield
    for i in range(n):
        thread = Thread(target=task, args=(i,))
        thread.start()
        thread.join()


def at_once(n: int) -> Iterator[None]:
    yield
    join(start([Thread(target=task, args=(i,)) for i in range(n)]))


def later(timeouts: list[float], land: Callable[[float], None]) -> Iterator[None]:
    timers = scheduler(monotonic)
    yield
    for timeout in timeouts:
        due = monotonic() + timeout
        timers.enterabs(due, 0, land, (due,))
    Thread(target=timers.run).start()


def start_idlers(n: int) -> tuple[list[Inbox], list[Thread]]:
    inboxes: list[Inbox] = [SimpleQueue() for _ in range(n)]
    ready = Semaphore(0)

    def idler(inbox: Inbox) -> None:
        ready.release()
        inbox.get()

    threads = start([Thread(target=idler, args=(inbox,)) for inbox in inboxes])
    for _ in inboxes:
        ready.acquire()
    return inboxes, threads


def stop_all(n: int) -> Iterator[None]:
    inboxes, threads = start_idlers(n)
    yield
    for inbox in inboxes:
        inbox.put(None)
    join(threads)


def idle(n: int) -> Iterator[None]:
    yield
    start_idlers(n)


def run_and_join(n: int) -> Iterator[None]:
    yield from one_by_one(n)


def queue(n: int) -> Iterator[None]:
    items: Queue[int | None] = Queue(maxsize=1_000)
    counted = []
    consumer = Thread(target=lambda: counted.append(sum(1 for _ in iter(items.get, None))))
    consumer.start()
    yield
    for number in range(n):
        items.put(number)
    items.put(None)
    consumer.join()
    assert counted == [n]


def tills(n: int, land: Callable[[float], None]) -> None:
    spans = random.Random(n)
    for _ in range(n):
        span = spans.uniform(0.01, 0.03)
        due = monotonic() + span
        sleep(span)
        land(due)


def pool_one_by_one(n: int) -> Iterator[None]:
    with ThreadPoolExecutor(4) as pool:
        pool.submit(task, 0).result()
        yield
        for i in range(n):
            assert pool.submit(task, i).result() == i


def pool_at_once(n: int) -> Iterator[None]:
    with ThreadPoolExecutor(4) as pool:
        pool.submit(task, 0).result()
        yield
        futures = [pool.submit(task, i) for i in range(n)]
        assert [future.result() for future in futures] == list(range(n))


class Count:
    def __init__(self) -> None:
        self._lock = Lock()
        self.value = 0

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            self.value += steps


def advance(n: int) -> Iterator[None]:
    counting = Count()
    yield
    for _ in range(n):
        counting.advance()
    assert counting.value == n
