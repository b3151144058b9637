"""``python -m examples.downloader``"""

import signal
import sys

from .program import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends in order, as Ctrl-C does
    sys.exit(main())
