"""What Textual's workers do, as its users see it: run by test_textual.py, twice.

Each of these passes with Textual's own modules and with ours in their place. It is no test module
by its name, as it needs a Textual of its own choice, and so a process.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import asynccontextmanager, suppress

import pytest
from textual import constants, work
from textual._context import active_app
from textual.app import App
from textual.containers import Vertical
from textual.widget import Widget
from textual.worker import (
    NoActiveWorker,
    Worker,
    WorkerCancelled,
    WorkerError,
    WorkerFailed,
    WorkerState,
    get_current_worker,
)

PENDING, RUNNING, CANCELLED, ERROR, SUCCESS = WorkerState
LIMIT = 10.0


class Watching(App):
    """Keeps the states that it is told of, each with the name of the worker."""

    def __init__(self):
        super().__init__()
        self.told = []

    def compose(self):
        yield Vertical(Widget(id="child"), id="parent")

    def on_worker_state_changed(self, event):
        self.told.append((event.worker.name, event.state))

    def states_of(self, name):
        return [state for who, state in self.told if who == name]


@asynccontextmanager
async def running(app=None):
    app = app or Watching()
    async with app.run_test() as pilot:
        yield app, pilot


def asynchronous(function):
    def test():
        asyncio.run(asyncio.wait_for(function(), LIMIT))

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    return test


async def forever():
    await asyncio.Event().wait()


async def well():
    return "well"


def well_in_a_thread():
    return "well"


async def badly():
    raise ValueError("badly")


def badly_in_a_thread():
    raise ValueError("badly")


# -- states and results -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "thread"),
    [(well, False), (well, True), (well_in_a_thread, True)],
    ids=["async", "async in a thread", "thread"],
)
def test_success(given, thread):
    async def run():
        async with running() as (app, pilot):
            worker = app.run_worker(given, name="w", thread=thread)
            assert await worker.wait() == "well"
            assert (worker.state, worker.result, worker.error) == (SUCCESS, "well", None)
            assert worker.is_finished
            assert not worker.is_running
            assert not worker.is_cancelled
            await pilot.pause()
            assert app.states_of("w") == [PENDING, RUNNING, SUCCESS]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "thread"),
    [(badly, False), (badly, True), (badly_in_a_thread, True)],
    ids=["async", "async in a thread", "thread"],
)
def test_an_error_that_does_not_end_the_app(given, thread):
    async def run():
        async with running() as (app, pilot):
            worker = app.run_worker(given, name="w", thread=thread, exit_on_error=False)
            with pytest.raises(WorkerFailed) as failed:
                await worker.wait()
            assert isinstance(failed.value.error, ValueError)
            assert worker.error is failed.value.error
            assert (worker.state, worker.result) == (ERROR, None)
            await pilot.pause()
            assert app.is_running
            assert app.states_of("w") == [PENDING, RUNNING, ERROR]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("given", "thread"),
    [(badly, False), (badly, True), (badly_in_a_thread, True)],
    ids=["async", "async in a thread", "thread"],
)
def test_an_error_ends_the_app_which_is_told_of_it_before(given, thread):
    app = Watching()

    async def run():
        async with running(app):
            app.run_worker(given, name="w", thread=thread)
            await asyncio.wait_for(app._exception_event.wait(), LIMIT)

    with pytest.raises(WorkerFailed) as failed:
        asyncio.run(run())
    assert isinstance(failed.value.error, ValueError)
    assert app.return_code == 1
    assert app.states_of("w") == [PENDING, RUNNING, ERROR]


@asynchronous
async def test_a_coroutine_is_cancelled():
    async with running() as (app, pilot):
        worker = app.run_worker(forever, name="w")
        await pilot.pause()
        assert worker.is_running
        worker.cancel()
        assert worker.is_cancelled
        assert worker.cancelled_event.is_set()
        with pytest.raises(WorkerCancelled):
            await worker.wait()
        assert worker.state is CANCELLED
        await pilot.pause()
        assert app.states_of("w") == [PENDING, RUNNING, CANCELLED]


@asynchronous
async def test_a_thread_sees_that_it_is_cancelled():
    seen = threading.Event()

    def until_cancelled():
        me = get_current_worker()
        assert not me.is_cancelled
        me.cancelled_event.wait(LIMIT)
        if me.is_cancelled:
            seen.set()

    async with running() as (app, pilot):
        worker = app.run_worker(until_cancelled, thread=True)
        await pilot.pause()
        worker.cancel()
        assert await asyncio.to_thread(seen.wait, LIMIT)
        with suppress(WorkerCancelled):
            await worker.wait()


@asynchronous
async def test_what_is_not_asynchronous_needs_a_thread():
    async with running() as (app, _):
        worker = app.run_worker(well_in_a_thread, exit_on_error=False)
        with pytest.raises(WorkerFailed) as failed:
            await worker.wait()
        assert type(failed.value.error) is WorkerError


@asynchronous
async def test_a_subclass_may_have_a_run_of_its_own():
    class Mine(Worker):
        async def run(self):
            return "mine"

    class More(Worker):
        async def run(self):
            return [await super().run()]

    async with running() as (app, _):
        mine, more = Mine(app, None), More(app, well)
        for worker in (mine, more):
            app.workers.add_worker(worker, exclusive=False)
        assert await mine.wait() == "mine"
        assert await more.wait() == ["well"]


@asynchronous
async def test_the_callback_of_a_start_gets_the_worker_when_it_has_ended():
    ended = asyncio.get_running_loop().create_future()
    async with running() as (app, _):
        worker = Worker(app, well)
        worker._start(app, lambda worker: ended.set_result((worker, worker.state)))
        assert await ended == (worker, SUCCESS)


# -- progress ------------------------------------------------------------------------------------


@asynchronous
async def test_progress():
    async with running() as (app, _):
        worker = Worker(app, well)
        worker.update(completed_steps=3)
        assert (worker.completed_steps, worker.total_steps, worker.progress) == (3, None, 0)
        worker.update(completed_steps=1, total_steps=8)
        assert (worker.completed_steps, worker.total_steps, worker.progress) == (4, 8, 50)
        worker.update()
        worker.advance()
        assert (worker.completed_steps, worker.total_steps) == (5, 8)
        worker.advance(100)
        assert worker.progress == 100
        worker.update(total_steps=-5)
        assert (worker.total_steps, worker.progress) == (0, 0)
        worker.update(total_steps=None)
        assert worker.total_steps is None
        worker.cancel()


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "state", "said"),
    [(well, "SUCCESS", ""), (forever, "CANCELLED", ""), (badly, "ERROR", "ValueError('badly')")],
)
def test_the_log_says_what_becomes_of_it(given, state, said, monkeypatch, tmp_path):
    log = tmp_path / "log"
    monkeypatch.setattr(constants, "LOG_FILE", str(log))

    @asynchronous
    async def run():
        async with running() as (app, pilot):
            worker = app.run_worker(given, name="logged", exit_on_error=False)
            if given is forever:
                await pilot.pause()
                worker.cancel()
            with suppress(WorkerCancelled, WorkerFailed):
                await worker.wait()
            await pilot.pause()

    run()
    lines = [line for line in log.read_text().splitlines() if "name='logged'" in line]
    lines = [line for line in lines if line.startswith("<Worker ")]
    assert "RUNNING" in lines[0]
    assert state in lines[-1]
    assert said in lines[-1]


@asynchronous
async def test_names_and_descriptions():
    async with running() as (app, _):
        named = app.run_worker(well, name="n", group="g", description="d")
        assert (named.name, named.group, named.description, named.node) == ("n", "g", "d", app)
        plain = app.run_worker(well)
        assert (plain.name, plain.group, plain.description) == ("well", "default", repr(well))
        assert app.run_worker(well, name=None).name == "well"
        long = Worker(app, well, description="x" * 2000)
        assert long.name == ""
        assert long.description.startswith("x" * 1000)  # old Textuals do not shorten it
        long.update(1, 2)
        assert re.match("<Worker .*PENDING.* progress=50.0>", repr(long))
        assert repr(Worker.StateChanged(long, ERROR)).startswith("StateChanged(<Worker")
        long.cancel()
        await app.workers.wait_for_complete()


@asynchronous
async def test_the_names_of_work():
    class Working(Watching):
        @work
        async def plain(self, *args, **kwargs):
            """What it does."""
            return args, kwargs

        @work(name="n", group="g", description="d", exit_on_error=False)
        async def named(self):
            pass

        @work(thread=True)
        def broken(self, text):
            return get_current_worker()

    class Unprintable:
        def __repr__(self):
            raise ValueError

    async with running(Working()) as (app, _):
        assert (app.plain.__name__, app.plain.__doc__) == ("plain", "What it does.")
        plain, named = app.plain(1, "two", three=3), app.named()
        assert (plain.name, plain.description) == ("plain", "plain(1, 'two', three=3)")
        assert (plain.group, plain.exit_on_error, plain.node) == ("default", True, app)
        assert (named.name, named.description, named.group) == ("n", "d", "g")
        assert not named.exit_on_error
        assert await plain.wait() == ((1, "two"), {"three": 3})
        broken = app.broken(Unprintable())
        assert isinstance(broken.description, str)
        assert await broken.wait() is broken


@asynchronous
async def test_work_goes_by_run_worker():
    class Counting(Watching):
        count = 0

        def run_worker(self, *args, **kwargs):
            self.count += 1
            return super().run_worker(*args, **kwargs)

        @work
        async def plain(self):
            return "plain"

    async with running(Counting()) as (app, _):
        assert await app.plain().wait() == "plain"
        assert app.count == 1


# -- where it runs -------------------------------------------------------------------------------


@asynchronous
async def test_it_knows_its_app_and_itself():
    async def here():
        return get_current_worker(), threading.get_ident()

    def there():
        return get_current_worker(), threading.get_ident()

    async def its_app():
        return active_app.get()

    async with running() as (app, _):
        assert await app.run_worker(its_app).wait() is app
        for given, thread in ((here, False), (here, True), (there, True)):
            worker = app.run_worker(given, thread=thread)
            itself, its_thread = await worker.wait()
            assert itself is worker
            assert (its_thread != threading.get_ident()) == thread
        with pytest.raises(NoActiveWorker):
            get_current_worker()


@asynchronous
async def test_a_thread_runs_workers_and_calls_the_app():
    async with running() as (app, _):

        def there():
            inner = app.run_worker(well)
            return inner, app.call_from_thread(lambda: threading.get_ident())

        inner, thread = await app.run_worker(there, thread=True).wait()
        assert thread == threading.get_ident()
        assert await inner.wait() == "well"


# -- the manager ---------------------------------------------------------------------------------


@asynchronous
async def test_it_holds_those_that_have_not_ended_in_their_order():
    async with running() as (app, pilot):
        assert not app.workers
        workers = [app.run_worker(forever, name=name) for name in "abc"]
        assert list(app.workers) == workers
        assert list(reversed(app.workers)) == workers[::-1]
        assert len(app.workers) == 3
        assert app.workers
        assert workers[1] in app.workers
        await pilot.pause()
        assert "RUNNING" in repr(app.workers)
        workers[1].cancel()
        await pilot.pause()
        assert list(app.workers) == [workers[0], workers[2]]
        app.workers.cancel_all()
        await pilot.pause()
        assert len(app.workers) == 0


@pytest.mark.parametrize("start", [True, False], ids=["started", "started later"])
def test_exclusive_cancels_those_of_its_node_and_group(start):
    async def run():
        async with running() as (app, pilot):
            child = app.query_one("#child")
            old = app.run_worker(forever, group="g")
            others = [app.run_worker(forever, group="h"), child.run_worker(forever, group="g")]
            await pilot.pause()
            new = app.run_worker(well, group="g", exclusive=True, start=start)
            assert old.is_cancelled
            assert new in app.workers
            if not start:
                await pilot.pause()
                assert new.state is PENDING
                app.workers.start_all()
            assert await new.wait() == "well"
            assert old.state is CANCELLED
            assert not any(other.is_cancelled for other in others)

    asyncio.run(run())


@asynchronous
async def test_without_a_group_nothing_is_exclusive():
    async with running() as (app, _):
        old = app.run_worker(forever, group="")
        app.run_worker(well, group="", exclusive=True)
        assert not old.is_cancelled


@asynchronous
async def test_groups_and_nodes_are_cancelled():
    async with running() as (app, pilot):
        child = app.query_one("#child")
        mine = [app.run_worker(forever, group=group) for group in "gh"]
        childs = [child.run_worker(forever, group=group) for group in "gh"]
        await pilot.pause()
        assert app.workers.cancel_group(app, "g") == mine[:1]
        assert [w.is_cancelled for w in mine + childs] == [True, False, False, False]
        assert set(app.workers.cancel_node(child)) == set(childs)
        assert [w.is_cancelled for w in mine + childs] == [True, False, True, True]


@asynchronous
async def test_a_widget_that_is_removed_and_an_app_that_ends_cancel_theirs():
    async with running() as (app, pilot):
        child = app.query_one("#child")
        childs, apps = child.run_worker(forever), app.run_worker(forever)
        await pilot.pause()
        await app.query_one("#parent").remove()
        assert childs.is_cancelled
        assert not apps.is_cancelled
    assert apps.is_cancelled


@asynchronous
async def test_waiting_for_several():
    async with running() as (app, pilot):
        await app.workers.wait_for_complete()
        good = [app.run_worker(well) for _ in range(3)]
        waiting = app.run_worker(forever)
        await app.workers.wait_for_complete(good)
        assert all(worker.state is SUCCESS for worker in good)
        await pilot.pause()
        app.run_worker(badly, exit_on_error=False)
        with pytest.raises(WorkerFailed):
            await app.workers.wait_for_complete()
        assert waiting.is_running


@asynchronous
async def test_waiting_for_one_that_is_cancelled():
    async with running() as (app, pilot):
        worker = app.run_worker(forever)
        await pilot.pause()
        waiting = asyncio.ensure_future(app.workers.wait_for_complete())
        await asyncio.sleep(0)
        worker.cancel()
        with pytest.raises(WorkerCancelled):
            await waiting
        with pytest.raises(WorkerCancelled):
            await app.workers.wait_for_complete([worker])
        await app.workers.wait_for_complete()


@asynchronous
async def test_one_that_was_not_started_cannot_be_waited_for():
    async with running() as (app, _):
        worker = app.run_worker(well, start=False)
        with pytest.raises(WorkerError):
            await worker.wait()
        app.workers.start_all()
        app.workers.start_all()
        assert await worker.wait() == "well"
