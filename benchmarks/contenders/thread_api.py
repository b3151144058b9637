"""mo-threads' vocabulary: one script for mo-threads and for threadtree.

threadtree is on the path only where it is meant; mo-threads is always installed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import task

if TYPE_CHECKING:
    import threadtree as api
else:
    try:
        import threadtree as api
    except ImportError:
        import mo_threads as api


def run_and_join(n: int) -> Iterator[None]:
    yield
    for i in range(n):
        assert api.Thread.run("task", lambda i, please_stop: task(i), i).join() == i


def queue(n: int) -> Iterator[None]:
    items: Any = api.Queue("items", max=1_000, silent=True)
    numbers = range(n)

    def count(please_stop: api.Signal) -> int:
        return sum(1 for _ in items)

    consumer = api.Thread.run("consumer", count)
    yield
    for number in numbers:
        items.add(number)
    items.close()
    assert consumer.join() == n


def composite(n: int) -> Iterator[None]:
    pairs = [(api.Signal(), api.Signal()) for _ in range(n)]
    yield
    fired = 0
    for one, other in pairs:
        either = one | other
        one.go()
        fired += bool(either)
    assert fired == n


def make_tills(n: int) -> Iterator[None]:
    api.Till(seconds=3600).then(_nothing)  # the clock runs
    yield
    for _ in range(n):
        api.Till(seconds=60)


def _nothing() -> None:
    pass


def tills(n: int, land: Callable[[float], None]) -> None:
    """Wait for one after the other, of 10 to 30 ms."""
    spans = random.Random(n)
    for _ in range(n):
        span = spans.uniform(0.01, 0.03)
        due = monotonic() + span
        api.Till(seconds=span).wait()
        land(due)


def idle_waits(n: int) -> Iterator[None]:
    """``n`` consumers of an empty queue, and as many that wait inside of one lock."""
    items: Any = api.Queue("items")
    lock = api.Lock("of the waiters")

    def consume(please_stop: api.Signal) -> None:
        items.pop(till=please_stop)

    def wait(please_stop: api.Signal) -> None:
        with lock:
            while not please_stop:
                lock.wait(till=please_stop)

    yield
    for _ in range(n):
        api.Thread.run("consumer", consume)
        api.Thread.run("waiter", wait)
