"""Where in the program of a user something came about: the nearest frame that is not ours."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

__all__ = ["is_ours", "origin"]

_PACKAGE: Final = __package__
_BELOW: Final = f"{_PACKAGE}."


def origin(*through: str) -> tuple[str, int]:
    """File and line of the code that called into the library, if need be through these packages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        is_ours(frame) or (through and _package_of(frame) in through)
    ):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def is_ours(frame: FrameType) -> bool:
    """Whether the code of a frame is of this library."""
    package = frame.f_globals.get("__package__")
    return package == _PACKAGE or (package or "").startswith(_BELOW)


def _package_of(frame: FrameType) -> str:
    """The name of the outermost package that the code of a frame stands in."""
    return (frame.f_globals.get("__package__") or "").partition(".")[0]
