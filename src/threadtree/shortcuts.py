"""Functions for the current worker, so that code need not pass workers around.

Each may be called from any thread, and means the worker of that thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any, ParamSpec, TypeVar, overload

from .events import Callback, Event
from .futures import Async, Defer
from .jobs import Job
from .pool import current
from .signals import Signal
from .workers import Worker

__all__ = [
    "async_",
    "await_",
    "broadcast",
    "bubble",
    "checkpoint",
    "children_fire",
    "create_worker",
    "exit",
    "later",
    "listen",
    "parent_fire",
    "sleep",
    "unlisten",
    "update",
    "wait",
    "wait_event",
    "wait_forever",
    "wait_thread",
    "wait_timeout",
    "wait_until",
]

T = TypeVar("T")
P = ParamSpec("P")
F = TypeVar("F", bound=Callback)


@overload
def create_worker(
    callback: Callable[..., T],
    /,
    *args: Any,
    parent: Job[Any] | bool | None = None,
    daemon: bool | None = None,
    print_traceback: bool = True,
    name: str | None = None,
    **kwargs: Any,
) -> Worker[T]: ...
@overload
def create_worker(
    *,
    callback: Callable[..., T],
    parent: Job[Any] | bool | None = None,
    daemon: bool | None = None,
    print_traceback: bool = True,
    name: str | None = None,
    **kwargs: Any,
) -> Worker[T]: ...
@overload
def create_worker(
    *args: Any,
    parent: Job[Any] | bool | None = None,
    daemon: bool | None = None,
    print_traceback: bool = True,
    name: str | None = None,
    **kwargs: Any,
) -> Callable[[Callable[..., T]], Worker[T]]: ...
def create_worker(
    *args: Any,
    parent: Job[Any] | bool | None = None,
    daemon: bool | None = None,
    print_traceback: bool = True,
    name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Make a :class:`Worker` and start it with the other arguments; gives the worker.

    ``create_worker(task, ...)``, or as a decorator, ``@create_worker`` or
    ``@create_worker(daemon=True)``: then the name stands for the running worker. ``name`` is the
    worker's, unless the task has a parameter of that name itself: then it is the task's.
    (From pyThreadWorker.)

    >>> @create_worker(name="greeter")
    ... def greeter():
    ...     return "hello"
    >>> greeter.get()
    'hello'
    """

    def start(callback: Callable[..., T], *args: Any) -> Worker[T]:
        if name is None or not _takes(callback, "name", args):
            worker = Worker(callback, parent, daemon, print_traceback, name=name)
            return worker.start(*args, **kwargs)
        # As in pyThreadWorker, whose workers have no names: a program of those days goes first.
        worker = Worker(callback, parent, daemon, print_traceback)
        return worker.start(*args, name=name, **kwargs)

    return _now_or_as_decorator(start, args, kwargs)


