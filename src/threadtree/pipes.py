"""Lines of text between the pipes of a program and queues, carried by one thread without blocking.

The thread sleeps in ``poll()`` on all three pipes and on a :class:`Bell`, so whoever has something
new for it rings: no read or write can hold it, whoever else has the pipe. A queue that is full
stops the reading, and so the program, until somebody takes lines; see :class:`Lines` for what
happens when nobody will. :class:`Lines` and :meth:`Bell.ring` are for any thread, the rest for the
thread of the :class:`Pump`.
"""

from __future__ import annotations

import codecs
import math
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import IO, Any, Final, Protocol, Self

from .parking import FOREVER
from .please_stop import PLEASE_STOP
from .queues import Queue
from .signals import Signal

__all__ = ["Bell", "Feed", "Lines", "Pump", "Sink", "silent"]

MAX_LINES: Final = 10_000  # that a queue holds before the program has to wait
MAX_CHARACTERS: Final = 8 * 2**20  # likewise
MAX_LENGTH: Final = 2**20  # a line longer than this comes in parts
PATIENCE: Final = 1.0  # seconds that a full queue waits for a reader, when its program is joined
TAIL: Final = 20  # lines that an error shows
CHUNK: Final = 2**16  # bytes; what a pipe of Linux holds
HASTE: Final = 2**20  # bytes that are taken from a pipe at the end, bounds or not: what it may hold


class Bell:
    """What wakes a thread that sleeps in ``poll()``.

    Its pipe is closed when nobody holds the bell any more. Were it closed at a moment of our
    choice, a late ``ring`` could write to whatever file has got its number since.
    """

    __slots__ = ("_write", "read")

    def __init__(self) -> None:
        self.read, self._write = os.pipe()
        os.set_blocking(self.read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """Wake the sleeper. Any thread, signal handler or finalizer."""
        with suppress(BlockingIOError):  # full of rings
            os.write(self._write, b"!")

    def hush(self) -> None:
        """Forget the rings so far: what they were for is looked at now. The sleeper only."""
        with suppress(BlockingIOError):
            os.read(self.read, CHUNK)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.read)
        close(self._write)


def silent() -> None:
    """The ring of what no thread serves."""


class Sink(Protocol):
    """Where the lines of a pipe go."""

    def attach(self, ring: Callable[[], object]) -> None:
        """Take the bell of the thread that gives the lines."""

    def opens_at(self) -> float:
        """The monotonic time at which more may be given, if nothing is rung before."""

    def take_in(self, lines: list[str]) -> None:
        """Take lines."""

    def close(self) -> object:
        """There will be no more."""


