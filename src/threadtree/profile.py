"""One profile over all workers: where a program with many threads spends its time.

:func:`profile` covers every thread of the process while its block runs, those that were there
before and those that start in it. It uses yappi, which the extra ``threadtree[profile]`` installs.
Where that is missing, as on free-threaded interpreters, the interpreter's own means do the same,
at a higher cost for each call: ``sys.monitoring``, and on Python 3.11 ``sys.setprofile``, which
does not reach threads that ran before the block, but for the one that runs it.

With the environment variable ``THREADTREE_PROFILE`` set to the path of a file, a program is
profiled from its import of threadtree to the end of its last worker, and the profile saved there.
Child processes are not: the first to see the variable takes it out of the environment.
"""

from __future__ import annotations

import io
import os
import pstats
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from time import perf_counter, thread_time
from types import ModuleType, TracebackType
from typing import Any, Final, Literal, Protocol, Self, TypeAlias

from . import journal
from .calltimes import CallTimes, Function, Numbers, Table, name_of_thread
from .errors import WorkerError
from .forks import after_fork_in_child
from .parking import Claim
from .shutdown import epilogues

__all__ = ["Profile", "profile", "profile_program"]


Clock: TypeAlias = Literal["cpu", "wall"]

CLOCKS: Final[dict[str, Callable[[], float]]] = {"cpu": thread_time, "wall": perf_counter}

_running = Claim()  # won by the Profile that is being made: a process has one profiler


def profile(clock: Clock = "cpu") -> Profile:
    """A block in which every thread of the process is profiled. The block gets the profile.

    ``clock`` says what counts: the time that a thread was busy ("cpu"), or also the time that it
    waited ("wall"). yappi measures functions in C on their own; without it, they are a part of the
    Python functions that call them. A call that goes on when the block ends is counted, but
    without its time. In the child of a fork, the profile goes no further, and is empty; another
    that is made there is made without yappi.

    Raises ValueError for another clock, WorkerError if a profile is being made already, by this or
    another profiler. What yappi has measured before is cleared. Any thread.

    >>> from threadtree import Worker
    >>> from threadtree.profile import profile
    >>> def add_up(limit):
    ...     return sum(number for number in range(limit))
    >>> with profile() as result:
    ...     _ = Worker(add_up).start(1000).join()
    >>> "add_up" in result.table(limit=None)
    True
    >>> "add_up" in result.workers  # by the path of the worker
    True
    """
    return Profile(clock)


