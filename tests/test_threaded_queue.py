"""ThreadedQueue: batches to a slower sink; nothing is lost, and no error is silent."""

from __future__ import annotations

import logging

import pytest

from threadtree import Queue, QueueClosed, Signal, Thread, ThreadedQueue, current, graces, shutdown

from .helpers import LIMIT, hectic_switching, in_a_wait, in_threads
from .programs import run

FAR = 3600.0  # seconds: never, for a test


class Sink:
    """Notes the batches it gets, and tells when there are so many items."""

    def __init__(self, expected: int = 0) -> None:
        self.batches: list[list[object]] = []
        self.expected = expected
        self.full = Signal()

    def extend(self, items: list[object]) -> None:
        self.batches.append(items)
        if len(self.items) >= self.expected:
            self.full.go()

    @property
    def items(self) -> list[object]:
        return [item for batch in self.batches for item in batch]


class BrokenSink(Sink):
    """Fails at the first batch."""

    def extend(self, items: list[object]) -> None:
        super().extend(items)
        if len(self.batches) == 1:
            raise OSError("the disk is full")


def test_a_full_batch_is_shipped_at_once():
    sink = Sink(4)
    with ThreadedQueue("q", sink, batch_size=2, period=FAR) as queue:
        queue.extend([1, 2, 3, 4])
        assert sink.full.wait(LIMIT)
        queue.add(5)
    assert sink.batches == [[1, 2], [3, 4], [5]]


def test_a_batch_that_is_not_full_is_shipped_when_its_period_is_over():
    sink = Sink(1)
    with ThreadedQueue("q", sink, period=0.01) as queue:
        queue.add(1)
        assert sink.full.wait(LIMIT)
    assert sink.batches == [[1]]


def test_without_a_period_each_item_is_shipped_as_it_comes():
    sink = Sink(1)
    with ThreadedQueue("q", sink, period=0) as queue:
        in_a_wait(queue.thread)
        queue.add(1)
        assert sink.full.wait(LIMIT)


def test_an_empty_queue_ships_nothing():
    sink = Sink()
    with ThreadedQueue("q", sink, period=0) as queue:
        in_a_wait(queue.thread)
    assert sink.batches == []


def test_add_blocks_while_there_is_no_room_and_the_sink_is_slow():
    go_on = Signal()

    class Slow(Sink):
        def extend(self, items: list[object]) -> None:
            go_on.wait()
            super().extend(items)

    sink = Slow()
    with ThreadedQueue("q", sink, batch_size=1, max_size=2, period=0) as queue:
        producer = Thread.run("producer", lambda please_stop: queue.extend(range(10)) and None)
        in_a_wait(producer)
        assert len(queue) <= 2
        go_on.go()
        producer.join(LIMIT)
    assert sink.items == list(range(10))


def test_a_queue_can_be_the_slow_queue():
    slow = Queue("slow")
    with ThreadedQueue("q", slow) as queue:
        queue.extend([1, 2, 3])
    assert slow.close().pop_all() == [1, 2, 3]


def test_stop_ships_what_is_there_and_closes():
    sink = Sink()
    queue = ThreadedQueue("q", sink, period=FAR).extend([1, 2, 3])
    assert queue.stop() is queue
    assert sink.items == [1, 2, 3]
    with pytest.raises(QueueClosed):
        queue.add(4)
    assert queue.thread.stopped
    assert queue.stop() is queue


def test_closing_is_enough():
    sink = Sink()
    queue = ThreadedQueue("q", sink, period=FAR).add(1).close()
    queue.thread.join(LIMIT)
    assert sink.items == [1]


def test_an_error_in_the_block_ships_all_the_same():
    sink = Sink()
    with pytest.raises(ZeroDivisionError), ThreadedQueue("q", sink, period=FAR).add(1):
        raise ZeroDivisionError
    assert sink.items == [1]


def test_nothing_is_lost_at_a_shutdown():
    sink = Sink()
    queue = ThreadedQueue("q", sink, period=FAR).extend([1, 2, 3])
    assert shutdown(grace=LIMIT) == []
    assert sink.items == [1, 2, 3]
    with pytest.raises(QueueClosed):
        queue.add(4)


def test_nothing_is_lost_when_the_maker_ends():
    sink = Sink()

    def maker(please_stop: Signal) -> None:
        ThreadedQueue("q", sink, period=FAR).extend([1, 2])

    Thread.run("maker", maker).join(LIMIT)
    assert sink.items == [1, 2]


