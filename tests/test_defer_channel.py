"""Defer: a result from anywhere, once. Channel: one publisher, many that hear it."""

from __future__ import annotations

import gc
import threading
import traceback
from collections import Counter
from threading import Barrier
from typing import Any
from weakref import finalize, ref

import pytest

from threadtree import (
    Channel,
    Defer,
    Event,
    Worker,
    WorkerCancelled,
    WorkerExit,
    WorkerState,
    async_,
    await_,
    current,
    listen,
    update,
    wait,
    wait_event,
)

from .bytecodes import at_each_bytecode, ctrl_c, when_asleep
from .helpers import LIMIT, Flag, described, hectic_switching, in_threads, running


class FalsyError(Exception):
    def __bool__(self) -> bool:
        return False


def leaves_nothing_behind(defer: Defer[Any]) -> bool:
    return not defer._fulfilled._jobs and not current()._life.waits


# -- Defer -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, None, False, "text", ValueError("a value like any other")])
def test_a_resolved_defer_gives_its_value_again_and_again(value):
    defer: Defer[Any] = Defer()
    assert (defer.status, defer.result) == ("PENDING", None)
    assert defer.resolve(value) is None
    assert (defer.status, defer.result) == ("RESOLVED", value)
    for _ in range(2):
        assert defer.get() is value
        assert defer.get(timeout=0) is value
        assert wait(defer) is value


@pytest.mark.parametrize("error", [ValueError("v"), FalsyError(), SystemExit(3), WorkerExit()])
def test_a_rejected_defer_raises_the_very_error_again_and_again(error):
    defer: Defer[Any] = Defer()
    defer.reject(error)
    assert (defer.status, defer.result) == ("REJECTED", error)
    lengths = set()
    for _ in range(3):
        with pytest.raises(type(error)) as raised:
            defer.get()
        assert raised.value is error
        lengths.add(len(traceback.extract_tb(error.__traceback__)))
    assert len(lengths) == 1  # R2: it does not grow


@pytest.mark.parametrize("wrong", [None, "error", ValueError], ids=described)
def test_a_rejection_with_what_is_no_exception_raises_and_settles_nothing(wrong):
    defer: Defer[int] = Defer()
    with pytest.raises(TypeError, match="needs an exception"):
        defer.reject(wrong)
    assert defer.status == "PENDING"
    defer.resolve(1)
    assert defer.get() == 1


def test_the_first_settlement_counts():
    defer: Defer[int] = Defer()
    defer.resolve(1)
    defer.resolve(2)
    defer.reject(ValueError())
    assert (defer.status, defer.get()) == ("RESOLVED", 1)
    defer = Defer()
    error = ValueError()
    defer.reject(error)
    defer.resolve(1)
    assert (defer.status, defer.result) == ("REJECTED", error)


def test_racing_settlements_have_one_winner_and_all_waiters_get_it():
    rounds, n = 60, 4
    defers: list[Defer[int]] = [Defer() for _ in range(rounds)]
    got: list[list[object]] = [[] for _ in range(rounds)]
    barrier = Barrier(2 * n)

    def settle(me: int) -> None:
        for defer in defers:
            barrier.wait(LIMIT)
            defer.reject(ValueError(me)) if me % 2 else defer.resolve(me)

    def get() -> None:
        for defer, results in zip(defers, got, strict=True):
            barrier.wait(LIMIT)
            try:
                results.append(defer.get(LIMIT))
            except ValueError as error:
                results.append(error.args[0])

    with hectic_switching():
        in_threads(*[lambda me=me: settle(me) for me in range(n)], *[get] * n)
    for defer, results in zip(defers, got, strict=True):
        winner = defer.result if defer.status == "RESOLVED" else defer.result.args[0]
        assert results == [winner] * n
        assert leaves_nothing_behind(defer)


def in_a_worker(settle) -> None:
    async_(settle).get(LIMIT)


def in_a_native_thread(settle) -> None:
    in_threads(settle)


def in_a_timer(settle) -> None:
    current().later(settle, timeout=0.001)


def in_a_finalizer(settle) -> None:
    class Dying:
        pass

    finalize(Dying(), settle)


@pytest.mark.parametrize("where", [in_a_worker, in_a_native_thread, in_a_timer, in_a_finalizer])
@pytest.mark.parametrize("waiter", ["main", "worker", "native thread"])
def test_a_defer_may_be_settled_anywhere_and_waited_for_everywhere(where, waiter):
    defer: Defer[str] = Defer()
    results: list[str] = []

    def get() -> None:
        results.append(defer.get(LIMIT))

    if waiter == "main":
        where(lambda: defer.resolve("done"))
        get()
    else:
        begun = Flag()

        def begin() -> None:
            begun.set()
            get()

        kind = Worker(begin, parent=False) if waiter == "worker" else threading.Thread(target=begin)
        kind.start()
        begun.wait()
        where(lambda: defer.resolve("done"))
        update()  # of the timer, if that waits for us
        if where is in_a_timer:
            wait(defer)
        kind.join(LIMIT)
    assert results == ["done"]
    assert leaves_nothing_behind(defer)


