"""``python -m examples.log_forwarder``"""

import sys

from ..console import run

if __name__ == "__main__":
    sys.exit(run("examples.log_forwarder.program"))