@overload
def async_(callback: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Async[T]: ...
@overload
def async_(*, callback: Callable[..., T], **kwargs: Any) -> Async[T]: ...
@overload
def async_(**kwargs: Any) -> Callable[[Callable[..., T]], Async[T]]: ...
def async_(*args: Any, **kwargs: Any) -> Any:
    """Start an :class:`Async` with these arguments; its ``get()`` gives the result.

    Also a decorator. (From pyThreadWorker.)

    >>> async_(pow, 2, 5).get()
    32
    """

    def start(callback: Callable[..., T], *args: Any) -> Async[T]:
        return Async(callback).start(*args, **kwargs)

    return _now_or_as_decorator(start, args, kwargs)


@overload
def await_(callback: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
@overload
def await_(*, callback: Callable[..., T], **kwargs: Any) -> T: ...
@overload
def await_(**kwargs: Any) -> Callable[[Callable[..., T]], T]: ...
def await_(*args: Any, **kwargs: Any) -> Any:
    """Call a blocking function in a thread of its own, handling events meanwhile.

    Gives its result or raises its error, as ``async_(...).get()`` does. If the wait is cut short
    by a stop, the function's worker is stopped too. Also a decorator. (From pyThreadWorker.)

    >>> await_(sum, [1, 2, 3])
    6
    """

    def run(callback: Callable[..., T], *args: Any) -> T:
        work = Async(callback).start(*args, **kwargs)
        try:
            return work.get()
        finally:
            work.stop()  # does nothing to one that has ended

    return _now_or_as_decorator(run, args, kwargs)


def _now_or_as_decorator(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if args and callable(args[0]):
        return f(*args)
    if not args and callable(kwargs.get("callback")):  # by its name in the manual
        return f(kwargs.pop("callback"))
    return lambda callback: f(callback, *args)


def _takes(callback: Any, name: str, args: tuple[Any, ...]) -> bool:
    """Whether it takes an argument by this name, beside these, as far as one can tell."""
    function = callback
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not isinstance(function, (FunctionType, MethodType)):
        function = type(function).__call__
    if not isinstance(function, (FunctionType, MethodType)):
        return False  # on Python 3.11, to ask a builtin for its signature is not thread-safe
    from inspect import Parameter, signature  # not at the top: 5 ms, for a rare need

    try:
        its = signature(callback)
        if name in its.bind_partial(*args).arguments:
            return False
    except (TypeError, ValueError):
        return False
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    return name in its.parameters and its.parameters[name].kind in by_name


def sleep(timeout: float) -> None:
    """Wait for so many seconds, handling events; instead of ``time.sleep``.

    ``current().wait_timeout(...)``. (From pyThreadWorker.)
    """
    current().wait_timeout(timeout)


@overload
def listen(callback: F, event_name: str, **options: Any) -> F: ...
@overload
def listen(callback: str, **options: Any) -> Callable[[F], F]: ...
@overload
def listen(*, event_name: str, **options: Any) -> Callable[[F], F]: ...
def listen(*args: Any, **kwargs: Any) -> Any:
    """``current().listen(...)`` with ``permanent=False``: forgotten when the run ends, so that a
    worker that is started again does not listen twice. (From pyThreadWorker.)"""
    return current().listen(*args, **{"permanent": False, **kwargs})


def unlisten(callback: Callback) -> None:
    """Short for :meth:`Worker.unlisten` of the current worker. (From pyThreadWorker.)"""
    current().unlisten(callback)


def later(
    callback: Callable[..., object], *args: Any, timeout: float = 0, **kwargs: Any
) -> Job[Any] | None:
    """Short for :meth:`Worker.later` of the current worker. (From pyThreadWorker.)"""
    return current().later(callback, *args, timeout=timeout, **kwargs)


def update() -> None:
    """``current().update()``. (From pyThreadWorker.)"""
    current().update()


def checkpoint() -> None:
    """``current().checkpoint()``: a point where a stop or a pause takes effect."""
    current().checkpoint()


def exit() -> None:
    """``current().exit()``. (From pyThreadWorker.)"""
    return current().exit()


@overload
def wait(  # type: ignore[overload-overlap]  # an Async is a Worker, too
    param: Async[T] | Defer[T], timeout: float | None = None
) -> T: ...
@overload
def wait(
    param: Job[T], timeout: float | None = None
) -> tuple[BaseException | None, T | None] | None: ...
@overload
def wait(param: Signal, till: Signal | float | None = None) -> bool: ...
@overload
def wait(param: float) -> None: ...
@overload
def wait(param: Any, *args: Any, **kwargs: Any) -> Any: ...
def wait(param: Any, *args: Any, **kwargs: Any) -> Any:
    """Short for :meth:`Worker.wait` of the current worker. (From pyThreadWorker.)"""
    return current().wait(param, *args, **kwargs)


def wait_timeout(timeout: float) -> None:
    """Short for :meth:`Worker.wait_timeout` of the current worker. (From pyThreadWorker.)"""
    current().wait_timeout(timeout)


def wait_forever() -> Any:
    """``current().wait_forever()``. (From pyThreadWorker.)"""
    return current().wait_forever()


def wait_thread(
    thread: Job[T], timeout: float | None = None
) -> tuple[BaseException | None, T | None] | None:
    """Short for :meth:`Worker.wait_thread` of the current worker. (From pyThreadWorker.)"""
    return current().wait_thread(thread, timeout)


def wait_event(name: str, timeout: float | None = None, target: Job[Any] | None = None) -> Any:
    """Short for :meth:`Worker.wait_event` of the current worker. (From pyThreadWorker.)"""
    return current().wait_event(name, timeout, target)


def wait_until(condition: Callable[[Event], object], timeout: float | None = None) -> Any:
    """Short for :meth:`Worker.wait_until` of the current worker. (From pyThreadWorker.)"""
    return current().wait_until(condition, timeout)


def parent_fire(*args: Any, **kwargs: Any) -> None:
    """Short for :meth:`Worker.parent_fire` of the current worker. (From pyThreadWorker.)"""
    current().parent_fire(*args, **kwargs)


def children_fire(*args: Any, **kwargs: Any) -> None:
    """Short for :meth:`Worker.children_fire` of the current worker. (From pyThreadWorker.)"""
    current().children_fire(*args, **kwargs)


def bubble(*args: Any, **kwargs: Any) -> Job[Any]:
    """Short for :meth:`Worker.bubble` of the current worker. (From pyThreadWorker.)"""
    return current().bubble(*args, **kwargs)


def broadcast(*args: Any, **kwargs: Any) -> Job[Any]:
    """Short for :meth:`Worker.broadcast` of the current worker. (From pyThreadWorker.)"""
    return current().broadcast(*args, **kwargs)
