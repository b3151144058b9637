"""Process: a program of the operating system as a node of the tree.

A thread begins the program, waits for its end, and ends it and its whole process group when it is
asked to; it alone sends signals. Two threads below it wait for the end of the program, in the
system call that nothing but that end can end; and carry its lines (see ``pipes.py``). The program
is not reaped before that: as long as it is not, no other process can get its number, and so no
signal can reach a stranger.
"""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, Final, Self

from . import journal
from .errors import ProcessFailed, WorkerError, WorkerExit
from .graces import graces
from .jobs import Job
from .loop import EventLoop
from .parking import FOREVER, PlainWaiter, seconds
from .pipes import Feed, Lines, Pump, Sink
from .run import Run
from .signals import NEVER, Signal, limits
from .threads import Thread

if TYPE_CHECKING:
    import subprocess

__all__ = ["Process", "Program", "as_words"]


# When we look whether the rest of a process group has gone, in seconds after the look before:
# nobody tells us. After the last, which is the grace, it is killed.
_LOOKS: Final = (0.01, 0.1)


class Program(Thread["Program"]):
    """What a :class:`Process` and a :class:`Command` share: output, an end, and a code."""

    # Its children carry its last lines, so they are not asked with it but when it has ended.
    _passes_the_word_on = False

    def __init__(self, name: str, timeout: float | None, parent_thread: Job[Any] | None) -> None:
        if os.name == "nt":
            raise NotImplementedError("a Process, and a Command, need the process groups of POSIX")
        super().__init__(name, self._execute, parent_thread=parent_thread)
        self._timeout = seconds(timeout)
        self._returncode: int | None = None  # written by our thread, once
        self._waiting: dict[object, threading.Thread] = {}  # single operations only
        self.stdout = Lines(f"stdout of {name}", self._waiting, self.please_stop)
        """What it writes to its standard output: a Queue of lines, closed at the end."""
        self.stderr = Lines(f"stderr of {name}", self._waiting, self.please_stop)
        """What it writes to its standard error: a Queue of lines, closed at the end."""

    @property
    def returncode(self) -> int | None:
        """The code it has ended with, minus the number of a signal that has ended it; None before.

        To look here after the end counts as having seen that it failed.
        """
        outcome = self._life.outcome
        if outcome is not None:
            outcome.look()
        return self._returncode

    @classmethod
    def run(cls, name: str, *args: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Make one, which starts it. The arguments are those of the class."""
        return cls(name, *args, **kwargs)

    def start(self) -> Self:
        """Nothing: it was started when it was made. Returns self. WorkerError when it has ended."""
        if self._life.ended:
            raise WorkerError(f"{self.path} has ended, and runs only once; make another")
        return self

    def join(self, till: Signal | float | None = None, raise_on_error: bool = True) -> Self:
        """Wait for the end, handling events meanwhile. Returns self.

        Raises ProcessFailed if the code is not 0, or the ``timeout`` was over, and WorkerCancelled
        if it was asked to end and so has not ended well; neither without ``raise_on_error``.
        TimeoutError when ``till`` comes first (a signal, or a number of seconds). Output that no
        thread reads does not hold it up: see :class:`Process`. Any thread.
        """
        outcome = self._outcome_by(*limits(till))
        assert outcome is not None
        error = outcome.look()
        if raise_on_error or not (error is None or isinstance(error, ProcessFailed)):
            outcome.get()
        return self

    def __enter__(self) -> Self:
        return self

    def _execute(self, please_stop: Signal) -> Program:
        raise NotImplementedError

    def _conclude(self, is_cut: bool, is_late: bool) -> Self:
        """The outcome: asked to end, or out of time, before it had ended."""
        code, tail = self._returncode, list(self.stderr.tail)
        for lines in (self.stdout, self.stderr):
            if lines.dropped and not is_cut:
                message = "Nobody has read the %s: its oldest %d lines have made room for newer"
                journal.warning(message, lines.name, lines.dropped)
        if is_late:
            late = TimeoutError(f"{self.path} has run for more than {self._timeout:g} seconds")
            raise ProcessFailed(f"{self.path} was ended: its time was over", code, tail) from late
        if code == 0:
            return self
        if is_cut:
            raise WorkerExit
        raise ProcessFailed(f"{self.path} has failed: {_meaning(code)}", code, tail)

    # -- who waits for the end reads nothing meanwhile -------------------------------------------

    def _loop_until_end(
        self, run: Run, waiter: EventLoop, deadline: float, till: Signal = NEVER
    ) -> bool:
        with _Waiting(self):
            return super()._loop_until_end(run, waiter, deadline, till)

    async def _get_in_asyncio(self, run: Run) -> Any:
        with _Waiting(self):
            return await super()._get_in_asyncio(run)


class _Waiting:
    """That a thread waits for the end of a program."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __enter__(self) -> None:
        self._program._waiting[self] = threading.current_thread()
        self._tell()

    def __exit__(self, *error: object) -> None:
        self._program._waiting.pop(self, None)
        self._tell()

    def _tell(self) -> None:
        for lines in (self._program.stdout, self._program.stderr):
            lines.look_again()


def _meaning(code: int | None) -> str:
    if code is None or code >= 0:
        return f"it returned {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


class Process(Program):
    """A program that runs beside this one, and is ended in order, like a thread.

    It starts when it is made. ``params`` is a list, the program and its arguments, or one string;
    with ``shell``, the shell runs it. ``cwd`` is its directory, ``env`` its whole environment; None
    is ours. When ``timeout`` seconds are over, it is ended. ``parent_thread`` is who asks it to
    end, and waits for it, by default the current thread or worker.

    ``stdout`` and ``stderr`` are queues of what it writes, line by line, without the newlines.
    What is no UTF-8 is replaced; a line of more than a million characters comes in parts. Each
    holds 10,000 lines, then the program has to wait until somebody takes some. But while somebody
    joins it, and no other thread has begun to read, or it is asked to end, the oldest lines make
    room for newer ones, and the log is told. ``stdin`` is a queue of the lines it reads; close that
    to end its input.

    Asked to end, by :meth:`stop` or by its parent, it has its input closed and gets SIGTERM, and so
    does its whole process group; after ``graces.told`` SIGKILL. When the program has ended, what
    it has left behind in its group may write on for that long, if it writes to our pipes, and is
    then ended in the same way. To outlive this, a program makes a group of its own, as daemons do.

    Raises what ``subprocess.Popen`` raises, at once. On Windows, it is not available.
    (From mo-threads.)

    >>> from threadtree import Process
    >>> sort = Process("sort", ["sort"])
    >>> sort.stdin.extend(["pears", "apples"]).close()
    <Feed stdin of sort: ...>
    >>> list(sort.join().stdout)
    ['apples', 'pears']
    """

    def __init__(
        self,
        name: str,
        params: str | Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        shell: bool = False,
        timeout: float | None = None,
        parent_thread: Job[Any] | None = None,
    ) -> None:
        super().__init__(name, timeout, parent_thread)
        self._params: str | list[str] = params if isinstance(params, str) else as_words(params)
        if shell and not isinstance(params, str):  # Popen would give the arguments to the shell
            self._params = shlex.join(self._params)
        self._options = {"cwd": cwd, "env": env, "shell": shell}
        self._pid: int | None = None  # written by our thread, once, like the code
        self._begun = Signal("begun")
        self.stdin = Feed(f"stdin of {name}")
        """What it reads from its standard input: a Queue of lines."""
        self._sinks: tuple[Sink, Sink] = (self.stdout, self.stderr)
        self._launch()

    @property
    def pid(self) -> int | None:
        """The number of the process, and of its group; None if it was ended before it began."""
        return self._pid

    def _launch(self) -> None:
        """Start, and wait until the program has begun; raise why it could not.

        It is our thread that begins it: there, no Ctrl-C can come between the program and the
        promise to end it.
        """
        super()._start((), {})
        try:
            _wait_plainly(self._begun | self.stopped)
        except BaseException:
            self.stop()
            raise
        if not self._begun and self.error is not None:
            self.get()

    # -- our thread ------------------------------------------------------------------------------

    def _execute(self, please_stop: Signal) -> Program:
        if please_stop:
            raise WorkerExit
        group = _Group(self._params, self._options)
        self._pid = group.pid
        try:
            is_cut, is_late = self._see_it_through(group, please_stop)
        finally:  # told, or without a thread: with everything else there is nothing left to end
            self._returncode = group.kill()
        # Raised in here, as an error holds what its frames hold, and so the files of the pump.
        return self._conclude(is_cut, is_late)

    def _see_it_through(self, group: _Group, please_stop: Signal) -> tuple[bool, bool]:
        """Whether the program was ended, and whether as its time was over."""
        pump = Pump(group.pipes, self.stdin, self._sinks, group.exited)
        try:
            pipes = Thread.run("pipes", pump.run, parent_thread=self)
        except BaseException:
            pump.close()
            raise
        group.watcher = Thread.run("exit", group.watch, parent_thread=self)
        self._begun.go()  # not before that: in a shutdown, no thread could start any more
        (group.exited | please_stop).wait(self._timeout)
        is_cut = not group.exited
        is_late = is_cut and not please_stop
        if is_cut:
            self.stdin.close()
            self._end(group)
        self._end_the_rest(group, pump)
        for thread in (pipes.stop(), group.watcher):
            thread.join()
        return is_cut, is_late

    def _end(self, group: _Group) -> None:
        group.signal(signal.SIGTERM)
        if not group.exited.wait(graces.told):
            group.signal(signal.SIGKILL)
            group.exited.wait()

    def _end_the_rest(self, group: _Group, pump: Pump) -> None:
        """The program has ended: now what it has left behind."""
        pump.drained.wait(graces.told)
        group.signal(signal.SIGTERM)
        self._returncode = group.reap()
        for pause in (*_LOOKS, graces.told):
            if not group.is_there():
                return
            self.wait_timeout(pause)
        group.signal(signal.SIGKILL)


def as_words(params: Sequence[str | os.PathLike[str]]) -> list[str]:
    """A program and its arguments, as strings."""
    return [os.fspath(param) for param in params]


class _Group:
    """A program and the processes it makes, which form a group of its number.

    The number is the program's until it is reaped, and the group's as long as that has a member;
    then it is free, and comes round again when all others have been given away. So we look whether
    the group is there at once after the reaping, and no more when it has gone.
    ``watch`` is what the watcher does; the rest is for the thread of the Process.
    """

    def __init__(self, params: Any, options: Mapping[str, Any]) -> None:
        import subprocess  # not at the top: 10 ms, for those who need it

        pipe = subprocess.PIPE
        self._child: subprocess.Popen[bytes] = subprocess.Popen(
            params, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True,
            **options,
        )  # fmt: skip
        self.pid = self._child.pid
        self.exited = Signal("exited")
        self.watcher: Thread[None] | None = None
        self._has_gone = False

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        return child.stdin, child.stdout, child.stderr

    def watch(self, please_stop: Signal) -> None:
        """Wait for the end of the program. That comes: when we are asked to end, it is killed."""
        try:
            if hasattr(os, "waitid"):
                os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            else:  # macOS, before Python 3.13
                self._child.wait()
        except ChildProcessError:
            pass  # somebody else has reaped it
        finally:
            self.exited.go()

    def signal(self, number: int) -> bool:
        """Send a signal to all of them; whether there was anybody."""
        try:
            if not self._has_gone:
                os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            self._has_gone = self._child.returncode is not None
            return False
        return not self._has_gone

    def is_there(self) -> bool:
        """Whether there is anybody, apart from zombies: others are to reap these."""
        return self.signal(0) and _has_living_member(self.pid)

    def reap(self) -> int:
        """The code of the program, which has ended, or was killed."""
        return self._child.wait()

    def kill(self) -> int:
        """End what has not ended, whatever we are told meanwhile; gives the code."""
        self.signal(signal.SIGKILL)
        if self.watcher is not None:
            _wait_plainly(self.exited)
        return self.reap()


def _has_living_member(group: int) -> bool:
    """Whether it has a member that is no zombie; True where that cannot be seen.

    Where no init runs, as in many containers, nobody ever reaps orphans.
    """
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return True
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", "rb") as file:
                state, _, of, *_ = file.read().rpartition(b")")[2].split()
        except (OSError, ValueError):
            continue  # it has gone just now
        if int(of) == group and state not in b"ZX":
            return True
    return not numbers


def _wait_plainly(signal: Signal) -> None:
    """Wait for what is sure to come soon, without handling events, or heeding what we are told."""
    waiter = PlainWaiter()
    key = signal._subscribe(waiter.wake)
    try:
        waiter.wait_for(signal, FOREVER)
    finally:
        signal._unsubscribe(key)
