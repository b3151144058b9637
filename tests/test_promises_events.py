"""The promises about events: E1, E2, E3, E5, E6, E7. (E4 is in test_events.py.)"""

from __future__ import annotations

import threading

import pytest

from threadtree import (
    Channel,
    Event,
    Lock,
    Queue,
    Signal,
    Till,
    Worker,
    WorkerState,
    async_,
    create_worker,
    current,
    graces,
    listen,
    sleep,
    update,
    wait_event,
    wait_forever,
    wait_until,
)

from .helpers import LIMIT, Flag, hectic_switching, in_a_wait, in_threads, running


def collector(name="X", **options):
    """An unstarted worker that notes the data of every event of a name, and the list of notes."""
    notes = []
    worker = Worker(parent=False, **options)
    worker.listen(lambda event: notes.append(event.data), name)
    return worker, notes


# -- E1 ----------------------------------------------------------------------------------------


def test_e1_events_fired_before_the_start_wait_for_it():
    worker, notes = collector()
    worker.fire("X", 1).fire("X", 2)
    assert worker.backlog == 2
    worker.start().stop().join()
    assert notes == [1, 2]
    assert worker.backlog == 0


def test_e1_an_event_for_an_ended_worker_is_rejected_once_and_counted():
    worker = Worker(int, parent=False).start().join()
    rejects = []
    with running() as sender:
        sender.listen(rejects.append, "EVENT_REJECT")
        event = Event("X", 1, target=sender)
        worker.fire(event)
        sender.stop().join()
    assert [reject.data for reject in rejects] == [(event, worker)]
    assert worker.rejected == 1


def test_e1_a_rejected_event_of_a_sender_that_does_not_listen_is_only_counted():
    worker = Worker(int, parent=False).start().join()
    with running() as sender:
        worker.fire("X", target=sender)
        assert sender.backlog == 0
    assert worker.rejected == 1
    assert sender.rejected == 0


@pytest.mark.parametrize("restart", [False, True])
def test_e1_nothing_is_lost_when_many_fire_while_the_worker_ends(restart):
    """Every event is dispatched or rejected, exactly once, also over restarts in that moment."""
    senders, count = 4, 300
    worker, notes = collector()

    def fire(sender):
        for number in range(count):
            worker.fire("X", (sender, number))

    def end():
        for _ in range(20 if restart else 1):
            worker.stop().join()
            if restart:
                worker.start()

    with hectic_switching():
        worker.start()
        in_threads(end, *(lambda sender=sender: fire(sender) for sender in range(senders)))
        worker.stop().join()
    assert len(notes) == len(set(notes))
    assert len(notes) + worker.rejected == senders * count
    assert worker.backlog == 0


def test_e1_what_a_listener_fires_during_the_end_is_not_lost():
    """Leftovers are dispatched once more; what their listeners add is rejected."""
    notes = []

    def task():
        worker.stop().fire("X", 0)
        wait_forever()

    worker = Worker(task, parent=False)

    @worker.listen("X")
    def again(event):
        notes.append(event.data)
        worker.fire("X", event.data + 1)

    worker.start().join()
    assert (notes, worker.rejected) == ([0], 1)


# -- E2 ----------------------------------------------------------------------------------------


def test_e2_order_is_kept_for_each_sender():
    worker, notes = collector()
    worker.start()
    with hectic_switching():
        in_threads(
            *(
                lambda sender=sender: [worker.fire("X", (sender, i)) for i in range(500)]
                for sender in range(3)
            )
        )
        worker.stop().join()
    for sender in range(3):
        assert [i for who, i in notes if who == sender] == list(range(500))


def test_e2_events_queued_before_a_stop_are_handled_before_it():
    entered, go_on = Flag(), Flag()
    worker, notes = collector()

    @worker.listen("BLOCK")
    def block(event):
        entered.set()
        go_on.wait()

    worker.start().fire("BLOCK")
    entered.wait()
    worker.fire("X", 1).fire("X", 2).stop()
    go_on.set()
    worker.join()
    assert notes == [1, 2]
    assert worker.rejected == 0


# -- E3 ----------------------------------------------------------------------------------------


