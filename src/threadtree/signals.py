"""Signals: facts that become true once, and wake whoever waits for them.

A :class:`Signal` starts as not-a-go; :meth:`Signal.go` makes it a go for ever. No method takes a
lock, so every one may be called from any thread, from a signal handler, from ``__del__`` and from
a weakref callback. What makes that exact is one protocol, used throughout: the one side *puts*
(a callback, a dependent) and then looks whether the signal went; the other side lets the signal
go and then looks what was put. Whatever the interleaving, at least one of them sees the other,
and taking a callback out of its dict is the atomic step that decides which of them runs it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterable
from functools import partial
from itertools import repeat
from operator import call
from types import FrameType
from typing import Any, Final, TypeAlias
from weakref import ref

from . import forks, journal
from .errors import INTERRUPTS
from .parking import FOREVER, current_waiter, deadline_after

__all__ = ["DONE", "NEVER", "Derived", "Signal", "limits"]


Job: TypeAlias = "Callable[[], object]"


# How many signals go within one another, each in a callback of the one before. The next one leaves
# its callbacks to the last of them: a chain of thousands must not end at the interpreter's limit.
_DEEPEST: Final = 20


class _Here(threading.local):
    """Only the thread itself reads and writes it."""

    # How deep, and what the last one that calls callbacks has reached. In one step: a signal
    # handler or a finalizer may let a signal go anywhere in between.
    at: tuple[int, list[Signal]] = (0, [])


_here: Final = _Here()


def _depth_in_the_stack() -> int:
    """What the depth in ``_here`` should be. Two Ctrl-C in a row may have left it too high."""
    frame: FrameType | None = sys._getframe(2)
    depth = 0
    while frame is not None:
        depth += frame.f_code is Signal.go.__code__
        frame = frame.f_back
    return min(depth, _DEEPEST)


def _nothing() -> None:
    """Stands in for a callback that another thread has taken."""


class Signal:
    """A fact that becomes true once and stays true; any thread can wait for it.

    ``name`` is for people who read a log. A signal is false until :meth:`go`, true from then on.
    ``a | b`` is a signal that goes with the first of the two, ``a & b`` one that goes with the
    second; None and False count as "never" there, True as "already". ``await signal`` waits
    without blocking the asyncio loop. (From mo-threads.)

    >>> ready = Signal("ready")
    >>> _ = ready.then(lambda: print("here we go"))
    >>> bool(ready)
    False
    >>> _ = ready.go()
    here we go
    >>> ready.wait()
    True
    """

    __slots__ = ("__weakref__", "_dependents", "_go", "_jobs", "name")

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._go = False
        # Both dicts are only touched by single atomic operations, and read through .copy().
        self._jobs: dict[object, Job] = {}
        self._dependents: dict[int, _Composite | ref[_Composite]] = {}

    def __bool__(self) -> bool:
        return self._go

    def __repr__(self) -> str:
        return f"<Signal {self.name or hex(id(self))}: {'go' if self._go else 'not yet'}>"

    # -- going ---------------------------------------------------------------------------------

    def go(self) -> Signal:
        """Make the signal true, wake its waiters and run its callbacks, in this thread.

        Further calls do nothing. Returns self. Safe in any thread, signal handler or finalizer.
        A callback that raises does not keep the others from running: its error is logged; a
        KeyboardInterrupt is raised again after the last.
        """
        before, reached = _here.at, [self]
        if before[0] == _DEEPEST:
            before = _here.at = _depth_in_the_stack(), before[1]
        failures: list[BaseException] = []
        interrupt: BaseException | None = None
        while True:
            # Ctrl-C may come anywhere in here. Every step can be taken twice, so start again.
            try:
                self._go = True
                if interrupt is not None:
                    _here.at = before
                if len(reached) == 1 and not self._jobs and not self._dependents:
                    break
                if before[0] == _DEEPEST:
                    before[1].append(self)
                    break
                _here.at = before[0] + 1, reached
                for signal in reached:  # grows as it is walked: no recursion in a long chain
                    signal._spread(reached)
                for signal in reached:  # grows, too
                    if signal._dependents:  # it was left to us by a callback
                        signal._spread(reached)
                    signal._run_jobs(failures)
                _here.at = before
                if before[0] == _DEEPEST - 1:
                    for signal in reached:  # one may have been left to us just before that
                        signal._spread(reached)
                        signal._run_jobs(failures)
                break
            except INTERRUPTS as error:
                interrupt = error
        for failure in failures:
            journal.error("A callback of %r raised", self, exc_info=failure)
        if interrupt is not None:
            raise interrupt
        return self

    def _spread(self, reached: list[Signal]) -> None:
        """Let the dependents go that now can, and forget all of them: we go only once."""
        for key, link in self._dependents.copy().items():
            dependent = link() if isinstance(link, ref) else link
            if dependent is not None and dependent._ready():
                dependent._go = True
                reached.append(dependent)
                dependent._detach()
            self._dependents.pop(key, None)

    def _run_jobs(self, failures: list[BaseException]) -> None:
        jobs = self._jobs
        while jobs:
            # Taking a callback and calling it is one step in C: Ctrl-C cannot come between, so
            # what was taken was called.
            calls = map(call, map(jobs.pop, jobs.copy(), repeat(_nothing)))
            try:
                for _ in calls:
                    pass
            except INTERRUPTS:
                raise
            except BaseException as error:
                failures.append(error)

    # -- callbacks -----------------------------------------------------------------------------

    def then(self, callback: Job) -> Signal:
        """Run ``callback()`` once the signal goes, in the thread that lets it go; now if it has.

        Returns self. Raises TypeError for what cannot be called. An error in the callback is
        logged. The callback keeps the signal alive, also one made by ``|`` or ``&``.
        """
        if not callable(callback):
            raise TypeError(f"then() needs something callable, not {callback!r}")
        self._subscribe(callback)
        return self

    def remove_then(self, callback: Job) -> None:
        """Take back one ``then(callback)``; nothing happens if it has run or never was."""
        for key, job in self._jobs.copy().items():
            if job == callback:
                self._unsubscribe(key)
                return

    def _subscribe(self, job: Job) -> object:
        """Like then(), but gives the key with which to take it back at once."""
        key = object()
        self._jobs[key] = job
        if self._go:
            self.go()
        return key

    def _unsubscribe(self, key: object) -> None:
        self._jobs.pop(key, None)

    # -- waiting -------------------------------------------------------------------------------

    def wait(self, till: Signal | float | None = None) -> bool:
        """Block until the signal goes, or ``till`` (another signal, or seconds) comes first.

        Returns whether the signal itself is a go. In a worker, its events are handled meanwhile,
        and a stop raises :class:`WorkerExit`. Any thread.
        """
        waiter = current_waiter()
        deadline, other = limits(till)
        either = self | other
        key = either._add_wake(waiter.wake)
        try:
            waiter.wait_for(either, deadline)
        finally:
            either._drop_wake(key)
            if either is not self and either is not other:
                either._detach()  # our own composite, of which nobody knows
        return bool(self)

    def _add_wake(self, wake: Job) -> object:
        """Have a waiter woken that keeps the signal alive by itself."""
        return Signal._subscribe(self, wake)

    def _drop_wake(self, key: object) -> None:
        self._jobs.pop(key, None)

    def _detach(self) -> None:
        """Need no other signal any more."""

    def _be_watched(self) -> None:
        """A composite looks at us from now on, and wants to be told when we go."""

    def __await__(self) -> Generator[Any, None, bool]:
        return self._wait_in_asyncio().__await__()

    async def _wait_in_asyncio(self) -> bool:
        import asyncio

        loop = asyncio.get_running_loop()
        went = loop.create_future()

        def tell() -> None:
            if not went.done():
                went.set_result(True)

        key = self._subscribe(partial(loop.call_soon_threadsafe, tell))
        try:
            await went
        finally:
            self._unsubscribe(key)
        return True

    # -- combining -----------------------------------------------------------------------------

    def __or__(self, other: Signal | bool | None) -> Signal:
        other = _as_signal(other)
        if other is NotImplemented:
            return NotImplemented
        if self is DONE or other is DONE:
            return DONE
        if other is NEVER or other is self:
            return self
        return other if self is NEVER else _Composite((self, other), any, "|")

    def __and__(self, other: Signal | bool | None) -> Signal:
        other = _as_signal(other)
        if other is NotImplemented:
            return NotImplemented
        if self is NEVER or other is NEVER:
            return NEVER
        if other is DONE or other is self:
            return self
        return other if self is DONE else _Composite((self, other), all, "&")

    __ror__ = __or__
    __rand__ = __and__


def _as_signal(operand: Signal | bool | None) -> Signal:
    if isinstance(operand, Signal):
        return operand
    if operand is None or operand is False:
        return NEVER
    return DONE if operand is True else NotImplemented


class Derived(Signal):
    """A signal that goes with something else: its sources, that know it weakly, if nobody needs it.

    Weakly, so that those which are made with a long-lived source, and dropped, leave nothing
    behind. But a callback must run although nobody holds the signal: :meth:`_anchor` has the
    sources hold it strongly, and theirs, up to the plain signals; :meth:`_loosen` undoes that
    when the last callback was taken away.
    """

    __slots__ = ()

    def go(self) -> Signal:
        super().go()
        self._detach()
        return self

    def _tie(self, strongly: bool) -> Iterable[Derived]:
        """Have the sources hold us so. Gives those of them for which that is news."""
        raise NotImplementedError

    def _subscribe(self, job: Job) -> object:
        key = super()._subscribe(job)
        self._anchor()
        return key

    def _unsubscribe(self, key: object) -> None:
        super()._unsubscribe(key)
        self._loosen()

    def _needed(self) -> bool:
        return bool(self._jobs) or any(
            not isinstance(link, ref) for link in self._dependents.copy().values()
        )

    def _anchor(self) -> None:
        pending = [self]
        while pending:
            signal = pending.pop()
            pending.extend(signal._tie(strongly=True))
            if not signal._needed():  # what it was needed for went while we anchored
                signal._loosen()

    def _loosen(self) -> None:
        pending = [self]
        while pending:
            signal = pending.pop()
            if signal._needed():
                continue
            pending.extend(signal._tie(strongly=False))
            if signal._needed():  # somebody began to rely on it while we loosened
                signal._anchor()


class _Composite(Derived):
    """What ``|`` and ``&`` give."""

    __slots__ = ("_rule", "_sources", "_symbol")

    def __init__(
        self, sources: tuple[Signal, Signal], rule: Callable[[Iterable[object]], bool], symbol: str
    ) -> None:
        super().__init__()
        self._sources: tuple[Signal, ...] = sources
        self._rule = rule
        self._symbol = symbol
        for source in sources:
            self._link(source, self._weak_link(source))

    def __repr__(self) -> str:
        # Sources are named, not nested: a chain may be thousands long.
        names = f" {self._symbol} ".join(s.name or "..." for s in self._sources) or "..."
        return f"<Signal ({names}): {'go' if self._go else 'not yet'}>"

    def _ready(self) -> bool:
        return self._go or self._rule(self._sources)

    def _add_wake(self, wake: Job) -> object:
        key = super()._add_wake(wake)
        if forks.count:
            self._watch_again()
        return key

    def _watch_again(self) -> None:
        """We may have been made before a fork; what our sources need is in the other process."""
        seen: dict[int, Signal] = {id(self): self}
        for signal in (pending := [self]):
            for source in signal._sources:
                source._be_watched()
                if isinstance(source, _Composite) and id(source) not in seen:
                    seen[id(source)] = source
                    pending.append(source)

    def _detach(self) -> None:
        # Only when we are a go, or nobody knows us.
        sources, self._sources = self._sources, ()
        for source in sources:
            source._dependents.pop(id(self), None)
            if isinstance(source, Derived):
                source._loosen()  # we may have been all that it was needed for

    def _tie(self, strongly: bool) -> Iterable[Derived]:
        for source in self._sources:
            if strongly and source._dependents.get(id(self)) is self:
                continue
            self._link(source, self if strongly else self._weak_link(source))
            if isinstance(source, Derived):
                yield source

    def _weak_link(self, source: Signal) -> ref[_Composite]:
        # At our collection, the link takes itself out of the source's dict: as a callback in C,
        # which Ctrl-C cannot enter, and without the dangers of __del__.
        return ref(self, partial(source._dependents.pop, id(self)))

    def _link(self, source: Signal, link: _Composite | ref[_Composite]) -> None:
        """Have ``source`` know us by this link, unless that has become needless meanwhile."""
        source._dependents[id(self)] = link
        source._be_watched()
        if self._go or source:
            source._dependents.pop(id(self), None)
            # The source may have gone before the link stood, and so without us.
            if not self._go and self._ready():
                self.go()


class _Never(Signal):
    """The signal that does not go. It keeps no callback, as none would ever run."""

    __slots__ = ()

    def go(self) -> Signal:
        raise RuntimeError("NEVER is the signal that does not go; make a Signal() of your own")

    def _subscribe(self, job: Job) -> object:
        return None


DONE: Final[Signal] = Signal("DONE").go()
"""The signal that is a go already."""

NEVER: Final[Signal] = _Never("NEVER")
"""The signal that never goes."""


def limits(till: Signal | float | None) -> tuple[float, Signal]:
    """What may end a wait early, given as a signal or in seconds: a deadline, and a signal."""
    if till is None:
        return FOREVER, NEVER
    if isinstance(till, Signal):
        return FOREVER, till
    return deadline_after(till, "till must be a Signal,"), NEVER
