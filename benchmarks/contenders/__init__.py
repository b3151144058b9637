"""The same work, written as a reader of each library's documentation would write it.

A module for each vocabulary, in it a function for each case, of the same name everywhere. It is a
generator: what comes before its ``yield`` is preparation, what comes after is measured. What is to
be done is counted and asserted, so that nobody is fast by leaving work undone.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Who is measured: the modules here that speak its language, and where its library is."""

    name: str
    modules: tuple[str, ...]
    imports: str  # what a program imports to use it
    path: tuple[str, ...] = ()  # in this repository; otherwise it is an installed package

    def function(self, name: str) -> Any:
        """To be called in a process whose path the harness has set for this contender."""
        for module in self.modules:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                return found
        raise LookupError(f"{self.name} has no {name}")


_OURS = ("src", "compat/worker/src")
THREADTREE = Contender("threadtree", ("worker_api", "thread_api", "task_api"), "threadtree", _OURS)
ASYNC = Contender("async_", ("async_api",), "threadtree", _OURS)
PYTHREADWORKER = Contender("pythreadworker", ("worker_api",), "worker")
MO_THREADS = Contender("mo-threads", ("thread_api",), "mo_threads")
PYKKA = Contender("pykka", ("pykka_actors",), "pykka")
BARE = Contender("bare Python", ("bare",), "queue, threading")

CONTENDERS = {
    each.name: each for each in (THREADTREE, PYTHREADWORKER, MO_THREADS, PYKKA, BARE, ASYNC)
}


def task(i: int) -> int:
    """The work of a thread that is measured for how it starts and ends."""
    return i
