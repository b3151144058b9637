"""Waiting for several: all of them, the first, or each as it comes. Workers, threads and tasks.

While it waits, the caller handles its events, as in any wait; a stop ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from .circles import refuse_endless
from .errors import WorkerCancelled
from .jobs import Job
from .parking import FOREVER, deadline_after
from .pool import current
from .run import Run

__all__ = ["as_completed", "result_by", "wait_all", "wait_any"]

T = TypeVar("T")


def wait_all(nodes: Iterable[Job[T]], timeout: float | None = None) -> list[T]:
    """Wait for all of them, and give their results, in the order of the nodes.

    If any has failed or was cancelled, all errors are raised as one group, when all have ended.
    TimeoutError when ``timeout`` seconds are over first. TypeError for what is no worker, thread
    or task, WorkerError for one that was never started. Any thread.

    >>> from threadtree import async_, wait_all
    >>> wait_all([async_(pow, 2, n) for n in range(4)])
    [1, 2, 4, 8]
    """
    deadline = deadline_after(timeout)
    started = _started(nodes)
    for node, _ in started:
        node._outcome_by(deadline)
    results: list[T] = []
    errors: list[BaseException] = []
    for _, run in started:
        assert run.outcome is not None
        try:
            results.append(run.outcome.get())
        except BaseException as error:
            errors.append(error)
    if errors:
        raise BaseExceptionGroup(f"{len(errors)} of {len(started)} have failed", errors)
    return results


def wait_any(nodes: Iterable[Job[T]], timeout: float | None = None) -> Job[T]:
    """Wait until one of them has ended, however it did, and give that one.

    Of those that have ended already, the first. Raises ValueError when there is none, and else as
    :func:`wait_all`. Any thread.

    >>> from threadtree import async_, sleep, wait_any
    >>> slow, fast = async_(sleep, 60), async_(pow, 2, 5)
    >>> wait_any([slow, fast]) is fast
    True
    >>> slow.stop().join()
    <Async sleep: CANCELLED>
    """
    started = _started(nodes)
    if not started:
        raise ValueError("wait_any() needs at least one to wait for")
    return next(_in_turn(started, deadline_after(timeout)))


def as_completed(nodes: Iterable[Job[T]], timeout: float | None = None) -> Iterator[Job[T]]:
    """Give each of them when it has ended, however it did. TimeoutError as :func:`wait_all`.

    The time counts from the call, and so do the checks. DeadlockError, without a timeout, for a
    worker that waits for itself; and when each that is left waits for it. Any thread.

    >>> from threadtree import as_completed, async_
    >>> sum(work.get() for work in as_completed([async_(pow, 2, n) for n in range(4)]))
    15
    """
    deadline = deadline_after(timeout)
    started = _started(nodes)
    if deadline == FOREVER:
        refuse_endless(current(), [node for node, _ in started if node is current()])
    return _in_turn(started, deadline)


def result_by(node: Job[T], deadline: float) -> T:
    """The result of one, or its error, raised; TimeoutError at the monotonic ``deadline``."""
    outcome = node._outcome_by(deadline)
    assert outcome is not None
    return outcome.get()  # type: ignore[no-any-return]


def _started(nodes: Iterable[Job[T]]) -> list[tuple[Job[T], Run]]:
    """Each of them once, with its present run."""
    nodes = list(dict.fromkeys(nodes))
    for node in nodes:
        if not isinstance(node, Job):
            raise TypeError(f"a worker, a thread or a task can be waited for, not {node!r}")
    return [(node, node._started_run()) for node in nodes]


def _in_turn(started: list[tuple[Job[T], Run]], deadline: float) -> Iterator[Job[T]]:
    waiter: Any = current()
    pending = dict(started)
    ended: deque[tuple[Job[T], Run]] = deque()

    def note(which: tuple[Job[T], Run]) -> None:
        ended.append(which)
        waiter.wake()

    keys = [(run, run.stopped._subscribe(partial(note, (node, run)))) for node, run in started]
    try:
        for _ in started:
            if ended:
                waiter.look()  # a wait all the same: a stop or a pause reaches us here
            else:
                if deadline == FOREVER:
                    refuse_endless(waiter, pending)
                waiter.wait_for(ended, deadline)
            if not ended and monotonic() < deadline:
                raise WorkerCancelled("the wait was stopped")
            if not ended:
                late = ", ".join(node.path for node in pending)
                raise TimeoutError(f"not ended in time: {late}")
            node, run = ended.popleft()
            del pending[node]
            run.await_native_end()
            yield node
    finally:
        for run, key in keys:
            run.stopped._unsubscribe(key)
