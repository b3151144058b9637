"""The mailbox: what is put is taken, left or refused, exactly one of these; no wake-up is lost."""

from __future__ import annotations

from threading import Barrier
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadtree import Event, Worker, current, update
from threadtree.mailbox import Mailbox

from .bytecodes import at_each_bytecode, ctrl_c, when_asleep
from .helpers import LIMIT, Flag, hectic_switching, in_threads


def take(mailbox: Mailbox) -> Event:
    """Take the oldest event as the loop does: in the step that enters the first listener."""
    return next(mailbox.take(mailbox.queue[0], []))


def event(data: object = None) -> Event:
    return Event("E", data)


# -- one thread --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["put", "take", "sleep", "wake", "close"]), max_size=30))
def test_a_mailbox_is_a_queue_that_can_be_closed(steps):
    mailbox, model, closed = Mailbox(), [], False
    for step in steps:
        if step == "put":
            new = event()
            assert mailbox.put(new) is not closed
            model += [] if closed else [new]
        elif step == "take" and model:
            assert take(mailbox) is model.pop(0)
        elif step == "sleep" and not closed:
            mailbox.sleep(deadline=0.0)  # returns at once, whatever is there
        elif step == "wake":
            mailbox.wake()
        elif step == "close":
            assert list(mailbox.close()) == model
            model, closed = [], True
        assert list(mailbox.queue) == model
        assert (mailbox.bell is mailbox.take_back) is closed


def test_close_gives_what_is_left_once():
    mailbox, events = Mailbox(), [event(i) for i in range(3)]
    for e in events:
        assert mailbox.put(e)
    assert list(mailbox.close()) == events
    assert list(mailbox.close()) == []
    assert not mailbox.put(events[0])
    assert not mailbox.queue


def test_an_event_put_twice_is_two():
    mailbox, twice = Mailbox(), event()
    mailbox.put(twice)
    mailbox.put(twice)
    assert take(mailbox) is twice
    assert list(mailbox.close()) == [twice]


@pytest.mark.parametrize("last", [0, 3, 5, None])
def test_take_until_takes_what_came_before_and_nothing_when_that_is_not_there(last):
    mailbox, events = Mailbox(), [event(i) for i in range(6)]
    for e in events:
        mailbox.put(e)
    stop = event() if last is None else events[last]
    assert list(mailbox.take_until(stop)) == events[: last or 0]
    assert list(mailbox.queue) == events[last or 0 :]


# -- sleeping ----------------------------------------------------------------------------------


def test_sleep_returns_at_once_when_something_is_there():
    mailbox = Mailbox()
    mailbox.put(event())
    mailbox.sleep()


def test_a_wake_before_the_sleep_is_remembered():
    mailbox = Mailbox()
    mailbox.wake()
    mailbox.sleep()
    mailbox.wake()
    mailbox.rest()


def test_sleep_and_rest_do_not_come_back_before_their_deadline_without_a_reason():
    for wait in (Mailbox().sleep, Mailbox().rest):
        deadline = monotonic() + 0.01
        wait(deadline)
        assert monotonic() >= deadline


def test_rest_sleeps_through_events():
    mailbox, deadline = Mailbox(), monotonic() + 0.01
    with when_asleep(lambda: mailbox.put(event())):
        mailbox.rest(deadline)
    assert monotonic() >= deadline


@pytest.mark.parametrize("way", ["put", "wake"])
@at_each_bytecode
def test_a_sleep_ends_wherever_an_event_or_a_wake_comes(interrupt, way):
    mailbox = Mailbox()

    def intrude() -> None:
        if not came:
            came.append(way)
            mailbox.put(event()) if way == "put" else mailbox.wake()

    came: list[str] = []
    with when_asleep(intrude):
        interrupt(mailbox.sleep, intrude)
    assert len(mailbox.queue) == (way == "put")


def test_no_wake_up_is_lost_between_senders_and_a_sleeping_owner():
    mailbox, each, got = Mailbox(), 1500, []

    def own() -> None:
        while len(got) < 3 * each:
            if mailbox.queue:
                got.append(take(mailbox).data)
            else:
                mailbox.sleep()

    def send(n: int) -> None:
        for i in range(each):
            mailbox.put(event((n, i)))

    with hectic_switching():
        in_threads(own, *[lambda n=n: send(n) for n in range(3)])
    for n in range(3):  # E2
        assert [i for sender, i in got if sender == n] == list(range(each))


# -- the end: taken, left, or refused ----------------------------------------------------------


