"""What work is: something to call or to await; and what doing it gives.

What is called may give a coroutine or a generator: these are run, and only what they return is the
result. A generator reports with each ``yield`` how far it is.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from .tracked import Tracked
from .workers import name_of

__all__ = ["ResultType", "Work", "WorkType"]

ResultType = TypeVar("ResultType")

WorkType: TypeAlias = (
    Callable[[], Coroutine[Any, Any, ResultType]]
    | Callable[[], Generator[Any, Any, ResultType]]
    | Callable[[], ResultType]
    | Awaitable[ResultType]
)
"""What can be given to a Task as its work. (From Textual.)"""


class Work:
    """Work as it was given: how to begin it, what it is called, and whether it needs a loop."""

    __slots__ = ("_given", "_is_begun", "is_async", "name")

    def __init__(self, given: Any) -> None:
        is_called = callable(given) and not inspect.iscoroutine(given)
        self._is_begun = not is_called
        if self._is_begun and not (_is_stepwise(given) or _needs_a_loop(given) or _awaits(given)):
            raise TypeError(
                "work must be something to call without arguments, a coroutine or another "
                f"awaitable, not {given!r}"
            )
        self._given = given
        self.is_async = _gives_what_needs_a_loop(given) if is_called else not _is_stepwise(given)
        self.name = name_of(given)

    def do(self, task: Tracked[Any]) -> Any:
        """Do the work in the task's own thread; gives the result."""
        begun = self.begin()
        if self.is_async or _needs_a_loop(begun):
            from .steering import in_own_loop  # with asyncio: only when it is needed

            return in_own_loop(task, self._awaitable(begun, task))
        return _step_through(begun, task) if _is_stepwise(begun) else begun

    async def do_as_guest(self, task: Tracked[Any]) -> Any:
        """Do the work on a loop that the task shares; gives the result."""
        begun = self.begin()
        if self.is_async or _needs_a_loop(begun):
            return await self._awaitable(begun, task)
        return await _step_slowly(begun, task) if _is_stepwise(begun) else begun

    def _awaitable(self, begun: Any, task: Tracked[Any]) -> Awaitable[Any]:
        return _exhaust(begun, task) if isinstance(begun, AsyncGenerator) else begun

    def begin(self) -> Any:
        """Call it, if it is to be called. Gives a result, or something that is to be run."""
        return self._given if self._is_begun else self._given()

    def discard(self) -> None:
        """It will never run. A coroutine that nobody awaits would complain."""
        if inspect.iscoroutine(self._given):
            self._given.close()


def _is_stepwise(thing: object) -> bool:
    """Whether it is a generator."""
    return isinstance(thing, Generator)


def _needs_a_loop(thing: object) -> bool:
    """Whether it is to be run by asyncio: a coroutine, or an asynchronous generator."""
    return isinstance(thing, (Coroutine, AsyncGenerator))


def _awaits(thing: object) -> bool:
    return inspect.isawaitable(thing)


def _gives_what_needs_a_loop(function: object) -> bool:
    if not inspect.isroutine(function) and not isinstance(function, partial):
        function = type(function).__call__ if callable(function) else function
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _step_through(generator: Generator[Any, Any, Any], task: Tracked[Any]) -> Any:
    step: Callable[[], Any] = generator.__next__
    try:
        while True:
            task._count(step())
            step = generator.__next__
            try:
                task.checkpoint()
            except BaseException as error:  # it is the generator's to clean up
                step = partial(generator.throw, error)
    except StopIteration as end:
        return end.value


async def _step_slowly(generator: Generator[Any, Any, Any], task: Tracked[Any]) -> Any:
    """The same, and let others have the loop after each step."""
    from asyncio import sleep

    step: Callable[[], Any] = generator.__next__
    while True:
        try:
            item = step()
        except StopIteration as end:
            return end.value
        task._count(item)
        step = generator.__next__
        try:
            await sleep(0)
        except BaseException as error:
            step = partial(generator.throw, error)


async def _exhaust(generator: AsyncGenerator[Any, Any], task: Tracked[Any]) -> None:
    from asyncio import sleep

    async for item in generator:
        task._count(item)
        await sleep(0)  # a wait, which may end the task
