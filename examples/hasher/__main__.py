"""The command: ``python -m examples.hasher``."""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path

from .app import Hasher


def main() -> None:
    """Show the window until it is closed."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.hasher",
        description="The SHA-256 of every file in a directory, in a window of the terminal.",
    )
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path(sysconfig.get_path("stdlib")) / "asyncio",
        help="by default a part of the running Python's standard library",
    )
    directory = parser.parse_args().directory
    if not directory.is_dir():
        parser.error(f"no directory: {directory}")
    Hasher(directory).run()


main()
