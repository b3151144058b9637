"""The event loop: a node with a mailbox and listeners, and the one wait behind all its waits.

Whatever a worker's thread waits for, it waits in :meth:`EventLoop._loop`, which dispatches events
meanwhile, or in :meth:`EventLoop._rest`, which does not. So a stop, a pause and the end of the
grace reach it in every wait. Only the thread that owns the run may call them; ``_post``, ``wake``
and the listener table are for everyone.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final, NoReturn

from .addressee import Addressee
from .errors import WorkerError, WorkerExit
from .events import Event, Listener
from .node import Node
from .parking import FOREVER, Condition, in_main_thread
from .run import Run, StopEvent
from .waits import Wait

__all__ = ["AT_ONCE", "NOTHING", "EventLoop"]


class _Resumed:
    """The condition that a run is not paused."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    def __bool__(self) -> bool:
        return not self._run.paused


# Conditions without a call: the one that is never true, and the one that always is.
NOTHING: Final[Condition] = ()
AT_ONCE: Final[Condition] = True

# A listener that waits is entered again, by its own wait, for the next event. So many of them
# within one another, a wait that can do without our events leaves them queued; of twice as many,
# the others are refused. At some 100, the interpreter's own limit would cut them short anywhere.
_DEEP: Final = 24
_DEEPEST: Final = 2 * _DEEP