def test_get_handles_events_meanwhile():
    defer: Defer[int] = Defer()
    with running(defer.get) as worker:
        worker.later(defer.resolve, 1)
        assert worker.get(LIMIT) == 1


def test_get_with_a_timeout_raises_and_leaves_nothing_behind():
    defer: Defer[int] = Defer()
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError):
            defer.get(timeout)
    assert leaves_nothing_behind(defer)
    defer.resolve(1)
    assert defer.get(0) == 1
    update()


@pytest.mark.parametrize("timeout", [float("nan"), "1"], ids=described)
def test_get_with_a_bad_timeout_raises_also_when_it_is_settled(timeout):
    defer: Defer[int] = Defer()
    for _ in range(2):
        with pytest.raises((TypeError, ValueError)):
            defer.get(timeout)
        defer.resolve(1)
    assert leaves_nothing_behind(defer)


def test_a_stop_ends_the_get_of_a_worker_and_leaves_nothing_behind():
    defer: Defer[int] = Defer()
    with running(defer.get) as worker:
        worker.stop().join(LIMIT)
        with pytest.raises(WorkerCancelled):
            worker.get()
    assert leaves_nothing_behind(defer)


def test_a_stop_of_the_main_thread_ends_its_get_by_worker_cancelled():
    defer: Defer[int] = Defer()
    current().stop()
    with pytest.raises(WorkerCancelled):
        defer.get()
    assert leaves_nothing_behind(defer)


def test_e3_a_nested_get_steals_nothing_from_the_outer_one():
    outer: Defer[str] = Defer()
    inner: Defer[str] = Defer()
    nested, got = Flag(), []

    def nest(event: Event) -> None:
        nested.set()
        got.append(inner.get())

    def task() -> None:
        listen(nest, "NEST")
        got.append(outer.get())

    with running(task) as worker:
        worker.fire("NEST")
        nested.wait()
        outer.resolve("outer")
        inner.resolve("inner")
        worker.join(LIMIT)
    assert got == ["inner", "outer"]


def test_a_paused_worker_remembers_the_defer_it_waited_for():
    defer, paused = Defer(), Flag()
    with running(defer.get) as worker:
        worker.pause().later(paused.set)
        paused.wait()
        defer.resolve(1)
        with pytest.raises(TimeoutError):
            worker.join(timeout=0.01)
        assert worker.resume().get(LIMIT) == 1


@at_each_bytecode
def test_get_returns_wherever_the_defer_is_resolved(interrupt):
    defer: Defer[int] = Defer()
    with when_asleep(lambda: defer.resolve(1)):
        assert interrupt(defer.get, lambda: defer.resolve(1)) == 1
    assert leaves_nothing_behind(defer)
    update()


@at_each_bytecode
def test_a_defer_keeps_its_first_result_wherever_a_second_comes(interrupt):
    defer: Defer[int] = Defer()
    seen = []

    def second() -> None:
        defer.resolve(2)
        seen.append(defer.get(timeout=0))

    interrupt(lambda: defer.resolve(1), second)
    assert seen == [defer.get()]


@at_each_bytecode
def test_ctrl_c_in_a_resolve_can_be_followed_by_another(interrupt):
    defer: Defer[int] = Defer()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: defer.resolve(1), ctrl_c)
    defer.resolve(1)
    assert defer.get(timeout=0) == 1


def test_await_gives_or_raises_and_stops_what_it_waits_for_when_it_is_stopped():
    assert await_(pow, 2, 5) == 32
    with pytest.raises(ZeroDivisionError):
        await_(divmod, 1, 0)
    begun = Flag()
    asked: list[Worker[Any]] = []

    def blocking() -> None:
        asked.append(current())
        begun.set()
        wait_event("NEVER FIRED")

    with running(lambda: await_(blocking)) as worker:
        begun.wait()
        worker.stop()
        assert asked[0].join(LIMIT).state is WorkerState.CANCELLED


# -- Channel -----------------------------------------------------------------------------------


def hearing(name: str = "NEWS") -> tuple[Worker[Any], list[Event]]:
    """A worker that has not started, and the list of the events of a name that it hears."""
    heard: list[Event] = []
    worker = Worker(parent=False)
    worker.listen(heard.append, name)
    return worker, heard


