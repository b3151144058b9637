"""Small programs, each run in a process of its own: what exits, signals and forks are tested with.

A program asks for a signal by printing its name behind an exclamation mark, as in ``!SIGINT``. So
it is sent when the program is where the test wants to have it, however slow the machine is.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import threadtree

# The graces are small, so that a straggler costs little; not so small that a loaded machine
# makes stragglers of all. `ask(name)` is the way to get a signal.
HEADER = """\
import os, signal, sys, threading, time
import threadtree
from threadtree import *

graces.asked = 2.0
graces.told = graces.daemons = 1.0
main = current()

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # a line of two threads is no line

def ask(name="SIGINT"):
    say("!" + name)

def stuck():
    time.sleep(60)  # foreign code: no stop reaches it

"""

LIMIT = 20.0  # seconds after which a program counts as hung: it dies and shows its stacks


@dataclass(frozen=True)
class Ended:
    """How a program came out. ``returncode`` is minus the signal's number, if one killed it."""

    returncode: int
    lines: list[str]
    stderr: str


def run(text: str, *arguments: str) -> Ended:
    """Run a program to its end, and give what it said."""
    env = os.environ | {
        "PYTHONPATH": str(Path(threadtree.__file__).parents[1]),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of os.fork() beside threads
    }
    command = [sys.executable, "-X", "faulthandler", "-c", HEADER + dedent(text), *arguments]
    lines = []
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=env,
            start_new_session=True,  # so that the limit reaches the children of a fork, too
        ) as process,
    ):
        limit = threading.Timer(LIMIT, os.killpg, [process.pid, signal.SIGABRT])
        limit.start()
        try:
            for line in process.stdout:
                if line.startswith("!"):
                    process.send_signal(signal.Signals[line[1:].strip()])
                else:
                    lines.append(line.rstrip("\n"))
            process.wait()
        finally:
            limit.cancel()
            limit.join()
            process.kill()
        stderr.seek(0)
        ended = Ended(process.returncode, lines, stderr.read())
    assert ended.returncode != -signal.SIGABRT, f"the program hung: {ended.lines}\n{ended.stderr}"
    return ended
