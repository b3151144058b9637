"""Queue and PriorityQueue: an item is popped by somebody, or its add has raised."""

from __future__ import annotations

import queue as standard
import random
import signal as os_signal
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from threadtree import (
    DONE,
    PLEASE_STOP,
    THREAD_STOP,
    PriorityQueue,
    Queue,
    QueueClosed,
    Signal,
    Thread,
    Till,
    WorkerCancelled,
    create_worker,
    current,
    graces,
    parking,
    queues,
    wait_forever,
)

from .bytecodes import at_each_bytecode, ctrl_c
from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running
from .programs import run


def levels(name: str, **options: object) -> PriorityQueue[object]:
    return PriorityQueue(name, 3, **options)


@pytest.fixture(params=[Queue, levels], ids=["Queue", "PriorityQueue"])
def make(request: pytest.FixtureRequest) -> Callable[..., Queue[object]]:
    return request.param


# -- items -------------------------------------------------------------------------------------


def test_the_objects_themselves_are_handed_on(make):
    class NotToBeCopied:
        def __copy__(self):
            raise AssertionError

        __deepcopy__ = __reduce_ex__ = __copy__

    queue, item = make("q"), NotToBeCopied()
    queue.add(item)
    assert queue.pop() is item


def test_first_in_first_out(make):
    queue = make("q").extend([1, 2]).add(3)
    assert [queue.pop(), queue.pop_one(), *queue.pop_all()] == [1, 2, 3]


def test_what_is_pushed_comes_first(make):
    queue = make("q").add(5).push(4).push_all([1, 2, 3])
    assert len(queue) == 5
    assert queue.pop_all() == [1, 2, 3, 4, 5]
    assert queue.pop_all() == []


def test_none_and_false_are_items(make):
    queue = make("q").extend([None, False, 0]).close()
    assert list(queue) == [None, False, 0]


def test_iteration_goes_on_until_the_queue_is_closed_and_drained(make):
    queue = make("q")
    reader = Thread.run("reader", lambda please_stop: list(queue))
    in_a_wait(reader)
    queue.add(1)
    in_a_wait(reader)
    queue.add(2).close()
    assert reader.join(LIMIT) == [1, 2]


def test_pop_one_never_waits(make):
    queue = make("q")
    assert queue.pop_one() is None
    queue.add(1).close()
    assert queue.pop_one() == 1
    assert queue.pop_one() is PLEASE_STOP


def test_the_word_is_told_by_identity(make):
    queue = make("q")
    queue.add("please_stop").add("".join(["please", "_stop"]))
    assert not queue.closed
    assert queue.pop() == "please_stop"
    assert queue.pop() is not PLEASE_STOP
    queue.add(PLEASE_STOP)
    assert queue.closed
    assert queue.pop() is PLEASE_STOP


def test_adding_thread_stop_closes(make):
    assert make("q").add(THREAD_STOP).closed
    assert make("q").push(THREAD_STOP).closed
    with pytest.raises(QueueClosed):
        make("q").extend([1, THREAD_STOP, 2])


def test_unique_adds_nothing_that_is_there(make):
    queue = make("q", unique=True).extend([1, 2, 1, 2.0]).push(2)
    assert queue.pop_all() == [1, 2]
    assert queue.add(1).pop_all() == [1]


def test_a_queue_tells_about_itself(make):
    queue = make("lots", max=2)
    assert (queue.name, queue.max, len(queue), queue.empty(), queue.full()) == (
        "lots",
        2,
        0,
        True,
        False,
    )
    queue.extend([1, 2])
    assert (queue.qsize(), queue.empty(), queue.full()) == (2, False, True)
    assert "lots: 2 items" in repr(queue)
    assert "closed" in repr(queue.close())


# -- waiting for an item -----------------------------------------------------------------------


@pytest.mark.parametrize("till", [0, -1, 0.001, DONE, lambda: Till(seconds=0.001)])
def test_pop_gives_none_when_the_till_comes_first(make, till):
    assert make("q").pop(till=till() if callable(till) else till) is None


def test_pop_with_no_time_still_takes_what_is_there(make):
    queue = make("q").extend([1, 2])
    assert queue.pop(0) == 1
    assert queue.pop(DONE) == 2


