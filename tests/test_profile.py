"""One profile over all workers, by yappi and by the interpreter's own means."""

from __future__ import annotations

import importlib.util
import os
import pstats
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import threadtree
from threadtree import (
    Thread,
    Worker,
    WorkerError,
    profile,
    wait_event,
    wait_forever,
)
from threadtree.calltimes import CallTimes

from .helpers import LIMIT, Flag, hectic_switching, in_threads, running
from .programs import run

HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
HAS_YAPPI = HAS_GIL and importlib.util.find_spec("yappi") is not None

needs_yappi = pytest.mark.skipif(not HAS_YAPPI, reason="there is no yappi for this interpreter")


@pytest.fixture(params=[pytest.param("yappi", marks=needs_yappi), "interpreter"])
def profiler(request, monkeypatch):
    """Which profiler the test is run with."""
    if request.param == "interpreter":
        monkeypatch.setattr(profile, "_profiler", lambda clock: CallTimes(profile.CLOCKS[clock]))
    elif sys.getprofile() is not None:
        pytest.skip("another profiler is running")
    return request.param


def fib(number):
    return number if number < 2 else fib(number - 1) + fib(number - 2)


def calls_of(stats, function):
    """How often it was called, with recursion and without."""
    _, _, numbers = found(stats, function)
    return (numbers[1], numbers[0]) if numbers else (0, 0)


def found(stats, function):
    """Its file, its line and its numbers. The profilers give it different names."""
    code = function.__code__
    for (file, line, _), numbers in stats.stats.items():
        if (file, line) == (code.co_filename, code.co_firstlineno):
            return file, line, numbers
    return code.co_filename, code.co_firstlineno, None


def test_one_profile_covers_all_workers_and_knows_each_by_its_path(profiler):
    def parent():
        fib(3)
        Worker(fib, name="child").start(4).join(LIMIT)

    def native():
        fib(2)

    with profile.profile() as result:
        fib(1)
        Worker(parent, name="parent").start().join(LIMIT)
        Thread.run("thread", lambda please_stop: fib(5)).join(LIMIT)
        thread = threading.Thread(target=native, name="native")
        thread.start()
        thread.join(LIMIT)
    counted = {name: calls_of(stats, fib) for name, stats in result.workers.items()}
    assert counted["main"] == (1, 1)
    assert counted["parent"] == (5, 1)
    assert counted["parent/child"] == (9, 1)
    assert counted["main/thread"] == (15, 1)
    assert counted["native"] == (3, 1)
    assert calls_of(result.stats, fib) == (33, 5)


def test_a_worker_that_was_there_before_is_covered_too(profiler):
    if profiler == "interpreter" and sys.version_info < (3, 12):
        pytest.skip("3.11 has no means to reach it")
    waiting, done = Flag(), Flag()

    def work():
        waiting.set()
        wait_event("GO")
        fib(5)
        done.set()
        wait_forever()

    with running(work, name="old") as worker:
        waiting.wait()
        with profile.profile() as result:
            worker.fire("GO")
            done.wait()
    assert calls_of(result.workers["old"], fib) == (15, 1)


def test_runs_of_workers_with_one_path_are_one_entry(profiler):
    with profile.profile() as result:
        for _ in range(3):
            Worker(fib, name="again").start(3).join(LIMIT)
    assert calls_of(result.workers["again"], fib) == (15, 3)


def test_it_says_who_called_whom_and_where_the_time_went(profiler):
    def outer():
        for _ in range(3):
            inner()

    def inner():
        sum(range(20_000))

    with profile.profile("wall") as result:
        Worker(outer).start().join(LIMIT)
    file, line, of_outer = found(result.stats, outer)
    _, _, of_inner = found(result.stats, inner)
    [(caller, (calls, outermost, inside, total))] = of_inner[4].items()
    assert caller[:2] == (file, line)
    assert (calls, outermost) == (3, 3)
    assert of_inner[:2] == (3, 3)
    assert inside == pytest.approx(of_inner[2])
    assert total == pytest.approx(of_inner[3])
    assert 0 < of_inner[2] <= of_outer[3]
    assert of_outer[3] == pytest.approx(of_outer[2] + of_inner[3], rel=0.2)


def test_waiting_counts_by_the_wall_clock_only(profiler):
    pause = 0.1

    def wait():
        threading.Event().wait(pause)

    seconds = {}
    for clock in ("cpu", "wall"):
        with profile.profile(clock) as result:
            Worker(wait, name="waiter").start().join(LIMIT)
        seconds[clock] = result.workers["waiter"].total_tt
    assert seconds["cpu"] < 0.9 * pause < seconds["wall"]


def test_generators_and_errors_leave_nothing_open(profiler):
    def generate(count):
        for number in range(count):
            try:
                yield number
            except KeyError:
                yield -1

    def fail():
        raise ValueError

    def work():
        numbers = generate(3)
        next(numbers)
        assert numbers.throw(KeyError) == -1
        for _ in numbers:
            pass
        for _ in range(5):
            with pytest.raises(ValueError):  # noqa: PT011
                fail()
        fib(2)

    with profile.profile() as result:
        Worker(work).start().get(LIMIT)
    assert calls_of(result.stats, fail) == (5, 5)
    callers = {caller[:2] for caller in found(result.stats, fib)[2][4]}
    assert callers == {found(result.stats, function)[:2] for function in (fib, work)}


