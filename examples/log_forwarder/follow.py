"""Reading files that grow, and that are rotated under our eyes.

A file is known by what it is, its device and inode, not by its name. So one that was renamed is
read on until it has been quiet for a while, beside the one that has come in its place: its writer
may not have noticed yet. One that was truncated is read from its beginning; that is seen by the
last line that was read being no longer where it was.

Two things no reader of files can see: what was truncated before it was read, and a file that came
and went between two looks.

One thread at a time uses what is here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import NamedTuple, TypeAlias

__all__ = ["FileId", "Follower", "Line", "Position"]

CHUNK = 1 << 16
REMEMBERED = 64  # bytes of the last line, by which we see that a file is still the same

FileId: TypeAlias = tuple[int, int]  # device and inode


class Position(NamedTuple):
    """How far a file was read: ``end``, and the bytes before that, in hexadecimal."""

    path: str  # by which we follow it; it may have another name by now
    device: int
    inode: int
    end: int = 0
    before: str = ""

    @property
    def file(self) -> FileId:
        """Which file."""
        return self.device, self.inode


class Line(NamedTuple):
    """A line, or the news that a file that was renamed is at its end, and where that leaves us."""

    position: Position  # behind it
    text: str | None  # None: nothing more will come from this file


class Tail:
    """One file, read from a position on."""

    def __init__(self, path: Path, position: Position | None = None) -> None:
        # Without a buffer: that would go on showing what a truncation has taken away.
        self._file = path.open("rb", buffering=0)
        status = os.fstat(self._file.fileno())
        self.file: FileId = status.st_dev, status.st_ino
        self.position = position or Position(str(path), *self.file)
        self.quiet_since = monotonic()

    def lines(self, with_rest: bool = False) -> Iterator[Line]:
        """What has come since the last time; a line without its newline only ``with_rest``.

        A line counts as read when the next one is asked for: so what could not be handed on comes
        again.
        """
        while unread := self._unread(with_rest):
            for line in BytesIO(unread):
                end = self.position.end + len(line)
                position = self.position._replace(end=end, before=line[-REMEMBERED:].hex())
                # What is no UTF-8 comes out at the other end as the bytes that it was.
                yield Line(position, line.removesuffix(b"\n").decode(errors="surrogateescape"))
                self.position = position
                self.quiet_since = monotonic()

    def _unread(self, with_rest: bool) -> bytes:
        """Some of the complete lines behind our position, or the rest behind the last of them."""
        size = CHUNK
        while len(data := self._read(size)) == size and b"\n" not in data:
            size *= 2
        complete = data.rfind(b"\n") + 1
        return data[:complete] if complete or not with_rest else data

    def _read(self, size: int) -> bytes:
        """The bytes behind our position: the first of the file, if it was truncated."""
        before = bytes.fromhex(self.position.before)
        self._file.seek(self.position.end - len(before))
        # In one read, so that no truncation comes between the look and what is taken.
        data = self._file.read(len(before) + size)
        if data.startswith(before):
            return data[len(before) :]
        self.position = self.position._replace(end=0, before="")
        return self._read(size)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Follower:
    """All files that have, or had, a path. ``read`` says how far, from an earlier run.

    A file that was renamed is given up when it has not grown for ``linger`` seconds.
    """

    def __init__(self, path: Path, linger: float, read: Iterable[Position] = ()) -> None:
        self.path = path
        self._linger = linger
        reopened = [_reopen(path.parent, position) for position in read]
        self._tails = [tail for tail in reopened if tail is not None]

    def look(self, is_last: bool = False) -> Iterator[Line]:
        """The lines that have come since the last look; in the last, also the unfinished ones."""
        current = self._meet()
        for tail in self._tails.copy():
            yield from tail.lines(with_rest=is_last)
            was_renamed = current is not None and tail is not current
            if was_renamed and not is_last and monotonic() - tail.quiet_since >= self._linger:
                yield from tail.lines(with_rest=True)
                yield Line(tail.position, None)
                self._tails.remove(tail)
                tail.close()

    def close(self) -> None:
        """Give the files back."""
        while self._tails:
            self._tails.pop().close()

    def _meet(self) -> Tail | None:
        """The file that has the path now, if there is one. A new one is behind all others."""
        try:
            status = os.stat(self.path)
            tail = self._known(status.st_dev, status.st_ino)
            if tail is not None:
                return tail
            tail = Tail(self.path)  # maybe yet another by now: so it is asked itself what it is
        except FileNotFoundError:
            return None
        known = self._known(*tail.file)
        if known is not None:
            tail.close()
            return known
        self._tails.append(tail)
        return tail

    def _known(self, *file: int) -> Tail | None:
        return next((tail for tail in self._tails if tail.file == file), None)


def _reopen(folder: Path, position: Position) -> Tail | None:
    """A file of an earlier run, which may have been renamed since; but not moved away."""
    while True:
        # A folder that changes while we read it may show a file by an old name, or by none. So we
        # look until two looks agree, and then whether we have opened what we have looked for.
        before, present = None, _files(folder)
        while present != before:
            before, present = present, _files(folder)
        if position.file not in present:
            return None
        with suppress(FileNotFoundError):
            tail = Tail(present[position.file], position)
            if tail.file == position.file:
                return tail
            tail.close()


def _files(folder: Path) -> dict[FileId, Path]:
    """What is in a folder, and what it is called."""
    files = {}
    with suppress(FileNotFoundError):
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # removed meanwhile
                status = path.stat()
                files[status.st_dev, status.st_ino] = path
    return files
