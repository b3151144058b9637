"""``python -m examples.downloader``"""

import sys

from ..console import run

if __name__ == "__main__":
    sys.exit(run("examples.downloader.program"))