def test_the_profile_can_be_saved_for_pstats_and_read_as_a_table(profiler, tmp_path):
    with profile.profile() as result:
        Worker(fib, name="adder").start(10).join(LIMIT)
    result.save(tmp_path / "profile")
    assert calls_of(pstats.Stats(str(tmp_path / "profile")), fib) == (177, 1)
    table = result.table(limit=None)
    assert "  adder\n" in table
    assert "177/1" in table
    assert "(fib)" in table
    assert len(result.table(limit=1).splitlines()) < len(table.splitlines())
    assert "Ordered by: call count" in result.table(sort="ncalls")
    with pytest.raises(ValueError, match="tottime"):
        result.table(sort="speed")


def test_a_profile_of_nothing_is_empty_and_no_error(profiler):
    with profile.profile() as result:
        pass
    assert calls_of(result.stats, fib) == (0, 0)
    assert "worker" in result.table()


def test_there_is_one_profile_at_a_time_and_it_is_there_at_the_end(profiler):
    with profile.profile() as result:
        with pytest.raises(WorkerError, match="already"), profile.profile():
            pass
        with pytest.raises(WorkerError, match="block"):
            _ = result.stats
        Worker(fib).start(2).join(LIMIT)
    assert calls_of(result.stats, fib) == (3, 1)
    with profile.profile() as another:
        pass
    assert calls_of(another.stats, fib) == (0, 0)
    assert sys.getprofile() is None


def test_an_error_in_the_block_ends_the_profile(profiler):
    def fail():
        fib(2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), profile.profile() as result:
        fail()
    assert calls_of(result.stats, fib) == (3, 1)


def test_a_profiler_of_somebody_else_is_left_alone():
    theirs = CallTimes(profile.CLOCKS["cpu"])
    theirs.start()
    try:
        with pytest.raises(WorkerError, match="another profiler"):
            CallTimes(profile.CLOCKS["cpu"]).start()
    finally:
        theirs.stop()


def test_a_clock_that_there_is_not_is_an_error():
    with pytest.raises(ValueError, match="'cpu' or 'wall'"):
        profile.profile("sun")


def test_threads_that_run_on_while_profiles_begin_and_end_do_no_harm(profiler):
    over = Flag()
    rounds = []

    def work():
        while not over.is_set():
            fib(5)

    def measure():
        try:
            for _ in range(5):
                with profile.profile() as result:
                    Worker(fib, name="inner").start(5).join(LIMIT)
                rounds.append(calls_of(result.workers["inner"], fib))
        finally:
            over.set()

    with hectic_switching():
        in_threads(measure, work, work, work)
    assert rounds == [(15, 1)] * 5


# -- programs --------------------------------------------------------------------------------------

PROGRAM = """
import sys
from threadtree import *

def fib(number):
    return number if number < 2 else fib(number - 1) + fib(number - 2)

def work():
    try:
        wait_forever()
    finally:
        fib(5)

Worker(work, name="daemon", daemon=True).start()
Worker(work, parent=current(), name="child").start()
"""


def profiled(program, path, **options):
    """Run a program with the variable set."""
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(threadtree.__file__).parents[1]),
            "THREADTREE_PROFILE": str(path),
        },
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **options,
    )


def test_an_environment_variable_profiles_the_program_to_the_end_of_its_last_worker(tmp_path):
    program = PROGRAM + "import os; os.chdir('/'); sys.exit(3)"
    ended = profiled(program, "here", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", "")
    by_name = {name: n for (_, _, name), n in pstats.Stats(str(tmp_path / "here")).stats.items()}
    assert by_name["fib"][:2] == (2, 30)


def test_processes_that_the_program_starts_do_not_write_over_its_profile(tmp_path):
    child = "import threadtree, os; assert 'THREADTREE_PROFILE' not in os.environ"
    program = f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    ended = profiled(PROGRAM + program, tmp_path / "here")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "fib" in {name for _, _, name in pstats.Stats(str(tmp_path / "here")).stats}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_the_child_of_a_fork_does_not_write_over_the_profile(tmp_path):
    program = """
import os
pid = os.fork()
if not pid:
    fib(3)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
"""
    ended = profiled(PROGRAM + program, tmp_path / "here")
    assert (ended.returncode, ended.stderr) == (0, "")
    by_name = {name: n for (_, _, name), n in pstats.Stats(str(tmp_path / "here")).stats.items()}
    assert by_name["fib"][:2] == (2, 30)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_block_that_a_fork_comes_in_is_empty_in_the_child():
    ended = run(
        """
from threadtree.profile import profile

def busy(please_stop):
    while not please_stop:
        str(1)

thread = Thread.run("busy", busy)
with profile() as result:
    pid = os.fork()
if pid == 0:
    assert result.workers == {}
    with profile() as another:
        Worker(busy, name="child").start(DONE).join()
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
say("main" in result.workers)
thread.stop()
"""
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.lines == ["True"]


def test_a_directory_that_is_missing_is_an_error_at_once(tmp_path):
    ended = profiled(PROGRAM, tmp_path / "missing" / "here")
    assert ended.returncode == 1
    assert "FileNotFoundError: there is no directory" in ended.stderr


def test_without_the_variable_nothing_of_it_is_imported():
    program = PROGRAM + "print([m for m in ('yappi', 'pstats', 'cProfile') if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20
    )
    assert (ended.returncode, ended.stdout) == (0, "[]\n")
