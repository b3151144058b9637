"""The life of a runner: an event loop with a native thread of its own.

``start`` and the end of a run are the two places where threads meet over the state of a run; both
change it under the lock of the tree. The end goes by the order that the design promises: children
told and waited for, outcome, parent told, mailbox closed, out of the pool, state, ``stopped``,
the native end.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from . import journal
from .circles import DEAF, without_circle
from .errors import INTERRUPTS, WorkerExit
from .events import Event
from .graces import graces
from .joinable import Joinable
from .loop import AT_ONCE
from .native import Launch
from .node import tree
from .origins import is_ours, origin
from .outcomes import Cancelled, Failure, Outcome, WorkerState, outcome_of
from .parking import FOREVER, in_main_thread
from .pool import WORKER_POOL, active_worker, current
from .run import Run
from .stragglers import find_stragglers

__all__ = ["Runner"]


class _Report:
    """A step like any other: what handles the log may wait, and be told to end there."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __call__(self, runner: Runner, run: Run) -> None:
        runner._log_error("The end of worker %s", self._error)


class Runner(Joinable):
    """An event loop that is run by a native thread. The base of Worker; use that."""

    print_traceback: bool

    def _work(self, *args: Any, **kwargs: Any) -> Any:
        """What a run does."""
        raise NotImplementedError

    # -- starting ------------------------------------------------------------------------------

    def _start(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: contextvars.Context | None = None,
    ) -> None:
        """Run in a new native thread, if not running: of many starts at once, one does it."""
        context = context or contextvars.copy_context()
        launch = Launch(self.name, context.run, self._main, args, kwargs)
        try:
            if self._begin(launch, launch):
                launch.start()
        except BaseException:
            # Ctrl-C, or no more threads. Where the thread lives already, the run goes on.
            if self._life.launch is launch and launch.failed:
                self._withdraw()
            raise

    def _overlay(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run in the calling thread, if not running. What runs below there waits for our end, and
        a stop that it gets is ours, too: it can act on it when we have ended."""
        run_it = partial(contextvars.copy_context().run, self._main, args, kwargs)
        beneath = current()
        asked, key = beneath.please_stop, None
        try:
            if self._begin(threading.current_thread(), None):
                if beneath._is_leaving():
                    self._ask()
                elif not asked:  # else it knows; this may be its clean-up code
                    key = asked._subscribe(self._ask)
                without_circle(beneath, self, run_it, DEAF)
        except BaseException:
            if self._life.active and self._life.owner is None:
                self._withdraw()  # Ctrl-C came before the run began
            raise
        finally:
            asked._unsubscribe(key)

    def _begin(self, thread: threading.Thread, launch: Launch | None) -> bool:
        """Take the step to RUNNING; False when another start was first."""
        with tree.lock:
            before = self._life
            if not self._may_begin(before):
                return False
            self._check_parent()  # raises before anything is changed
            if before.ended:
                self._set_run(Run())
                self._life.before = before
            run = self._life
            run.launch, run.thread = launch, thread
            run.origin = self._where_from()
            run.state = WorkerState.RUNNING
            tree.live[self] = None
            is_late = self._join_parent()
        if tree.watchers:
            tree.tell_watchers(self, run)
        if is_late or run.please_stop:  # the others were asked; who comes later is asked at once
            self._ask()
        return True

    def _may_begin(self, life: Run) -> bool:
        """Whether nothing runs yet. Under the lock of the tree."""
        return not life.active

    def _where_from(self) -> tuple[str, int]:
        """Who begins it, for the log."""
        return origin()

    def _withdraw(self) -> None:
        """Nothing will run: be as before the start. Events that wait for a start stay queued."""
        run = self._life
        if self._parent is not None:
            self._parent._child_departs(self, None)  # which may be waiting for that
        with tree.lock:
            tree.live.pop(self, None)
            self._set_run(run.before or Run(run.mailbox))
        if run.before is not None:
            self._close_mailbox(run)
        run.outcome = Cancelled(self.path)  # some may have seen it run, and wait for its end
        run.state = run.outcome.state
        if tree.watchers:
            tree.tell_watchers(self, run)
        run.stopped.go()

    # -- the thread ----------------------------------------------------------------------------

    def _main(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """What the native thread runs, from its first moment to its last."""
        work = partial(Runner._do_the_work, args=args, kwargs=kwargs)
        self._go_through([work, *self._steps_of_the_end])

    def _go_through(self, steps: list[Any]) -> None:
        """Take one step after the other, each to its end, whatever comes."""
        run = self._life
        steps.reverse()
        interrupt: BaseException | None = None
        while steps:
            try:
                while True:  # the jump back of a "while steps" is not covered by the try on 3.13
                    steps[-1](self, run)
                    steps.pop()
                    if not steps:
                        break
            except INTERRUPTS as error:  # only in an overlay of the main thread
                interrupt = error
                if run.verdict is None:
                    run.verdict = outcome_of(error, self.path, run.origin)
                    run.verdict.look()
                if steps and steps[-1] is Runner._end_children:
                    steps.pop()  # a second Ctrl-C ends the waiting; any other step is taken again
            except BaseException as error:
                if not isinstance(steps.pop(), _Report):
                    steps.append(_Report(error))
        if interrupt is not None:
            raise interrupt

    def _do_the_work(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if run.owner is not None:
            return  # it was done, and interrupted at its very end
        try:
            run.owner = threading.get_ident()
            WORKER_POOL._enter(self, threading.current_thread())
            self._set_off(run)
            run.verdict = Outcome(self._work(*args, **kwargs))
        except BaseException as error:
            run.verdict = self._verdict_on(run, error)
            if run.launch is None and isinstance(error, INTERRUPTS):
                run.verdict.look()
                raise  # of an overlay: it belongs to the thread, too

    def _set_off(self, run: Run) -> None:
        """The code is about to run."""
        run.before = None
        active_worker.set(self)
        self._tell_parent("CHILD_THREAD_START")

    def _verdict_on(self, run: Run, error: BaseException) -> Outcome:
        """What is to be the outcome of a run that this error has left."""
        # Leave our own frames out: they say nothing to the reader, and would close a reference
        # cycle from the error to the worker.
        tb = error.__traceback__
        while tb is not None and tb.tb_next is not None and is_ours(tb.tb_frame):
            tb = tb.tb_next
        return outcome_of(BaseException.with_traceback(error, tb), self.path, run.origin)

    # -- the end of a run, step by step ----------------------------------------------------------

    def _end_children(self, run: Run) -> None:
        """Tell them, and dispatch events until those that are waited for have ended."""
        run.exit_raised = True  # no stop can cut this short
        if not self._close_seats():
            self._wind_up()
            self._wait_for_children(run)
        for launch in run.departed:  # also of those that had as good as ended before
            launch.await_end()

    def _wait_for_children(self, run: Run) -> None:
        overdue = monotonic() + graces.asked + graces.told
        while not self._close_seats():
            if run.mailbox.queue:
                self._dispatch_at_end(run)
            elif monotonic() < overdue:
                run.mailbox.sleep(overdue)
            else:
                overdue = FOREVER
                self._name_stragglers()

    def _name_stragglers(self) -> None:
        for straggler in find_stragglers(list(self._children.copy())):
            journal.warning("%s", straggler, worker=straggler.path)

    def _handle_leftovers(self, run: Run) -> None:
        """What is queued now, once more; not what its listeners add."""
        queued = run.mailbox.taken + len(run.mailbox.queue)
        while run.mailbox.taken < queued and run.mailbox.queue:
            self._dispatch_at_end(run)

    def _dispatch_at_end(self, run: Run) -> None:
        """Handle one event, although there is no code any more that an exit could end."""
        try:
            self._dispatch(run, AT_ONCE)
        except WorkerExit:
            pass
        except BaseException as error:
            if in_main_thread():
                raise
            self._log_error("A listener of ended worker %s raised", error)

    def _announce(self, run: Run) -> None:
        """The outcome stands; the log and the parent are told."""
        outcome = run.outcome = run.verdict
        assert outcome is not None
        if isinstance(outcome, Failure):
            if self.print_traceback:
                outcome.report()
            elif self._parent is not None:
                self._parent._life.note_failed_child(outcome)
        for link in (run.failed_children or {}).copy().values():
            failure = link()
            if failure is not None:
                failure.report_unseen()
        if self._parent is None:
            return
        error = outcome.error
        if outcome.state is WorkerState.ERROR:
            self._tell_parent("CHILD_THREAD_ERROR", error)
        elif outcome.state is WorkerState.SUCCESS:
            self._tell_parent("CHILD_THREAD_DONE", outcome.result)
        else:
            self._tell_parent("CHILD_THREAD_STOP")
        self._tell_parent("CHILD_THREAD_END", (error, outcome.result))

    def _tell_parent(self, name: str, data: Any = None) -> None:
        parent = self._parent
        if parent is None:
            return
        run = parent._life
        if run.winding_up and not run.waits and name not in parent.listeners:
            return  # nobody could hear it; a parent of 1,000 need not wake 2,000 times to see that
        parent._post(Event(name, data, target=self))

    def _close_mailbox(self, run: Run) -> None:
        for event in run.mailbox.close():
            self._reject_kept(run.mailbox, event)
        if self.listeners:
            self.listeners.discard_temporary()

    def _vanish(self, run: Run) -> None:
        """Leave the parent and the pool. From the new state on, anyone may start us again."""
        if self._parent is not None:
            self._parent._child_departs(self, run.launch)
        WORKER_POOL._leave(self, threading.current_thread())
        with tree.lock:
            tree.live.pop(self, None)
        run.thread = None
        assert run.outcome is not None
        run.state = run.outcome.state
        if tree.watchers:
            tree.tell_watchers(self, run)

    def _let_go(self, run: Run) -> None:
        """Whoever waits for the end may go on."""
        run.stopped.go()

    def _child_departs(self, child: Runner, launch: Launch | None) -> None:
        """A child has ended, but for the last moments of its native thread, if it has one."""
        run = self._life
        with tree.lock:
            if launch is not None:
                run.departed += (launch,)
                if len(run.departed) % 32 == 0:
                    run.departed = tuple(one for one in run.departed if one.is_alive())
            self._children.pop(child, None)
            was_last = run.winding_up and all(child.is_daemon() for child in self._children)
        if was_last:
            self.wake()

    # The order in which a run ends.
    _steps_of_the_end: ClassVar[tuple[Callable[[Any, Run], None], ...]] = (
        _end_children,
        _handle_leftovers,
        _announce,
        _close_mailbox,
        _vanish,
        _let_go,
    )
