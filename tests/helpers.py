"""What several test modules need. No helper sleeps or polls."""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from threadtree import ProgressChanged, StateChanged, Worker

LIMIT = 10.0  # seconds: no wait of a test that passes comes near it
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def described(parameter: object) -> str:
    """The id of a test's parameter: the same in each run, so that it can be asked for again."""
    return re.sub(r" at 0x[0-9a-fA-F]+|, started \d+", "", str(parameter))


class Flag(threading.Event):
    """An event whose wait fails the test instead of returning False."""

    def wait(self, timeout: float | None = LIMIT) -> bool:
        assert super().wait(timeout), "what the test waits for has not happened"
        return True


@contextmanager
def running(task: Callable[..., Any] | None = None, **options: Any) -> Iterator[Worker[Any]]:
    """A worker that is stopped and joined at the end, whatever happened to it."""
    worker = Worker(task, **options).start()
    try:
        yield worker
    finally:
        worker.stop().join(LIMIT)


class Sink:
    """A node of tasks that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def post_message(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def states(self) -> list[Any]:
        return [m.state for m in self.messages if isinstance(m, StateChanged)]

    @property
    def progress(self) -> list[int]:
        return [m.completed_steps for m in self.messages if isinstance(m, ProgressChanged)]


def in_threads(*functions: Callable[[], object]) -> None:
    """Call the functions in native threads that all set off at once; raise what one raises."""
    barrier = threading.Barrier(len(functions))
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        try:
            barrier.wait(LIMIT)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(f,), daemon=True) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a thread of the test hangs"
    if errors:
        raise errors[0]


@contextmanager
def hectic_switching() -> Iterator[None]:
    """Let threads switch after every microsecond, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_a_wait(*workers: Any) -> None:
    """Return when each of these is in a wait that handles events, and has handled what it had.

    The first callback may be handled on the way into a wait; the second one comes later.
    """
    for worker in workers:
        for _ in range(2):
            handled = Flag()
            worker.later(handled.set)
            handled.wait()