def test_a_waiting_pop_handles_the_events_of_the_worker(make):
    queue, handled = make("q"), []
    worker = create_worker(queue.pop)
    in_a_wait(worker)
    worker.later(handled.append, 1)
    in_a_wait(worker)
    assert handled == [1]
    queue.add("x")
    assert worker.get(LIMIT) == "x"


def test_a_pop_that_need_not_wait_handles_the_events_of_the_worker_too(make):
    queue, handled = make("q").add(1), []
    current().later(handled.append, 1)
    assert queue.pop() == 1
    assert handled == [1]


def test_an_asked_thread_pops_what_is_there_and_then_please_stop(make):
    queue = make("q").extend([1, 2])

    def read(please_stop: Signal) -> list[object]:
        please_stop.wait()
        return [queue.pop(), queue.pop(), queue.pop(), *queue]

    thread = Thread.run("reader", read)
    thread.stop()
    result = thread.join(LIMIT)
    assert result == [1, 2, PLEASE_STOP]
    assert result[2] is PLEASE_STOP
    assert not queue.closed


def test_a_thread_that_waits_in_pop_gets_please_stop_as_soon_as_it_is_asked(make):
    queue = make("q")
    for ask in (Thread.stop, lambda thread: thread.please_stop.go()):
        thread = Thread.run("reader", lambda please_stop: queue.pop())
        in_a_wait(thread)
        ask(thread)
        assert thread.join(LIMIT) is PLEASE_STOP


def test_worker_exit_in_pop_takes_no_item(make):
    queue = make("q")
    for _ in range(20):
        with running(queue.pop) as worker:
            in_a_wait(worker)
            in_threads(worker.stop, lambda: queue.add(1))
            worker.join(LIMIT)
        taken = [] if worker.result is None else [worker.result]
        assert [*taken, *queue.pop_all()] == [1]


def test_a_told_thread_cannot_pop_any_more(make, monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.02)
    queue = make("q")

    def work(please_stop: Signal) -> None:
        try:
            Signal().wait()
        finally:
            queue.pop()

    thread = Thread.run("told", work)
    in_a_wait(thread)
    thread.stop()
    thread.stopped.wait(LIMIT)
    queue.add(1)
    with pytest.raises(WorkerCancelled):
        thread.join(LIMIT)
    assert queue.pop_all() == [1]


def test_a_stop_of_the_main_worker_ends_its_pop(make):
    queue, main = make("q"), current()
    main.later(main.stop)
    assert queue.pop() is None
    main.later(main.stop)
    assert list(queue) == []


def test_a_paused_pop_takes_nothing_and_leaves_it_to_another(make):
    queue = make("q")
    paused = create_worker(queue.pop)
    in_a_wait(paused)
    paused.pause()
    in_a_wait(paused)
    other = create_worker(queue.pop)
    in_a_wait(other)
    queue.add(1)
    assert other.get(LIMIT) == 1
    queue.add(2)
    in_a_wait(paused)
    assert len(queue) == 1
    assert paused.resume().get(LIMIT) == 2


def test_a_pop_in_a_listener_of_a_paused_worker_returns_after_the_pause(make):
    queue, paused, returned = make("q").add(1), [], Flag()

    def listener() -> None:
        resumer.start()
        queue.pop()
        paused.append(worker._life.paused)
        returned.set()

    def resume(please_stop: Signal) -> None:
        Till(seconds=0.02).wait()
        worker.resume()

    resumer = Thread("resumer", resume)
    with running() as worker:
        in_a_wait(worker.pause())
        worker.later(listener)
        returned.wait()
    resumer.join(LIMIT)
    assert paused == [False]


def test_a_consumer_that_is_busy_with_an_event_does_not_keep_an_item_from_another(make):
    queue, busy, go_on = make("q"), Flag(), Flag()
    first = create_worker(queue.pop)
    in_a_wait(first)
    first.later(lambda: busy.set() or go_on.wait())
    busy.wait()
    second = create_worker(queue.pop)
    in_a_wait(second)
    queue.add(1)
    assert second.get(LIMIT) == 1
    queue.add(2)
    go_on.set()
    assert first.get(LIMIT) == 2


def test_one_that_is_stopped_after_it_was_woken_wakes_the_next(make):
    queue = make("q")
    with running(queue.pop) as first, running(queue.pop) as second:
        in_a_wait(first, second)
        with queue._lock:  # it is woken by the item, and by its stop
            queue.add(1)
            first.stop()
        first.join(LIMIT)
        if first.result is None:
            assert second.get(LIMIT) == 1


