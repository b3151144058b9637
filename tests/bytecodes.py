"""Interrupts a piece of code before every one of its bytecodes, in one run of it for each.

Between two bytecodes of one thread, another thread, a signal handler or a finalizer can do
anything. So instead of hoping that a race shows up, do it there, and there, and there.
"""

from __future__ import annotations

import dis
import inspect
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from itertools import chain, count
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, TypeVar
from unittest.mock import patch

import threadtree
from threadtree.parking import FOREVER, Gate

T = TypeVar("T")

LIMIT = 3.0  # seconds a thread sleeps on before the test fails
WARM_UP = [sys.maxsize] * 2  # Python 3.13 traces bytecodes only of what was called before
# After these the interpreter looks whether a signal has come, and only after these.
LOOKING = {
    code
    for name, code in dis.opmap.items()
    if name.startswith(("CALL", "RESUME"))
    or name.endswith("JUMP_BACKWARD")
    or "BACKWARD_IF" in name
}
LIBRARY = str(Path(threadtree.__file__).parent)


class Interrupt:
    """Does something in the middle of an operation: before its ``step``-th bytecode in the library.

    If the operation has no so many, then after it. For one call.
    """

    def __init__(self, step: int) -> None:
        self.came = False
        self._left = step

    def __call__(
        self, operation: Callable[[], T], intrusion: Callable[[], object], within: str = ""
    ) -> T:
        """Give ``operation()``, in which one bytecode raises what ``intrusion()`` raises.

        Only those count that a function called ``within`` leads to, if that is given.
        """

        previous = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal previous
            code = frame.f_code
            if not code.co_filename.startswith(LIBRARY):
                return None
            if event == "call" and is_in_finalizer(frame):
                return None  # the interpreter catches what is raised there, or in what that calls
            frame.f_trace_opcodes = True
            if event == "opcode":
                can_come = not self.came and (intrusion is not ctrl_c or previous in LOOKING)
                previous = code.co_code[frame.f_lasti]
                if can_come and (not within or is_in(frame, within)):
                    self._left -= 1
                    if self._left < 0:
                        self.came = True
                        intrusion()
            return trace

        # Python 3.12 looks here, and not at the traced frames, to see whether anybody is
        # interested in bytecodes at all.
        sys._getframe().f_trace_opcodes = True
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            result = operation()
        finally:
            sys.settrace(before)
        if not self.came:
            intrusion()
        return result


def is_in_finalizer(frame: FrameType | None) -> bool:
    """Of the library. Asked for each of its calls, so this looks no further up than that."""
    while frame is not None and frame.f_code.co_filename.startswith(LIBRARY):
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def is_in(frame: FrameType | None, function: str) -> bool:
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def at_each_bytecode(test: Callable[..., None]) -> Callable[..., None]:
    """Calls a test with an :class:`Interrupt` as its first argument, again and again.

    The bytecode is a later one each time, up to the moment after the last. The test calls the
    interrupt once, on objects that it makes anew.
    """
    return at_one_in(1)(test)


def at_one_in(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Likewise, but at one in so many bytecodes, from a random one on: others the next time."""
    return partial(_at_one_in, number)


def _at_one_in(number: int, test: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(test)
    fixtures = list(signature.parameters.values())[1:]

    @wraps(test)
    def run(**values: Any) -> None:
        first = random.randrange(number)
        for step in chain(WARM_UP, count(first, number)):
            interrupt = Interrupt(step)
            test(interrupt, **values)
            if not interrupt.came and step not in WARM_UP:
                assert step > first, "the operation has no bytecode of the library"
                return

    del run.__wrapped__  # or pytest would look for a fixture called interrupt
    run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
    return run


def ctrl_c() -> None:
    """An intrusion: what the handler of SIGINT does, where the interpreter would call it."""
    raise KeyboardInterrupt


@contextmanager
def when_asleep(act: Callable[[], object]) -> Iterator[None]:
    """Have ``act()`` done as soon as a thread sleeps: at the last moment when it can be woken.

    A thread that sleeps on after that, although it was to be woken, fails the test.
    """
    sleep = Gate.pass_through

    def pass_through(gate: Gate, deadline: float = FOREVER) -> None:
        if threading.current_thread().name == "threadtree-timers":  # that of an earlier test
            return sleep(gate, deadline)
        act()
        limit = monotonic() + LIMIT
        sleep(gate, min(deadline, limit))
        assert monotonic() < limit, "a thread was not woken"

    with patch.object(Gate, "pass_through", pass_through):
        yield