def test_e3_a_nested_wait_does_not_steal_the_event_of_the_outer_one():
    with running() as helper:
        got = []

        def task():
            @listen("START")
            def nested(event):
                got.append(wait_event("WANTED"))

            got.append(wait_event("WANTED"))

        worker = Worker(task, parent=helper).start()
        worker.fire("START").fire("WANTED", "it").join(LIMIT)
    assert got == ["it", "it"]


def test_e3_the_outer_wait_gets_the_first_of_its_events():
    """Also when a listener of that event waits, and dispatches the next one, before it returns."""

    def task():
        @listen("X")
        def nested(event):
            if event.data == 1:
                assert wait_event("X") == 2

        return wait_event("X")

    worker = Worker(task).fire("X", 1).fire("X", 2).start()
    assert worker.get() == 1
    assert worker.rejected == 0


def test_e3_a_condition_is_asked_after_the_listeners_and_only_until_it_holds():
    asked = []

    def task():
        seen = []
        listen(lambda event: seen.append(event.data), "X")
        return wait_until(lambda event: asked.append(event.data) or len(seen) == 2)

    worker = Worker(task)
    for number in (1, 2, 3):
        worker.fire("X", number)
    assert worker.start().get() == 2
    assert asked == [1, 2]


def test_e3_an_error_in_a_condition_belongs_to_the_wait_that_has_it():
    """Not to a nested wait that happens to dispatch the event."""

    def task():
        @listen("START")
        def nested(event):
            wait_event("END")
            notes.append("the nested wait returned")

        with pytest.raises(ZeroDivisionError):
            wait_until(lambda event: event.name == "BAD" and 1 / 0)
        return notes

    notes = []
    worker = Worker(task).fire("START").fire("BAD").fire("END")
    assert worker.start().get() == ["the nested wait returned"]


def wait_for_a_lock():
    with Lock():
        pass


