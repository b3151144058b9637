"""threadtree's tasks and pool."""

from collections.abc import Iterator
from functools import partial

from threadtree import Pool, Task

from . import task as work


def run_task(n: int) -> Iterator[None]:
    yield
    for i in range(n):
        assert Task(partial(work, i)).start().get() == i


def advance(n: int) -> Iterator[None]:
    counting = Task(partial(work, 0))
    yield
    for _ in range(n):
        counting.advance()
    assert counting.completed_steps == n


def pool_one_by_one(n: int) -> Iterator[None]:
    with Pool(4) as pool:
        pool.submit(work, 0).result()
        yield
        for i in range(n):
            assert pool.submit(work, i).result() == i


def pool_at_once(n: int) -> Iterator[None]:
    with Pool(4) as pool:
        pool.submit(work, 0).result()
        yield
        futures = [pool.submit(work, i) for i in range(n)]
        assert [future.result() for future in futures] == list(range(n))
