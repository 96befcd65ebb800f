"""From a command line to a running member of the training: reads the options and TF_CONFIG, then hands over.

Exit codes are for whoever restarts the program, as TFJob's restartPolicy ExitCode does: 0 done, 1 an error that would
come again, 138 worth another try (a parameter server or a worker was lost), 143 asked to stop (SIGTERM).
"""

from __future__ import annotations

import importlib
import os
import sys

from labkit.course.training import options as options_
from labkit.course.training import task as task_
from labkit.errors import LabError

PROGRAMS = {
    "single": "labkit.course.training.single",
    "parameter-server": "labkit.course.training.parameter_server",
    "multi-worker": "labkit.course.training.multi_worker",
}


def main(arguments: list[str], strategy: str | None = None) -> int:
    """Run the program for `strategy`, by default the one that TF_CONFIG asks for; returns the exit code."""
    options = options_.parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import below: TensorFlow's greeting is not a metric
    try:
        task = task_.read(os.environ.get("TF_CONFIG", ""))
        if strategy and strategy != task.strategy:
            raise LabError(
                f"TF_CONFIG describes {task.strategy} training, this program is {strategy}",
                "use `python -m labkit.course.training`, which does what TF_CONFIG says",
            )
        return importlib.import_module(PROGRAMS[task.strategy]).run(options, task)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
