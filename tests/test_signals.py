"""Signals: go, then, wait, and what | and & make of them."""

from __future__ import annotations

import gc
import logging
import threading
from functools import partial, reduce
from itertools import pairwise
from operator import and_, or_
from threading import Barrier
from time import monotonic
from weakref import finalize, ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import DONE, NEVER, Signal, WorkerExit, create_worker, sleep, wait_forever
from threadtree import signals as signals_module

from .bytecodes import at_each_bytecode, at_one_in, ctrl_c, when_asleep
from .helpers import (
    FREE_THREADED,
    LIMIT,
    Flag,
    described,
    hectic_switching,
    in_threads,
    running,
)


@pytest.fixture
def reference_counts_alone():
    """No collection of garbage helps."""
    gc.disable()
    yield
    gc.enable()


def leaves_nothing_behind(*signals: Signal) -> bool:
    """Whether nothing is subscribed to the signals, and no composite known to them."""
    return not any(signal._jobs or signal._dependents for signal in signals)


def boom():
    raise ValueError("boom")


def gone() -> Signal:
    return Signal("gone").go()


# -- going -------------------------------------------------------------------------------------


def test_a_signal_is_false_until_it_goes_and_true_for_ever():
    signal = Signal("s")
    assert not signal
    assert signal.go() is signal
    assert signal
    assert signal.go() is signal
    assert signal


def test_then_runs_the_callback_once_in_the_thread_that_lets_it_go():
    signal, threads = Signal(), []
    assert signal.then(lambda: threads.append(threading.current_thread())) is signal
    assert threads == []
    goer = threading.Thread(target=signal.go)
    goer.start()
    goer.join()
    signal.go()
    assert threads == [goer]


def test_callbacks_run_in_the_order_in_which_they_were_given():
    signal, ran = Signal(), []
    for i in range(5):
        signal.then(lambda i=i: ran.append(i))
    signal.go()
    assert ran == [0, 1, 2, 3, 4]


def test_then_on_a_signal_that_went_runs_the_callback_now():
    ran = []
    signal = gone()
    assert signal.then(lambda: ran.append(1)) is signal
    assert ran == [1]
    assert leaves_nothing_behind(signal)


def test_then_refuses_what_cannot_be_called_and_changes_nothing():
    signal = Signal()
    with pytest.raises(TypeError, match="callable, not 'f'"):
        signal.then("f")
    assert leaves_nothing_behind(signal)
    signal.go()


def test_remove_then_takes_back_one_then():
    signal, ran = Signal(), []

    class Owner:
        def method(self) -> None:
            ran.append("method")

    owner = Owner()
    callback = ran.clear
    signal.then(callback).then(owner.method).then(owner.method)
    signal.remove_then(owner.method)  # equal to the one given, though not the same object
    signal.remove_then(callback)
    signal.go()
    assert ran == ["method"]


def test_remove_then_of_what_was_never_given_or_has_run_does_nothing():
    signal = Signal()
    signal.remove_then(print)
    signal.go()
    signal.remove_then(print)
    NEVER.remove_then(print)
    (signal | Signal()).remove_then(print)


def test_a_callback_may_use_its_own_signal():
    signal, ran = Signal(), []

    def first() -> None:
        ran.append("first")
        signal.go()
        signal.then(lambda: ran.append("added"))
        signal.remove_then(removed)

    def removed() -> None:
        ran.append("removed")

    signal.then(first)
    signal.go()
    assert ran == ["first", "added"]


def test_a_signal_lets_go_of_its_callbacks_when_it_went():
    signal, callback = Signal(), lambda: None
    link = ref(callback)
    signal.then(callback)
    del callback
    signal.go()
    assert link() is None


# -- callbacks that raise ----------------------------------------------------------------------

UNUSUAL = [ValueError("v"), SystemExit(3), GeneratorExit(), WorkerExit(), RecursionError()]