def test_what_is_published_reaches_each_subscriber_once():
    channel = Channel()
    (a, heard_by_a), (b, heard_by_b), (c, heard_by_c) = hearing(), hearing(), hearing()
    channel.sub(a)
    channel.sub(a)  # twice is once
    channel.sub(b)
    assert channel.pool == {a, b}
    assert channel.pub("NEWS", 1) is None
    for worker in (a, b, c):
        worker.start().stop().join(LIMIT)
    assert [event.data for event in heard_by_a] == [1]
    assert [event.data for event in heard_by_b] == [1]
    assert heard_by_c == []
    assert heard_by_a[0].target is current()


def test_the_current_worker_is_the_default():
    channel, main = Channel(), current()
    channel.sub()
    assert channel.pool == {main}
    channel.pub("NEWS", 1)
    assert wait_event("NEWS", LIMIT) == 1
    channel.unsub()
    assert channel.pool == set()
    channel.pub("NEWS", 2)
    assert wait_event("NEWS", 0) is None


def test_an_event_object_is_published_as_it_is():
    channel, (worker, heard) = Channel(), hearing()
    channel.sub(worker)
    event = Event("NEWS", 1, target=worker)
    channel.pub(event)
    worker.start().stop().join(LIMIT)
    assert heard == [event]
    assert event.target is worker


@pytest.mark.parametrize("flag", ["bubble", "broadcast"])
def test_a_published_event_may_bubble_and_broadcast(flag):
    channel, (top, heard_by_top), (bottom, heard_by_bottom) = Channel(), hearing(), hearing()
    with running() as middle:
        top.start()
        bottom._parent, middle._parent = middle, top  # a chain, however it came to be
        middle._parent = top
        channel.sub(middle)
        channel.pub("NEWS", 1, **{flag: True})
        bottom._parent = middle._parent = None
        top.stop().join(LIMIT)
    assert len(heard_by_top) == (flag == "bubble")
    assert heard_by_bottom == []


def test_what_is_published_to_a_subscriber_that_has_ended_is_rejected():
    channel, worker = Channel(), Worker(int, parent=False).start().join()
    channel.sub(worker)
    channel.pub("NEWS")
    assert worker.rejected == 1


def test_unsubscribing_what_has_not_subscribed_raises():
    channel = Channel()
    with pytest.raises(KeyError, match="has not subscribed"):
        channel.unsub()
    channel.sub()
    channel.unsub()
    with pytest.raises(KeyError, match="main"):
        channel.unsub(current())


@pytest.mark.parametrize("wrong", [1, "worker", Worker], ids=described)
def test_a_subscriber_that_is_no_worker_raises(wrong):
    channel = Channel()
    for method in (channel.sub, channel.unsub):
        with pytest.raises(TypeError, match="must be a Worker"):
            method(wrong)
    assert channel.pool == set()


def test_a_name_that_is_no_string_raises_and_reaches_nobody():
    channel, (worker, _) = Channel(), hearing()
    channel.sub(worker)
    with pytest.raises(TypeError, match="must be a string"):
        channel.pub(3)
    assert worker.backlog == 0


def test_c4_a_channel_does_not_keep_its_subscribers_alive():
    channel = Channel()
    worker = Worker(parent=False)
    channel.sub(worker)
    link = ref(worker)
    del worker
    gc.collect()
    assert link() is None
    assert channel.pool == set()
    assert not channel._subscribers
    channel.pub("NEWS")


def test_a_listener_may_subscribe_unsubscribe_and_publish():
    channel, heard = Channel(), []

    def task() -> None:
        @listen("NEWS")
        def _(event: Event) -> None:
            heard.append(event.data)
            channel.unsub()
            channel.pub("NEWS", "nobody hears it")
            channel.sub()
            if event.data < 2:
                channel.pub("NEWS", event.data + 1)
            else:
                current().stop()

        channel.sub()
        channel.pub("NEWS", 0)
        wait_event("NEVER FIRED")

    with running(task) as worker:
        worker.join(LIMIT)
    assert heard == [0, 1, 2]


def test_publishing_from_many_threads_while_others_come_and_go():
    channel, each = Channel(), 100
    stays = [hearing() for _ in range(3)]
    for worker, _ in stays:
        channel.sub(worker.start())

    def publish(n: int) -> None:
        for i in range(each):
            channel.pub("NEWS", (n, i))

    def come_and_go() -> None:
        worker = Worker(parent=False)
        for _ in range(each):
            channel.sub(worker)
            assert worker in channel.pool
            channel.unsub(worker)

    with hectic_switching():
        in_threads(come_and_go, *[lambda n=n: publish(n) for n in range(3)], come_and_go)
        for worker, _ in stays:
            worker.stop().join(LIMIT)
    for _, heard in stays:
        data = [event.data for event in heard]
        assert Counter(data) == Counter((n, i) for n in range(3) for i in range(each))
        for n in range(3):
            assert [i for who, i in data if who == n] == list(range(each))
