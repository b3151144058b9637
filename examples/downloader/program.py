"""The program: its arguments, its workers, its end."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

from threadtree import Channel, Worker, WorkerCancelled, create_worker, current

from ..console import INTERRUPTED, say
from .display import Display, amount, picture_of
from .keys import keys_available, read_keys
from .manager import Manager, Report
from .server import FileServer
from .sources import Job, free_path, job_of_url, jobs_of_directory, standard_library

__all__ = ["main"]

DONE, INCOMPLETE = 0, 1  # exit codes; 2 is for wrong arguments, 130 for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with these arguments, by default the command line's; gives the exit code."""
    begin = monotonic()
    options = _parse(arguments)
    report = Report()
    # All that goes on is in the tree below this worker. The main thread only waits for it: so that
    # is the one place where Ctrl-C can come.
    worker = Worker(_download, name="downloader", print_traceback=False)
    try:
        worker.start(options, report).get()
        ending, code = "", INCOMPLETE if report.failed or report.unreadable else DONE
    except WorkerCancelled:
        ending, code = "stopped: ", INCOMPLETE
    except KeyboardInterrupt:
        for straggler in worker.shutdown():
            say(str(straggler).partition(", at:")[0])  # without its stack
        ending, code = "interrupted: ", INTERRUPTED
    _tell(report, f"{ending}downloaded", f"in {monotonic() - begin:.1f} s, into {options.to}")
    return code


def _download(options: Options, report: Report) -> None:
    """Start the other workers, and wait for the manager. Its end ends them all."""
    servers, jobs = _plan(options, report)
    for server in servers:
        say(f"serving {server.directory} at {server.url}")
        create_worker(server.run, name=f"server-{server.directory.name}")
    progress = Channel()
    with_keys = keys_available()
    hint = "keys: p pause, r resume, q quit" if with_keys else ""
    progress.sub(create_worker(Display(len(jobs), hint).run, name="display"))
    say(f"downloading {_files(len(jobs))}, {options.workers} at a time, into {options.to}")
    task = Manager(
        jobs,
        report,
        progress,
        workers=options.workers,
        timeout=options.timeout,
        retries=options.retries,
        backoff=options.backoff,
    )
    with picture_of(current()):
        manager = create_worker(task.run, print_traceback=False, name="manager")
        if with_keys:
            pause, resume = partial(manager.fire, "PAUSE"), partial(manager.fire, "RESUME")
            create_worker(read_keys, {"p": pause, "r": resume, "q": current().stop}, name="keys")
        manager.get()


def _plan(options: Options, report: Report) -> tuple[list[FileServer], list[Job]]:
    """What has to be served, and what to be downloaded."""
    servers: list[FileServer] = []
    jobs: list[Job] = []
    taken: set[Path] = set()  # below options.to
    for source in options.sources or [standard_library()]:
        if isinstance(source, Path):
            servers.append(FileServer(source))
            folder = free_path(options.to / (source.name or "root"), taken)
            jobs += jobs_of_directory(source, servers[-1].url, folder, report.unreadable.append)
            taken.add(folder)
        else:
            jobs.append(job_of_url(source, options.to, taken))
            taken.add(jobs[-1].path)
    return servers, jobs


def _tell(report: Report, how: str, where: str) -> None:
    """Say what has become of the files."""
    for error in report.unreadable:
        say(f"cannot be read: {error.filename}: {error.strerror}")
    for job, reason in report.failed.items():
        say(f"failed: {job.url}: {reason}")
    fetched = report.fetched
    size = amount(sum(fetched.values()))
    say(f"{how} {len(fetched)} of {_files(report.jobs)}, {size}, {where}")
    verified = sum(1 for job in fetched if job.original or job.sha256)
    say(f"verified the SHA-256 of {verified} of them")
    if verified < len(fetched):
        say("of the others it is not known; a URL can end in #sha256=...")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


# -- the command line ------------------------------------------------------------------------------


class Options(argparse.Namespace):
    """The arguments of the program."""

    sources: list[Path | str]
    to: Path
    workers: int
    timeout: float
    retries: int
    backoff: float


N = TypeVar("N", int, float)


def _parse(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m examples.downloader",
        description="Download files, many at a time, and verify them. A directory is served over "
        "HTTP on loopback, and downloaded from there; without arguments, that is what is written "
        "in Python of the running Python's standard library.",
        epilog="On a terminal, p pauses, r resumes and q quits. The exit code is 0 if every file "
        "was downloaded and verified, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.",
    )
    add = parser.add_argument
    add(
        "sources",
        nargs="*",
        type=_source,
        metavar="URL-or-directory",
        help="what to download; a URL that ends in #sha256=... is verified by that",
    )
    add("--to", type=Path, metavar="DIR", help="where to put the files (a new directory in TMP)")
    add(
        "--workers",
        type=_between(int, 1, 1000),
        default=4,
        help="downloads at a time (%(default)s)",
    )
    add(
        "--timeout",
        type=_between(float, 0.001, 86400.0),
        default=10.0,
        metavar="SECONDS",
        help="a connection on which nothing comes for so long has failed (%(default)s)",
    )
    add(
        "--retries",
        type=_between(int, 0, 1000),
        default=3,
        help="how often to try again to download a file (%(default)s)",
    )
    add(
        "--backoff",
        type=_between(float, 0.0, 3600.0),
        default=0.5,
        metavar="SECONDS",
        help="the pause before the first retry; it doubles each time (%(default)s)",
    )
    options = parser.parse_args(arguments, namespace=Options())
    try:
        options.to = Path(options.to or tempfile.mkdtemp(prefix="downloader-"))
        options.to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument --to: {error}")
    return options


def _source(text: str) -> Path | str:
    """A URL as it is, or the path of a directory."""
    if urlsplit(text).scheme in ("http", "https"):
        return text
    if Path(text).is_dir():
        return Path(text).resolve()
    raise argparse.ArgumentTypeError(f"neither an http(s) URL nor a directory: {text}")


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