@pytest.mark.parametrize("error", UNUSUAL, ids=described)
def test_a_callback_that_raises_does_not_stop_the_others_and_is_logged(error, caplog):
    a, b, ran = Signal("a"), Signal("b"), []

    def fail() -> None:
        raise error

    for signal in (a, a | b):
        signal.then(lambda: ran.append("before")).then(fail).then(lambda: ran.append("after"))
    a.go()
    assert ran == ["before", "after"] * 2
    assert [record.exc_info[1] for record in caplog.records] == [error, error]
    assert {record.name for record in caplog.records} == {"threadtree"}
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_an_error_in_then_on_a_signal_that_went_is_logged_too(caplog):
    gone().then(lambda: 1 / 0)
    assert caplog.records[0].exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize("place", ["on the signal itself", "on a composite"])
def test_keyboard_interrupt_is_raised_again_after_the_last_callback(place, caplog):
    a, b, ran = Signal("a"), Signal("b"), []
    signal = a if place == "on the signal itself" else a | b
    signal.then(lambda: ran.append(1)).then(ctrl_c).then(lambda: ran.append(2))
    later = (signal | b) & True
    later.then(lambda: ran.append(3))
    with pytest.raises(KeyboardInterrupt):
        a.go()
    assert ran == [1, 2, 3]
    assert a
    assert later
    assert leaves_nothing_behind(a, b)
    assert not caplog.records


# -- waiting -----------------------------------------------------------------------------------


def test_wait_returns_true_when_the_signal_goes():
    signal = Signal()
    with running(signal.wait) as worker:
        signal.go()
        assert worker.get(LIMIT) is True
    assert leaves_nothing_behind(signal)


TILLS = {
    "zero": lambda: 0,
    "negative": lambda: -5,
    "seconds": lambda: 0.01,
    "a signal that went": gone,
    "DONE": lambda: DONE,
    "a composite that went": lambda: Signal() | gone(),
}


@pytest.mark.parametrize("till", TILLS.values(), ids=TILLS)
def test_wait_returns_whether_the_signal_itself_went_not_the_till(till):
    signal = Signal()
    assert signal.wait(till()) is False
    assert gone().wait(till()) is True
    assert leaves_nothing_behind(signal)


@pytest.mark.parametrize("make", [Signal, lambda: Signal() & gone()], ids=["plain", "composite"])
def test_a_till_that_goes_ends_the_wait(make):
    signal, till = make(), Signal()
    with running(signal.wait) as other, running(lambda: signal.wait(till=till)) as worker:
        till.go()
        assert worker.get(LIMIT) is False
        assert other.is_running()
    assert leaves_nothing_behind(till, signal)


def test_waiting_on_composites_nobody_holds_works_and_leaves_nothing_behind():
    a, b, till = Signal(), Signal(), Signal()
    waiting = Flag()

    def wait() -> bool:
        waiting.set()
        return ((a & b) | (b & a)).wait(till)

    with running(wait) as worker:
        waiting.wait()
        gc.collect()
        a.go()
        b.go()
        assert worker.get(LIMIT) is True
    assert leaves_nothing_behind(a, b, till)


def test_wait_in_a_worker_handles_events_meanwhile():
    signal = Signal()
    with running(signal.wait) as worker:
        worker.later(signal.go)
        assert worker.get(LIMIT) is True


def test_wait_in_a_worker_is_ended_by_a_stop():
    signal, errors = Signal(), []

    def wait() -> None:
        try:
            signal.wait()
        except BaseException as error:
            errors.append(type(error))
            raise

    with running(wait) as worker:
        worker.stop().join(LIMIT)
    assert errors == [WorkerExit]
    assert leaves_nothing_behind(signal)


def test_waiting_for_never_can_be_stopped_and_leaves_nothing_behind():
    with running(NEVER.wait) as worker:
        worker.stop().join(LIMIT)
    assert NEVER.wait(0.001) is False
    assert leaves_nothing_behind(NEVER)


def test_wait_works_in_native_threads_and_the_main_thread():
    signal, results = Signal(), []
    waiting = Barrier(3)

    def wait() -> None:
        waiting.wait(LIMIT)
        results.append(signal.wait())

    def let_go() -> None:
        waiting.wait(LIMIT)
        signal.go()

    in_threads(wait, wait, let_go)
    assert results == [True, True]

    signal = Signal()
    with running(signal.go):
        assert signal.wait() is True