# -- waiting for room --------------------------------------------------------------------------


def test_add_blocks_while_there_is_no_room(make):
    queue = make("q", max=1).add(1)
    worker = create_worker(lambda: queue.add(2) and "added")
    in_a_wait(worker)
    assert len(queue) == 1
    assert queue.pop() == 1
    assert worker.get(LIMIT) == "added"
    assert queue.pop() == 2


@pytest.mark.parametrize("timeout", [0, -1, 0.001, DONE])
def test_an_add_that_has_no_room_in_time_raises_full(make, timeout):
    queue = make("q", max=1).add(1)
    with pytest.raises(standard.Full):
        queue.add(2, timeout=timeout)
    assert queue.pop_all() == [1]


def test_force_and_push_need_no_room(make):
    queue = make("q", max=1).add(2).add(3, force=True).push(1)
    assert queue.pop_all() == [1, 2, 3]


def test_pop_all_makes_room_for_all_that_wait(make):
    queue = make("q", max=2).extend([1, 2])
    adders = [create_worker(queue.add, number) for number in (3, 4)]
    in_a_wait(*adders)
    assert queue.pop_all() == [1, 2]
    for adder in adders:
        adder.join(LIMIT)
    assert sorted(queue.pop_all()) == [3, 4]


@pytest.mark.parametrize("kind", ["paused", "stopped"])
def test_a_producer_that_cannot_add_now_leaves_the_room_to_another(make, kind):
    queue = make("q", max=1).add(1)
    first = create_worker(queue.add, "first")
    second = create_worker(queue.add, "second")
    in_a_wait(first)
    if kind == "paused":
        first.pause()
        in_a_wait(first)
    else:
        first.stop().join(LIMIT)
    in_a_wait(second)
    assert queue.pop() == 1
    second.join(LIMIT)
    assert queue.pop() == "second"
    first.resume().join(LIMIT)
    assert queue.pop_all() == (["first"] if kind == "paused" else [])


def test_an_add_that_blocks_for_long_is_logged_once_unless_silent(make, caplog, monkeypatch):
    monkeypatch.setattr(queues, "WARN_AFTER", 0.0)
    for silent in (True, False):
        queue, till = make("slow", max=1, silent=silent).add(1), Signal()
        adder = create_worker(queue.add, 2, timeout=till, print_traceback=False)
        in_a_wait(adder)
        till.go()
        with pytest.raises(standard.Full):
            adder.get(LIMIT)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "slow" in caplog.text


def test_a_stop_of_the_main_worker_ends_its_add(make):
    queue, main = make("q", max=1).add(1), current()
    main.later(main.stop)
    with pytest.raises(WorkerCancelled, match="was stopped"):
        queue.add(2)
    assert queue.pop_all() == [1]


# -- closing -----------------------------------------------------------------------------------


def test_a_closed_queue_takes_nothing_and_gives_what_it_has(make):
    queue = make("q").add(1)
    assert queue.close() is queue
    assert queue.close().closed
    for add in (queue.add, queue.push, queue.put, queue.put_nowait):
        with pytest.raises(QueueClosed, match="q"):
            add(2)
    assert queue.pop() == 1
    assert queue.pop() is PLEASE_STOP
    assert queue.pop(0) is PLEASE_STOP


def test_one_may_add_after_the_close_if_that_was_allowed(make):
    queue = make("q", allow_add_after_close=True).close().add(1)
    assert queue.pop() == 1
    assert queue.pop() is PLEASE_STOP


def test_close_wakes_the_producers_that_wait_with_an_error(make):
    queue = make("q", max=1).add(1)
    producers = [create_worker(queue.add, 2, print_traceback=False) for _ in range(3)]
    in_a_wait(*producers)
    queue.close()
    for producer in producers:
        with pytest.raises(QueueClosed):
            producer.get(LIMIT)
    assert queue.pop_all() == [1]


def test_close_wakes_all_that_wait_for_an_item(make):
    queue = make("q")
    consumers = [create_worker(queue.pop) for _ in range(3)]
    in_a_wait(*consumers)
    queue.close()
    assert [consumer.get(LIMIT) is PLEASE_STOP for consumer in consumers] == [True] * 3