def test_nothing_is_lost_at_the_exit():
    ended = run("""
        class Sink:
            def extend(self, items):
                say(*items)
        queue = ThreadedQueue("q", Sink(), batch_size=4, period=60)
        queue.extend(range(10))
    """)
    assert (" ".join(ended.lines), ended.returncode) == ("0 1 2 3 4 5 6 7 8 9", 0)


def test_what_is_added_in_the_moment_of_the_end_is_shipped_or_refused():
    with hectic_switching():
        for _ in range(15):
            sink, added = Sink(), []
            queue = ThreadedQueue("q", sink, batch_size=3, period=0.001)

            def add(queue: ThreadedQueue[int] = queue, added: list[int] = added) -> None:
                try:
                    for item in range(20):
                        queue.add(item)
                        added.append(item)
                except QueueClosed:
                    pass

            in_threads(add, add, queue.thread.stop)
            queue.thread.join(LIMIT)
            queue.close()
            assert sorted(sink.items) == sorted(added)
            assert queue.empty()


def test_a_thread_that_is_told_to_end_reports_what_it_could_not_ship(monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.03)
    lost: list[object] = []
    slow = Queue("slow", max=1, silent=True)
    queue = ThreadedQueue(
        "q", slow, batch_size=2, period=0, error_target=lambda error, items: lost.extend(items)
    ).extend([1, 2])
    in_a_wait(queue.thread)  # in the slow queue, which is full
    queue.add(3)
    queue.thread.stop().stopped.wait(LIMIT)
    assert {*slow.pop_all(), *lost} == {1, 2, 3}


def test_an_error_of_the_sink_is_given_to_the_error_target_and_the_next_batch_is_shipped():
    sink, errors = BrokenSink(), []
    with ThreadedQueue(
        "q", sink, batch_size=2, error_target=lambda error, items: errors.append((error, items))
    ) as queue:
        queue.extend([1, 2, 3, 4])
    assert sink.batches == [[1, 2], [3, 4]]
    assert [(type(error), items) for error, items in errors] == [(OSError, [1, 2])]


def errors_logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def test_an_error_of_the_sink_is_logged_if_there_is_no_error_target(caplog):
    sink = BrokenSink()
    with ThreadedQueue("to the disk", sink, batch_size=2) as queue:
        queue.extend([1, 2, 3])
    (message,) = errors_logged(caplog)
    assert "to the disk" in message
    assert "a batch of 2" in message
    assert "the disk is full" in caplog.text
    assert sink.items == [1, 2, 3]


def test_an_error_of_the_error_target_is_logged(caplog):
    def target(error: BaseException, items: list[object]) -> None:
        raise ValueError("of the target")

    with ThreadedQueue("q", BrokenSink(), error_target=target) as queue:
        queue.add(1)
    assert len(errors_logged(caplog)) == 1
    assert "of the target" in caplog.text
    assert "the disk is full" in caplog.text  # why the target was called


def test_a_paused_one_ships_nothing_until_it_is_resumed():
    sink = Sink(1)
    with ThreadedQueue("q", sink, period=0) as queue:
        in_a_wait(queue.thread)
        queue.thread.pause()
        in_a_wait(queue.thread)
        queue.add(1)
        in_a_wait(queue.thread)
        assert sink.batches == []
        queue.thread.resume()
        assert sink.full.wait(LIMIT)


def test_its_thread_is_a_child_of_its_maker():
    with ThreadedQueue("q", []) as queue:
        assert queue.thread.parent is current()
        assert queue.thread.path == "main/threaded queue for q"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"slow_queue": 1}, TypeError, "extend"),
        ({"slow_queue": None}, TypeError, "extend"),
        ({"error_target": 1}, TypeError, "error_target must be callable"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"batch_size": 1.5}, ValueError, "batch_size must be"),
        ({"batch_size": True}, ValueError, "batch_size must be"),
        ({"max_size": 0}, ValueError, "max_size must be"),
        ({"max_size": "9"}, ValueError, "max_size must be"),
        ({"period": "1"}, TypeError, "period must be"),
        ({"period": float("nan")}, ValueError, "period must be"),
        ({"name": 1}, TypeError, "name, a string"),
    ],
)
def test_bad_input_raises_at_once_and_starts_nothing(options, error, message):
    with pytest.raises(error, match=message):
        ThreadedQueue(**{"name": "q", "slow_queue": [], **options})
    assert current().children == set()
