"""Logging without waiting: every handler does its work in one thread of the library.

:func:`move_off_threads` puts the standard library's QueueHandler in the place of the handlers, and
has a QueueListener call them in a thread of its own. That thread is no worker that anybody ends:
it outlives all of them, and the exit of the program waits for it at the very last. So nothing is
lost that is logged while the program shuts down, after Ctrl-C, or about an error that ended it.
(A process that is killed, or calls ``os._exit()``, loses what was not written yet.)

Each record gets the path of the worker that logged it, and the :func:`fields` of its context.
"""

from __future__ import annotations

import copy
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from logging.handlers import QueueHandler, QueueListener
from queue import Empty, SimpleQueue
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from .errors import WorkerError
from .native import Launch
from .parking import FOREVER, PlainWaiter, Waiter, current_waiter, whereabouts
from .shutdown import epilogues
from .signals import DONE, Signal

__all__ = ["MovedHandlers", "fields", "move_off_threads"]

FORK_WAIT: Final = 1.0  # seconds for which a fork waits for the record that is being written

# Held while a record is written, so that records keep their order, and no fork divides one: the
# child would inherit the locks of the handlers as held, and half a line.
_writing = threading.RLock()

# Those whose handlers are away. Single operations of a dict; read through .copy().
_moved: Final[dict[MovedHandlers, None]] = {}

# Replaced, never changed: a worker's context is a copy that shares it with the parent's.
_fields: Final[ContextVar[Mapping[str, object]]] = ContextVar(
    "threadtree.logs.fields", default=MappingProxyType({})
)

_RESERVED: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "worker"}


def move_off_threads(*loggers: logging.Logger | str) -> MovedHandlers:
    """Have the handlers of these loggers called in a thread of their own, until ``close()``.

    Without arguments, the handlers of every logger that has some: call it once, when logging is
    configured. What logs from then on only formats the message and hands it over. The handlers
    keep their levels, filters and formatters, and each record gets ``worker``, which is the path
    of the worker that logged it, or the name of a thread that has none; and :func:`fields`.

    The handle that is returned puts everything back by :meth:`~MovedHandlers.close`, or at the
    end of a ``with`` block. The exit of the program writes what is left when all workers have
    ended; a second Ctrl-C gives that up. Records that come later still, such as those of ``atexit``
    hooks, and all in the child of a fork, are written where they are logged.

    Raises ValueError if there is no handler to move, TypeError for what is no logger, the
    interpreter's RuntimeError when there are no more threads. Any thread. In a signal handler,
    logging is no safer than the standard library makes it.

    >>> import logging, sys
    >>> from threadtree import Worker, logs
    >>> log = logging.getLogger("shop")
    >>> log.propagate = False
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> form = "%(worker)s, order %(order)s: %(message)s"
    >>> handler.setFormatter(logging.Formatter(form, defaults={"order": "none"}))
    >>> log.addHandler(handler)
    >>> with logs.move_off_threads("shop"), logs.fields(order=42):
    ...     _ = Worker(log.warning, name="packer").start("packed").join()
    packer, order 42: packed
    """
    for logger in loggers:
        if not isinstance(logger, logging.Logger | str):
            raise TypeError(f"expected a logger, or the name of one, not {logger!r}")
    moved = MovedHandlers()
    moved._start(loggers)
    return moved


