"""The decorator ``work`` for methods of Textual's widgets, screens and apps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from typing import Unpack

    from textual.dom import DOMNode

    from .worker import Worker
    from .worker_manager import WorkerManager

__all__ = ["WorkerDeclarationError", "work"]

T = TypeVar("T")
P = ParamSpec("P")


class WorkerDeclarationError(Exception):
    """A method cannot be a worker as it was declared. (From Textual.)"""


class Options(TypedDict, total=False):
    """The keywords of the decorator."""

    name: str
    group: str
    exit_on_error: bool
    exclusive: bool
    description: str | None
    thread: bool


class _Decorator(Protocol):
    @overload
    def __call__(self, m: Callable[P, Coroutine[Any, Any, T]], /) -> Callable[P, Worker[T]]: ...
    @overload
    def __call__(self, m: Callable[P, T], /) -> Callable[P, Worker[T]]: ...


@overload
def work(
    method: Callable[P, Coroutine[Any, Any, T]], **options: Unpack[Options]
) -> Callable[P, Worker[T]]: ...
@overload
def work(method: Callable[P, T], **options: Unpack[Options]) -> Callable[P, Worker[T]]: ...
@overload
def work(**options: Unpack[Options]) -> _Decorator: ...
def work(
    method: Callable[..., Any] | None = None,
    *,
    name: str = "",
    group: str = "default",
    exit_on_error: bool = True,
    exclusive: bool = False,
    description: str | None = None,
    thread: bool = False,
) -> Any:
    """Have each call of a method of a widget, screen or app run it as a :class:`Worker`.

    The arguments are those of the worker; with ``exclusive``, it starts when the others of its node
    and group have ended, which it cancels. Raises WorkerDeclarationError for a method that is not
    asynchronous, without ``thread=True``. (From Textual.)
    """

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        if not iscoroutinefunction(method) and not thread:
            raise WorkerDeclarationError(
                f"{method.__qualname__} is not asynchronous: give the decorator thread=True"
            )

        @wraps(method)
        def run(self: DOMNode, *args: Any, **kwargs: Any) -> Worker[Any]:
            return _run(
                self,
                partial(method, self, *args, **kwargs),
                name=name or method.__name__,
                group=group,
                description=_call(method, args, kwargs) if description is None else description,
                exclusive=exclusive,
                exit_on_error=exit_on_error,
                thread=thread,
            )

        return run

    return decorate if method is None else decorate(method)


def _call(method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    try:
        given = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    except Exception:  # a __repr__ that fails is no reason not to work
        given = ["..."]
    return f"{method.__name__}({', '.join(given)})"


def _run(node: DOMNode, call: Callable[[], Any], **options: Any) -> Worker[Any]:
    from .worker_manager import WorkerManager

    app, workers = node.app, node.workers
    if isinstance(workers, WorkerManager):
        run: Any = node.run_worker
        return run(call, **options)
    if threading.get_ident() == app._thread_id:
        return _run_beside(node, call, **options)
    return app.call_from_thread(_run_beside, node, call, **options)


def _run_beside(node: DOMNode, call: Callable[[], Any], **options: Any) -> Worker[Any]:
    """Run a worker in an app with Textual's own manager. That cancels it with its node and the app;
    ours has it wait for those that it replaces."""
    textuals: Any = node.workers
    worker = _manager_beside(node.app)._new_worker(call, node, **options)
    # With its group, if that is exclusive, it takes the place of Textual's own workers, too.
    textuals.add_worker(worker, start=False, exclusive=options["exclusive"])
    worker._when_ended(textuals._remove_worker)
    return worker


def _manager_beside(app: Any) -> WorkerManager:
    """Our manager beside the app's own. The app keeps it: they refer to each other."""
    from .worker_manager import WorkerManager

    manager: WorkerManager | None = vars(app).get("_threadtree_workers")
    if manager is None:
        manager = app._threadtree_workers = WorkerManager(app)
    return manager
