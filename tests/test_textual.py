"""threadtree.textual in the place of Textual's own worker modules, and beside them.

A copy of the installed Textual, its three worker modules replaced by ours, is put through Textual's
own tests of workers, and through textual_workers.py. So is Textual as it is: that shows that the
tests say what Textual does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import subprocess
import sys
import tarfile
import weakref
from functools import wraps
from importlib.util import find_spec
from pathlib import Path

import pytest

import threadtree
from tests.helpers import LIMIT, Flag

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


@pytest.fixture
def environments(replaced):
    """One in which Textual has our workers, and one in which it has its own."""
    ours, its_own = (
        os.environ | {"PYTHONPATH": source_paths(*before)} for before in ([replaced], [])
    )
    which = "import textual.worker as w; print('threadtree' in w.Worker.__mro__[1].__module__)"
    asked = all_at_once(["-c", which], [ours, its_own])
    assert [answer.strip() for answer in asked] == ["True", "False"]
    return [ours, its_own]


def all_at_once(arguments, environments, cwd=None):
    """What Python prints, given these arguments, in each of the environments."""
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        for environment in environments
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0 for _ in processes], outputs
    return outputs


def pass_in(environments, tests, *arguments):
    options = ["-q", "-c", os.devnull, "-p", "no:cacheprovider", *arguments]
    for output in all_at_once(["-m", "pytest", *options, tests], environments, cwd=tests.parent):
        assert " passed" in output
        assert "skipped" not in output


@pytest.mark.timeout(120)
def test_textuals_own_tests_of_workers_pass(textuals_tests, environments):
    """With our modules; and, to show that these tests can be run here, with its own."""
    pass_in(environments, textuals_tests, "-p", "no:randomly", "-o", "asyncio_mode=auto")


@pytest.mark.timeout(120)
def test_to_its_users_textual_is_the_same(environments):
    """And under our leak check, too."""
    pass_in(environments, ROOT / "tests" / "textual_workers.py", "-p", "no:asyncio", "-W", "error")


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


def in_asyncio(test):
    @wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), LIMIT))

    return run


@in_asyncio
async def test_our_workers_run_in_an_app_of_textual_as_it_is():
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


@pytest.fixture
def app():
    return make_app()


def make_app():
    """An app of Textual as it is, with threads of ours that wait for a sign."""
    from textual.app import App

    from threadtree.textual import work

    class TheApp(App):
        def __init__(self):
            super().__init__()
            self.begun, self.go_on = Flag(), Flag()

        @work(thread=True, group="g", exclusive=True)
        def wait(self, what):
            self.begun.set()
            self.go_on.wait()
            return what()

        @work(group="g", exclusive=True)
        async def be_quick(self):
            return "quick"

        @work(thread=True)
        def count_up(self):
            yield 1, 10
            self.begun.set()
            self.go_on.wait()
            yield 2, 10
            yield 3, 10

        @work(thread=True)
        def fail(self):
            raise ValueError("boom")

    return TheApp()


async def set_off(app, worker):
    await asyncio.to_thread(app.begun.wait)
    assert worker.is_running


@in_asyncio
async def test_a_thread_that_is_replaced_runs_until_it_has_ended(app):
    """And the one that takes its place begins then."""
    async with app.run_test() as pilot:
        old = app.wait(lambda: "a late result")
        await set_off(app, old)
        new = app.be_quick()
        await pilot.pause()
        assert (old.state, old.is_cancelled) == (threadtree.WorkerState.RUNNING, True)
        assert new.state is threadtree.WorkerState.PENDING
        app.go_on.set()
        assert await new.wait() == "quick"
        # It was not cut short. But its result is dropped.
        assert (old.state, old.is_replaced) == (threadtree.WorkerState.SUCCESS, True)
        with pytest.raises(threadtree.WorkerCancelled, match="replaced"):
            await old.wait()


@in_asyncio
async def test_checkpoints_in_a_thread_cut_it_short(app):
    async with app.run_test():
        polling = app.wait(lambda: threadtree.checkpoint() or "not cut short")
        await set_off(app, polling)
        polling.cancel()
        app.go_on.set()
        await polling.stopped
        assert polling.state is threadtree.WorkerState.CANCELLED


@in_asyncio
async def test_a_generator_counts_and_each_step_is_a_point_to_cut_it_short(app):
    async with app.run_test():
        counting = app.count_up()
        await set_off(app, counting)
        assert (counting.completed_steps, counting.total_steps) == (1, 10)
        counting.cancel()
        app.go_on.set()
        await counting.stopped
        assert counting.state is threadtree.WorkerState.CANCELLED
        assert counting.completed_steps == 2


@in_asyncio
async def test_exclusive_is_exclusive_among_both_kinds(app):
    async with app.run_test() as pilot:
        its_own = app.run_worker(asyncio.Event().wait(), group="g")
        await pilot.pause()
        assert await app.be_quick().wait() == "quick"
        assert its_own.is_cancelled
        ours = app.wait(lambda: None)
        await set_off(app, ours)
        app.run_worker(asyncio.sleep(0), group="g", exclusive=True)
        assert ours.is_cancelled
        app.go_on.set()
        await ours.stopped


@in_asyncio
async def test_a_worker_that_is_added_again_is_only_started(app):
    from threadtree.textual import WorkerManager
    from threadtree.textual.worker import Worker

    async with app.run_test():
        manager, go = WorkerManager(app), Flag()
        first, added = (Worker(app, call, thread=True, group="g") for call in (go.wait, int))
        manager.add_worker(first)
        manager.add_worker(added, start=False, exclusive=True)
        manager.add_worker(added, exclusive=False)
        assert added.state is threadtree.WorkerState.PENDING
        go.set()
        assert await added.wait() == 0
        assert len(manager) == 0


def test_an_error_exits_the_app_and_is_in_no_log(app, caplog):
    async def run():
        async with app.run_test():
            app.fail()
            await asyncio.wait_for(app._exception_event.wait(), LIMIT)

    with pytest.raises(threadtree.WorkerFailed) as failed:
        asyncio.run(run())
    assert str(failed.value.error) == "boom"
    assert failed.value.__cause__ is failed.value.error
    gc.collect()
    assert not caplog.records


def test_an_error_after_the_end_of_the_app_is_logged_once_with_where_it_was_begun(app, caplog):
    async def run():
        async with app.run_test():
            worker = app.wait(lambda: 1 / 0)
            await set_off(app, worker)
        app.go_on.set()
        await worker.stopped

    asyncio.run(run())
    gc.collect()
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError
    assert f"started at {__file__}" in record.getMessage()


@in_asyncio
async def test_a_worker_can_be_made_and_started_by_itself(app):
    from threadtree.textual import Worker

    async with app.run_test():
        assert await Worker(app, lambda: "by itself", thread=True).start().wait() == "by itself"


def test_an_app_that_has_ended_is_collected():
    async def run():
        app = make_app()
        async with app.run_test():
            await app.be_quick().wait()
        return weakref.ref(app)

    link = asyncio.run(run())
    gc.collect()
    assert link() is None