def test_join_waits_until_all_is_popped(make):
    queue = make("q").extend([1, 2])
    assert queue.join(0) is False
    assert queue.join(DONE) is False
    worker = create_worker(queue.join)
    in_a_wait(worker)
    queue.pop()
    in_a_wait(worker)
    assert worker.is_running()
    queue.pop()
    assert worker.get(LIMIT) is True
    assert queue.join() is True
    queue.add(1)
    worker = create_worker(queue.join)
    in_a_wait(worker)
    queue.pop_all()
    assert worker.get(LIMIT) is True


# -- as queue.Queue ----------------------------------------------------------------------------


def test_the_names_of_the_standard_queue(make):
    queue = make("q", max=1)
    with pytest.raises(standard.Empty):
        queue.get_nowait()
    with pytest.raises(standard.Empty):
        queue.get(timeout=0.001)
    queue.put(1)
    for put in (queue.put_nowait, lambda item: queue.put(item, timeout=0.001)):
        with pytest.raises(standard.Full):
            put(2)
    with pytest.raises(standard.Full):
        queue.put(2, block=False)
    assert queue.get() == 1
    queue.put(None)
    assert queue.get(block=False) is None
    queue.close()
    with pytest.raises(QueueClosed):
        queue.get()


def test_get_waits_for_a_put(make):
    queue = make("q")
    worker = create_worker(queue.get)
    in_a_wait(worker)
    queue.put(1)
    assert worker.get(LIMIT) == 1


# -- priorities --------------------------------------------------------------------------------


def test_every_priority_is_popped_the_highest_first():
    queue = PriorityQueue("q", 3)
    for priority in (0, 2, 1, 2, 0):
        queue.add(priority, priority=priority)
    assert queue.highest_entry() == 2
    assert [queue.pop() for _ in range(5)] == [2, 2, 1, 0, 0]
    assert queue.highest_entry() is None
    queue.extend("ab", priority=1).push("first", priority=1).add("low")
    assert queue.close().pop_all() == ["first", "a", "b", "low"]


def test_one_priority_alone_can_be_popped():
    queue = PriorityQueue("q", 2).add("low").add("high", priority=1)
    assert queue.pop(priority=0) == "low"
    assert queue.pop(till=0, priority=0) is None
    assert queue.close().pop(priority=0) is PLEASE_STOP
    assert queue.pop() == "high"


def test_one_that_waits_for_a_priority_is_woken_by_that():
    queue = PriorityQueue("q", 2)
    low = create_worker(queue.pop, priority=0)
    in_a_wait(low)
    anything = create_worker(queue.pop)
    in_a_wait(anything)
    queue.add("high", priority=1)
    assert anything.get(LIMIT) == "high"
    assert low.is_running()
    queue.add("low")
    assert low.get(LIMIT) == "low"


def test_no_wake_up_is_lost_between_those_that_wait_for_different_priorities():
    queue = PriorityQueue("q", 2)
    high = create_worker(queue.pop, priority=1)
    in_a_wait(high)
    low = create_worker(queue.pop, priority=0)
    in_a_wait(low)
    with queue._lock:  # nobody has taken the first when the second comes
        queue.add("high", priority=1)
        queue.add("low")
    assert (high.get(LIMIT), low.get(LIMIT)) == ("high", "low")


@pytest.mark.parametrize("priority", [-1, 2, 1.0, "0", None])
def test_a_priority_that_is_none_is_refused(priority):
    queue = PriorityQueue("q", 2)
    with pytest.raises(ValueError, match="whole number from 0 to 1"):
        queue.add(1, priority=priority)
    with pytest.raises(ValueError, match="whole number"):
        queue.push(1, priority=priority)
    assert len(queue) == 0


# -- bad input ---------------------------------------------------------------------------------


def test_bad_input_raises_at_once(make):
    for name in (None, 1, b"q"):
        with pytest.raises(TypeError, match="name, a string"):
            make(name)
    for most in (0, -1, 1.5, "1", True):
        with pytest.raises(ValueError, match="max must be"):
            make("q", max=most)
    queue = make("q", max=1).add(1)
    for till in ("soon", float("nan"), True):
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            queue.pop(till)
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            queue.join(till)
        with pytest.raises((TypeError, ValueError), match="till must be a Signal, a number"):
            queue.add(2, timeout=till)
    assert queue.pop_all() == [1]
    for count in (0, -1):
        with pytest.raises(ValueError, match="1 or more"):
            PriorityQueue("q", count)
    for count in (1.0, "1", None, True):
        with pytest.raises(TypeError, match="whole number"):
            PriorityQueue("q", count)