class Profile:
    """A profile, which is there when its block has ended. From :func:`profile`."""

    def __init__(self, clock: Clock) -> None:
        if clock not in CLOCKS:
            raise ValueError(f"clock must be 'cpu' or 'wall', not {clock!r}")
        self._profiler = _profiler(clock)
        self._workers: dict[str, pstats.Stats] | None = None

    def __enter__(self) -> Self:
        if not _running.take(self):
            raise WorkerError("a profile is being made already, and there can be only one")
        try:
            self._profiler.start()
        except BaseException:
            _running.give_back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._workers is not None:
            return  # we are in the child of a fork
        try:
            self._profiler.stop()
            self._workers = {}
            for name, table in self._profiler.tables():
                self._workers.setdefault(name, pstats.Stats()).add(_stats(table))
        finally:
            _running.give_back()

    @property
    def workers(self) -> dict[str, pstats.Stats]:
        """The profile of each worker by its path, and of each other thread by its name.

        Raises WorkerError while the block runs.
        """
        if self._workers is None:
            raise WorkerError("the profile is there when its block has ended")
        return self._workers

    @property
    def stats(self) -> pstats.Stats:
        """The profile over all workers, made anew at each call; see the module ``pstats``.

        Raises WorkerError while the block runs.
        """
        return pstats.Stats().add(*self.workers.values())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profile over all workers into a file for ``pstats.Stats(path)``, or for
        ``python -m pstats``, and for the viewers that read these."""
        self.stats.dump_stats(path)

    def table(self, limit: int | None = 20, sort: str = "tottime") -> str:
        """The profile as text: the workers, the busiest first, and the functions.

        ``limit`` is for how many lines of each, None for all. ``sort`` is a key of
        ``pstats.Stats.sort_stats()``, such as "tottime" for the time in a function itself,
        "cumtime" for that in what it called too, or "ncalls"; ValueError for another.
        """
        if sort not in pstats.Stats().get_sort_arg_defs():
            raise ValueError(f"sort must be a key of pstats, such as 'tottime', not {sort!r}")
        workers = sorted(
            ((*_totals(stats), name) for name, stats in self.workers.items()), reverse=True
        )
        text = io.StringIO()
        print(f"{'seconds':>10} {'calls':>10}  worker", file=text)
        for seconds, calls, name in workers[:limit]:
            print(f"{seconds:10.3f} {calls:10}  {name}", file=text)
        print(file=text)
        functions = pstats.Stats(stream=text).add(self.stats)
        functions.sort_stats(sort).print_stats(*(() if limit is None else (limit,)))
        return text.getvalue()

    def _after_fork(self) -> None:
        self._profiler.stop()
        _Yappi.is_lost = True
        self._workers = {}
        _running.give_back()


def profile_program(path: str) -> None:
    """Profile the program from now to its end, when all workers have ended, and save that.

    What ``THREADTREE_PROFILE`` asks for. Raises FileNotFoundError at once if the directory of the
    path is missing.
    """
    path = os.path.abspath(path)  # the program may go to another directory
    if not os.path.isdir(os.path.dirname(path)):
        raise FileNotFoundError(f"there is no directory to save the profile of the program: {path}")
    result = profile()

    def finish() -> None:
        result.__exit__(None, None, None)
        try:
            result.save(path)
        except OSError as error:
            journal.error("A profile could not be saved", exc_info=error)

    result.__enter__()
    epilogues[result] = finish


def _after_fork() -> None:
    if isinstance(running := _running.winner, Profile):
        running._after_fork()


after_fork_in_child(_after_fork)


def _stats(table: Table) -> pstats.Stats:
    """As pstats has it, without our own functions."""
    holder: Any = _Holder()
    for function, (*numbers, callers) in table.items():
        if function[0] != __file__:
            kept = {caller: sums for caller, sums in callers.items() if caller[0] != __file__}
            holder.stats[function] = (*numbers, kept)
    return pstats.Stats(holder) if holder.stats else pstats.Stats()


class _Holder:
    """What pstats takes for a profiler."""

    def __init__(self) -> None:
        self.stats: dict[Function, Any] = {}

    def create_stats(self) -> None:
        pass


def _totals(stats: Any) -> tuple[float, int]:
    return stats.total_tt, stats.total_calls


# -- the profilers ---------------------------------------------------------------------------------


class _Profiler(Protocol):
    def start(self) -> None:
        """Begin. Raises WorkerError if there is another profiler."""

    def stop(self) -> None:
        """End, in the child of a fork too."""

    def tables(self) -> Iterator[tuple[str, Table]]:
        """What was measured for each thread. When it was stopped."""


def _profiler(clock: Clock) -> _Profiler:
    """The best there is."""
    # yappi counts on the interpreter's lock: importing it would bring that back.
    if getattr(sys, "_is_gil_enabled", lambda: True)() and not _Yappi.is_lost:
        try:
            return _Yappi(import_module("yappi"), clock)
        except ImportError:
            pass
    return CallTimes(CLOCKS[clock])


class _Yappi:
    # In the child of a fork that came into a profile, where yappi can be stopped, but for a new
    # start would wait for the threads of the parent.
    is_lost = False

    def __init__(self, yappi: ModuleType, clock: Clock) -> None:
        self._yappi: Any = yappi
        self._clock = clock

    def start(self) -> None:
        if self._yappi.is_running():
            raise WorkerError("yappi is running already, and there can be only one profile")
        self._yappi.clear_stats()
        self._yappi.set_clock_type(self._clock)
        self._yappi.set_context_name_callback(name_of_thread)
        # Otherwise the time in functions in C would be nobody's.
        self._yappi.start(builtins=True, profile_threads=True)

    def stop(self) -> None:
        self._yappi.stop()
        self._yappi.set_context_name_callback(None)

    def tables(self) -> Iterator[tuple[str, Table]]:
        for thread in self._yappi.get_thread_stats():
            functions = self._yappi.get_func_stats(filter={"ctx_id": thread.id})
            yield thread.name or f"thread {thread.tid}", self._table(functions)
        self._yappi.clear_stats()

    @staticmethod
    def _table(functions: Any) -> Table:
        # Not by yappi's own conversion: that takes the two counts for each other.
        callers: dict[Function, dict[Function, Numbers]] = defaultdict(dict)
        for f in functions:
            for child in f.children:
                numbers = (child.ncall, child.nactualcall, child.tsub, child.ttot)
                callers[_function(child)][_function(f)] = numbers
        return {
            _function(f): (f.nactualcall, f.ncall, f.tsub, f.ttot, callers[_function(f)])
            for f in functions
        }


def _function(stat: Any) -> Function:
    if stat.builtin:
        return "~", 0, f"<{stat.module}.{stat.name}>"  # as pstats knows them
    return stat.module, stat.lineno, stat.name
