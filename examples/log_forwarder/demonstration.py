"""What the program shows without arguments: everything that may go wrong, in a second or two."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from threadtree import Signal, Thread, Worker, create_worker, join_all_threads

from .forwarder import Forwarder, Settings
from .sink import TROUBLES, Sink, Store

__all__ = ["demonstrate"]

FILES = ("web.log", "mail.log", "truncated.log")
ROTATIONS = 4
LINES = 200  # in each file, between two rotations


def demonstrate(say: Callable[[str], object]) -> int:
    """Write files and rotate them, ship them to a flaky sink, and verify; 0 if it is all there."""
    store = Store()
    sink = Sink(store, cycle(mood for trouble in TROUBLES for mood in ("", "", trouble)))
    # A worker without a parent: like a real sink, it goes on when this program is asked to end.
    server: Worker[None] = create_worker(sink.run, parent=False, daemon=True, name="sink")
    try:
        with TemporaryDirectory(prefix="log_forwarder-", ignore_cleanup_errors=True) as folder:
            paths = [Path(folder, name) for name in FILES]
            settings = Settings(
                files=paths,
                to=sink.url,
                state=Path(folder, "state"),
                batch=100,
                period=0.05,
                interval=0.02,
                linger=0.1,
                timeout=0.1,
            )
            say(f"writing {', '.join(FILES)} in {folder}, and rotating each {ROTATIONS} times")
            say(f"shipping them to {sink.url}, which at times {', '.join(TROUBLES)}")
            forwarder = Forwarder(settings, say)
            thread = Thread.run("forwarder", forwarder.run)
            writers = [Thread.run(f"write {p.name}", write, p, store) for p in paths]
            try:
                join_all_threads(writers)
                say("all is written")
                thread.stop().join()
            finally:
                thread.stop().join()  # also when a stop has interrupted the wait above
            shipper = forwarder.shipper
            say(
                f"shipped {shipper.lines} lines in {shipper.batches} batches; had to send "
                f"{shipper.repeated} times again, as the sink failed {sink.troubles} times"
            )
            say(f"the sink has {store.batches} batches; {store.known} times it knew one already")
            return max([verify(path, store, say) for path in paths])
    finally:
        server.stop().join()


def text_of(number: int) -> str:
    """What stands in a line."""
    return f"line {number:06} " + "x" * (number % 60)


def write(path: Path, store: Store, please_stop: Signal) -> None:
    """An application that writes a log file, and rotates it. The last line has no newline."""
    number = 0
    for rotation in range(ROTATIONS + 1):
        with path.open("a") as file:
            for half in range(2):
                for _ in range(LINES // 2):
                    number += 1
                    file.write(text_of(number) + "\n")
                file.flush()
                # Nobody can ship a file that is gone before it was looked at; nor lines that are
                # truncated before they were read.
                must_be_seen = half == 0 or path.name == "truncated.log"
                if must_be_seen and not store.wait_for(str(path), text_of(number)):
                    return
            if rotation == ROTATIONS:
                file.write("the end")
            elif path.name == "truncated.log":
                file.truncate(0)
            else:
                path.rename(path.with_name(f"{path.name}.{rotation}"))
                number += 1
                file.write(text_of(number) + "\n")  # the application notices a little later


def verify(path: Path, store: Store, say: Callable[[str], object]) -> int:
    """Whether what the sink has of a file is what was written, in that order: 0 if so."""
    got = store.lines(str(path))
    total = (ROTATIONS + 1) * LINES + (0 if path.name == "truncated.log" else ROTATIONS)
    expected = [*map(text_of, range(1, total + 1)), "the end"]
    if got == expected:
        say(f"{path.name}: all {len(expected)} lines are there, once, in their order")
        return 0
    missing, more = set(expected) - set(got), len(got) - len(set(got))
    say(f"{path.name}: {len(missing)} of {len(expected)} lines are missing, {more} came twice")
    return 1