WAITS = {
    "sleep": lambda: sleep(0.0001),
    "update": update,
    "get": lambda: async_(len, ()).get(),
    "join": lambda: Worker(int, parent=False).start().join(),
    "Till": lambda: Till(seconds=0.0001).wait(),
    "Lock": wait_for_a_lock,
    "Queue": lambda: Queue("one").add(1).pop(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_e3_a_burst_at_a_listener_that_waits_loses_nothing(wait):
    """The wait calls the listener for the next event, which waits: but not ever deeper."""
    began, done, depths = [], [], []

    def listener(event):
        began.append(event.data)
        depths.append(len(began) - len(done))
        wait()
        done.append(event.data)

    worker = Worker(wait_event, parent=False)
    worker.listen(listener, "X")
    for number in range(300):
        worker.fire("X", number)
    worker.fire("END")
    assert worker.start("END").join(LIMIT).state is WorkerState.SUCCESS
    assert began == list(range(300))
    assert sorted(done) == began
    assert max(depths) <= 25


def test_e3_deep_down_a_stop_ends_the_wait_and_what_is_queued_is_handled(monkeypatch):
    monkeypatch.setattr(graces, "asked", 0.01)
    worker, entered, ends = Worker(wait_forever, parent=False), [], []

    def listener(event):
        entered.append(event.data)
        if len(entered) == 24:
            worker.stop()
        try:
            go.wait()
        finally:
            ends.append(event.data)

    go = Signal()
    worker.listen(listener, "X")
    for number in range(100):
        worker.fire("X", number)
    assert worker.start().join(LIMIT).state is WorkerState.CANCELLED
    assert entered == list(range(100))
    assert sorted(ends) == entered
    assert worker.rejected == 0


def test_e3_deep_down_in_main_a_stop_ends_one_wait_and_no_event_is_lost():
    entered = []
    me = current()

    @me.listen("X")
    def listener(event):
        entered.append(event.data)
        if len(entered) > 24:
            me.stop()
        sleep(0.0001 if len(entered) <= 24 else 3600)

    for number in range(60):
        me.fire("X", number)
    update()
    me.unlisten(listener)
    assert entered == list(range(60))


def test_e3_deep_down_in_main_a_stop_ends_no_second_wait():
    me, ended = current(), []

    @me.listen("X")
    def listener(event):
        if event.data < 24:
            sleep(0.0001)
            return
        with running(lambda: go.wait()) as worker:
            me.stop()
            ended.append(bool(worker.join().stopped))  # the stop ends it
            go.go()
            ended.append(bool(worker.join(LIMIT).stopped))

    go = Signal()
    for number in range(25):
        me.fire("X", number)
    update()
    me.unlisten(listener)
    assert ended == [False, True]


@pytest.mark.timeout(10)
def test_l5_deep_down_a_stop_resumes_so_that_clean_up_may_wait():
    worker, deep, busy, go_on = Worker(wait_event, parent=False), Flag(), Flag(), Flag()
    nested, cleaned = [], []

    def nest(event):
        nested.append(event)
        if len(nested) == 26:
            deep.set()
        wait_event("NEVER")

    def last(event):
        busy.set()
        go_on.wait()
        try:
            sleep(0.001)
        finally:
            sleep(0.001)
            cleaned.append("waited")

    worker.listen(nest, "NEST")
    worker.listen(last, "LAST")
    for _ in range(26):
        worker.fire("NEST")
    worker.start("NEVER")
    deep.wait()
    worker.pause().fire("LAST")
    busy.wait()
    worker.stop()
    go_on.set()
    assert worker.join(LIMIT).state is WorkerState.CANCELLED
    assert cleaned == ["waited"]


def test_e3_too_many_waits_within_one_another_for_events_are_a_clear_error(caplog):
    done = []

    def listener(event):
        wait_event("NEVER", timeout=0.01)
        done.append(event.data)

    worker = Worker(wait_event, parent=False, name="deep")
    worker.listen(listener, "X")
    for number in range(100):
        worker.fire("X", number)
    worker.fire("END")
    assert worker.start("END").join(LIMIT).state is WorkerState.SUCCESS
    errors = [record.exc_info[1] for record in caplog.records]
    assert len(done) + len(errors) == 100
    assert len(done) == 47
    assert all("48 listeners of deep wait within one another" in str(error) for error in errors)


# -- E5 ----------------------------------------------------------------------------------------


def test_e5_a_listener_that_raises_is_logged_and_reported_and_ends_nothing(caplog):
    heard = []

    def failing(event):
        raise ValueError("no")

    with running() as parent:
        parent.listen(heard.append, "LISTENER_ERROR")
        worker, notes = collector()
        worker._parent = parent
        worker.listen(failing, "X", priority=1)
        worker.listen(heard.append, "LISTENER_ERROR")
        worker.start().fire("X", 1).stop().join()
        parent.stop().join()
    assert notes == [1]
    assert [type(event.data) for event in heard] == [ValueError, ValueError]
    assert [event.target for event in heard] == [worker, worker]
    assert [r.worker for r in caplog.records] == [worker.path]
    assert "ValueError: no" in caplog.text


def test_e5_an_error_in_a_listener_of_listener_errors_goes_no_further(caplog):
    def failing(event):
        raise ValueError(event.name)

    with running() as worker:
        worker.listen(failing, "X")
        worker.listen(failing, "LISTENER_ERROR")
        worker.fire("X").stop().join()
        assert worker.rejected == 0
    assert len(caplog.records) == 2


def test_e5_once_means_once_also_when_the_listener_re_enters_the_loop_or_unlistens_itself():
    calls = []

    def task():
        @listen("X", once=True)
        def nested(event):
            calls.append(("nested", event.data))
            update()

        @listen("X", once=True)
        def unlistening(event):
            calls.append(("unlistening", event.data))
            with pytest.raises(KeyError):
                current().unlisten(unlistening)

        update()

    Worker(task).fire("X", 1).fire("X", 2).start().get()
    # The nested dispatch of the second event is the first to reach the second listener.
    assert calls == [("nested", 1), ("unlistening", 2)]


def test_e5_other_exceptions_leave_the_wait():
    def quits(event):
        raise SystemExit(3)

    worker = Worker().fire("X")
    worker.listen(quits, "X")
    worker.print_traceback = False
    with pytest.raises(SystemExit):
        worker.start().get()


def test_e1_a_sender_that_waits_for_event_reject_gets_it():
    ended = Worker(int, parent=False).start().join()

    def wait():
        me = current()
        event = Event("X", target=me)
        in_the_wait = threading.Thread(target=lambda: (in_a_wait(me), ended.fire(event)))
        in_the_wait.start()
        assert wait_event("EVENT_REJECT", LIMIT) == (event, ended)
        in_the_wait.join()

    Worker(wait, parent=False).start().get(LIMIT)


# -- E6 ----------------------------------------------------------------------------------------


def lineage(depth, **options):
    """A worker, its child, its child's child ...; none of them started."""
    workers = [Worker(parent=False, **options)]
    for _ in range(depth - 1):
        workers.append(Worker(parent=workers[-1], **options))
    return workers


def as_children(workers):
    """Have the workers stand in their parents' sets, as if they were running."""
    for worker in workers:
        if worker.parent is not None:
            worker.parent._children[worker] = None


@pytest.mark.parametrize("flags", [{"bubble": True}, {"broadcast": True}])
def test_e6_a_tree_10000_levels_deep_is_walked_without_recursion(flags):
    workers = lineage(10_000)
    as_children(workers)
    start = workers[-1] if "bubble" in flags else workers[0]
    start.fire("X", **flags)
    assert {worker.backlog for worker in workers} == {1}
    assert workers[-1].path.count("/") == 9_999
    assert not workers[-1].is_daemon()
    for worker in workers:
        worker._children.clear()


def test_e6_both_flags_reach_each_worker_at_most_once():
    workers = lineage(5)
    as_children(workers)
    workers[2].fire("X", bubble=True, broadcast=True)
    assert [worker.backlog for worker in workers] == [1] * 5
    for worker in workers:
        worker._children.clear()


def publish(worker, *event, **flags):
    channel = Channel()
    for subscriber in (worker, *worker.children):
        channel.sub(subscriber)
    channel.pub(*event, **flags)


BOTH = {"bubble": True, "broadcast": True}


@pytest.mark.parametrize(
    ("send", "reached"),
    [
        (lambda worker: worker.broadcast("X"), "children"),
        (lambda worker: worker.broadcast("X", bubble=True), "all"),
        (lambda worker: worker.bubble("X", broadcast=True), "all"),
        (lambda worker: worker.children_fire("X", bubble=True), "all but grandchildren"),
        (lambda worker: worker.children_fire("X", **BOTH), "all"),
        (lambda worker: worker.parent_fire("X", **BOTH), "all"),
        (lambda worker: publish(worker, "X", bubble=True), "all but grandchildren"),
        (lambda worker: publish(worker, "X", broadcast=True), "all but the root"),
        (lambda worker: publish(worker, Event("X", **BOTH)), "all"),
    ],
)
def test_e6_one_event_reaches_each_worker_at_most_once_however_it_is_sent(send, reached):
    root, worker, *_ = workers = lineage(2)
    children = [Worker(parent=worker) for _ in range(3)]
    grandchildren = [Worker(parent=child) for child in children]
    workers += children + grandchildren
    as_children(workers)
    send(worker)
    left_out = {
        "all": [],
        "children": [root, worker],
        "all but the root": [root],
        "all but grandchildren": grandchildren,
    }[reached]
    assert [one.backlog for one in workers] == [one not in left_out for one in workers]
    for one in workers:
        one._children.clear()


def test_e6_stopping_a_deep_and_a_wide_tree_needs_no_recursion():
    depth, width = 300, 500

    def nest(levels):
        if levels:
            create_worker(nest, levels - 1, name=str(levels))
        else:
            deepest.set()
        wait_forever()

    def spread():
        for number in range(width):
            create_worker(wait_forever, name=str(number))
        deepest.set()
        wait_forever()

    for task, args in ((nest, (depth,)), (spread, ())):
        deepest = Flag()
        top = Worker(task, parent=False).start(*args)
        deepest.wait()
        top.stop().join(LIMIT)
        assert not top.children


# -- E7 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", [update, lambda: wait_event("OTHER", timeout=0), lambda: sleep(0)])
def test_e7_a_look_handles_what_was_queued_and_not_what_its_listeners_add(look):
    def task():
        @listen("X")
        def again(event):
            calls.append(event.data)
            current().fire("X", event.data + 10)

        look()
        return list(calls)

    calls = []
    worker = Worker(task).fire("X", 1).fire("X", 2)
    assert worker.start().get() == [1, 2]
