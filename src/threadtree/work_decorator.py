"""The decorator ``work``: calling the function starts a task that does what the function says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypedDict, TypeVar, overload

from .jobs import Job
from .managers import Policy, WorkerManager
from .tasks import Task, innermost

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["work"]

T = TypeVar("T")
P = ParamSpec("P")


class Options(TypedDict, total=False):
    """The keywords of the decorator."""

    name: str
    group: str
    description: str
    exclusive: bool | Policy
    exit_on_error: bool
    thread: bool | None
    timeout: float | None
    total_steps: int | None


class _Decorator(Protocol):
    """What ``work(...)`` gives: it makes of a function one that gives a task."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> Callable[P, Task[T]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Generator[Any, Any, T]], /
    ) -> Callable[P, Task[T]]: ...
    @overload
    def __call__(
        self, function: Callable[P, AsyncGenerator[Any]], /
    ) -> Callable[P, Task[None]]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Callable[P, Task[T]]: ...


@overload
def work(function: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Task[T]]: ...
@overload
def work(function: Callable[P, Generator[Any, Any, T]], /) -> Callable[P, Task[T]]: ...
@overload
def work(function: Callable[P, AsyncGenerator[Any]], /) -> Callable[P, Task[None]]: ...
@overload
def work(function: Callable[P, T], /) -> Callable[P, Task[T]]: ...
@overload
def work(**options: Unpack[Options]) -> _Decorator: ...
def work(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Have each call of a function or method start a :class:`Task`, and give that.

    ``@work`` or ``@work(exclusive=True, ...)``; the arguments are those of
    :meth:`WorkerManager.run`. The manager is that of the object whose method it is, in its
    attribute ``workers``, if there is one; else the function has one of its own. Raises TypeError
    for what is not callable, and for other arguments. (From Textual.)

    >>> from threadtree import work
    >>> @work(group="sums")
    ... def total(*numbers: int) -> int:
    ...     return sum(numbers)
    >>> total(1, 2, 3).get()
    6
    """
    unknown = options.keys() - Options.__annotations__.keys()
    if unknown:
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"work() knows {known}; not {', '.join(sorted(unknown))}")
    if function is None:
        return lambda function: _Working(function, options)
    return _Working(function, options)


class _OfTheCaller(WorkerManager):
    """The manager of a function. The tasks are children of who calls it."""

    def _parent_of_tasks(self) -> Job[Any] | None:
        return innermost()


class _Working:
    """A function whose calls are tasks; a method, where it stands in a class."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        if not callable(function):
            raise TypeError(f"work() makes a task of a function, not of {function!r}")
        update_wrapper(self, function)
        self._function = function
        self._options = options
        self._workers = _OfTheCaller()

    def __call__(self, *args: Any, **kwargs: Any) -> Task[Any]:
        return self._workers.run(partial(self._function, *args, **kwargs), **self._options)

    def __get__(self, instance: Any, owner: type | None = None) -> Callable[..., Task[Any]]:
        if instance is None:
            return self
        manager = getattr(instance, "workers", None)
        if not isinstance(manager, WorkerManager):
            return partial(self, instance)
        return partial(self._run_by, manager, instance)

    def _run_by(self, manager: WorkerManager, /, *args: Any, **kwargs: Any) -> Task[Any]:
        return manager.run(partial(self._function, *args, **kwargs), **self._options)