@pytest.mark.parametrize("till", [float("nan"), "soon", True, object()], ids=described)
def test_wait_refuses_what_is_neither_signal_nor_seconds(till):
    signal = Signal()
    with pytest.raises((TypeError, ValueError)):
        signal.wait(till)
    assert leaves_nothing_behind(signal)


def test_a_wait_that_is_over_by_time_does_not_come_early():
    before = monotonic()
    Signal().wait(0.02)
    assert monotonic() - before >= 0.02


# -- the algebra -------------------------------------------------------------------------------


def test_done_and_never():
    ran = []
    assert DONE
    assert not NEVER
    DONE.then(lambda: ran.append(1))
    assert ran == [1]
    NEVER.then(print)
    assert leaves_nothing_behind(DONE, NEVER)
    assert DONE.go() is DONE
    with pytest.raises(RuntimeError, match="does not go"):
        NEVER.go()
    assert not NEVER


@pytest.mark.parametrize("never", [NEVER, None, False], ids=described)
def test_never_in_the_algebra(never):
    a = Signal()
    assert (a | never) is a
    assert (never | a) is a
    assert (a & never) is NEVER
    assert (never & a) is NEVER
    assert (NEVER | never) is NEVER
    assert (DONE & never) is NEVER
    assert leaves_nothing_behind(a)


@pytest.mark.parametrize("done", [DONE, True], ids=described)
def test_done_in_the_algebra(done):
    a = Signal()
    assert (a | done) is DONE
    assert (done | a) is DONE
    assert (a & done) is a
    assert (done & a) is a
    assert (NEVER | done) is DONE
    assert (DONE & done) is DONE
    assert leaves_nothing_behind(a)


@pytest.mark.parametrize("combine", [or_, and_])
def test_a_signal_with_itself_is_itself(combine):
    a = Signal()
    assert combine(a, a) is a


@pytest.mark.parametrize("combine", [or_, and_])
@pytest.mark.parametrize("other", [0, 1, "a", object()], ids=described)
def test_what_is_no_signal_cannot_be_combined(combine, other):
    a = Signal()
    with pytest.raises(TypeError):
        combine(a, other)
    with pytest.raises(TypeError):
        combine(other, a)
    assert leaves_nothing_behind(a)


def test_signals_say_who_they_are():
    a, b = Signal("ready"), Signal()
    assert "ready" in repr(a)
    assert "ready" in repr(a | b)
    assert "not yet" in repr(a)
    assert "not yet" not in repr(a.go())


# -- composites against a boolean model --------------------------------------------------------

SOURCES = 4
LEAVES = st.integers(0, SOURCES - 1) | st.sampled_from([None, True, False])
EXPRESSIONS = st.recursive(
    LEAVES, lambda inner: st.tuples(st.sampled_from("|&"), inner, inner), max_leaves=8
)


def build(expression, sources: list[Signal]) -> Signal | bool | None:
    if not isinstance(expression, tuple):
        is_source = type(expression) is int
        return sources[expression] if is_source else expression
    symbol, left, right = expression
    left, right = build(left, sources), build(right, sources)
    if not isinstance(left, Signal) and not isinstance(right, Signal):
        left = NEVER | left
    return left | right if symbol == "|" else left & right


def truth(expression, went: set[int]) -> bool:
    if not isinstance(expression, tuple):
        return expression in went if type(expression) is int else bool(expression)
    symbol, left, right = expression
    rule = or_ if symbol == "|" else and_
    return rule(truth(left, went), truth(right, went))


