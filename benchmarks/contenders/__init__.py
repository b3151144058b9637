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
    """Who is measured: the module here that speaks its language, and where its library is."""

    name: str
    module: str
    imports: str  # what a program imports to use it
    path: tuple[str, ...] = ()  # in this repository; otherwise it is an installed package

    def function(self, name: str) -> Any:
        """To be called in a process whose path the harness has set for this contender."""
        return getattr(import_module(f"{__name__}.{self.module}"), name)


THREADTREE = Contender("threadtree", "worker_api", "threadtree", ("src", "compat/worker/src"))
PYTHREADWORKER = Contender("pythreadworker", "worker_api", "worker")
PYKKA = Contender("pykka", "pykka_actors", "pykka")
BARE = Contender("bare Python", "bare", "queue, threading")

CONTENDERS = {each.name: each for each in (THREADTREE, PYTHREADWORKER, PYKKA, BARE)}


def task(i: int) -> int:
    """The work of a thread that is measured for how it starts and ends."""
    return i
