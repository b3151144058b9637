"""What is to be downloaded: from URLs, or from a directory, to jobs."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from errno import ELOOP, ENOENT
from itertools import chain, count
from pathlib import Path, PureWindowsPath
from stat import S_ISREG
from urllib.parse import quote, unquote, urldefrag, urlsplit

__all__ = ["Job", "free_path", "job_of_url", "jobs_of_directory", "standard_library"]


@dataclass(frozen=True)
class Job:
    """One file to download: from where, to where, and what it has to be."""

    url: str
    path: Path
    sha256: str | None = None
    """Its SHA-256, if the user knows it."""
    original: Path | None = None
    """The file itself, if it is we who serve it: what arrives has to have the same SHA-256."""


def standard_library() -> Path:
    """The directory of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def job_of_url(url: str, to: Path, taken: Container[Path] = ()) -> Job:
    """A job for a URL, which may end in ``#sha256=...``."""
    url, fragment = urldefrag(url)
    parts = urlsplit(url)
    # The last part of the path, whichever way its slashes lean: nothing may lead out of ``to``.
    name = PureWindowsPath(unquote(parts.path)).name
    if name in ("", ".."):
        name = parts.hostname or "index"
    sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
    return Job(url, free_path(to / name, taken), sha256)


def jobs_of_directory(
    directory: Path, served_at: str, to: Path, on_error: Callable[[OSError], object]
) -> list[Job]:
    """A job for each file below a directory that is served at a URL, in order of their names.

    ``on_error`` is called with what keeps us from looking at one.
    """
    jobs = []
    for file in sorted(_files(directory, on_error)):
        below = file.relative_to(directory)
        url = served_at + quote(os.fsencode(below.as_posix()))
        jobs.append(Job(url, to / below, original=file))
    return jobs


def free_path(path: Path, taken: Container[Path]) -> Path:
    """The path, or one like it with a number, that is not taken."""
    # The number goes before the suffix, if it is one: not in that of 127.0.0.1.
    suffix = "" if path.suffix[1:].isdecimal() else path.suffix
    stem = path.name.removesuffix(suffix)
    numbered = (path.with_name(f"{stem}-{n}{suffix}") for n in count(2))
    return next(candidate for candidate in chain([path], numbered) if candidate not in taken)


# Of the standard library we take what is written in Python, but not its tests, nor what others
# have installed there.
_LEFT_OUT = {"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test"}


def _files(directory: Path, on_error: Callable[[OSError], object]) -> Iterator[Path]:
    """The files below a directory."""
    of_python = directory == standard_library()
    for folder, subfolders, names in os.walk(directory, onerror=on_error):
        if of_python:
            subfolders[:] = set(subfolders) - _LEFT_OUT
            names = [name for name in names if name.endswith(".py")]
        for name in names:
            file = Path(folder, name)
            try:
                if S_ISREG(file.stat().st_mode):  # no socket, nor a pipe that one would wait for
                    yield file
            except OSError as error:
                if error.errno not in (ENOENT, ELOOP):  # a link to nowhere, or to itself
                    on_error(error)