# -- signal handlers and Ctrl-C ----------------------------------------------------------------


@at_each_bytecode
def test_a_handler_may_add_push_and_close_at_any_bytecode(interrupt):
    for action in ("add", "pop", "close", "pop_all"):
        queue = Queue("q").extend([1, 2])
        added, popped = [1, 2], []

        def handler(queue=queue, added=added) -> None:
            for add in (queue.add, queue.push):
                try:
                    add("handler")
                    added.append("handler")
                except QueueClosed:
                    pass
            queue.close()

        def act(action=action, queue=queue, added=added, popped=popped) -> None:
            if action == "add":
                try:
                    queue.add(3)
                    added.append(3)
                except QueueClosed:
                    pass
            elif action == "pop":
                popped.append(queue.pop())
            elif action == "pop_all":
                popped.extend(queue.pop_all())
            else:
                queue.close()

        interrupt(act, handler) if not interrupt.came else act()
        assert Counter([*popped, *queue.pop_all()]) == Counter(added)


@at_each_bytecode
def test_ctrl_c_in_pop_loses_no_item(interrupt, make):
    queue = make("q", max=2).extend([1, 2])
    adder = create_worker(queue.add, 3)
    in_a_wait(adder)
    popped = None

    def pop() -> None:
        nonlocal popped
        popped = queue.pop()

    with pytest.raises(KeyboardInterrupt):
        interrupt(pop, ctrl_c)
    if popped is None:
        queue.pop()
    adder.join(LIMIT)  # also if its room was given back, and made anew
    assert queue.pop_all() == [2, 3]


@at_each_bytecode
def test_ctrl_c_in_pop_all_loses_no_item(interrupt, make):
    queue, popped = make("q").extend([1, 2]), []

    def pop_all() -> None:
        nonlocal popped
        popped = queue.pop_all()

    with pytest.raises(KeyboardInterrupt):
        interrupt(pop_all, ctrl_c)
    assert [*popped, *queue.pop_all()] == [1, 2]


@at_each_bytecode
def test_ctrl_c_in_add_leaves_no_consumer_asleep_beside_an_item(interrupt):
    queue = Queue("q")
    consumer = create_worker(queue.pop)
    in_a_wait(consumer)
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: queue.add(1), ctrl_c)
    queue.join(LIMIT)
    assert queue.close().empty()
    assert consumer.get(LIMIT) in (1, PLEASE_STOP)
    assert not queue._takers


def test_ctrl_c_ends_the_main_threads_pop_add_and_join():
    ended = run("""
        queue = Queue("q", max=1)
        for wait in (queue.pop, lambda: queue.add(1).add(2), queue.join):
            later(ask)
            try:
                wait()
            except KeyboardInterrupt:
                say(len(queue), len(queue._takers) + len(queue._adders) + len(queue._joiners))
    """)
    assert ended.lines == ["0 0", "1 0", "1 0"]
    assert ended.returncode == 0


def test_handlers_at_1_khz_that_go_add_and_stop_meet_no_deadlock():
    """The handlers run in the main thread, in the middle of its own go(), add() and stop()."""
    queue: Queue[object] = Queue("q")
    counts = Counter()
    signals: list[Signal] = []
    with running(wait_forever) as worker:
        reader = Thread.run("reader", lambda please_stop: sum(1 for _ in queue))

        def handler(number: int, frame: object) -> None:
            counts["handled"] += 1
            signals[-1].go()
            queue.add("handler")
            worker.stop()
            worker.fire("X")
            reader.name  # noqa: B018

        before = os_signal.signal(os_signal.SIGALRM, handler)
        signals.append(Signal())
        os_signal.setitimer(os_signal.ITIMER_REAL, 0.001, 0.001)
        try:
            while counts["handled"] < 150:
                ready = Signal()
                signals.append(ready)
                (ready | worker.please_stop).then(lambda: counts.update(went=1))
                ready.go()
                queue.add("main")
                counts["main"] += 1
                worker.stop()
                queue.pop_one() and counts.update(popped=1)
        finally:
            os_signal.setitimer(os_signal.ITIMER_REAL, 0)
            os_signal.signal(os_signal.SIGALRM, before)
        queue.close()
        assert reader.join(LIMIT) + counts["popped"] == counts["main"] + counts["handled"]
        assert counts["went"] == counts["main"]


