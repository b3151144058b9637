"""What README and the pages of the site say is so: their programs run, and they leave nothing out.

Examples that start with ``>>>`` are run by pytest itself. The others, in blocks marked as
``python``, are run here, each in a process of its own. If a ``text`` block follows, it is what the
program prints, where ``...`` stands for anything. An HTML comment that begins with ``compile
only`` and says why, in the line before a block, keeps it from being run.
"""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import threadtree

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = os.pathsep.join(str(ROOT / place) for place in ("src", "compat/worker/src"))
LIMIT = 20.0  # seconds after which a program counts as hung

BLOCK = re.compile(
    r"(?:^<!-- compile only: (?P<why>.+) -->\n)?"
    r"^```python\n(?P<code>.*?)^```$"
    r"(?:\n+^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    place: str
    code: str
    output: str | None
    runs: bool


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start("code")) + 1
            place = f"{page.relative_to(ROOT).as_posix()}:{line}"
            yield Example(place, block["code"], block["output"], not block["why"])


@pytest.mark.parametrize("example", [*examples()], ids=lambda example: example.place)
def test_a_program_in_the_docs_does_what_they_say(example: Example) -> None:
    compile(example.code, example.place, "exec")
    if not example.runs:
        return
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", example.code],
        env=os.environ | {"PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    if example.output is not None:
        said = doctest.OutputChecker().check_output(example.output, ended.stdout, doctest.ELLIPSIS)
        assert said, f"the page says:\n{example.output}\nit prints:\n{ended.stdout}"


def test_the_api_reference_has_a_place_for_every_public_name() -> None:
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    # What has the name of its module is written twice: threadtree.graces.graces.
    documented = set(re.findall(r"^::: threadtree\.(?:(\w+)(?:\.\1)?)$", pages, re.MULTILINE))
    documented |= set(re.findall(r"^::: threadtree\.(Worker\.\w+)$", pages, re.MULTILINE))
    public = set(threadtree.__all__)
    public |= {f"Worker.{name}" for name in dir(threadtree.Worker) if not name.startswith("_")}
    assert public - documented == set()


def test_the_order_of_the_modules_is_that_of_their_imports() -> None:
    # Each module stands in the list of docs/architecture.md below all that it imports.
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    above: list[str] = []
    for name in re.findall(r"^\| `(\w+)\.py` \|", page, re.MULTILINE):
        assert imports_of(name) <= set(above), f"{name}.py imports from below"
        above.append(name)
    modules = {path.stem for path in Path(threadtree.__file__).parent.glob("*.py")}
    assert sorted(above) == sorted(modules)


def imports_of(name: str) -> set[str]:
    """The modules of ours that a module imports, but for those it needs for its types only."""
    tree = ast.parse((Path(threadtree.__file__).parent / f"{name}.py").read_text("utf-8"))
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in ast.walk(branch)
    }
    return {
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.level == 1
        and node.module is not None
        and id(node) not in for_types
    }


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_a_link_between_files_leads_to_a_file(page: str) -> None:
    # Of the pages of the site, the build of the site checks the links.
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