class MovedHandlers:
    """Handlers of loggers that are called in a thread of their own. From :func:`move_off_threads`.

    Every method may be called from any thread, but not by one of the handlers.
    """

    def __init__(self) -> None:
        self._writer = _Writer()
        # What stands in the place of handlers, and for which logger. Written by who moves them,
        # under logging's lock, then read by who puts them back, under the same.
        self._proxies: list[tuple[logging.Logger, _Proxy]] = []
        self._written = Signal("the logs are written")  # goes when the thread ends
        self._launch = Launch("threadtree-logs", self._write_all)

    def __repr__(self) -> str:
        names = ", ".join(logger.name for logger, _ in self._proxies)
        state = "all is written" if self._written else f"{self.backlog} records to write"
        return f"<MovedHandlers of {names}: {state}>"

    @property
    def backlog(self) -> int:
        """How many records wait to be written."""
        return self._writer.backlog

    def close(self) -> None:
        """Wait until all is written and flushed, and put the handlers back. Twice is once.

        When the wait ends by an exception, such as WorkerExit or KeyboardInterrupt, what is queued
        is written all the same; from then on, who logs writes. Raises WorkerError in a handler.
        """
        if threading.current_thread() is self._launch:
            raise WorkerError("a handler cannot wait until it has written everything itself")
        self._finish(current_waiter())
        self._put_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self, loggers: tuple[logging.Logger | str, ...]) -> None:
        with _lock_of_logging():
            targets = [*map(_logger, loggers)] or list(_all_loggers())
            if not any(map(_movable, targets)):
                raise ValueError(
                    "there is no handler to move: configure logging first, and move once"
                )
        try:
            self._launch.start()
            _moved[self] = None
            epilogues[self] = lambda: self._finish(PlainWaiter())  # main's worker is gone by then
            with _lock_of_logging():
                for logger in targets:
                    self._take_from(logger)
        except BaseException:
            if not self._launch.failed:
                self._writer.enqueue_sentinel()  # Ctrl-C came, and the thread runs
                self._put_back()
            raise

    def _take_from(self, logger: logging.Logger) -> None:
        if handlers := _movable(logger):
            proxy = _Proxy(self._writer, handlers)
            self._proxies.append((logger, proxy))
            # One assignment: who walks the old list meanwhile calls all the handlers in it.
            logger.handlers = [h for h in logger.handlers if h not in handlers] + [proxy]

    def _finish(self, waiter: Waiter) -> None:
        """Have the thread write what is queued, and end."""
        if not self._written:
            self._writer.enqueue_sentinel()
        key = self._written._subscribe(waiter.wake)
        try:
            while not self._written:  # a stop ends a wait of the main thread early
                waiter.wait_for(self._written, FOREVER)
        finally:
            self._written._unsubscribe(key)
        if self._launch.is_alive():
            self._launch.await_end()

    def _write_all(self) -> None:
        """What the thread does, from its first moment to its last."""
        self._writer.write_until_asked()
        for _, proxy in self._proxies:
            proxy.flush_moved()
        _moved.pop(self, None)
        epilogues.pop(self, None)
        self._written.go()

    def _put_back(self) -> None:
        with _lock_of_logging():
            for logger, proxy in self._proxies:
                if proxy in logger.handlers:  # else logging was configured anew
                    place = logger.handlers.index(proxy)
                    before, after = logger.handlers[:place], logger.handlers[place + 1 :]
                    logger.handlers = [*before, *proxy.moved, *after]

    def _after_fork(self) -> None:
        """We are in a child without the thread; what was queued is the parent's to write."""
        self._writer = _Writer()
        self._writer.in_place = True
        for _, proxy in self._proxies:
            proxy.use(self._writer)
        self._written = DONE


class _Proxy(QueueHandler):
    """Stands in the place of a logger's handlers, and has them called elsewhere."""

    def __init__(self, writer: _Writer, moved: tuple[logging.Handler, ...]) -> None:
        super().__init__(writer.queue)
        self.moved = moved
        self.use(writer)

    def use(self, writer: _Writer) -> None:
        """Have the handlers called by this writer."""
        self._writer = writer
        self.queue = writer.queue

    def emit(self, record: logging.LogRecord) -> None:
        if any(record.levelno >= handler.level for handler in self.moved):
            super().emit(record)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The message is formatted here and now, as its arguments may change. The exception stays
        # what it is, unlike in the standard library: nobody pickles it, and handlers look at it.
        record = copy.copy(record)  # other handlers get the original
        record.message = record.msg = record.getMessage()
        record.args = None
        for name, value in (("worker", whereabouts()), *_fields.get().items()):
            vars(record).setdefault(name, value)
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.put_nowait((self.moved, record))
        # Put, then look. Who writes in place sets the flag, then empties the queue. So the record
        # is written by one of the two, and before this thread can log its next.
        if self._writer.in_place:
            self._writer.drain()

    def flush_moved(self) -> None:
        for handler in self.moved:
            with suppress(Exception):  # most likely it was closed
                handler.flush()


