"""How long an orderly end may take, at each rung of the ladder."""

from __future__ import annotations

from .parking import seconds

__all__ = ["Graces", "graces"]


class Graces:
    """The graces, in seconds. Set the attributes of :data:`graces`; they hold from then on.

    What was *asked* to end may still wait and sleep in its clean-up code for ``asked``. Then it is
    *told*: every wait of the library raises WorkerExit, for ``told``. What runs on is reported and
    left. ``daemons`` is what daemon workers get when the program has ended. Raises AttributeError
    for any other name, TypeError or ValueError for what is no number of seconds.

    >>> Graces(asked=2.5)
    Graces(asked=2.5, told=1.0, daemons=2.0)
    """

    __slots__ = ("asked", "daemons", "told")

    def __init__(self, asked: float = 5.0, told: float = 1.0, daemons: float = 2.0) -> None:
        self.asked = asked
        self.told = told
        self.daemons = daemons

    def __setattr__(self, name: str, value: float) -> None:
        if name not in Graces.__slots__:
            raise AttributeError(f"there is no grace called {name!r}: asked, told, daemons")
        super().__setattr__(name, seconds(value, f"{name} must be"))

    def __repr__(self) -> str:
        return f"Graces(asked={self.asked}, told={self.told}, daemons={self.daemons})"


graces = Graces()
"""The graces of this process."""