# -- waking ------------------------------------------------------------------------------------


def test_who_is_woken_for_what_another_takes_is_woken_again(make, monkeypatch):
    """The item is taken when it has put itself down again, but before it looks."""
    sleeps: standard.SimpleQueue[None] = standard.SimpleQueue()
    is_to_wake, is_back, is_taken = (threading.Event() for _ in range(3))

    def is_the_sleeper() -> bool:
        return is_to_wake.is_set() and threading.current_thread() is thread

    class Sleeper(parking.PlainWaiter):
        def wait_for(self, condition, deadline):
            while not condition:
                sleeps.put(None)
                self._gate.pass_through(deadline)

        def wake(self):
            is_to_wake.set()
            super().wake()
            assert is_taken.is_set() or is_back.wait(LIMIT)

    class Lock:
        def __init__(self, lock):
            self.lock = lock

        def __enter__(self):
            if is_the_sleeper():
                is_back.set()  # and looks under the lock
            return self.lock.__enter__()

        def __exit__(self, *exc_info):
            return self.lock.__exit__(*exc_info)

    def look_late():
        if is_the_sleeper():
            is_back.set()
            assert is_taken.wait(LIMIT)
        return look()

    queue = make("q", silent=True)
    look, queue._first_line, queue._lock = queue._first_line, look_late, Lock(queue._lock)
    monkeypatch.setattr(queues, "current_waiter", Sleeper)
    popped: standard.SimpleQueue[object] = standard.SimpleQueue()
    thread = threading.Thread(target=lambda: popped.put(queue.pop()), daemon=True)
    thread.start()
    sleeps.get(timeout=LIMIT)
    with queue._lock.lock:
        assert queue.add("taken").pop_one() == "taken"
    is_taken.set()
    sleeps.get(timeout=LIMIT)
    queue.add("its own")
    assert popped.get(timeout=LIMIT) == "its own"
    thread.join(LIMIT)


# -- stress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_8_producers_and_8_consumers_over_a_queue_closed_at_a_random_moment(make, seed):
    choice = random.Random(seed)
    queue = make("q", max=choice.choice([1, 3, 50]), silent=True)
    close_after = choice.randrange(1, 400)
    added: list[object] = []
    popped: list[object] = []

    def produce(number: int) -> None:
        try:
            for item in range(100):
                queue.add((number, item))
                added.append((number, item))
        except QueueClosed:
            pass

    def consume() -> None:
        for item in queue:
            popped.append(item)
            if len(popped) >= close_after:
                queue.close()

    with hectic_switching():
        consumers = [threading.Thread(target=consume, daemon=True) for _ in range(4)]
        threads = [Thread.run("consumer", lambda please_stop: consume()) for _ in range(4)]
        for consumer in consumers:
            consumer.start()
        in_threads(*[lambda n=n: produce(n) for n in range(8)])
        queue.close()
        for consumer in consumers:
            consumer.join(LIMIT)
        Thread.join_all(threads, LIMIT)
    assert not [consumer for consumer in consumers if consumer.is_alive()]
    assert queue.empty()
    assert Counter(popped) == Counter(added)
    assert not {*queue._takers, *queue._adders}


def test_waits_that_time_out_and_stop_lose_no_item():
    queue: Queue[int] = Queue("q", max=2, silent=True)
    popped: list[int] = []

    def consume(please_stop: Signal) -> None:
        choice = random.Random(0)
        while (item := queue.pop(till=choice.random() / 2000)) is not PLEASE_STOP:
            if item is not None:
                popped.append(item)

    def produce(please_stop: Signal) -> None:
        choice = random.Random(1)
        for item in range(200):
            while True:
                try:
                    queue.add(item, timeout=choice.random() / 2000)
                    break
                except standard.Full:
                    pass

    with hectic_switching():
        consumers = [Thread.run("consumer", consume) for _ in range(3)]
        Thread.join_all([Thread.run("producer", produce) for _ in range(3)], LIMIT)
        for thread in consumers:
            thread.stop()  # items first, then PLEASE_STOP
        Thread.join_all(consumers, LIMIT)
    assert Counter(popped) == Counter(dict.fromkeys(range(200), 3))
