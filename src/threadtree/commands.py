"""Command: a Process's interface over a shell that is kept, as to begin one takes longest.

A kept shell runs one command at a time, and is idle in between, in ``_idle``; whoever takes it out
of there has it. It gets each command as a line of its input, and marks the end of the output with
a word that no command can guess. Its output goes straight to the queues of the command that has
it. All threads; what comes from the pipes is handled by the thread that carries it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final, Self

from .errors import QueueClosed, WorkerError, WorkerExit
from .forks import after_fork_in_child
from .jobs import Job
from .node import tree
from .pipes import Lines, silent
from .processes import Process, Program, as_words
from .signals import DONE, Signal
from .timers import Timer

__all__ = ["Command"]

IDLE_LIMIT: Final = 30.0  # seconds after which an idle shell is ended

# The shell itself does not heed the SIGTERM that ends what a command has left behind; its subshells
# do, as a trap is not theirs. It ends with its input.
PRELUDE: Final = "trap : TERM"

# The command is one word for eval, so that what it leaves open cannot swallow the lines after it;
# in a subshell, so that it changes nothing for the next; and with an input of its own. The mark
# begins a new line, whether the output has ended with one or not.
END_THE_REST: Final = "kill -TERM 0"
SCRIPT: Final = """\
(eval {line}) </dev/null; code=$?; kill -TERM 0
printf '\\n%s\\n%s\\n' {mark} $code >&2; printf '\\n%s\\n%s\\n' {mark} $code"""


class Command(Program):
    """A line for the shell, which runs in a shell that is kept for the next: faster than a Process.

    It starts when it is made. ``params`` is the line, or a list: a program and its arguments, which
    are quoted. ``cwd`` is its directory, ``env`` its whole environment; None is ours. When
    ``timeout`` seconds are over, it is ended. ``parent_thread`` is who asks it to end, and waits
    for it, by default the current thread or worker.

    Commands with the same directory and environment use the same shells, each by one at a time. No
    command changes anything for the next: it may change its directory and variables, and ``exit``.
    It has no input. ``stdout``, ``stderr``, ``stop`` and ``join`` are those of a :class:`Process`;
    ``returncode`` is as a shell tells it, 128 more than the number of a signal that has ended it.
    When it is asked to end, or its time is over, its shell is ended with it; what it leaves behind
    gets SIGTERM when it ends. A shell that is idle for 30 seconds ends, and so do all at the exit,
    and in :func:`shutdown`.

    Raises at once: FileNotFoundError if there is no such directory, ValueError for a NUL. Not
    available on Windows. (From mo-threads.)

    >>> from threadtree import Command, shutdown
    >>> list(Command("greet", ["echo", "hello"]).join().stdout)
    ['hello']
    >>> Command("fail", "exit 3").join(raise_on_error=False).returncode
    3
    >>> shutdown()
    []
    """

    def __init__(
        self,
        name: str,
        params: str | Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        parent_thread: Job[Any] | None = None,
    ) -> None:
        super().__init__(name, timeout, parent_thread)
        self._line = params if isinstance(params, str) else shlex.join(as_words(params))
        if "\0" in self._line:
            raise ValueError(f"a command cannot contain a NUL character: {self._line!r}")
        self._cwd = os.path.abspath(os.getcwd() if cwd is None else cwd)
        self._env = dict(os.environ) if env is None else _checked(env)
        place = os.stat(self._cwd)  # another directory may have got the name
        self._key = (self._cwd, place.st_dev, place.st_ino, frozenset(self._env.items()))
        super()._start((), {})

    def _execute(self, please_stop: Signal) -> Program:
        try:
            if please_stop:
                raise WorkerExit
            is_cut, is_late = self._see_it_through(please_stop)
            return self._conclude(is_cut, is_late)
        finally:
            self.stdout.close()
            self.stderr.close()

    def _see_it_through(self, please_stop: Signal) -> tuple[bool, bool]:
        """Whether the command was ended, and whether as its time was over."""
        try:
            shell, ended = self._begin_in_a_shell()
        except WorkerError:  # a new one cannot start any more
            if please_stop or tree.closing:  # we are about to be asked to end, too
                raise WorkerExit from None
            raise
        try:
            (ended | shell.stopped | please_stop).wait(self._timeout)
            is_late = not (ended or shell.stopped or please_stop)
            # A shutdown asks the shell as well, and may so end the command before it asks us.
            is_cut = is_late or bool(please_stop | shell.please_stop)
        finally:
            is_given_up = not ended
            if is_given_up:
                shell.stop()
        if is_given_up:
            shell.stopped.wait()
        self._returncode = shell.code
        if not is_given_up:
            shell.end_the_rest()
            _keep(shell)  # from here on, it may be another's
        return is_cut, is_late

    def _begin_in_a_shell(self) -> tuple[_Shell, Signal]:
        while (shell := _take(self._key)) is not None:
            with suppress(QueueClosed):  # it has died meanwhile
                return shell, shell.begin(self._line, self.stdout, self.stderr)
        shell = _Shell(self._key, self._cwd, self._env)
        return shell, shell.begin(self._line, self.stdout, self.stderr)


def _checked(env: Mapping[str, str]) -> dict[str, str]:
    for pair in env.items():
        if not all(isinstance(word, str) for word in pair):
            raise TypeError(f"env must hold strings, not {pair!r}")
    return dict(env)


class _Channel:
    """An output of a shell: what is between the beginning of a command and its mark is given to
    the queue of the command, the rest to nobody."""

    def __init__(self) -> None:
        self.ended = DONE
        self.code: int | None = None  # of the command; written before ended goes
        self._lines: Lines | None = None  # of the present command
        self._ring: Callable[[], object] = silent
        self._mark = ""
        self._is_marked = False
        self._held: list[str] = []  # an empty line: perhaps the one before the mark

    def begin(self, lines: Lines, mark: str) -> Signal:
        """Take the queue of a command, which has not begun. Gives the signal that it has ended."""
        self.ended = Signal("ended")
        self.code = None
        self._mark, self._is_marked, self._held = mark, False, []
        lines.attach(self._ring)
        self._lines = lines
        return self.ended

    def attach(self, ring: Callable[[], object]) -> None:
        self._ring = ring

    def opens_at(self) -> float:
        lines = self._lines
        return 0.0 if lines is None else lines.opens_at()

    def take_in(self, lines: list[str]) -> None:
        if self._lines is None:
            return
        if not self._is_marked:
            lines = self._up_to_the_mark(self._lines, self._held + lines)
        if self._is_marked and lines:
            self._lines.detach(self._ring)
            self._lines = None
            self.code = int(lines[0])
            self.ended.go()

    def _up_to_the_mark(self, queue: Lines, lines: list[str]) -> list[str]:
        """Give what is before the mark; gives what is behind it."""
        self._is_marked = self._mark in lines
        end = lines.index(self._mark) if self._is_marked else len(lines)
        own = end - (end > 0 and lines[end - 1] == "")
        self._held = [] if self._is_marked else lines[own:end]
        queue.take_in(lines[:own])
        return lines[end + 1 :]

    def close(self) -> None:
        lines = self._lines
        if lines is not None:
            lines.take_in(self._held)
            lines.detach(self._ring)


class _Shell(Process):
    """A shell that is kept. It has no parent, as it may outlive who has begun it."""

    def __init__(self, key: Hashable, cwd: str, env: Mapping[str, str]) -> None:
        self.key = key
        self._channels = (_Channel(), _Channel())
        super().__init__(f"shell in {cwd}", ["/bin/sh"], cwd, env)

    def _launch(self) -> None:
        self._parent = None
        self.daemon = True
        self._sinks = self._channels
        for end in (self.please_stop, self.stopped):
            end.then(partial(_forget, self))
        self.stdin.add(PRELUDE)
        super()._launch()

    def _conclude(self, is_cut: bool, is_late: bool) -> Self:
        return self  # whatever its code is, that was for the command to tell

    @property
    def code(self) -> int | None:
        """The code of the last command; that of the shell, if it was ended with it."""
        code = self._channels[0].code
        return self._returncode if code is None else code

    def begin(self, line: str, stdout: Lines, stderr: Lines) -> Signal:
        """Run a line. Gives the signal that it has ended. QueueClosed when the shell has."""
        mark = os.urandom(16).hex()
        out, err = self._channels
        ended = out.begin(stdout, mark) & err.begin(stderr, mark)
        self.stdin.add(SCRIPT.format(line=shlex.quote(line), mark=mark))
        return ended

    def end_the_rest(self) -> None:
        """Send the SIGTERM once more: a subshell may have got it in the moment in which it made a
        process, which then never did."""
        with suppress(QueueClosed):
            self.stdin.add(END_THE_REST)


# The shells that nobody has, and what ends them in time. Single operations only: who takes one out
# has it.
_idle: Final[dict[_Shell, Timer]] = {}
after_fork_in_child(_idle.clear)


def _take(key: Hashable) -> _Shell | None:
    """An idle shell, which is the caller's now: the newest, so that the others' time is over."""
    for shell in reversed(list(_idle.copy())):
        if shell.key == key:
            timer = _idle.pop(shell, None)
            if timer is not None:
                timer.cancel()
                return shell
    return None


def _keep(shell: _Shell) -> None:
    """Nobody has the shell any more."""
    timer = _idle[shell] = Timer(monotonic() + IDLE_LIMIT, partial(_retire, shell))
    if monotonic() >= timer.deadline:  # it may have come before the shell was there
        _retire(shell)
    if shell.please_stop or shell.stopped:  # those who ask look for it here afterwards
        _forget(shell)


def _retire(shell: _Shell) -> None:
    """Its time is over."""
    if _idle.pop(shell, None) is not None:
        shell.stop()


def _forget(shell: _Shell) -> None:
    """It is about to end, or has ended."""
    timer = _idle.pop(shell, None)
    if timer is not None:
        timer.cancel()
