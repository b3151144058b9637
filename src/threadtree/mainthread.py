"""The main thread in charge: asked to end by a signal, it ends its children in order.

Nothing is installed when the library is imported. While :func:`wait_for_shutdown_signal` or a
``with main():`` block is in charge, SIGINT and SIGTERM mean an orderly end; what handled them
before is put back. A second one, while the end goes on, gives up.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from operator import and_
from types import FrameType
from typing import Any, NoReturn

from .errors import INTERRUPTS, Terminated, WorkerError
from .jobs import Job
from .ladder import end_in_order, leave, report
from .node import walk
from .parking import in_main_thread
from .roots import MainThread, is_called_in_a_wait
from .signals import DONE, Signal
from .stragglers import Straggler, find_stragglers
from .threads import Thread

__all__ = ["main", "start_main_thread", "stop_main_thread", "wait_for_shutdown_signal"]


def start_main_thread() -> Job[Any]:
    """Take back a :func:`stop_main_thread`; gives :data:`MainThread`.

    Threads that main starts from now on are not asked to end at once any more. Not needed before.
    (From mo-threads.)
    """
    life = MainThread._life
    life.shut_down = False
    if life.please_stop:
        life.please_stop = Signal("please_stop")
    return MainThread


def stop_main_thread(
    signum: int = 0, frame: FrameType | None = None, silent: bool = False
) -> list[Straggler]:
    """Ask everything below the main thread to end, and wait; gives those that did not.

    ``MainThread.please_stop`` goes, and all Tills that were made there. There is one grace for all
    (see :data:`threadtree.graces`); each parent ends after its children. What runs on is logged,
    unless ``silent``. A wait that this has interrupted ends, too. The first two arguments make it
    a handler for ``signal.signal``; it does not end the process. Any thread. (From mo-threads.)
    """
    MainThread._life.shut_down = True
    MainThread.please_stop.go()
    # What was left already, by a second signal in an inner block, is not waited for again.
    nodes = [n for n in walk([MainThread]) if n is not MainThread and not n._life.left]
    stragglers = end_in_order(nodes)
    if signum or not in_main_thread() or is_called_in_a_wait():
        MainThread.stop()  # ends the wait that we came in, or were faster than
    if not silent:
        report(stragglers)
    return stragglers


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(128 + signum)


@contextmanager
def main() -> Iterator[Job[Any]]:
    """A block at whose end, however that comes, everything below the main thread ends in order.

    Gives :data:`MainThread`. In the block SIGTERM raises SystemExit, as Ctrl-C raises
    KeyboardInterrupt; so the program ends, with exit code 143, and its ``finally:`` blocks run. A
    second signal, while the end goes on, gives up, with a report. The handlers that were there
    before are put back. Raises WorkerError outside of the main thread.

    >>> from threadtree import Thread, main
    >>> def tick(please_stop):
    ...     please_stop.wait()
    ...     print("ended")
    >>> with main():
    ...     _ = Thread.run("clock", tick)
    ended
    """
    with _in_charge():
        try:
            yield MainThread
        finally:
            _stop_in_order()
            start_main_thread()


def wait_for_shutdown_signal(
    please_stop: Signal | bool | None = None,
    allow_exit: bool = False,
    wait_forever: bool = True,
) -> int:
    """Wait until the program is asked to end, then end everything below the main thread in order.

    It is asked by SIGINT (Ctrl-C), by SIGTERM, by :func:`stop_main_thread`, by ``please_stop`` if
    that is a signal, with ``allow_exit`` by a line "exit" on the standard input, and without
    ``wait_forever`` by the end of the last child. Gives the number of the signal of the operating
    system that it was, or 0. A second one, while the end goes on, gives up, with a report.

    Events are handled meanwhile. Raises WorkerError outside of the main thread. (From mo-threads.)
    """
    if not isinstance(please_stop, Signal | bool | None):
        raise TypeError(f"please_stop must be a Signal or None, not {please_stop!r}")
    signum = 0
    with _in_charge():
        try:
            asked, console = MainThread.please_stop | please_stop, None
            if allow_exit:
                from .console import watch_console  # not at the top: few programs have one

                console = Thread.run("console", watch_console, please_stop=asked)
                console.release()
                asked = asked | console.stopped
            _wait_until(asked, wait_forever, console)
        except KeyboardInterrupt:
            signum = signal.SIGINT
        except Terminated:
            signum = signal.SIGTERM
        _stop_in_order()
    return signum


def _wait_until(asked: Signal, wait_forever: bool, console: Thread[Any] | None) -> None:
    while not asked:
        children = [child for child in MainThread._children.copy() if child is not console]
        if not children and not wait_forever:
            return
        all_ended = reduce(and_, (child.stopped for child in children), DONE)
        (asked if wait_forever else asked | all_ended).wait()


@contextmanager
def _in_charge() -> Iterator[None]:
    """Have SIGINT and SIGTERM raise, if they are not ignored; as in a background job they are."""
    if not in_main_thread():
        raise WorkerError("only the main thread can be in charge of the signals of the process")
    handlers: dict[int, Any] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: _terminate,
    }
    before: dict[int, Any] = {}
    try:
        for signum, handler in handlers.items():
            if signal.getsignal(signum) is not signal.SIG_IGN:
                before[signum] = signal.signal(signum, handler)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _stop_in_order() -> None:
    try:
        stop_main_thread()
        if not is_called_in_a_wait():  # which that stop is to end
            MainThread.update()  # one of somebody who did the same must not end a later wait
    except INTERRUPTS:
        report(leave(find_stragglers(list(MainThread._children.copy()))))
        raise
