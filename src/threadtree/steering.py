"""Coroutines as the code of a run, on an asyncio loop: stop, pause and events reach them there.

Between two of its waits a coroutine is as far from us as any code. Each wait passes through
:meth:`Steering._steer`. So, as in a worker's thread: a stop ends the present wait, by asyncio's
own means, once, and clean-up code may wait; when the grace is over, every further wait ends so;
and while the run is paused, no wait returns.

A run may have a loop of its own, in its thread, or be a guest on the caller's. As a guest it must
not block the loop, so it waits there for its children, too.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from time import monotonic
from types import coroutine
from typing import Any

from .bells import Bell
from .errors import INTERRUPTS, WorkerExit
from .graces import graces
from .loop import NOTHING
from .loops import adopt_loop
from .node import tree
from .outcomes import Outcome
from .parking import FOREVER, Claim
from .run import Run
from .runner import Runner

__all__ = ["Guest", "in_own_loop"]


class Steering:
    """Steers what one run awaits. Everything here is for the thread of the loop."""

    def __init__(
        self, runner: Runner, run: Run, loop: asyncio.AbstractEventLoop, context: Context
    ) -> None:
        self._runner = runner
        self._run = run
        self._loop = loop
        self._context = context  # in which listeners are called, whoever rings
        self._bell = Bell(loop, self._turn, context, self._end_abruptly)
        self._handle: Callable[[], object] = self._follow  # what a turn does
        self._turned: asyncio.Future[None] | None = None  # goes at the end of the next turn
        self._telling: asyncio.TimerHandle | None = None  # rings when the grace is over
        self._task: asyncio.Task[Any] | None = None  # in which the code runs

    def _end_abruptly(self) -> None:
        """The loop is closed, and the code runs no more."""

    def _turn(self) -> None:
        try:
            self._handle()
        finally:
            if self._turned is not None and not self._turned.done():
                self._turned.set_result(None)

    def _follow(self) -> None:
        """Handle what is queued, and what we were asked, while the code runs."""
        try:
            self._runner._turn(NOTHING, 0.0)
        except WorkerExit:
            assert self._task is not None
            self._task.cancel()
            if self._telling is None and self._run.asked_at != FOREVER:
                left = max(self._run.told_at - monotonic(), 0.0)
                self._telling = self._loop.call_later(left, self._turn, context=self._context)

    async def _next_turn(self) -> None:
        self._turned = self._loop.create_future()
        await self._turned

    async def drive(self, work: Awaitable[Any]) -> Any:
        """Run the code; gives its result. WorkerExit, when it was cut short."""
        self._task = self._runner._coroutine = asyncio.current_task()
        self._runner._mailbox.be_woken_by(self._bell.ring)
        self._bell.ring()  # for what came before
        try:
            return await self._steer(work if asyncio.iscoroutine(work) else _wait_for(work))
        except asyncio.CancelledError:
            self._run.exit_raised = True
            self._runner._ask()  # asyncio has asked, if we have not: the children are to hear of it
            raise WorkerExit from None
        finally:
            if self._telling is not None:
                self._telling.cancel()

    @coroutine
    def _steer(self, code: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        error: BaseException | None = None
        while True:
            try:
                awaited = code.send(None) if error is None else code.throw(error)
            except StopIteration as end:
                return end.value
            error = None
            try:
                if monotonic() >= self._run.told_at:
                    assert self._task is not None
                    self._task.cancel()  # ends also what is awaited, as its own cancel would
                yield awaited
                while self._run.paused:
                    yield from self._next_turn().__await__()
            except GeneratorExit:  # we are thrown away with the loop; the code may be already
                code.close()
                raise
            except BaseException as reason:
                error = reason


async def _wait_for(thing: Awaitable[Any]) -> Any:
    return await thing


def in_own_loop(runner: Runner, work: Awaitable[Any]) -> Any:
    """Run the code in a loop of its own, in the runner's thread; gives its result."""
    try:
        with asyncio.Runner() as loops:
            steering = Steering(runner, runner._life, loops.get_loop(), copy_context())
            return loops.run(steering.drive(work))
    finally:
        runner._mailbox.be_woken_by(None)


class Guest(Steering):
    """A whole run on a loop that others run, too."""

    def __init__(self, runner: Runner, run: Run, context: Context) -> None:
        super().__init__(runner, run, asyncio.get_running_loop(), context)
        self._life: asyncio.Task[None] | None = None  # the loop itself holds it weakly
        self._ending = Claim()  # of those who would end it abruptly, one does

    @property
    def lives(self) -> bool:
        """Whether it has begun, and so sees to its end."""
        return self._life is not None

    def begin(self, begin_work: Callable[[], Awaitable[Any]]) -> None:
        """Let the run live. On the thread of the loop."""
        # Past the task factory of the loop: an eager one would run it at once, within start(), and
        # each of many that wait in line within the end of the one before.
        self._life = asyncio.Task(self._live(begin_work), loop=self._loop, context=self._context)
        # Cancelled before its first step, it takes none. So its end is seen to from outside, too.
        self._life.add_done_callback(lambda life: self._end_abruptly())

    async def _live(self, begin_work: Callable[[], Awaitable[Any]]) -> None:
        runner, run = self._runner, self._run
        interrupt: BaseException | None = None
        try:
            adopt_loop()
            run.owner = threading.get_ident()
            runner._set_off(run)
            run.verdict = Outcome(await self.drive(begin_work()))
        except GeneratorExit:  # the loop is gone, and nothing can be awaited any more
            self._end_abruptly()
            raise
        except BaseException as error:
            run.verdict = runner._verdict_on(run, error)
            if isinstance(error, INTERRUPTS):
                interrupt = error
                run.verdict.look()
        await self._end_children()
        self._end()
        if interrupt is not None:
            raise interrupt

    async def _end_children(self) -> None:
        """Tell them, and dispatch events until those that are waited for have ended."""
        runner, run = self._runner, self._run
        run.exit_raised = True
        self._handle = self._handle_at_end
        if not runner._close_seats():
            runner._wind_up()
            overdue = self._loop.call_later(graces.asked + graces.told, runner._name_stragglers)
            while not runner._close_seats():
                try:
                    await self._next_turn()
                except asyncio.CancelledError:
                    pass  # we end already; and not before them
            overdue.cancel()
        for launch in run.departed:
            launch.await_end()

    def _handle_at_end(self) -> None:
        while self._run.mailbox.queue:
            self._runner._dispatch_at_end(self._run)

    def _end(self) -> None:
        """The last steps, none of which waits. Nothing happens when they were taken."""
        self._run.waits_for.pop(self._runner, None)  # the thread of the loop
        if not self._run.stopped:
            self._runner._go_through([*self._runner._steps_of_the_end[1:]])

    def _end_abruptly(self) -> None:
        """The code runs no more, if it ever did; and there is no loop to wait for children in.

        On the thread of the loop, or, when that is closed, on any that asks for something.
        """
        runner, run = self._runner, self._run
        if run.stopped or not self._ending.take(object()):
            return
        if run.verdict is None:
            run.verdict = runner._verdict_on(run, WorkerExit())
        runner._ask()
        runner._wind_up()
        with tree.lock:
            run.seats_closed = True
        self._end()
