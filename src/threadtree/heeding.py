"""Heeding: a job whose ``please_stop`` is in everybody's hands, and that passes the word on.

Whoever lets that signal go has asked it to end, as ``stop()`` does, and everything below it is
asked with it, at once. What Thread and Task share.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import ref

from .jobs import Job, T_co
from .parking import FOREVER
from .run import Run

__all__ = ["Heeding"]


class Heeding(Job[T_co]):
    """A job that is asked by its signal, too. The base of Thread and Task; use those."""

    _passes_the_word_on = True

    def _set_run(self, run: Run) -> None:
        super()._set_run(run)
        run.please_stop._subscribe(partial(_heed, ref(self)))

    def _heed(self) -> None:
        """The signal has gone. If that was not by stop(), do what stop() does."""
        life = self._life
        if life.active and life.asked_at == FOREVER:
            self._ask()


def _heed(link: ref[Heeding[Any]]) -> None:
    node = link()
    if node is not None:
        node._heed()