@settings(max_examples=150, deadline=None)
@given(
    expressions=st.lists(EXPRESSIONS, min_size=1, max_size=3),
    order=st.permutations(range(SOURCES)),
    early=st.integers(0, SOURCES),
    goes=st.integers(0, SOURCES),
)
def test_composites_go_exactly_when_their_expression_is_true(expressions, order, early, goes):
    sources = [Signal(str(i)) for i in range(SOURCES)]
    went = set(order[:early])
    for i in went:
        sources[i].go()
    signals = [NEVER | build(expression, sources) for expression in expressions]
    counts = [[0] * 3 for _ in expressions]  # of what was subscribed to: held, dropped, removed

    def counter(count: list[int], which: int):
        def add() -> None:
            count[which] += 1

        return add

    removers = []
    for expression, signal, count in zip(expressions, signals, counts, strict=True):
        signal.then(counter(count, 0))
        (NEVER | build(expression, sources)).then(counter(count, 1))
        removed = counter(count, 2)
        signal.then(removed).remove_then(removed)
        count[2] = 0
        removers.append(removed)

    def check() -> None:
        for expression, signal, count in zip(expressions, signals, counts, strict=True):
            true = truth(expression, went)
            assert bool(signal) is true
            assert count == [true, true, False]

    check()
    for i in order[early : early + goes]:
        went.add(i)
        sources[i].go()
        check()
    for i in order:
        went.add(i)
        sources[i].go()
    check()
    assert leaves_nothing_behind(*sources, NEVER, DONE)


@settings(max_examples=80, deadline=None)
@given(expressions=st.lists(EXPRESSIONS, min_size=1, max_size=3), keep=st.booleans())
def test_composites_whose_callbacks_are_taken_back_leave_nothing_behind(expressions, keep):
    sources = [Signal(str(i)) for i in range(SOURCES)]
    ran, kept = [], []
    for expression in expressions:
        if truth(expression, set()):
            continue
        signal = NEVER | build(expression, sources)
        first, second = (lambda: ran.append(1)), (lambda: ran.append(2))
        signal.then(first).then(second)
        signal.remove_then(first)
        signal.remove_then(second)
        if keep:
            kept.append(signal)
        del signal
    kept.clear()
    assert leaves_nothing_behind(*sources, NEVER, DONE)
    for source in sources:
        source.go()
    assert ran == []


# -- composites and memory ---------------------------------------------------------------------


@pytest.mark.parametrize("combine", [or_, and_])
def test_a_callback_runs_although_nobody_holds_the_composite(combine):
    a, b, c, ran = Signal(), Signal(), Signal(), []
    combine(combine(a, b), c).then(lambda: ran.append(1))
    gc.collect()
    for signal in (a, b, c):
        signal.go()
    assert ran == [1]
    assert leaves_nothing_behind(a, b, c)


def test_a_composite_that_went_is_forgotten_by_its_other_sources():
    a, b, ran = Signal(), Signal(), []
    (a | b).then(lambda: ran.append(1))
    link = ref(held := a | b)
    b.go()
    assert leaves_nothing_behind(a, b)
    del held
    assert link() is None
    a.go()
    assert ran == [1]


def is_dropped(alive: Signal) -> Signal:
    return alive & (alive | Signal())


def is_taken_back(alive: Signal) -> Signal:
    composite = alive & (Signal() | alive)
    composite.then(print).remove_then(print)
    return composite


def is_waited_for(alive: Signal) -> Signal:
    composite = alive & (Signal() | alive)
    composite.wait(DONE)
    return composite


def went(alive: Signal) -> Signal:
    other = Signal()
    composite = (alive | other).then(int)
    other.go()
    return composite


def went_over_the_head_of_its_source(alive: Signal) -> Signal:
    other = Signal()
    composite = ((alive | Signal()) | other).then(int)
    other.go()
    return composite


@pytest.mark.parametrize(
    "use", [is_dropped, is_taken_back, is_waited_for, went, went_over_the_head_of_its_source]
)
@pytest.mark.usefixtures("reference_counts_alone")
def test_100_000_composites_made_with_one_signal_and_dropped_leave_nothing_behind(use):
    alive = Signal("lives long")
    for _ in range(20_000):  # by each of the five uses
        link = ref(use(alive))
    assert link() is None
    assert leaves_nothing_behind(alive)


CHAIN = 10_000


def left_to_right(combine, signals):
    return reduce(combine, signals)


def right_to_left(combine, signals):
    return reduce(lambda chain, signal: combine(signal, chain), reversed(signals))