@at_each_bytecode
def test_e1_an_event_put_while_the_owner_closes_is_left_or_refused(interrupt):
    mailbox, old, new, accepted = Mailbox(), event(), event(), []
    mailbox.put(old)
    left = interrupt(lambda: list(mailbox.close()), lambda: accepted.append(mailbox.put(new)))
    assert left == ([old, new] if accepted[0] else [old])
    assert not mailbox.queue


@at_each_bytecode
def test_e1_an_event_whose_put_the_close_interrupts_is_left_or_refused(interrupt):
    mailbox, old, new, left = Mailbox(), event(), event(), []
    mailbox.put(old)
    accepted = interrupt(lambda: mailbox.put(new), lambda: left.extend(mailbox.close()))
    assert left in ([old, new], [old])
    assert accepted is (new in left)
    assert not mailbox.queue


@at_each_bytecode
def test_e1_a_closed_mailbox_that_is_put_into_in_a_put_stays_empty(interrupt):
    mailbox = Mailbox()
    assert list(mailbox.close()) == []
    refused = []
    refused.append(
        interrupt(lambda: mailbox.put(event()), lambda: refused.append(mailbox.put(event())))
    )
    assert refused == [False, False]
    assert not mailbox.queue


def test_e1_put_against_close_each_event_ends_in_exactly_one_place():
    rounds, senders, each = 60, 4, 10
    mailboxes = [Mailbox() for _ in range(rounds)]
    ends: list[list[tuple[int, int]]] = [[] for _ in range(rounds)]
    barrier = Barrier(senders + 1)

    def send(n: int) -> None:
        for mailbox, end in zip(mailboxes, ends, strict=True):
            barrier.wait(LIMIT)
            for i in range(each):
                if not mailbox.put(event((n, i))):
                    end.append((n, i))  # refused

    def own() -> None:
        for r, (mailbox, end) in enumerate(zip(mailboxes, ends, strict=True)):
            barrier.wait(LIMIT)
            while len(end) < r % (senders * each):
                if mailbox.queue:
                    end.append(take(mailbox).data)
                else:
                    mailbox.sleep()
            end.extend(e.data for e in mailbox.close())

    with hectic_switching():
        in_threads(own, *[lambda n=n: send(n) for n in range(senders)])
    everything = [(n, i) for n in range(senders) for i in range(each)]
    assert [sorted(end) for end in ends] == [everything] * rounds
    assert not any(mailbox.queue for mailbox in mailboxes)


@at_each_bytecode
def test_e1_ctrl_c_in_a_put_leaves_the_event_in_the_queue_or_not_in_it(interrupt):
    mailbox = Mailbox()
    with pytest.raises(KeyboardInterrupt):
        interrupt(lambda: mailbox.put(event()), ctrl_c)
    queued = len(mailbox.queue)
    assert queued in (0, 1)
    assert len(list(mailbox.close())) == queued


@at_each_bytecode
def test_e1_ctrl_c_in_the_closing_of_a_mailbox_loses_no_rejection(interrupt):
    """The main thread closes one, at the end of what it runs itself."""
    worker = Worker(update, parent=False)

    @worker.listen("LAST")
    def fire_more(last: Event) -> None:
        for _ in range(3):
            worker.fire("TOO LATE")

    worker.later(worker.fire, "LAST")
    with pytest.raises(KeyboardInterrupt):
        interrupt(worker.start_overlay, ctrl_c, within="_close_mailbox")
    assert not worker.is_running()
    assert worker.rejected == 3
    assert worker.backlog == 0


# -- the seam for a foreign loop ---------------------------------------------------------------


def test_a_foreign_loop_is_told_of_each_event_by_its_sender_but_not_while_we_sleep():
    mailbox, rings = Mailbox(), []
    mailbox.be_woken_by(lambda: rings.append(len(mailbox.queue)))
    mailbox.put(event())
    mailbox.put(event())
    assert rings == [1, 2]
    assert len(mailbox.queue) == 2
    mailbox.queue.clear()
    with when_asleep(lambda: mailbox.put(event())):
        mailbox.sleep()
    assert rings == [1, 2]
    mailbox.put(event())
    assert rings == [1, 2, 2]
    mailbox.be_woken_by(None)
    mailbox.put(event())
    assert rings == [1, 2, 2]


def test_a_foreign_loop_that_owns_the_main_thread_handles_events_through_it():
    """As a GUI does: its loop is told, and then calls update()."""
    main, rung, heard = current(), Flag(), []
    callback = main.listen(lambda e: heard.append(e.data), "PING")
    main._mailbox.be_woken_by(rung.set)
    try:
        in_threads(lambda: main.fire("PING", 1))
        rung.wait()
        assert heard == []
        update()
        assert heard == [1]
    finally:
        main._mailbox.be_woken_by(None)
        main.unlisten(callback)