class EventLoop(Addressee):
    """An addressee that waits in a loop which dispatches its events."""

    # -- waiting; for the owner ----------------------------------------------------------------

    def _own_run(self) -> Run:
        run = self._life
        if run.owner != threading.get_ident():
            raise WorkerError(
                f"only the thread of {self.path} can wait in its event loop, not "
                f"{threading.current_thread().name!r}; there, use current() or the shortcuts"
            )
        return run

    def wait_for(self, condition: Condition, deadline: float = FOREVER) -> None:
        """Dispatch events until the condition holds or the monotonic ``deadline`` has come.

        Whoever makes the condition true calls :meth:`wake`. What is queued at the call is
        handled in any case. A stop that is queued by then raises WorkerExit although the
        condition holds: ``please_stop.wait()`` ends in one way. For the libraries built on this.
        """
        self._linger(condition, deadline)
        run = self._life
        if self._stop_is_queued(run):
            self._heed_stop(run)

    def will_look_at(self, condition: Condition) -> bool:
        """Whether we sleep for this condition, and are not paused: woken, we look at it first."""
        run = self._life
        return run.asleep_for is condition and not run.paused

    def look(self) -> None:
        """Handle what is queued, and what we were asked, as every wait does. Does not block, if
        we are not paused. For the libraries built on this."""
        run = self._life
        if run.mailbox.queue or run.attention or run.paused:
            self._linger(NOTHING, 0.0)

    @property
    def _is_deep(self) -> bool:
        """Whether so many listeners wait within one another that a wait should leave it at that."""
        return self._life.depth >= _DEEP

    def _has_nothing_to_hear(self, name: str) -> bool:
        """Whether a turn of the loop, with one event of this name queued, would do nothing."""
        run = self._own_run()
        busy = run.mailbox.queue or run.attention or run.paused or run.waits
        return not busy and name not in self.listeners

    @property
    def word(self) -> Condition:
        """True when waits should end, as we were asked to; never true where they raise."""
        return False

    def _loop(self, until: Condition, deadline: float = FOREVER) -> None:
        """The wait behind all waits that dispatch events. While we are paused, none returns."""
        self._turn(until, deadline)
        self._hold()

    def _linger(self, until: Condition, deadline: float) -> None:
        """A wait that dispatches events, but does not need them. Deep down it dispatches none."""
        run = self._own_run()
        if run.depth < _DEEP:
            self._loop(until, deadline)
            return
        if run.attention:
            self._attend(run)
        if self._stop_is_queued(run):
            self._heed_stop(run)
        else:
            self._rest(until, deadline)

    def _turn(self, until: Condition, deadline: float = FOREVER) -> None:
        run = self._own_run()
        mailbox, queue = run.mailbox, run.mailbox.queue
        queued = mailbox.taken + len(queue)  # what is handled even when there is no time at all
        if until:
            until, deadline = NOTHING, 0.0  # true from the start: handle what is queued, no more
        unlimited = deadline == FOREVER
        depth = run.depth
        try:
            while not until:
                if run.attention:
                    self._attend(run)
                if queue and (unlimited or mailbox.taken < queued or monotonic() < deadline):
                    run.depth = depth + 1 if depth < _DEEPEST else self._refuse(depth)
                    self._dispatch(run, until if unlimited else AT_ONCE)
                    run.depth = depth
                elif not unlimited and monotonic() >= deadline:
                    return
                else:
                    run.asleep_for = until
                    mailbox.sleep(min(deadline, run.told_at))
                    run.asleep_for = None
        finally:
            run.depth = depth

    def _refuse(self, depth: int) -> NoReturn:
        raise RecursionError(
            f"{depth} listeners of {self.path} wait within one another, each for an event that "
            "only the next one would hear; let a listener start a worker that waits instead"
        )

    def _hold(self) -> None:
        """Stay while we are paused. What the wait waited for is in its hands already."""
        run = self._life
        if run.paused:
            self._turn(_Resumed(run))

    def _registered(self, wait: Wait, deadline: float) -> Any:
        """Wait in the loop while every dispatcher offers its events to ``wait``; gives the data."""
        waits = self._own_run().waits
        try:
            waits.append(wait)
            self._turn(wait.found, deadline)
        finally:
            if wait in waits:  # or Ctrl-C was faster
                waits.remove(wait)
        self._hold()
        return wait.data()

    def _rest(self, until: Condition, deadline: float) -> None:
        """Wait without dispatching, until a stop comes: then dispatch up to it."""
        run = self._own_run()
        while not until and (deadline == FOREVER or monotonic() < deadline):
            if self._stop_is_queued(run):
                self._heed_stop(run)
                return  # in a root
            if run.attention:
                self._attend(run)
            run.mailbox.rest(min(deadline, run.told_at))
        self._hold()

    def _heed_stop(self, run: Run) -> None:
        """A stop is queued: dispatch up to it. Deep down, what is before it is left to the end."""
        if run.depth < _DEEP:
            self._loop(self._stop_is_handled)
        else:
            run.paused = False  # clean-up code may wait, and the queued stop will not see to it
            self._exit_now(run)

    def _exit_now(self, run: Run) -> None:
        self._leave_waits(run)
        run.exit_raised = True
        raise WorkerExit

    @property
    def _stop_is_handled(self) -> Condition:
        """What to wait for when a stop is queued: WorkerExit is raised when its turn comes."""
        return NOTHING

    def _stop_is_queued(self, run: Run) -> bool:
        return bool(run.please_stop) and not run.exit_raised

    def _is_leaving(self) -> bool:
        """Whether a stop has come that ends our present waits. Any thread."""
        return self._stop_is_queued(self._life)

    def _leave_waits(self, run: Run) -> None:
        """WorkerExit is about to be raised out of all of them: they take part in no circle."""
        for entry in run.waits_for.copy():
            if entry is not self:  # which stands for the loop that a guest needs, in clean-up too
                run.waits_for.pop(entry, None)

    def _attend(self, run: Run) -> None:
        """We were asked to end. Has a stop overtaken the queue; is the grace over?"""
        if run.overtaking and run.stop_event is not None:
            for event in run.mailbox.take_until(run.stop_event):
                self._reject_kept(run.mailbox, event)
            run.overtaking = False  # last: after a Ctrl-C it goes on with the rest
        if monotonic() >= run.told_at:
            self._exit_now(run)

    # -- dispatching; for the owner ------------------------------------------------------------

    def _dispatch(self, run: Run, until: Condition) -> None:
        """Handle the oldest event: offer it to the waits, call its listeners. Then the next ones,
        until the condition holds, or the loop must look closer.

        In the main thread, the event is only peeked at first. It is taken in the same step in C
        that enters the first listener, between which no Ctrl-C can come; so it is never lost, nor
        handled twice. Elsewhere no Ctrl-C comes, and to take it at once is 50 ns less.
        """
        mailbox, waits, listeners = run.mailbox, run.waits, self.listeners
        queue = mailbox.queue
        ours = not in_main_thread()
        while queue:
            try:
                event = queue.popleft() if ours else queue[0]
            except IndexError:
                return  # a wait in a signal handler was faster
            taken: Any = _TAKEN if ours else []
            mailbox.taken += 1
            name = event.name
            if waits:
                for wait in waits:
                    wait.taken(event)
            for listener in listeners.get(name, ()):
                if listener.target is not None and listener.target is not event.target:
                    continue
                enter = partial(self._call_once, listener) if listener.once else listener.callback
                try:
                    if taken:
                        enter(event)
                    else:
                        next(map(enter, mailbox.take(event, taken)))
                except Exception as error:
                    if taken:
                        self._listener_failed(event, error)
            if name in _BUILTIN:
                self._call_builtin(run, event, taken)
            elif not taken:
                with suppress(ValueError):
                    next(mailbox.take(event, taken))
            if not taken:  # a wait in a signal handler was faster, and has seen to everything
                mailbox.taken -= 1
            elif waits:
                for wait in waits:
                    wait.handled(event)
            if until or run.attention:
                return

    def _call_builtin(self, run: Run, event: Event, taken: Any) -> None:
        """Call our own listener of the event, which comes last, and may be the first entered."""
        enter = partial(getattr(self, _BUILTIN[event.name]), run)
        try:
            enter(event) if taken else next(map(enter, run.mailbox.take(event, taken)))
        except Exception as error:
            if taken:
                self._listener_failed(event, error)

    def _call_once(self, listener: Listener, event: Event) -> None:
        # First forget it, then call it: it may re-enter the loop.
        if self.listeners.discard(listener):
            listener.callback(event)

    def _listener_failed(self, event: Event, error: Exception) -> None:
        self._log_error("In worker %s, a listener of %s raised", error, event.name)
        if event.name != "LISTENER_ERROR":
            self.fire("LISTENER_ERROR", error, bubble=True, target=self)

    # -- the built-in events -------------------------------------------------------------------

    def _on_stop(self, run: Run, event: Event) -> None:
        if isinstance(event, StopEvent) and event.thread is not run.thread:
            return  # meant for a start that failed
        if not run.exit_raised:
            self._leave_waits(run)  # first: until then, it is the queued stop by which we leave
            run.exit_raised = True
            run.paused = False  # clean-up code may wait, and nobody might resume it
            Node._request_stop(self, now=False)  # for a STOP_THREAD that was fired by hand
            run.attention = True
            raise WorkerExit

    def _on_pause(self, run: Run, event: Event) -> None:
        run.paused = not run.exit_raised

    def _on_resume(self, run: Run, event: Event) -> None:
        run.paused = False

    def _on_execute(self, run: Run, event: Event) -> None:
        callback, args, kwargs = event.data
        callback(*args, **kwargs)


_TAKEN: Final = (None,)
_BUILTIN: Final = {
    "STOP_THREAD": "_on_stop",
    "PAUSE_THREAD": "_on_pause",
    "RESUME_THREAD": "_on_resume",
    "EXECUTE": "_on_execute",
}