class _Writer(QueueListener):
    """Writes what comes through its queue: the handlers to call, and the record."""

    queue: SimpleQueue[Any]

    def __init__(self) -> None:
        # Putting is re-entrant, so a finalizer or signal handler that logs cannot block itself.
        super().__init__(SimpleQueue())
        self.in_place = False  # whether who logs must write; set once, by the thread
        self._owner: int | None = None
        self._asked: list[None] = []  # a mark for each sentinel

    @property
    def backlog(self) -> int:
        """How many records are queued."""
        return max(self.queue.qsize() - len(self._asked), 0)

    def enqueue_sentinel(self) -> None:
        self._asked.append(None)
        super().enqueue_sentinel()

    def handle(self, item: Any) -> None:
        """Call those of the handlers that want the record; an error is theirs to handle."""
        handlers, record = item
        with _writing:
            for handler in handlers:
                if record.levelno < handler.level:
                    continue
                try:
                    handler.handle(record)
                except BaseException:  # such as of a filter: it must not end the thread
                    if threading.get_ident() != self._owner:
                        raise
                    with suppress(Exception):
                        handler.handleError(record)

    def write_until_asked(self) -> None:
        """Write what comes, up to a sentinel. From then on, who logs writes. The thread only."""
        self._owner = threading.get_ident()
        while (item := self.dequeue(True)) is not None:
            self.handle(item)
        self.in_place = True
        self.drain()

    def drain(self) -> None:
        """Write what is queued."""
        with _writing:
            while True:
                try:
                    item = self.queue.get_nowait()
                except Empty:
                    return
                if item is not None:  # the sentinel of a second close()
                    self.handle(item)


# -- extra fields ----------------------------------------------------------------------------------


class _SetFields:
    """Fields that are set from now on, or until the end of the block."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._token: Token[Mapping[str, object]] = _fields.set(
            MappingProxyType({**_fields.get(), **fields})
        )

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _fields.reset(self._token)


def fields(**fields: object) -> _SetFields:
    """Have each record that is logged here carry these fields: here, and in what starts here.

    At once, and until the end of the ``with`` block if this begins one; otherwise as long as the
    context lasts, such as the run of a worker. Fields that were set before stay, unless they have
    the same name. What a worker is started with is copied: it sees the fields of the place where
    it was started, also when these are changed there later. The ``extra`` of a record goes first.

    Only records that go through :func:`move_off_threads` get them. Raises ValueError for a name
    that records have already. Any thread.

    >>> from threadtree import logs
    >>> with logs.fields(order=42, customer="Ada"):
    ...     pass
    """
    if taken := _RESERVED & fields.keys():
        raise ValueError(f"a record has something else of this name: {', '.join(sorted(taken))}")
    return _SetFields(fields)


# -- the loggers -----------------------------------------------------------------------------------


def _lock_of_logging() -> AbstractContextManager[object]:
    """The re-entrant lock that guards the lists of handlers. It has no public name."""
    lock: AbstractContextManager[object] = logging._lock  # type: ignore[attr-defined]
    return lock


def _logger(logger: logging.Logger | str) -> logging.Logger:
    return logging.getLogger(logger) if isinstance(logger, str) else logger


def _all_loggers() -> Iterator[logging.Logger]:
    yield logging.getLogger()
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):  # or it stands for the parent of one
            yield logger


def _movable(logger: logging.Logger) -> tuple[logging.Handler, ...]:
    return tuple(handler for handler in logger.handlers if not isinstance(handler, _Proxy))


# -- fork ------------------------------------------------------------------------------------------


def _before_fork() -> None:
    # Bounded, as the handler may wait for what this thread holds.
    _writing.acquire(timeout=FORK_WAIT)


def _after_fork_in_parent() -> None:
    with suppress(RuntimeError):  # it was not ours: the time was over
        _writing.release()


def _after_fork_in_child() -> None:
    global _writing
    _writing = threading.RLock()
    for moved in _moved.copy():
        moved._after_fork()
    _moved.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
