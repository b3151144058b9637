"""What must be made anew in the child of a fork, where only the forking thread is left."""

from __future__ import annotations

import os
from collections.abc import Callable

__all__ = ["after_fork_in_child"]


def after_fork_in_child(renew: Callable[[], None]) -> None:
    """Call ``renew()`` in every forked child. A lock that a vanished thread held stays held, so
    each module that has one makes it anew this way; in the order in which they registered."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
