"""Textual's worker API: the names of ``textual.worker``, ``textual.worker_manager`` and
``textual.work``, with states that do not lie. Needs ``pip install threadtree[textual]``.

In an app of Textual as it is, ``from threadtree.textual import work``. States and messages are of
this package then: compare with its ``WorkerState``, and handle its ``Worker.StateChanged``; or
``on_worker_state_changed``, which hears of both kinds. In the place of Textual's three modules, it
can be imported while Textual itself is being imported. So nothing here is imported before it is
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..errors import DeadlockError, NoActiveWorker, WorkerCancelled, WorkerError, WorkerFailed
from ..outcomes import WorkerState
from ..pool import active_worker, get_current_worker

if TYPE_CHECKING:
    from .work_decorator import WorkerDeclarationError, work
    from .worker import ResultType, Worker, WorkType
    from .worker_manager import WorkerManager

__all__ = [
    "DeadlockError",
    "NoActiveWorker",
    "ResultType",
    "WorkType",
    "Worker",
    "WorkerCancelled",
    "WorkerDeclarationError",
    "WorkerError",
    "WorkerFailed",
    "WorkerManager",
    "WorkerState",
    "active_worker",
    "get_current_worker",
    "work",
]

_PLACES: Final = {
    "ResultType": "worker",
    "WorkType": "worker",
    "Worker": "worker",
    "WorkerDeclarationError": "work_decorator",
    "WorkerManager": "worker_manager",
    "work": "work_decorator",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "textual":
            raise
        raise ModuleNotFoundError(
            "threadtree.textual needs Textual: pip install threadtree[textual]", name="textual"
        ) from None