class Lines(Queue[str]):
    """The lines that a program writes, without their newlines.

    It holds 10,000 lines, or 8 million characters, and little more; then the program is not read
    any more, and has to wait, as at any pipe. When the program is joined, or asked to end, while no
    other thread reads the queue, nobody ever would: then the oldest lines make room. A thread
    that has taken a line, and lives, is a reader, unless it is the one that joins. A closed queue
    takes nothing, and lets the program write on.
    """

    def __init__(self, name: str, waiting: dict[object, threading.Thread], asked: Signal) -> None:
        super().__init__(name, max=MAX_LINES)
        self.tail: deque[str] = deque(maxlen=TAIL)  # the last lines, whoever has taken them
        self.dropped = 0  # how many lines have made room
        self._waiting = waiting  # the threads that wait for the end of the program
        self._asked = asked
        self._readers: dict[threading.Thread, None] = {}  # who takes; single operations only
        self._ring: Callable[[], object] = silent
        # Under the lock:
        self._most = 0  # characters; no more than that
        self._full_since = FOREVER  # since when the thread that we ring for waits for room
        self._keeps_newest = False

    def full(self) -> bool:
        """Whether there is no room."""
        return super().full() or self._is_too_long(MAX_CHARACTERS)

    def _is_too_long(self, limit: int) -> bool:
        """Whether there are so many characters; counted when that may be so."""
        with self._lock:
            if self._most >= limit:
                self._most = sum(map(len, self._lines[0]))
            return self._most >= limit

    # -- for the thread that fills it ----------------------------------------------------------

    def attach(self, ring: Callable[[], object]) -> None:
        """Ring so when there is room again."""
        self._ring = ring

    def detach(self, ring: Callable[[], object]) -> None:
        """Ring so no more. It may be another's turn already."""
        with self._lock:
            if self._ring == ring:
                self._ring = silent

    def look_again(self) -> None:
        """Somebody joins, or does no more. Any thread."""
        self._ring()

    def opens_at(self) -> float:
        """The monotonic time at which more may be taken in; FOREVER: when it rings."""
        with self._lock:
            self._keeps_newest = self._keeps_newest and self._is_abandoned()
            if self._is_closed or self._keeps_newest or not self.full():
                self._full_since = FOREVER
                return 0.0
            self._full_since = min(self._full_since, monotonic())
            if not self._is_abandoned():
                return FOREVER
            opens_at = 0.0 if self._asked else self._full_since + PATIENCE
            self._keeps_newest = opens_at <= monotonic()
            return opens_at

    def _is_abandoned(self) -> bool:
        """Whether the program is to end, and nobody reads this, but perhaps who waits for it."""
        waiting = list(self._waiting.copy().values())
        return bool(self._asked or waiting) and not any(
            thread.is_alive() and thread not in waiting for thread in self._readers.copy()
        )

    def take_in(self, lines: list[str]) -> None:
        """Add lines, whether there is room or not."""
        with self._lock:
            self.tail.extend(lines[-TAIL:])
            if self._is_closed:
                return
            items = self._lines[0]
            count = len(items) + len(lines)
            items.extend(lines[-MAX_LINES:] if self._keeps_newest else lines)
            self._most += sum(map(len, lines))
            if self._keeps_newest:
                self._make_room(items)
                self.dropped += count - len(items)
            self._wake(self._takers)

    def _make_room(self, items: deque[str]) -> None:
        for _ in range(len(items) - MAX_LINES):
            items.popleft()
        if self._is_too_long(MAX_CHARACTERS):
            while self._most > MAX_CHARACTERS and len(items) > 1:
                self._most -= len(items.popleft())

    # -- taking --------------------------------------------------------------------------------

    def _take(self, find: Callable[[], deque[str]]) -> object:
        self._readers[threading.current_thread()] = None
        with self._lock:  # who is rung now looks when we have let go of it
            if self._full_since != FOREVER:
                self._ring_if_there_is_room(len(self) - 1)
            return super()._take(find)

    def pop_all(self) -> list[str]:
        """Take all that is there, without waiting."""
        self._readers[threading.current_thread()] = None
        with self._lock:
            self._ring_if_there_is_room(0)
            return super().pop_all()

    def _ring_if_there_is_room(self, lines: int) -> None:
        # At a half, so that the pump is not woken for each line.
        if 2 * lines <= MAX_LINES and not (lines and self._is_too_long(MAX_CHARACTERS // 2)):
            self._ring()

    def close(self) -> Self:
        """Take no more lines, and let the program write on. Returns self."""
        super().close()
        self._ring()
        return self


class Feed(Queue[str]):
    """The lines that a program reads. Each is written with a newline at its end; to close the
    queue ends the program's input, when all is written. It has no limit."""

    ring: Callable[[], object] = staticmethod(silent)  # for the thread that writes them

    def _add(self, value: str, *how: Any) -> Self:
        if value is not PLEASE_STOP and not isinstance(value, str):
            raise TypeError(f"a program reads lines, which are strings, not {value!r}")
        super()._add(value, *how)
        self.ring()
        return self

    def close(self) -> Self:
        """Take no more lines. Returns self."""
        super().close()
        self.ring()
        return self


class _Output:
    """A pipe that is read, and cut into lines."""

    def __init__(self, pipe: IO[bytes], sink: Sink) -> None:
        self.pipe = pipe
        self.sink = sink
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._begun = ""  # a line of which no end has come
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> int:
        """Take what is there; how many bytes: 0 at its end. BlockingIOError: none yet."""
        chunk = os.read(self.pipe.fileno(), CHUNK)
        self._take_in(self._decode(chunk, final=not chunk))
        if not chunk:
            self.close()
        return len(chunk)

    def _take_in(self, text: str) -> None:
        lines = text.split("\n")
        lines[0] = self._begun + lines[0]
        self._begun = lines.pop()
        if len(self._begun) >= MAX_LENGTH:
            lines.append(self._begun)
            self._begun = ""
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        self.sink.take_in(lines)

    def read_all(self) -> None:
        """Take what is there now, whether there is room for it or not."""
        taken = 0
        with suppress(BlockingIOError):
            while taken < HASTE and (size := self.read()):
                taken += size

    def close(self) -> None:
        if not self.pipe.closed:
            self.pipe.close()
            if self._begun:
                self.sink.take_in([self._begun])
            self.sink.close()
            self.sink.attach(silent)


class _Input:
    """A pipe that is written."""

    def __init__(self, pipe: IO[bytes], feed: Feed, ring: Callable[[], object]) -> None:
        self.pipe = pipe
        self._feed = feed
        self._pending = memoryview(b"")
        os.set_blocking(pipe.fileno(), False)
        feed.ring = ring  # and then, in refill(), we look

    def refill(self) -> bool:
        """Whether there is something to write. At the end of the feed, the pipe is closed."""
        if self._pending:
            return True
        text: list[str] = []
        while len(text) < CHUNK // 16 and (line := self._feed.pop_one()) is not None:
            if line is PLEASE_STOP:
                if not text:
                    self.close()
                break
            text += line, "\n"
        self._pending = memoryview(_encoded("".join(text)))
        return bool(self._pending)

    def write(self) -> None:
        """Write as much as the pipe takes."""
        try:
            self._pending = self._pending[os.write(self.pipe.fileno(), self._pending) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.close()

    def close(self) -> None:
        if not self.pipe.closed:
            with suppress(BrokenPipeError):
                self.pipe.close()
            self._feed.ring = silent
            self._feed.close().pop_all()  # who adds must hear that nobody reads any more


class Pump:
    """Carries the lines of one program. Made by any thread; ``run`` is what its thread does.

    ``exited`` says that the program has ended. ``drained`` goes when its output has come to an end,
    which is later, or never, where others have the pipes.
    """

    def __init__(
        self,
        pipes: tuple[IO[bytes], IO[bytes], IO[bytes]],
        feed: Feed,
        sinks: tuple[Sink, Sink],
        exited: Signal,
    ) -> None:
        stdin, stdout, stderr = pipes
        self.drained = Signal("drained")
        self._bell = Bell()
        self._exited = exited
        self._input = _Input(stdin, feed, self._bell.ring)
        self._outputs = [_Output(stdout, sinks[0]), _Output(stderr, sinks[1])]
        for sink in sinks:
            sink.attach(self._bell.ring)

    def run(self, please_stop: Signal) -> None:
        """Carry lines, until asked to end; then take what is there, and close the pipes."""
        ring = self._bell.ring
        keys = [(signal, signal._subscribe(ring)) for signal in (please_stop, self._exited)]
        try:
            while not please_stop and not self._exited:
                self._turn()
            self._take_the_rest()
            while not please_stop:
                self._turn()
            self._take_the_rest()
        finally:
            for signal, key in keys:
                signal._unsubscribe(key)
            self.close()

    def close(self) -> None:
        """Close the pipes and the queues. Of what has not begun, or has ended."""
        self._input.close()
        for output in self._outputs:
            output.close()
        self.drained.go()

    def _take_the_rest(self) -> None:
        """The program cannot wait for room any more, and what it has left is little."""
        for output in self._open_outputs():
            output.read_all()

    def _open_outputs(self) -> list[_Output]:
        outputs = [output for output in self._outputs if not output.pipe.closed]
        if not outputs:
            self.drained.go()
        return outputs

    def _turn(self) -> None:
        """Sleep until something can be done, and do it."""
        poll = select.poll()
        poll.register(self._bell.read, select.POLLIN)
        wake_at = FOREVER
        watched: dict[int, _Output] = {}
        for output in self._open_outputs():
            opens_at = output.sink.opens_at()
            if opens_at <= monotonic():  # else not even looked at: a closed pipe is always ready
                watched[output.pipe.fileno()] = output
                poll.register(output.pipe.fileno(), select.POLLIN)
            else:
                wake_at = min(wake_at, opens_at)
        is_writing = not self._input.pipe.closed and self._input.refill()
        feeding = -1 if self._input.pipe.closed else self._input.pipe.fileno()
        if feeding >= 0:  # without POLLOUT, we hear only that nobody reads it any more
            poll.register(feeding, select.POLLOUT if is_writing else 0)
        ready = poll.poll(_milliseconds_until(wake_at))
        self._bell.hush()  # and from here on, our caller too, we look at everything again
        for fd, events in ready:
            if fd in watched:
                with suppress(BlockingIOError):
                    watched[fd].read()
            elif fd == feeding:
                self._input.close() if events & select.POLLERR else self._input.write()


def _milliseconds_until(moment: float) -> float | None:
    return None if moment == FOREVER else math.ceil(max(moment - monotonic(), 0) * 1000)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")  # names of files may be no UTF-8
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
