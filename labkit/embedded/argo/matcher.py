"""The program of the process that `grep` starts: which texts an expression matches. It imports nothing of labkit.

The first line of standard input is the expression, each other one a list of texts, all as JSON; a list is answered by the
indices of those that match. The kernel ends the process when a list takes more than SECONDS of the processor.
"""

import json
import re
import resource
import sys

SECONDS = 2


def _allow(seconds: int) -> None:
    """From now on the process may use the processor for so long, rounded up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    search = re.compile(json.loads(sys.stdin.readline()), re.ASCII).search
    for line in sys.stdin:
        _allow(SECONDS)
        found = [index for index, text in enumerate(json.loads(line)) if search(text)]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
