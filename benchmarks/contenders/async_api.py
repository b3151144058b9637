"""What a task is measured against: the simplest thing of the library that gives a result."""

from collections.abc import Iterator
from functools import partial

from threadtree import async_

from . import task as work


def run_task(n: int) -> Iterator[None]:
    yield
    for i in range(n):
        assert async_(partial(work, i)).get() == i
