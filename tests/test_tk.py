"""The examples of pyThreadWorker's manual that have a window, in a real one.

Each runs as it is written, in a process of its own on a virtual display; what is put before it
only reports what can be seen, so that nothing here has to poll. The mouse that presses the button
is that of the display.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
if importlib.util.find_spec("_tkinter") is None:
    MISSING.append("tkinter")

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"this needs {' and '.join(MISSING)}")

PACKAGES = pytest.mark.parametrize("package", ["worker", "threadtree"])


@pytest.fixture(scope="module")
def display():
    """The name of a display of our own, which is ready."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-noreset"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as ready:
            number = ready.readline().strip()
        assert number, "Xvfb does not start"
        yield f":{number}"
        server.terminate()


class Program:
    """A program that runs on a display."""

    def __init__(self, display: str, package: str, *parts: str) -> None:
        # A window that waits for a click in vain is ended by the alarm.
        parts = ("import signal; signal.alarm(20)", CLOSE_BY_A_CLICK, *parts)
        text = "\n".join(parts).replace("from worker import", f"from {package} import")
        self._environment = {**os.environ, "DISPLAY": display}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", text],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        return line.rstrip("\n")

    def click(self, window: str, button: str = "1") -> None:
        """Move the mouse to a window, by its number, and press one of its buttons."""
        command = ["xdotool", "mousemove", "--window", window, "9", "9", "click", button]
        subprocess.run(command, env=self._environment, check=True)

    def close(self, window: str) -> None:
        """Close the window, which ends the program, in order and without a word."""
        self.click(window, button="3")
        out, err = self.process.communicate()
        assert (out, err, self.process.returncode) == ("", "", 0)


# The right button of the mouse closes a window, as there is no window manager to do it.
CLOSE_BY_A_CLICK = """
import tkinter

class Tk(tkinter.Tk):
    def __init__(self):
        super().__init__()
        self.bind("<Button-3>", lambda event: self.destroy())

tkinter.Tk = Tk
"""

REPORT_A_LINE_THAT_A_WORKER_READS = """
from worker import create_worker, current, is_main

class ReportedTk(Tk):
    def __init__(self):
        super().__init__()
        self.bind("<Map>", lambda event: print(self.winfo_id()))

tkinter.Tk = ReportedTk

@create_worker(current())
def reader(main):
    main.fire("LINE", input())

@current().listen("LINE")
def _(event):
    print(event.data, is_main())
"""

UPDATE = """
from tkinter import Tk
from worker import update

root = Tk()

def worker_update():
    update()
    root.after(100, worker_update)

worker_update()
root.mainloop()
"""


@PACKAGES
def test_update_hooks_the_event_loop_into_that_of_a_window(display, package):
    with Program(display, package, REPORT_A_LINE_THAT_A_WORKER_READS, UPDATE) as program:
        window = program.line()  # from here on, nothing but the hook can handle an event
        program.process.stdin.write("hello\n")
        program.process.stdin.flush()
        assert program.line() == "hello True"
        program.close(window)


REPORT_EACH_BUTTON = """
class Button(tkinter.Button):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.bind("<Expose>", self.report)

    def report(self, event):
        self.unbind("<Expose>")  # once is enough
        print(self.winfo_id(), self["text"])

tkinter.Button = Button
"""

DEFER = """
from tkinter import *
from worker import current, update, create_worker, Defer, is_main

main_thread = current()
root = Tk()

def hook():
    root.after(100, hook)
    update()

@create_worker
def worker():
    i = 0
    def update_some_gui(on_finished=None):
        print("gui", is_main())
        def remove_button():
            button.destroy()
            on_finished("OK")
        button = Button(
            root,
            text="Click me to fulfill defer {}".format(i),
            command=remove_button
        )
        button.pack()
    while True:
        defer = Defer()
        print("worker", is_main())
        main_thread.later(update_some_gui, 0, on_finished=defer.resolve)
        defer.get()
        i += 1

hook()
root.mainloop()
worker.stop()
"""


@PACKAGES
# The second is how the manual of pyThreadWorker 0.10 writes that line.
@pytest.mark.parametrize("late", ["update_some_gui, 0, ", "update_some_gui, "])
def test_a_defer_is_fulfilled_by_the_press_of_a_button(display, package, late):
    text = DEFER.replace("update_some_gui, 0, ", late)
    with Program(display, package, REPORT_EACH_BUTTON, text) as program:
        for number in range(3):
            assert [program.line(), program.line()] == ["worker False", "gui True"]
            button, label = program.line().split(maxsplit=1)
            assert label == f"Click me to fulfill defer {number}"
            if number < 2:
                program.click(button)
        program.close(button)
