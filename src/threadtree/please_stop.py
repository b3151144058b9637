"""The word by which a thread is asked to end: what its target's argument is called."""

from __future__ import annotations

from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, Final

__all__ = ["PLEASE_STOP", "THREAD_STOP", "names_please_stop", "takes_please_stop"]


class _Word(str):
    """A word that is told by identity: a string of the same letters is another object."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self.upper()}>"


PLEASE_STOP: Final = _Word("please_stop")
"""The name of the argument that a thread's target takes; and what ``Queue.pop()`` gives at the end.

Compared by identity: the string "please_stop" is an ordinary item. ``f(**{PLEASE_STOP: signal})``
gives f its signal. (From mo-threads.)
"""

THREAD_STOP: Final = PLEASE_STOP
"""Another name of PLEASE_STOP: added to a queue, it closes it. (From mo-threads.)"""

_VAR_KEYWORDS: Final = 8  # inspect.CO_VARKEYWORDS; importing inspect takes 5 ms


def takes_please_stop(target: Any) -> bool:
    """Whether ``target(please_stop=...)`` is understood, also by what that passes it on to."""
    if isinstance(target, MethodType):
        return takes_please_stop(target.__func__)
    if isinstance(target, BuiltinFunctionType):
        return False  # none does; and on Python 3.11 to ask for its signature is not thread-safe
    if not isinstance(target, FunctionType) or hasattr(target, "__wrapped__"):
        return _says_so(target)
    # The plain function, as most often: 20 us less than a signature takes.
    return names_please_stop(target) or bool(target.__code__.co_flags & _VAR_KEYWORDS)


def names_please_stop(target: Any) -> bool:
    """Whether it is a plain function or method, or a partial of one, that has this argument."""
    while isinstance(target, partial):
        target = target.func
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    if code is None:
        return False
    return (
        PLEASE_STOP
        in code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    )


def _says_so(target: Any) -> bool:
    from inspect import Parameter, signature

    passed_on_to = getattr(target, "__wrapped__", None)
    if passed_on_to is None:
        is_partial = isinstance(target, partial)
        passed_on_to = (
            target.func if is_partial else getattr(type(target).__call__, "__wrapped__", None)
        )
    try:
        parameters = signature(target, follow_wrapped=False).parameters
    except (TypeError, ValueError):  # written in C, such as what functools.cache gives
        return passed_on_to is not None and takes_please_stop(passed_on_to)
    if PLEASE_STOP in parameters:
        return parameters[PLEASE_STOP].kind is not Parameter.POSITIONAL_ONLY
    if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return False
    return passed_on_to is None or takes_please_stop(passed_on_to)