@pytest.mark.parametrize("make", [left_to_right, right_to_left])
@pytest.mark.parametrize("combine", [or_, and_])
def test_a_chain_of_10_000_fires_and_is_collected_without_recursion(make, combine):
    signals = [Signal() for _ in range(CHAIN)]
    ran = []
    chain = make(combine, signals)
    assert repr(chain)
    link = ref(chain)
    chain.then(lambda: ran.append(1))
    del chain
    gc.collect()
    assert link() is not None
    if combine is and_:
        for signal in signals[:-1]:
            signal.go()
        assert ran == []
        signals[-1].go()
    else:
        signals[CHAIN // 2].go()
    assert ran == [1]
    assert link() is None
    if FREE_THREADED:
        # The collection above may have made a tuple in reused memory the property of the thread
        # that the memory is from. It goes when that thread next runs, or in the next collection.
        gc.collect()
    assert leaves_nothing_behind(*signals)


@pytest.mark.parametrize("make", [left_to_right, right_to_left])
@pytest.mark.parametrize("use", ["dropped", "subscribed and taken back"])
@pytest.mark.usefixtures("reference_counts_alone")
def test_a_chain_of_10_000_that_never_fires_is_collected_without_recursion(make, use):
    signals = [Signal() for _ in range(CHAIN)]
    chain = make(or_, signals)
    if use != "dropped":
        chain.then(print)
        chain.remove_then(print)
    link = ref(chain)
    del chain
    assert link() is None
    assert leaves_nothing_behind(*signals)


# -- exactly once, whatever comes between ------------------------------------------------------

# What a callback is given to, made from the signal that goes. In the last three, nothing else can
# keep the composite alive.
SHAPES = {
    "a": lambda a: a,
    "a | b": lambda a: a | Signal(),
    "a & gone": lambda a: a & gone(),
    "(a & gone) | b": lambda a: (a & gone()) | Signal(),
    "(a & gone) & (gone & a)": lambda a: (a & gone()) & (gone() & a),
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@shapes
@at_one_in(2)
def test_then_runs_its_callback_once_wherever_the_signal_goes(interrupt, shape):
    a, ran = Signal(), []
    interrupt(lambda: shape(a).then(lambda: ran.append(1)) and None, a.go)
    assert ran == [1]
    assert leaves_nothing_behind(a)


@shapes
@pytest.mark.parametrize("held", [True, False], ids=["held", "not held"])
@at_each_bytecode
def test_go_runs_a_callback_once_wherever_it_is_given(interrupt, shape, held):
    """The composite exists when the signal goes; who gave the callback may drop it at once."""
    a, ran = Signal(), []
    composites = [shape(a)]

    def subscribe() -> None:
        composites[0].then(lambda: ran.append(1))
        if not held:
            composites.clear()

    interrupt(a.go, subscribe)
    assert all(composites)
    assert ran == [1]
    assert leaves_nothing_behind(a)


@shapes
@at_each_bytecode
def test_a_callback_taken_back_while_the_signal_goes_runs_before_that_or_not_at_all(
    interrupt, shape
):
    a, ran = Signal(), []
    signal = shape(a)

    def callback() -> None:
        ran.append(1)

    def take_back() -> None:
        signal.remove_then(callback)
        ran.append("taken back")

    signal.then(callback)
    interrupt(a.go, take_back)
    assert ran in ([1, "taken back"], ["taken back"])
    assert signal
    assert leaves_nothing_behind(a)


@shapes
@at_one_in(2)
def test_taking_back_one_callback_does_not_lose_another_that_is_given_meanwhile(interrupt, shape):
    a, ran = Signal(), []
    composites = [shape(a).then(print)]
    interrupt(
        lambda: composites[0].remove_then(print),
        lambda: composites[0].then(lambda: ran.append(1)) and None,
    )
    composites.clear()
    a.go()
    assert ran == [1]
    assert leaves_nothing_behind(a)


@shapes
@at_each_bytecode
def test_taking_back_the_last_callback_meanwhile_leaves_nothing_behind(interrupt, shape):
    a, ran = Signal(), []
    composites = [shape(a).then(print)]
    interrupt(
        lambda: composites[0].then(ran.clear).remove_then(ran.clear),
        lambda: composites[0].remove_then(print),
    )
    composites.clear()
    assert leaves_nothing_behind(a)


@pytest.mark.parametrize("combine", [or_, and_])
@at_each_bytecode
def test_a_composite_goes_once_when_its_sources_go_at_the_same_time(interrupt, combine):
    a, b, ran = Signal(), Signal(), []
    combine(combine(a, b), combine(b, a)).then(lambda: ran.append(1))
    interrupt(a.go, b.go)
    assert ran == [1]
    assert leaves_nothing_behind(a, b)


@pytest.mark.parametrize("combine", [or_, and_])
@at_each_bytecode
def test_a_composite_may_be_dropped_while_its_source_goes(interrupt, combine):
    a, b = Signal(), Signal()
    composites = [combine(a, b), combine(a, combine(a, b))]
    links = [ref(composite) for composite in composites]
    interrupt(a.go, composites.clear)
    assert [link() for link in links] == [None, None]
    assert leaves_nothing_behind(a, b)


@shapes
@at_each_bytecode
def test_ctrl_c_at_any_bytecode_of_go_loses_no_callback_and_is_not_swallowed(interrupt, shape):
    a, ran = Signal(), []
    shape(a).then(lambda: ran.append(1)).then(lambda: ran.append(2))
    with pytest.raises(KeyboardInterrupt):
        interrupt(a.go, ctrl_c)
    a.go()  # for the case that it came before anything was done
    assert ran == [1, 2]
    assert leaves_nothing_behind(a)


few_shapes = pytest.mark.parametrize(
    "shape", [SHAPES["a"], SHAPES["a & gone"]], ids=["a", "a & gone"]
)


@pytest.mark.parametrize("till", [None, Signal()], ids=["no till", "a till"])
@few_shapes
@at_one_in(3)
def test_a_wait_returns_wherever_the_signal_goes(interrupt, shape, till):
    a = Signal()
    with when_asleep(a.go):
        assert interrupt(lambda: shape(a).wait(till), a.go) is True
    assert leaves_nothing_behind(a)


@few_shapes
@at_each_bytecode
def test_ctrl_c_at_any_bytecode_of_a_wait_is_raised(interrupt, shape):
    a = Signal()
    with when_asleep(a.go), pytest.raises(KeyboardInterrupt):
        interrupt(lambda: shape(a).wait(), ctrl_c)
    assert a.go().wait()


def test_t3_go_and_then_may_be_called_in_finalizers():
    class Holder:
        pass

    holder, signal, ran = Holder(), Signal(), []
    finalize(holder, signal.go)
    ref_callback = Holder()
    link = ref(ref_callback, lambda _: signal.then(lambda: ran.append("weak")))
    signal.then(lambda: ran.append("then"))
    del ref_callback
    assert link() is None
    del holder
    assert ran == ["then", "weak"]


# -- the same with real threads ----------------------------------------------------------------

ROUNDS = 150


def rounds(*parts) -> None:
    """Call ``part(round)`` of each part at the same time, for each round."""
    barrier = Barrier(len(parts))

    def play(part) -> None:
        for i in range(ROUNDS):
            barrier.wait(LIMIT)
            part(i)

    with hectic_switching():
        in_threads(*[lambda part=part: play(part) for part in parts])


def test_then_against_go_from_several_threads_runs_each_callback_once():
    signals = [Signal() for _ in range(ROUNDS)]
    composites = [(a | Signal()) & gone() for a in signals]
    ran: list[tuple[int, int]] = []

    def subscriber(n: int):
        def subscribe(i: int) -> None:
            signal = (signals, composites)[n % 2][i]
            signal.then(lambda: ran.append((n, i)))

        return subscribe

    rounds(*[subscriber(n) for n in range(4)], *[lambda i: signals[i].go()] * 2)
    assert sorted(ran) == [(n, i) for n in range(4) for i in range(ROUNDS)]


@pytest.mark.parametrize("combine", [or_, and_])
def test_composites_nobody_holds_go_once_when_all_their_sources_go_at_once(combine):
    table = [[Signal() for _ in range(3)] for _ in range(ROUNDS)]
    ran: list[int] = []

    def subscribe(i: int) -> None:
        a, b, c = table[i]
        combine(combine(a, b), c).then(lambda: ran.append(i))

    rounds(subscribe, *[lambda i, n=n: table[i][n].go() for n in range(3)])
    assert sorted(ran) == list(range(ROUNDS))
    assert leaves_nothing_behind(*[signal for row in table for signal in row])


def test_composites_may_be_dropped_by_one_thread_while_sources_go_in_others():
    table = [[Signal(), Signal()] for _ in range(ROUNDS)]
    alive = Signal()
    composites = [[(a & alive) | (b & a), alive | (a & b)] for a, b in table]
    rounds(
        lambda i: composites[i].clear(),
        lambda i: (table[i][0] | alive) and None,
        lambda i: table[i][0].go(),
        lambda i: table[i][1].go(),
    )
    assert leaves_nothing_behind(alive, *[signal for row in table for signal in row])


def test_waiters_in_many_threads_are_woken_by_a_go_in_that_moment():
    signals = [Signal() for _ in range(ROUNDS)]
    results: list[bool] = []
    rounds(
        *[lambda i: results.append(signals[i].wait(LIMIT))] * 3,
        lambda i: signals[i].go(),
    )
    assert results == [True] * 3 * ROUNDS
    assert leaves_nothing_behind(*signals)


def test_a_go_in_a_worker_wakes_waiters_of_every_kind():
    signal = Signal()
    with running(signal.wait) as waiter, running(wait_forever) as goer:
        woken: list[bool] = []
        native = threading.Thread(target=lambda: woken.append(signal.wait(LIMIT)))
        native.start()
        goer.later(signal.go)
        assert signal.wait(LIMIT)
        assert waiter.get(LIMIT) is True
        native.join()
    assert woken == [True]


def test_e3_an_outer_wait_sees_the_signal_that_went_during_a_nested_one():
    outer, inner, nested = Signal(), Signal(), Flag()

    def listener(event) -> None:
        nested.set()
        inner.wait()

    def task() -> bool:
        return outer.wait()

    with running(task) as worker:
        worker.listen(listener, "NEST")
        worker.fire("NEST")
        nested.wait()
        outer.go()
        inner.go()
        assert worker.get(LIMIT) is True


def test_a_paused_worker_remembers_the_signal_it_waited_for():
    signal, paused = Signal(), Flag()
    with running(signal.wait) as worker:
        worker.pause().later(paused.set)
        paused.wait()
        signal.go()
        with pytest.raises(TimeoutError):
            worker.join(timeout=0.01)
        worker.resume()
        assert worker.get(LIMIT) is True


def test_signals_of_a_worker_run_callbacks_at_its_end():
    ran = []
    worker = create_worker(sleep, 0, parent=False)
    ((worker.stopped & gone()) | Signal()).then(lambda: ran.append(worker.is_running()))
    worker.join(LIMIT)
    assert ran == [False]


def test_a_chain_of_callbacks_that_let_the_next_signal_go_is_gone_through_to_its_end():
    signals = [Signal() for _ in range(3_000)]
    order = []
    for number, (signal, following) in enumerate(pairwise(signals)):
        signal.then(partial(order.append, number))
        ((signal | Signal()) if number % 2 else signal).then(following.go)
    assert signals[0].go()
    assert all(signals)
    assert order == list(range(2_999))


def test_what_a_callback_deep_down_raises_is_logged_and_the_others_are_called(caplog):
    signals, called = [Signal(str(number)) for number in range(60)], []
    for number, (signal, following) in enumerate(pairwise(signals)):
        signal.then(following.go)
        signal.then(boom)
        signal.then(partial(called.append, number))
    signals[0].go()
    assert sorted(called) == list(range(59))
    assert len(caplog.records) == 59


@at_each_bytecode
def test_deep_down_a_handler_may_let_another_signal_go(interrupt, monkeypatch):
    monkeypatch.setattr(signals_module, "_DEEPEST", 2)
    signals, other, called = [Signal() for _ in range(4)], Signal(), []
    for signal, following in pairwise(signals):
        signal.then(following.go)
    signals[-1].then(partial(called.append, "last"))
    other.then(partial(called.append, "other"))
    interrupt(signals[0].go, other.go)
    assert sorted(called) == ["last", "other"]
