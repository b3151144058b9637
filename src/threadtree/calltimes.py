"""Measuring calls in every thread, by the interpreter's own means: for where there is no yappi.

Each thread writes its own :class:`_Calls`, and nobody else does. Others read what is there when
the profiler was stopped; a call that is just being noted then may still come in, so they copy.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

from .errors import WorkerError
from .native import Launch
from .parking import here

__all__ = ["CallTimes", "Function", "Numbers", "Table", "name_of_thread"]

Function: TypeAlias = tuple[str, int, str]
"""File, line, name: what pstats calls a function."""

Numbers: TypeAlias = tuple[int, int, float, float]

Table: TypeAlias = dict[Function, tuple[int, int, float, float, dict[Function, Numbers]]]
"""As pstats has it: for each function how often it was called without and with recursion, the
seconds in itself, those in what it called, too; and its callers, with the first two swapped."""

_HELPERS: Final = ("threadtree-timers", "threadtree-logs")


def name_of_thread() -> str | None:
    """The path of this thread's worker, or its own name; None while that is not known yet."""
    if here.stack:
        return here.stack[0].path  # type: ignore[no-any-return]
    # Not current_thread(): a thread that has only just begun is not in the list of threads, and
    # would be put there as a dummy.
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
    if thread is None or (isinstance(thread, Launch) and thread.name not in _HELPERS):
        return None
    return str(thread.name)


class _Sums:
    """What is known of the calls of a function, or of those from one of its callers."""

    __slots__ = ("calls", "inside", "outermost", "total")

    def __init__(self) -> None:
        self.calls = 0
        self.outermost = 0  # calls that were not part of another call of it
        self.inside = 0.0  # seconds in the function itself
        self.total = 0.0  # seconds in it and in what it called

    def begin(self, is_outermost: bool) -> None:
        self.calls += 1
        self.outermost += is_outermost

    def end(self, inside: float, total: float, is_outermost: bool) -> None:
        self.inside += inside
        if is_outermost:
            self.total += total


class _Entry(_Sums):
    """A function, as called in one thread."""

    __slots__ = ("callers", "depth", "function")

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.callers: dict[Function, _Sums] = {}
        self.depth = 0  # how many of its calls go on


class _Call:
    """A call that goes on."""

    __slots__ = ("began", "below", "by_caller", "entry")

    def __init__(self, entry: _Entry, by_caller: _Sums | None, began: float) -> None:
        self.entry = entry
        self.by_caller = by_caller
        self.began = began
        self.below = 0.0  # seconds in the calls that it made


class _Calls:
    """The calls in one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.name: str | None = None
        self.entries: dict[Function, _Entry] = {}
        self._clock = clock
        self._stack: list[_Call] = []

    def enter(self, code: CodeType) -> None:
        if self.name is None:
            self.name = name_of_thread()
        function = (code.co_filename, code.co_firstlineno, code.co_qualname)
        entry = self.entries.get(function)
        if entry is None:
            entry = self.entries[function] = _Entry(function)
        is_outermost = not entry.depth
        entry.depth += 1
        entry.begin(is_outermost)
        by_caller = None
        if self._stack:
            caller = self._stack[-1].entry.function
            by_caller = entry.callers.get(caller)
            if by_caller is None:
                by_caller = entry.callers[caller] = _Sums()
            by_caller.begin(is_outermost)
        self._stack.append(_Call(entry, by_caller, self._clock()))

    def leave(self, code: CodeType) -> None:
        now = self._clock()
        function = (code.co_filename, code.co_firstlineno, code.co_qualname)
        # One that was entered before the profile began is not there. One that was left unseen,
        # as an interpreter may let it happen, ends with that which called it.
        if any(call.entry.function == function for call in reversed(self._stack)):
            while self._end_innermost(now) != function:
                pass

    def _end_innermost(self, now: float) -> Function:
        call = self._stack.pop()
        entry = call.entry
        total = now - call.began
        entry.depth -= 1
        entry.end(total - call.below, total, not entry.depth)
        if call.by_caller is not None:
            call.by_caller.end(total - call.below, total, not entry.depth)
        if self._stack:
            self._stack[-1].below += total
        return entry.function

    def table(self) -> Table:
        return {
            function: (e.outermost, e.calls, e.inside, e.total, self._callers(e))
            for function, e in self.entries.copy().items()
        }

    @staticmethod
    def _callers(entry: _Entry) -> dict[Function, Numbers]:
        return {
            caller: (sums.calls, sums.outermost, sums.inside, sums.total)
            for caller, sums in entry.callers.copy().items()
        }


class CallTimes:
    """Measures the calls of Python functions in every thread, from ``start`` to ``stop``.

    On Python 3.11, in those that begin after ``start``, and the one that calls it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._own = threading.local()
        self._threads: list[_Calls] = []  # each thread appends its own

    def _calls(self) -> _Calls:
        try:
            return self._own.calls  # type: ignore[no-any-return]
        except AttributeError:
            calls = self._own.calls = _Calls(self._clock)
            self._threads.append(calls)
            return calls

    def tables(self) -> Iterator[tuple[str, Table]]:
        """What was measured, for each thread by its name. After ``stop``."""
        for calls in self._threads:
            yield calls.name or "a thread that has just begun", calls.table()

    if sys.version_info >= (3, 12):

        def start(self) -> None:
            """Begin. Raises WorkerError if there is another profiler."""
            monitoring = sys.monitoring
            try:
                monitoring.use_tool_id(monitoring.PROFILER_ID, "threadtree")
            except ValueError:
                raise WorkerError(
                    "another profiler is running, and there can be only one"
                ) from None
            for event, callback in self._callbacks().items():
                monitoring.register_callback(monitoring.PROFILER_ID, event, callback)
            monitoring.set_events(monitoring.PROFILER_ID, sum(self._callbacks()))

        def stop(self) -> None:
            """End."""
            monitoring = sys.monitoring
            monitoring.set_events(monitoring.PROFILER_ID, 0)
            for event in self._callbacks():
                monitoring.register_callback(monitoring.PROFILER_ID, event, None)
            monitoring.free_tool_id(monitoring.PROFILER_ID)

        def _callbacks(self) -> dict[int, Callable[..., object]]:
            events = sys.monitoring.events
            enter = (events.PY_START, events.PY_RESUME, events.PY_THROW)
            leave = (events.PY_RETURN, events.PY_YIELD, events.PY_UNWIND)
            return {**dict.fromkeys(enter, self._enter), **dict.fromkeys(leave, self._leave)}

        def _enter(self, code: CodeType, *_: object) -> None:
            self._calls().enter(code)

        def _leave(self, code: CodeType, *_: object) -> None:
            self._calls().leave(code)

    else:
        _is_on = False

        def start(self) -> None:
            """Begin. Raises WorkerError if there is another profiler."""
            if sys.getprofile() or threading.getprofile():
                raise WorkerError("another profiler is running, and there can be only one")
            self._is_on = True
            threading.setprofile(self._note)
            sys.setprofile(self._note)

        def stop(self) -> None:
            """End."""
            self._is_on = False  # each other thread stops at its next call
            threading.setprofile(None)
            sys.setprofile(None)

        def _note(self, frame: FrameType, event: str, _: Any) -> None:
            if not self._is_on:
                sys.setprofile(None)
            elif event == "call":
                self._calls().enter(frame.f_code)
            elif event == "return":
                self._calls().leave(frame.f_code)
