"""The program: its arguments, its threads, its end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from threadtree import (
    Signal,
    Thread,
    Worker,
    graces,
    later,
    wait_for_shutdown_signal,
)
from threadtree import main as in_charge

from ..console import INTERRUPTED, ignore_interrupts, say
from .demonstration import demonstrate
from .forwarder import Forwarder, Settings

__all__ = ["main"]

DONE, INCOMPLETE = 0, 1  # exit codes; 2 is for wrong arguments, 130 for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments, by default the command line's; gives the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments, namespace=Options())
    if not options.files:
        if options.to or options.state:
            parser.error("there are no files to follow")
        return _demonstrate()
    if not (options.to and options.state):
        parser.error("to follow files, both --to and --state are needed")
    try:
        forwarder = Forwarder(options.settings(), say)
    except (OSError, ValueError) as error:
        parser.error(f"argument --state: {error}")
    graces.asked = options.grace
    return _forward(forwarder, len(options.files))


def _demonstrate() -> int:
    """Show what it does. All of that is below one worker, so only here can Ctrl-C come."""
    worker = Worker(demonstrate, print_traceback=False, name="demonstration")
    try:
        return worker.start(say).get()
    except KeyboardInterrupt:
        worker.shutdown()
        return INTERRUPTED


def _forward(forwarder: Forwarder, files: int) -> int:
    """Have the files followed until SIGTERM or Ctrl-C; gives the exit code."""
    code = DONE
    ended = Signal()

    def begin() -> None:
        threads.append(Thread.run("forwarder", forwarder.run))
        threads[0].stopped.then(ended.go)
        say(f"following {files} file{'s' if files > 1 else ''}")

    threads: list[Thread[None]] = []
    try:
        with in_charge():  # from here on, until all threads have ended
            # Called in the wait, so that a signal that comes before it finds nothing to be ended.
            later(begin)
            wait_for_shutdown_signal(ended)
            for thread in threads:
                thread.join()
    except KeyboardInterrupt:  # once more, while it was ending
        ignore_interrupts()
        code = INTERRUPTED
    except Exception as error:
        for one in error.exceptions if isinstance(error, ExceptionGroup) else [error]:
            say(f"{type(one).__name__}: {one}")
        code = INCOMPLETE
    shipper = forwarder.shipper
    say(f"shipped {shipper.lines} lines in {shipper.batches} batches")
    if code != DONE:
        say("what is left is for the next run with the same state file")
    return code


# -- the command line ------------------------------------------------------------------------------


class Options(argparse.Namespace):
    """The arguments of the program."""

    files: list[Path]
    to: str | None
    state: Path | None
    batch: int
    period: float
    interval: float
    linger: float
    timeout: float
    grace: float

    def settings(self) -> Settings:
        """Those of them that the forwarder needs."""
        assert self.to is not None
        assert self.state is not None
        return Settings(
            files=list(dict.fromkeys(self.files)),  # each once
            to=self.to,
            state=self.state,
            batch=self.batch,
            period=self.period,
            interval=self.interval,
            linger=self.linger,
            timeout=self.timeout,
        )


N = TypeVar("N", int, float)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.log_forwarder",
        description="Follow log files that grow and rotate, and ship their lines to an HTTP sink, "
        "each once. Without arguments it shows that, with files and a sink of its own.",
        epilog="SIGTERM and Ctrl-C ship what is there, and end. The exit code is 0 if it was all "
        "shipped, 1 if not, 2 for wrong arguments, 130 after a second Ctrl-C. What was not shipped "
        "is for the next run with the same state file. The sink gets a POST with JSON, "
        '{"id": ..., "lines": [[file, text], ...]}, and must know an id that comes again.',
    )
    add = parser.add_argument
    add("files", nargs="*", type=_file, metavar="FILE", help="to follow; it may be there later")
    add("--to", type=_url, metavar="URL", help="where to ship the lines")
    add("--state", type=Path, metavar="FILE", help="where to remember what was shipped")
    settings = {
        "batch": (_between(int, 1, 100_000), "the most lines in a batch"),
        "period": (_between(float, 0.0, 3600.0), "seconds until a batch is sent that is not full"),
        "interval": (_between(float, 0.001, 3600.0), "seconds between two looks at a file"),
        "linger": (_between(float, 0.0, 86400.0), "seconds until a file that was renamed is left"),
        "timeout": (_between(float, 0.001, 3600.0), "seconds for which the sink may be silent"),
    }
    for name, (kind, text) in settings.items():
        default = getattr(Settings, name)
        add(f"--{name}", type=kind, default=default, metavar="N", help=f"{text} ({default:g})")
    add(
        "--grace",
        type=_between(float, 0.0, 3600.0),
        default=graces.asked,
        metavar="N",
        help="seconds in which to ship the rest, when asked to end (%(default)g)",
    )
    return parser


def _file(text: str) -> Path:
    """A path that is no directory, nor a pipe, from which nothing can be read twice."""
    path = Path(text).absolute()
    if path.exists() and not path.is_file():
        raise argparse.ArgumentTypeError(f"not a file: {text}")
    return path


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise argparse.ArgumentTypeError(f"not an http(s) URL: {text}")
    return text


def _between(kind: Callable[[str], N], least: N, most: N) -> Callable[[str], N]:
    """What argparse needs for a number that must lie between two others."""

    def number(text: str) -> N:
        try:
            value = kind(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:  # so NaN is caught, too
            raise argparse.ArgumentTypeError(f"not between {least:g} and {most:g}: {text}")
        return value

    return number
