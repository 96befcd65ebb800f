"""The embedded cluster beside the real one (kind, Training Operator, Argo Workflows): the same work, in turn, in one run.

Both clusters are up at once, and idle but for what is measured; each also starts anew, and runs the whole course.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import count

from benchmarks import course, memory, pods, startup, tfjob, workflow
from benchmarks.clusters import Running, running
from benchmarks.measure import Row, Samples, in_turn

PEER = "kind"
NUMBERS = count()


def measure(runs: int) -> list[Row]:
    """One row for each kind of work; `runs` of pods and jobs, fewer of what takes minutes."""
    few = max(1, runs // 2)
    rows = [row("cluster ready", "s", startup.up_and_call, lambda: startup.up_and_call(PEER), few)]
    with running() as ours, running(PEER) as theirs:
        prepare(ours, theirs)
        rows += [
            row("idle memory, TensorFlow's warm parent included", "MB", lambda: held(ours), lambda: held(theirs), 3),
            row("pod, create to Running", "ms", lambda: pod(ours), lambda: pod(theirs), 4 * runs),
            row("TFJob of 1 chief, 2 workers, 2 servers", "s", lambda: job(ours), lambda: job(theirs), runs),
            row(
                f"a task of a workflow of {workflow.TASKS}",
                "ms",
                lambda: workflow.milliseconds_a_task(ours),
                lambda: workflow.milliseconds_a_task(theirs),
                few,
            ),
        ]
    rows.append(row("whole course, the cluster's start included", "s", lambda: course.once()[0], whole_course, 1))
    return rows


def row(what: str, unit: str, ours, theirs, runs: int) -> Row:  # type: ignore[no-untyped-def]
    print(f"measuring {what}", file=sys.stderr, flush=True)
    mine, others, ratios = in_turn(ours, theirs, runs)
    return Row(what, Samples(mine, unit), peer=PEER, theirs=Samples(others, unit), ratios=ratios)


def prepare(*clusters: Running) -> None:
    """Data in the claims, rights for workflows, and a first pod, job and workflow that nobody measures."""
    from kubernetes.utils import create_from_yaml

    for cluster in clusters:
        with cluster.used():
            tfjob.warm_up(cluster)
            create_from_yaml(cluster.api, str(workflow.ACCESS), namespace="default")
        pod(cluster)
        job(cluster)


def pod(cluster: Running) -> float:
    return pods.create_to_running(cluster, f"pod-{next(NUMBERS)}")


def job(cluster: Running) -> float:
    with cluster.used():
        return tfjob.create_to_succeeded(cluster, f"job-{next(NUMBERS)}")


def whole_course() -> float:
    return course.once(PEER)[0]


def held(cluster: Running) -> float:
    """Megabytes of all the cluster's processes: those of the kubelet's tree, or of its nodes' containers."""
    if "daemons" in cluster.status:
        return memory.megabytes(cluster.status["daemons"]["kubelet"])
    command = ["docker", "inspect", "--format", "{{.State.Pid}}", *cluster.status["nodes"]]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return memory.megabytes(*map(int, said.split()))
