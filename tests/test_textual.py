"""threadtree.textual in the place of Textual's own worker modules, and beside them.

A copy of the installed Textual, its three worker modules replaced by ours, is put through the tests
of workers. So is Textual as it is: that shows that the tests say what Textual does.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import threadtree

pytestmark = pytest.mark.skipif(find_spec("textual") is None, reason="Textual is not installed")

OURS = {
    "worker.py": "from threadtree.textual.worker import *\n",
    "worker_manager.py": "from threadtree.textual.worker_manager import *\n",
    "_work_decorator.py": "from threadtree.textual.work_decorator import *\n",
}
ROOT = Path(__file__).parents[1]


def source_paths(*before):
    return os.pathsep.join([*map(str, before), *map(str, Path(threadtree.__file__).parents[1:2])])


@pytest.fixture(scope="module")
def replaced(tmp_path_factory):
    """A directory with a Textual that has our workers."""
    there = tmp_path_factory.mktemp("replaced")
    original = Path(find_spec("textual").origin).parent
    shutil.copytree(original, there / "textual", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in OURS.items():
        (there / "textual" / name).write_text(text)
    return there


@pytest.fixture(scope="module")
def textuals_tests(tmp_path_factory):
    """The tests of workers in the source distribution of Textual, which `make` fetches."""
    archives = sorted(ROOT.glob(".venv/sdists/textual-*.tar.gz"))
    if not archives or find_spec("pytest_asyncio") is None:
        pytest.skip("Textual's own tests are not here: `make .venv/ready` fetches them")
    there = tmp_path_factory.mktemp("sdist")
    with tarfile.open(archives[-1]) as archive:
        members = [member for member in archive if "/tests/workers/" in member.name]
        archive.extractall(there, members, filter="data")
    return next(there.glob("*/tests/workers"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_replaced", [True, False], ids=["ours", "its own"])
def test_textuals_own_tests_of_workers_pass(replaced, textuals_tests, is_replaced):
    """With our modules; and, to show that these tests can be run here, with its own."""
    which = "import textual.worker as w; print('threadtree' in w.Worker.__mro__[1].__module__)"
    environment = os.environ | {"PYTHONPATH": source_paths(*[replaced] * is_replaced)}
    arguments = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
    asked = subprocess.run(
        [sys.executable, "-c", which], env=environment, capture_output=True, text=True
    )
    assert asked.stdout.strip() == str(is_replaced)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "-c", os.devnull, textuals_tests],
        env=environment,
        capture_output=True,
        text=True,
        cwd=textuals_tests,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
    assert "failed" not in ended.stdout


@pytest.mark.parametrize("first", ["textual", "textual.worker", "threadtree.textual", "threadtree"])
def test_whichever_is_imported_first_all_can_be(replaced, first):
    program = f"import {first}; import textual.app, threadtree.textual as t; " + (
        "import textual; assert textual.work is t.work; from textual.worker import Worker; "
        "assert Worker is t.Worker; from textual.app import App; "
        "assert isinstance(App().workers, t.WorkerManager)"
    )
    environment = os.environ | {"PYTHONPATH": source_paths(replaced)}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_textual_the_error_says_what_to_do(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == "textual"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [n for n in sys.modules if n.startswith("threadtree.textual.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NoTextual(), *sys.meta_path])
    from threadtree import textual

    with pytest.raises(ModuleNotFoundError, match=r"pip install threadtree\[textual\]"):
        textual.Worker  # noqa: B018
    with pytest.raises(AttributeError, match="colour"):
        textual.colour  # noqa: B018


class NoTextual:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "textual":
            raise ModuleNotFoundError(f"No module named {name!r}", name="textual")


# -- beside Textual's own, in an app of Textual as it is ----------------------------------------


def test_our_workers_run_in_an_app_of_textual_as_it_is():
    asyncio.run(beside())


async def beside():
    from textual.app import App

    from threadtree.textual import Worker, WorkerState, work

    class TheApp(App):
        running = most = 0

        def __init__(self):
            super().__init__()
            self.states = []
            self.steps = []

        @work(exclusive=True, group="search")
        async def search(self, text):
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(0 if text == "last" else 60)
            finally:
                await asyncio.sleep(0.001)
                self.running -= 1
            return text

        @work(thread=True)
        def count(self):
            me = threadtree.get_current_worker()
            me.update(total_steps=10)
            for _ in range(10):
                me.advance()
            return self.search("from a thread"), threadtree.current() is me

        def on_worker_state_changed(self, event):
            self.states.append((event.worker.name, event.state))

        def on_worker_progress_changed(self, event):
            self.steps.append((event.completed_steps, event.total_steps))

    app = TheApp()
    async with app.run_test() as pilot:
        workers = [app.search(text) for text in ("a", "ab", "last")]
        assert all(isinstance(worker, Worker) for worker in workers)
        assert workers[0] in app.workers
        assert await workers[-1].wait() == "last"
        assert app.most == 1
        states = [worker.state for worker in workers]
        assert states == [WorkerState.CANCELLED] * 2 + [WorkerState.SUCCESS]
        counting = app.count()
        searching, is_current = await counting.wait()
        assert is_current
        assert searching.description == "search('from a thread')"
        await pilot.pause()
        assert app.steps[-1] == (10, 10)
        assert [state for name, state in app.states if name == "count"] == [
            WorkerState.PENDING,
            WorkerState.RUNNING,
            WorkerState.SUCCESS,
        ]
    # The app has cancelled what was left, as it does with its own.
    await searching.stopped
    assert searching.state is WorkerState.CANCELLED
    assert len(app.workers) == 0
