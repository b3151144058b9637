"""Has the site read the docstrings as Python programmers write them: a Griffe extension.

Examples (``>>>``) become code blocks, and roles such as ``:class:`Event``` become links.
"""

from __future__ import annotations

import builtins
import re
from typing import Any

import griffe

ROLE = re.compile(r":(\w+):`~?([\w.]+)`")
EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
# What these have is shown as Worker's.
BASES = ("Node", "Addressee", "EventLoop", "Runner", "Waiting", "Job")
NAMESAKES = ("graces", "shutdown")  # of their modules, which Griffe finds first
PUBLIC_MODULES = ("logs", "profile")  # what they define is not in the package itself


class Docstrings(griffe.Extension):
    """Turns the text of each docstring into Markdown."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = ROLE.sub(lambda role: link(obj, *role.groups()), obj.docstring.value)
            obj.docstring.value = EXAMPLE.sub("```pycon\n\\g<0>\n```", text)


def link(obj: griffe.Object, kind: str, name: str) -> str:
    """A link to what a role names in the docstring of ``obj``, by its public name."""
    if hasattr(builtins, name):
        return f"`{name}`"
    target = name.removeprefix("threadtree.")
    if kind in ("meth", "attr") and "." not in name:
        owner = obj if obj.is_class or obj.parent is None else obj.parent
        is_inherited = owner.name in BASES or name not in owner.members
        target = f"{'Worker' if is_inherited else owner.name}.{name}"
    if obj.module.name in PUBLIC_MODULES and target.split(".")[0] in obj.module.members:
        target = f"{obj.module.name}.{target}"
    if target in NAMESAKES:
        target = f"{target}.{target}"
    return f"[`{name}`][threadtree.{target}]"
