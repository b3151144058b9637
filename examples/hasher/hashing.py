"""The work: the SHA-256 of a file, piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path

__all__ = ["sha256"]

PIECE = 1 << 16  # bytes between two reports


def sha256(path: Path) -> Generator[tuple[int, int], None, str]:
    """Give the digest. Each yield says how far it is, and is a point where pause and cancel act;
    the file is closed in any case."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    done = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            yield done, size
    return digest.hexdigest()
