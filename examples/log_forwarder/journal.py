"""What is remembered from one run to the next: how far was shipped, and what is on its way.

It is in one file, which is replaced as a whole: so it is the old one or the new one, wherever the
program is killed. One thread at a time uses it: the one that ships.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from .follow import FileId, Line, Position

__all__ = ["Batch", "Journal"]


class Batch(NamedTuple):
    """Lines that are sent together, each with the path that it came from."""

    id: str
    lines: list[tuple[str, str]]


class Journal:
    """How far each file was shipped, and the batch on its way. Begins anew without a file.

    Raises OSError for a file that cannot be read or written, ValueError for one that is not ours.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data: dict[str, Any] = {
            "id": token_hex(8),  # of these batches, among those of all forwarders
            "number": 0,
            "shipped": [],
            "on its way": None,
        }
        if path.exists():
            data = json.loads(path.read_text("ascii"))
            if not isinstance(data, dict) or data.keys() != self._data.keys():
                raise ValueError(f"{path} was not written by this program")
            self._data = data
        self._write()

    def shipped(self, path: Path) -> list[Position]:
        """How far the files of a path were shipped, in the order in which they came."""
        positions = [Position(*values) for values in self._data["shipped"]]
        return [position for position in positions if position.path == str(path)]

    @property
    def on_its_way(self) -> Batch | None:
        """The batch that was begun and not done, if there is one."""
        begun = self._data["on its way"]
        if begun is None:
            return None
        lines = [(path, text) for path, text in begun["lines"]]
        return Batch(f"{self._data['id']}-{self._data['number']}", lines)

    def begin(self, lines: Iterable[Line]) -> Batch:
        """Put a batch on its way, under the next number. The one before must be done."""
        # Of each file, by the path by which we follow it: it may have several.
        positions: dict[tuple[str, FileId], Position] = {}
        for values in self._data["shipped"]:
            position = Position(*values)
            positions[position.path, position.file] = position
        texts = []
        for position, text in lines:
            if text is None:
                positions.pop((position.path, position.file), None)
            else:
                positions[position.path, position.file] = position
                texts.append((position.path, text))
        self._data["number"] += 1
        self._data["on its way"] = {"lines": texts, "then shipped": [*positions.values()]}
        self._write()
        batch = self.on_its_way
        assert batch is not None
        return batch

    def done(self) -> None:
        """The batch has arrived."""
        self._data["shipped"] = self._data["on its way"]["then shipped"]
        self._data["on its way"] = None
        self._write()

    def _write(self) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        with new.open("w", encoding="ascii") as file:
            json.dump(self._data, file)
            file.flush()
            os.fsync(file.fileno())  # also when the power fails
        os.replace(new, self._path)
