"""Ending everything: ``shutdown()``, and the orderly exit of the interpreter.

At exit, the main thread first ends its own children, then waits without a limit for workers that
nobody asked to end, as the interpreter does for native threads; then daemons are ended. A Ctrl-C
on the way asks everything to end, a second one gives up. It goes on handling its events
meanwhile, so that workers that need the main thread can finish. What serves all workers, and so
must outlive them, is ended last: see :data:`epilogues`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from .errors import WorkerExit
from .forks import after_fork_in_child
from .graces import graces
from .ladder import end_in_order, leave, report, wait_until_ended
from .node import tree, walk
from .outcomes import report_unseen
from .parking import Claim
from .pool import current
from .roots import Root
from .stragglers import Straggler, find_stragglers

__all__ = ["epilogues", "farewells", "install_exit_hook", "shutdown"]

epilogues: Final[dict[object, Callable[[], object]]] = {}
"""What the exit calls when no worker runs any more, the newest first, by what it is to end. Each is
called again after a Ctrl-C. Single operations of a dict; read through ``.copy()``."""

farewells: Final[dict[object, Callable[[], object]]] = {}
"""What the exit calls when the main thread has come to its end, before it waits for workers that
nobody asks to end: for those that wait for more to do. Otherwise as above."""

after_fork_in_child(farewells.clear)
after_fork_in_child(epilogues.clear)  # what they end is in the parent process


def shutdown(grace: float | None = None) -> list[Straggler]:
    """Ask every worker in the process to end, and wait; gives those that did not.

    They have ``grace`` seconds (None: ``graces.asked``) for orderly clean-up; then every wait
    raises in them, for ``graces.told`` more; what still runs is returned, with its path and its
    stack. Meanwhile nothing can start; afterwards it can again. In a worker, it and its parents
    are asked last, and not waited for. The waits of the main thread and of foreign ones go on;
    ``stop()`` on their workers ends them. Any thread.
    """
    mine = object()  # several may shut down at once; the last to end opens the program again
    try:
        _close(mine, "the program is shutting down")
        return end_in_order(list(tree.live.copy()), grace)
    finally:
        tree.closing.pop(mine, None)


def _close(key: object, reason: str) -> None:
    """Have nothing start from now on. What has started is in the tree."""
    with tree.lock:
        tree.closing[key] = reason


# -- the exit of the interpreter -------------------------------------------------------------------


class _Exit:
    """What the main thread does between its last line and the end of the process."""

    def __init__(self, is_interrupted: bool = False) -> None:
        # Whether Ctrl-C has asked everything to end. One that ended main was the first.
        self._interrupted = is_interrupted or _main_was_interrupted()
        self._interrupted_here = False

    def run(self) -> None:
        for stage in (self._end_own_children, self._wait_for_orphans, self._end_daemons):
            if not self._finish(stage):
                break
        root = current()
        if isinstance(root, Root) and not root._life.ended:
            root._thread_has_ended()
        report_unseen()
        self._end_what_outlives_workers()

    def conclude(self) -> None:
        """Die, if Ctrl-C came; or let native threads that go on start the work they have."""
        if self._interrupted_here:
            _die_by_sigint()
        if not self._interrupted:
            tree.closing.pop(self, None)

    def _finish(self, stage: Callable[[], None]) -> bool:
        """Run a stage to its end, through one Ctrl-C; False when a second one gave up."""
        while True:
            try:
                if self._interrupted:
                    _close(self, "the program was interrupted")
                    self._end(self._present(), graces.asked)
                stage()
                current().update()  # the last words of those that have ended
                return True
            except KeyboardInterrupt:
                self._interrupted_here = True
                if self._interrupted:
                    report(leave(find_stragglers(self._present())))
                    return False
                self._interrupted = True
            except WorkerExit:  # we overlay a thread that was told to end: no stage can wait here
                return False
            except BaseException as error:  # of a listener: there is nobody to end any more
                current()._log_error("A listener of %s raised at exit", error)

    def _end_own_children(self) -> None:
        root = current()
        root._life.paused = False  # nothing could resume us any more, were we to wait for it
        root._wind_up()
        self._end([node for node in walk([root]) if node in self._present()], graces.asked)

    def _wait_for_orphans(self) -> None:
        for farewell in farewells.copy().values():
            farewell()
        root = current()
        if isinstance(root, Root):
            root._is_at_the_exit.go()  # an orphan that waits for our end closes a circle
        while orphans := [node for node in self._present() if not _is_below_a_daemon(node)]:
            wait_until_ended(orphans)

    def _end_daemons(self) -> None:
        _close(self, "the program has ended")
        self._end(self._present(), graces.daemons)

    def _end_what_outlives_workers(self) -> None:
        while True:
            key: object = None
            try:
                if not (left := [*epilogues.copy().items()]):
                    return
                key, epilogue = left[-1]
                epilogue()
                epilogues.pop(key, None)
            except KeyboardInterrupt:
                self._interrupted_here = True
                if self._interrupted:  # not by the log, which may be what hangs
                    print("threadtree: left unfinished at exit:", key, file=sys.stderr)
                    return
                self._interrupted = True
            except BaseException as error:
                epilogues.pop(key, None)
                current()._log_error("An epilogue after %s raised", error)

    def _present(self) -> list[Any]:
        """What runs in threads of our own, and was not left behind."""
        return [
            node for node in tree.live.copy() if not isinstance(node, Root) and not node._life.left
        ]

    def _end(self, nodes: list[Any], grace: float) -> None:
        report(end_in_order(nodes, grace))


def _is_below_a_daemon(node: Any) -> bool:
    """Whether it is a daemon, or one above it is: then it is that one that ends it."""
    return any(one.is_daemon() for one in (node, *node._ancestors()))


def _main_was_interrupted() -> bool:
    """Whether the main thread is at its end because of an uncaught KeyboardInterrupt."""
    interactive = hasattr(sys, "ps1") or sys.flags.interactive  # there it may be any old one
    return not interactive and getattr(sys, "last_type", None) is KeyboardInterrupt


def _die_by_sigint() -> None:
    """Die as a Python program that Ctrl-C has ended does, so that the shell sees why.

    The interpreter does so by itself only for a KeyboardInterrupt that ended the main thread; in
    the exit phase it would print and swallow it. So what it has still to do is done here.
    """
    import signal  # not at the top: an import of 0.4 ms

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    if os.name == "nt":
        os._exit(0xC000013A)  # STATUS_CONTROL_C_EXIT
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)


_begun: Final = Claim()  # by whom the exit of this process is seen to
after_fork_in_child(_begun.give_back)


def _see_to_the_exit() -> None:
    if _begun.take(object()):
        ending = _Exit()
        ending.run()
        ending.conclude()


def _see_to_the_rest(is_in_time: bool) -> None:
    """Of what was started after our hook; or of everything, if the hook was not called.

    The last hooks are called, and the exit code is the interpreter's by now.
    """
    # It waits for them, before this, unless Ctrl-C has ended that.
    waited_for = [t for t in threading.enumerate() if not t.daemon]
    is_cut_short = any(thread is not threading.main_thread() for thread in waited_for)
    is_first = _begun.take(object())
    ending = _Exit(is_cut_short or (is_first and is_in_time))
    if is_first or ending._present():
        ending.run()
    _close(ending, "the program has ended")


def install_exit_hook() -> None:
    """Have the exit of the interpreter run in order. Called once, when the library is imported.

    The hook belongs before the interpreter waits for native threads: atexit hooks, which programs
    rely on when everything has ended, come after it, and threads can still be started. What does
    that has no public name; concurrent.futures uses it too. A Ctrl-C that comes when it is about
    to call our hook, the interpreter reports and forgets, and the hook with it. So the exit is
    seen to in an atexit hook then. That also ends what native threads have started after our hook:
    the interpreter waits for those in between. One of them may even be who imports us.
    """
    register: Callable[..., object] = getattr(threading, "_register_atexit", atexit.register)
    is_in_time = True
    try:
        register(_see_to_the_exit)
    except RuntimeError:  # the interpreter waits for native threads already
        is_in_time = False
    atexit.register(_see_to_the_rest, is_in_time)
