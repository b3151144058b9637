"""Bell: how any thread has an asyncio loop look at something. Its users import asyncio."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["Bell"]


class Bell:
    """Has a loop ``look()``, soon. Any number of rings before it does are one.

    If the loop is closed, who rings calls ``lost()`` instead; many may.
    """

    __slots__ = ("_context", "_is_rung", "_look", "_loop", "_lost")

    def __init__(
        self,
        loop: AbstractEventLoop,
        look: Callable[[], object],
        context: Context,
        lost: Callable[[], object] = bool,
    ) -> None:
        self._loop = loop
        self._look = look
        self._context = context
        self._lost = lost
        self._is_rung = False  # whether the loop is about to look: a hint, see ring()

    def is_of(self, loop: AbstractEventLoop) -> bool:
        """Whether it is this loop that it rings."""
        return self._loop is loop

    def ring(self) -> None:
        """Any thread; in a signal handler or finalizer, as far as asyncio allows.

        asyncio takes no lock for it but that of the socket by which it wakes the loop.
        """
        # The loop takes the hint back first, and then looks; who rings has put something there
        # first, and then looks at the hint. So one sees the other.
        if self._is_rung:
            return
        try:
            self._is_rung = True
            self._loop.call_soon_threadsafe(self._answer, context=self._context)
        except RuntimeError:
            self._lost()  # nobody need ring again
        except BaseException:  # Ctrl-C: others may rely on this ring; to look twice does no harm
            self._is_rung = False
            self.ring()
            raise

    def _answer(self) -> None:
        self._is_rung = False
        self._look()
