"""Every test runs under a leak check: no thread, worker or timer may outlive it.

Nothing here polls. A thread that is about to end is joined; one that is not is a leak.
"""

from __future__ import annotations

import compileall
import faulthandler
import gc
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import threadtree
from threadtree import laters, node, outcomes, signals, timers

JOIN_LIMIT = 5.0  # seconds until a thread that should be ending counts as leaked
EXIT_LIMIT = 60  # seconds until an exit that a leaked thread holds up is cut short


def pytest_configure() -> None:
    # A shell begins background jobs with Ctrl-C ignored, which our programs would inherit.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Where no bytecode is written, each program of a test would compile the library: 0.1 s each.
    compileall.compile_dir(Path(threadtree.__file__).parent, quiet=2)


def pytest_unconfigure() -> None:
    faulthandler.dump_traceback_later(EXIT_LIMIT, exit=True, file=sys.__stderr__)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what the collection made out of every later search for garbage: 27 ms a test."""
    gc.collect()
    gc.freeze()


def _can_end(thread: threading.Thread) -> bool:
    """Whether it ever began, and the interpreter will notice when it ends.

    It forgets to take a thread off its list when Ctrl-C comes just before it begins it; and a
    dummy, which stands for a thread that it has not begun itself, stays there for good.
    """
    return bool(thread.ident) and not isinstance(thread, threading._DummyThread)


def _is_timer_thread(thread: threading.Thread) -> bool:
    return thread.name == "threadtree-timers"


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    main = threadtree.current()
    # What a test left behind for the main thread to handle is not the next test's business.
    main._life.paused = False
    main.update()
    queued = main.backlog
    main._mailbox.queue.clear()
    leaked = [worker.path for worker in node.tree.live.copy() if worker is not main]
    pending = [handle.path for handle in laters._pending.copy()]
    new_threads = {thread for thread in threading.enumerate() if _can_end(thread)} - before
    for thread in new_threads:
        if not _is_timer_thread(thread):
            thread._started.wait(JOIN_LIMIT)  # if Ctrl-C came when it was about to begin
            thread.join(JOIN_LIMIT)
    alive = [t for t in new_threads if t.is_alive() and not _is_timer_thread(t)]
    listening = dict(main.listeners)
    main.listeners.clear()
    if outcomes._unseen:  # what only a cycle still holds is logged as it goes, and nobody's fault
        gc.collect()
    unseen = list(outcomes._unseen.copy())
    closing = dict(node.tree.closing)
    node.tree.closing.clear()
    if leaked or pending:  # do not let one test's leak fail all that follow
        threadtree.shutdown(grace=0)
        main.stop().update()
        for handle in laters._pending.copy():
            handle.stop()
    assert not leaked, f"workers still run: {leaked}"
    assert not pending, f"later() handles are pending: {pending}"
    assert not closing, f"nothing can start any more: {closing}"
    assert not alive, f"threads still run: {alive}"
    assert not queued, f"events are queued for the main worker: {queued}"
    assert not listening, f"listeners of the main worker are left: {listening}"
    assert not unseen, "an error was left that nobody has looked at"
    assert not main.children, f"children of main are left: {main.children}"
    depths = (signals._here.at[0], main._life.depth)
    assert depths == (0, 0), f"the depth of what calls itself is wrong in main: {depths}"
    heap = timers._thread_of_timers._heap.copy()
    armed = [timer for *_, timer in heap if timer.pending]
    for timer in armed:
        timer.cancel()
    assert not armed, f"timers are armed: {armed}"
