"""E1, L6, T3: Ctrl-C and other signals may come at any moment, and nothing is lost or forgotten.

Two instruments. :func:`every_point` makes a real signal pending at the n-th place where the
interpreter looks for one (the end of a call, the start of a function, a jump backwards), for
n = 1, 2, 3 and so on until the action has ended before its n-th place. An :class:`Alarm` sends
them from a timer, so that they also come while the thread sleeps.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from _thread import interrupt_main
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, cycle, repeat
from queue import SimpleQueue
from types import CodeType, FrameType
from typing import Any, TypeAlias

import pytest

from tests.bytecodes import LOOKING
from tests.helpers import LIMIT, Flag, running
from threadtree import (
    WORKER_POOL,
    Channel,
    Defer,
    Event,
    Queue,
    Signal,
    Thread,
    Worker,
    WorkerState,
    async_,
    await_,
    create_worker,
    current,
    is_main,
    laters,
    node,
    shutdown,
    sleep,
    start_main_thread,
    stop_main_thread,
    timers,
    tree,
    wait_event,
    wait_forever,
    wait_thread,
    wait_until,
)
from threadtree.parking import Gate

# -- a signal at every point -----------------------------------------------------------------------

# Makes SIGINT pending, with each item that is taken, without handling it.
_trip = map(interrupt_main, repeat(signal.SIGINT))


def forget_ghosts() -> None:
    """Take threads off the interpreter's list that it will never begin.

    It enters a thread there just before it begins it, and with an interrupt in between it forgets
    to take it out. A thread that does exist says so long before the limit.
    """
    for thread in list(threading._limbo):
        if not thread._started.wait(0.1):
            threading._limbo.pop(thread, None)


class Attempt:
    """Calls an action, and makes a signal pending at the n-th point of it."""

    def __init__(self, n: int) -> None:
        self._left = n
        self.place = ""  # where it came; empty if the action ended before

    def __repr__(self) -> str:
        return f"the attempt with a signal {self.place or 'nowhere'}"

    def __call__(self, action: Callable[[], object]) -> bool:
        """Whether it was interrupted. A KeyboardInterrupt never gets lost on the way."""
        excused.clear()
        try:
            call_before_each_instruction(self._meet)
            try:
                action()
            finally:
                call_before_each_instruction(None)
        except KeyboardInterrupt:
            return True
        except BaseException as error:
            error.add_note(f"with a signal {self.place}")
            raise
        finally:
            forget_ghosts()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler and not excused:
            assert not self.place, f"KeyboardInterrupt was swallowed by {self}"
        return False

    def _meet(self, code: CodeType, offset: int) -> None:
        if code.co_code[offset] not in LOOKING or code.co_filename == __file__:
            return
        self._left -= 1
        if self._left == 0:
            self.place = f"in {code.co_qualname}, {code.co_filename}, at byte {offset}"
            # The signal must be handled there, and not here. So this is the last step of this
            # function, and a call from within C, after which the interpreter does not look.
            None in _trip  # noqa: B015


Meet: TypeAlias = Callable[[CodeType, int], None]

if sys.version_info >= (3, 12):
    _TOOL = 4

    def call_before_each_instruction(meet: Meet | None) -> None:
        """Have ``meet(code, offset)`` called for what this thread does from now on."""
        thread = threading.get_ident()

        def meet_mine(code: CodeType, offset: int) -> None:
            if threading.get_ident() == thread:
                meet(code, offset)

        if meet is None:
            sys.monitoring.set_events(_TOOL, 0)
            sys.monitoring.free_tool_id(_TOOL)
        else:
            sys.monitoring.use_tool_id(_TOOL, "every point")
            sys.monitoring.register_callback(_TOOL, sys.monitoring.events.INSTRUCTION, meet_mine)
            sys.monitoring.set_events(_TOOL, sys.monitoring.events.INSTRUCTION)

else:

    def call_before_each_instruction(meet: Meet | None) -> None:
        """Have ``meet(code, offset)`` called for what this thread does from now on."""

        def trace(frame: FrameType, event: str, _: object) -> Any:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            if event == "opcode":
                meet(frame.f_code, frame.f_lasti)
            return trace

        sys.settrace(meet and trace)


def every_point() -> Iterator[Attempt]:
    for n in count(1):
        attempt = Attempt(n)
        yield attempt
        if not attempt.place:
            assert n > 2, "nothing was traced"
            return


# The interrupts that finalizers have swallowed: the interpreter cannot raise there.
excused: list[object] = []


@pytest.fixture(autouse=True)
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, whatever runs the tests, until a test says otherwise."""

    def swallowed(what: Any) -> None:
        # Of ours, only a failure has a finalizer in Python.
        name = f"{what.object.__module__}.{what.object.__qualname__}"
        ours = name.startswith("threadtree") and name != "threadtree.outcomes.Failure.__del__"
        if what.exc_type is KeyboardInterrupt and not ours:
            excused.append(name)
        else:
            hook(what)

    hook = sys.unraisablehook
    monkeypatch.setattr(sys, "unraisablehook", swallowed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def noting(attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(repr(attempt))
        raise


def end_all() -> None:
    """End whatever an interrupted action has left running, and wait until it has ended."""
    for worker in node.tree.live.copy():
        if worker is not current():
            worker.stop().join(LIMIT)


def handle_leftovers() -> None:
    """Handle what is queued for main, and see that nothing of an interrupted wait is left."""
    main = current()
    main.update()
    waits, circle = main._life.waits.copy(), main._life.waits_for.copy()
    main._life.waits.clear()  # what one attempt leaves is not the next one's
    main._life.waits_for.clear()
    assert main.backlog == 0
    assert main.exit() is None  # as it does when no wait is going on
    assert not waits
    assert not circle


def settle(worker: Worker[Any]) -> None:
    """Wait until a worker has handled what is queued now; then it is about to sleep."""
    flag = Flag()
    worker.later(flag.set)
    flag.wait()


def test_e1_an_interrupted_fire_is_handled_once_at_once_or_not_at_all() -> None:
    heard: SimpleQueue[int] = SimpleQueue()
    with running() as worker:
        worker.listen(lambda event: heard.put(event.data), "N")
        for n, attempt in enumerate(every_point()):
            settle(worker)
            interrupted = attempt(lambda n=n: worker.fire("N", n))
            got = []
            if worker.backlog or not interrupted:
                # Nothing else is there to wake it.
                with noting(attempt):
                    got.append(heard.get(timeout=LIMIT))
            settle(worker)
            while not heard.empty():
                got.append(heard.get())
            assert got == [n] or (interrupted and not got), attempt


def test_e1_an_interrupted_fire_at_an_ended_worker_rejects_once_or_not_at_all() -> None:
    main = current()
    ended = Worker(lambda: None).start().join()
    told: list[Any] = []
    main.listen(told.append, "EVENT_REJECT")
    for n, attempt in enumerate(every_point()):
        before = ended.rejected
        interrupted = attempt(lambda n=n: ended.fire("N", n))
        handle_leftovers()
        rejected = ended.rejected - before
        backlog = ended.backlog
        ended._mailbox.queue.clear()
        assert backlog == 0, attempt
        assert rejected == 1 or (interrupted and rejected == 0), attempt
        # Who fired may not be told of a rejection, when it is told of an interrupt instead.
        assert len(told) <= rejected, attempt
        assert interrupted or [event.data[0].data for event in told] == [n], attempt
        told.clear()
    main.unlisten(told.append)


_until_main_sleeps: list[Signal] = []


def until_main_sleeps() -> Signal:
    """A signal that goes when main is about to sleep: so that what waits for it really waits."""
    _until_main_sleeps.append(Signal())
    return _until_main_sleeps[-1]


@pytest.fixture
def sleep_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def pass_through(gate: Gate, *deadline: float) -> None:
        while is_main() and _until_main_sleeps:
            _until_main_sleeps.pop().go()
        sleep_at(gate, *deadline)

    sleep_at = Gate.pass_through
    monkeypatch.setattr(Gate, "pass_through", pass_through)


def get_defer() -> None:
    defer: Defer[bool] = Defer()
    until_main_sleeps().then(partial(defer.resolve, True))
    defer.get()


WAITS: dict[str, Callable[[], object]] = {
    "update": lambda: current().update(),
    "checkpoint": lambda: current().checkpoint(),
    "sleep": lambda: sleep(0.001),
    "wait_event": lambda: wait_event("C"),
    "wait_until": lambda: wait_until(lambda event: event.name == "C"),
    "wait_thread": lambda: wait_thread(create_worker(until_main_sleeps().wait)),
    "Signal.wait": lambda: until_main_sleeps().wait(),
    "composite.wait": lambda: (until_main_sleeps() | Signal()).wait(),
    "Defer.get": get_defer,
    "Async.get": lambda: async_(until_main_sleeps().wait).get(),
    "await_": lambda: await_(until_main_sleeps().wait),
    "join": lambda: create_worker(until_main_sleeps().wait).join(),
    "join in time": lambda: create_worker(until_main_sleeps().wait).join(LIMIT),
    "shutdown": lambda: create_worker(until_main_sleeps().wait).shutdown(),
    "shutdown of all": lambda: (create_worker(until_main_sleeps().wait), shutdown()),
}


@contextmanager
def hearing(names: Iterable[str]) -> Iterator[list[Event]]:
    """The events of these names that main has dispatched.

    What was entered was dispatched: with a listener in C the two are one, so it can be counted.
    """
    heard: list[Event] = []
    for name in names:
        current().listen(heard.append, name)
    try:
        yield heard
    finally:
        current().unlisten(heard.append)


@pytest.mark.usefixtures("sleep_says_so")
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_e1_an_interrupted_wait_loses_no_event_and_leaves_nothing_behind(
    wait: Callable[[], object],
) -> None:
    with hearing("ABC") as heard:
        for attempt in every_point():
            with noting(attempt):
                lose_nothing(partial(attempt, wait), heard)


def lose_nothing(interrupted_wait: Callable[[], object], heard: list[Event]) -> None:
    for name in "ABC":
        current().fire(name)
    interrupted_wait()
    handle_leftovers()
    end_all()
    assert [event.name for event in heard] == ["A", "B", "C"]
    heard.clear()


@pytest.mark.parametrize("parent", [False, True], ids=["orphan", "child of main"])
def test_e1_l4_after_an_interrupted_start_another_start_makes_it_one_run(parent: bool) -> None:
    for attempt in every_point():
        heard: list[str] = []

        def task(heard: list[str] = heard) -> None:
            heard.append("run")
            current().listen(lambda event: heard.append(event.name), "QUEUED BEFORE")
            wait_forever()

        worker = Worker(task, parent=parent and current()).fire("QUEUED BEFORE")
        with noting(attempt):
            attempt(worker.start)
            assert worker.state in (WorkerState.PENDING, WorkerState.RUNNING)
            assert worker.is_running() == (worker in node.tree.live) == (worker.thread is not None)
            assert (worker in current().children) == (parent and worker.is_running())
            thread = worker.start().thread
            worker.stop().join(LIMIT)
            assert heard == ["run", "QUEUED BEFORE"]
            assert worker.state is WorkerState.CANCELLED
            assert not thread.is_alive()
            handle_leftovers()


def test_l2_after_an_interrupted_stop_another_stop_ends_the_run() -> None:
    for attempt in every_point():
        worker = Worker().start()
        attempt(worker.stop)
        with noting(attempt):
            worker.stop().join(LIMIT)
            assert worker.state is WorkerState.CANCELLED


def test_l1_after_an_interrupted_join_the_next_one_still_means_the_native_end() -> None:
    for attempt in every_point():
        last_breath = threading.local()
        gone = Flag()
        worker = Worker(lambda gone=gone, local=last_breath: setattr(local, "x", Finally(gone.set)))
        worker.start()
        attempt(worker.join)
        worker.join(LIMIT)
        # Thread-local objects go with the native thread, after all that Python does in it.
        assert gone.is_set(), attempt
        handle_leftovers()


class Finally:
    """Calls something when it is collected."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.__del__: Any
        self.callback = callback

    def __del__(self) -> None:
        self.callback()


def test_l6_an_interrupted_overlay_has_ended_or_not_begun() -> None:
    main = current()
    for attempt in every_point():
        heard: list[Any] = []
        worker = Worker(lambda: wait_event("GO"), parent=main, print_traceback=False)
        worker.listen(heard.append, "GO")
        worker.fire("GO").fire("GO").fire("GO")
        with noting(attempt):
            attempt(worker.start_overlay)
            assert current() is main
            assert WORKER_POOL.pool[threading.main_thread()] == [main]
            assert worker not in node.tree.live
            assert worker not in main.children
            assert not worker.is_running()
            if worker.state is not WorkerState.PENDING:
                assert worker.stopped
                assert len(heard) + worker.rejected == 3
                assert worker.backlog == 0
            worker.error  # noqa: B018 - it counts as seen
            handle_leftovers()


def test_t3_an_interrupted_go_can_be_gone_again_and_runs_each_callback_once() -> None:
    for attempt in every_point():
        first, second = Signal(), Signal()
        heard: list[int] = []
        for i, signal_ in enumerate([first, first, first | second, first | second | Signal()]):
            signal_.then(partial(heard.append, i))
        with noting(attempt):
            interrupted = attempt(first.go)
            # What the interrupt came too early for is left; what has begun is done in full.
            assert not interrupted or not first or sorted(heard) == [0, 1, 2, 3]
            first.go()
            assert sorted(heard) == [0, 1, 2, 3]


def test_e1_an_interrupted_resolve_wakes_whoever_waits_or_has_not_resolved() -> None:
    for attempt in every_point():
        defer: Defer[int] = Defer()
        with running(defer.get) as waiter:
            attempt(lambda defer=defer: defer.resolve(1))
            if defer.status == "PENDING":
                defer.resolve(1)
            with noting(attempt):
                assert waiter.get(LIMIT) == 1


def test_e1_after_an_interrupted_later_the_timers_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "LINGER", 0)  # so that each attempt has to start the timer thread
    main = current()
    for attempt in every_point():
        heard: list[str] = []
        attempt(lambda heard=heard: main.later(heard.append, "interrupted", timeout=0.001))
        with noting(attempt):
            handle = main.later(heard.append, "next", timeout=0.002)
            assert handle.get(LIMIT) is None
            assert heard[-1] == "next"
            assert heard.count("interrupted") <= 1
            for pending in laters._pending.copy():
                pending.get(LIMIT)  # made, though its maker never got hold of it
            handle_leftovers()


# -- a storm of signals ----------------------------------------------------------------------------


class Alarm:
    """A timer that has a handler called by real signals, so also out of a sleep in C."""

    def __init__(self, handler: Callable[[], object]) -> None:
        self._handler = handler

    def __enter__(self) -> Alarm:
        self._before = signal.signal(signal.SIGALRM, lambda *_: self._handler())
        return self

    def ring_every(self, period: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, period, period)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)


class Storm:
    """Interrupts what is called through it, every now and then; at most so many times a call."""

    def __init__(self, strikes_per_call: float = 1) -> None:
        self._strikes_per_call = strikes_per_call
        self._left = 0.0
        self.strikes = 0

    def __call__(self, action: Callable[[], object]) -> bool:
        self._left = self._strikes_per_call
        try:
            self._expose(action)
        except KeyboardInterrupt:
            self.strikes += 1
            return True
        return False

    def _expose(self, action: Callable[[], object]) -> None:
        action()

    def strike(self) -> None:
        """What the alarm calls. Only what was called through us can be struck."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame.f_code is Storm._expose.__code__ and self._left > 0:
                self._left -= 1
                raise KeyboardInterrupt
            frame = frame.f_back


@pytest.mark.usefixtures("sleep_says_so")
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_e1_a_wait_in_a_storm_loses_no_event_and_leaves_nothing_behind(
    wait: Callable[[], object],
) -> None:
    storm = Storm()
    with Alarm(storm.strike) as alarm, hearing("ABC") as heard:
        alarm.ring_every(0.001)
        while storm.strikes < 40:
            lose_nothing(partial(storm, wait), heard)


def test_e1_events_for_main_arrive_once_and_in_order_in_a_storm_without_mercy() -> None:
    main = current()
    enough = Signal()

    def fire() -> None:
        for n in count():
            main.fire("N", n)
            if enough:
                main.fire("LAST", n)
                return
            if n % 10 == 0:
                sleep(0.0001)  # so that main falls asleep, too

    storm = Storm(strikes_per_call=math.inf)
    with hearing(["N", "LAST"]) as heard, running(fire), Alarm(storm.strike) as alarm:
        alarm.ring_every(0.001)
        while storm(lambda: wait_event("LAST")):
            if storm.strikes >= 200:  # it may have struck twice since we looked
                enough.go()
        alarm.ring_every(0)
        numbers = [event.data for event in heard]
    assert numbers == [*range(len(numbers) - 1), len(numbers) - 2]


def test_l4_no_thread_is_forgotten_in_a_storm_of_interrupts() -> None:
    runs: list[int] = []
    storm = Storm()
    started = 0
    with Alarm(storm.strike) as alarm:
        alarm.ring_every(0.001)
        while storm.strikes < 100:
            worker = Worker(lambda: (runs.append(1), wait_forever()), parent=current())
            storm(lambda worker=worker: worker.start().stop().join())
            started += 1
            worker.start().stop().join(LIMIT)
    assert started <= len(runs) <= 2 * started  # the second start may come after the first run
    forget_ghosts()


# -- other signals, whose handlers use the library (T3) --------------------------------------------

ENDED = Worker(lambda: None, name="ended")
NEWS = Channel()

MAIN_DOES: dict[str, Callable[[Worker[Any], Signal], object]] = {
    "fire": lambda worker, signal_: worker.fire("N"),
    "fire at the ended": lambda worker, signal_: ENDED.fire("N"),
    "go": lambda worker, signal_: signal_.go(),
    "then": lambda worker, signal_: signal_.then(Flag().set),
    "combine": lambda worker, signal_: bool((signal_ | Signal()) & signal_),
    "stop": lambda worker, signal_: Worker().start().stop().join(LIMIT),
    "start": lambda worker, signal_: Worker(lambda: None).start().join(LIMIT),
    "listen": lambda worker, signal_: worker.unlisten(worker.listen(print, "N")),
    "later": lambda worker, signal_: current().later(print, timeout=99).stop(),
    "resolve": lambda worker, signal_: Defer().resolve(1),
    "update": lambda worker, signal_: current().fire("N").update(),
    "publish": lambda worker, signal_: NEWS.pub("N"),
    "look": lambda worker, signal_: tree(),
}


@pytest.mark.parametrize("act", MAIN_DOES.values(), ids=MAIN_DOES)
def test_t3_a_handler_may_fire_go_and_stop_whatever_main_was_doing(
    act: Callable[[Worker[Any], Signal], object],
) -> None:
    heard: list[Any] = []
    handled = gone = 0
    ENDED.start().join()
    with running() as worker:
        worker.listen(heard.append, "H")
        NEWS.sub(worker)

        def handler(*_: object) -> None:
            nonlocal handled
            handled += 1
            worker.fire("H")
            current().fire("H")
            signal_.go()
            victim.stop()
            Defer().resolve(1)

        signal.signal(signal.SIGINT, handler)
        for attempt in every_point():
            signal_ = Signal()
            went: list[int] = []
            signal_.then(partial(went.append, 1))
            with running() as victim, noting(attempt):
                attempt(lambda signal_=signal_: act(worker, signal_))
                gone += len(went)
                assert bool(signal_) == (len(went) == 1)
                assert not attempt.place or (signal_ and victim.please_stop)
            handle_leftovers()
        settle(worker)
    assert len(heard) == handled
    assert worker.rejected == 0
    assert handled > 2


@pytest.mark.parametrize("handler", [stop_main_thread, lambda *_: current().update()])
def test_e1_a_handler_that_waits_takes_no_event_from_its_listener(
    handler: Callable[..., object],
) -> None:
    """It handles the event that main is about to handle."""
    main = current()
    heard: list[tuple[str, str]] = []
    for name in "AB":
        main.listen(lambda event, name=name: heard.append((name, event.name)), name)
    signal.signal(signal.SIGINT, handler)
    for attempt in every_point():
        Thread.run("child", lambda please_stop: please_stop.wait())
        main.fire("A").fire("B")
        with noting(attempt):
            attempt(main.update)
            stop_main_thread()
            handle_leftovers()
            assert sorted(heard) == [("A", "A"), ("B", "B")]  # it may come as A's listener begins
        start_main_thread()
        heard.clear()
    main.listeners.clear()


@pytest.mark.parametrize("act", ["ask", "handle"])
def test_l2_after_an_interrupted_stop_of_main_its_waits_end(act: str) -> None:
    main = current()
    for attempt in every_point():
        with noting(attempt):
            if act == "ask":
                attempt(main.stop)
            else:
                main.stop()
                attempt(partial(main.wait_event, "NEVER", LIMIT))
            main.fire("LATER", 1)
            while wait_event("LATER", LIMIT) is None:
                pass  # a stop that was kept has ended this one
            assert not Signal().wait(0)  # which a stop that is noted, but not queued, would hang
            handle_leftovers()


def test_e1_an_interrupted_stop_that_overtakes_rejects_each_event_once() -> None:
    for attempt in every_point():
        heard: list[Any] = []

        def task(attempt: Attempt, heard: list[Any]) -> None:
            me = current()
            me.listen(heard.append, "N")
            for number in range(3):
                me.fire("N", number)
            me.stop(now=True)
            attempt(wait_forever)

        worker: Worker[None] = Worker(task, parent=False, print_traceback=False)
        with noting(attempt), suppress(KeyboardInterrupt):
            worker.start_overlay(attempt, heard)
        assert len(heard) + worker.rejected == 3, attempt


@pytest.mark.parametrize("pop", ["pop_one", "pop_all"])
def test_t3_a_handler_that_pops_loses_no_item_of_main(pop: str) -> None:
    for attempt in every_point():
        queue: Queue[int] = Queue("items").extend(range(3))
        popped: list[Any] = []
        signal.signal(signal.SIGINT, lambda *_, q=queue, p=popped: p.append(q.pop_one()))
        got: list[Any] = []
        with noting(attempt):
            attempt(lambda g=got, q=queue: g.append(getattr(q, pop)()))
        items = got[0] if pop == "pop_all" else got
        assert sorted(i for i in [*popped, *items, *queue.pop_all()] if i is not None) == [0, 1, 2]


def test_t3_a_thousand_signals_a_second_against_main_doing_the_same() -> None:
    rings, enough = 0, Signal()
    heard: Counter[str] = Counter()
    fired = Counter(main=0, handler=0)

    def everything(who: str) -> None:
        fired[who] += 1
        worker.fire("N", who)
        current().fire("N", who)
        Signal().then(partial(gone.append, who)).go()
        next(victims).stop()

    def ring() -> None:
        nonlocal rings
        rings += 1
        if rings <= 300:
            everything("handler")
        else:
            enough.go()

    gone: list[str] = []
    idle = [Worker().start() for _ in range(3)]
    victims = cycle(idle)
    current().listen(lambda event: heard.update(["at main"]), "N")
    with running() as worker, Alarm(ring) as alarm:
        worker.listen(lambda event: heard.update([event.data]), "N")
        alarm.ring_every(0.001)
        while not enough:
            everything("main")
            current().update()
        alarm.ring_every(0)
        settle(worker)
    current().update()
    current().listeners.clear()
    for victim in idle:
        victim.join(LIMIT)
    assert fired["handler"] == 300
    assert heard == {"at main": fired.total(), **fired}
    assert Counter(gone) == fired


@pytest.mark.parametrize("means", ["fire", "go", "resolve", "stop", "later"])
def test_t3_a_handler_ends_the_wait_that_it_interrupts(means: str) -> None:
    # It runs in the middle of the sleep of the thread that it wakes.
    main, signal_, defer = current(), Signal(), Defer()
    handler, wait = {
        "fire": (partial(main.fire, "TICK", True), partial(wait_event, "TICK", LIMIT)),
        "go": (signal_.go, partial(signal_.wait, LIMIT)),
        "resolve": (partial(defer.resolve, True), partial(defer.get, LIMIT)),
        "stop": (main.stop, lambda: main.wait_forever() is None),
        "later": (partial(main.later, signal_.go), partial(wait_until, lambda _: True, LIMIT)),
    }[means]
    with Alarm(handler) as alarm:
        alarm.ring_every(0.01)
        assert wait()
    while main.backlog:  # each stop that came late ends one wait, this one, too
        main.update()
