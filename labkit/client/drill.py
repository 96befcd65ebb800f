"""Failure drills: a pod's program is killed by a signal, as a crash would; what follows is its restartPolicy's work.

Pid 1 of a container can't be killed from inside, so drilled pods set `shareProcessNamespace: true`; the signal goes to
the program's own pid, from a shell in the container. The shell finds the program as the oldest process that shares its
mount namespace. Where a cluster's processes share the host's namespaces, a search would find one of the host's: there
KUBEPROC_PID says the pid, or is empty.
"""

from __future__ import annotations

from typing import Any

from labkit.client.connection import api
from labkit.client.connection import namespace as own_namespace
from labkit.errors import LabError

PROGRAM = """
pid=${KUBEPROC_PID-}
if [ -z "${KUBEPROC_PID+told}" ]; then
  mine=$(readlink /proc/self/ns/mnt)
  for p in $(ls /proc | grep -E '^[0-9]+$' | sort -n); do
    [ "$p" = 1 ] || [ "$p" = $$ ] && continue
    if [ "$(readlink /proc/$p/ns/mnt 2>/dev/null)" = "$mine" ]; then pid=$p; break; fi
  done
fi
[ -n "$pid" ] || { echo "no program to kill: does the pod set shareProcessNamespace: true?" >&2; exit 1; }
kill -0 "$pid" || exit 1
echo "$pid" # before the program ends, since the container ends with it, and this shell, too
kill -SIGNAL "$pid"
"""


def kill(pod: str, signal: str = "KILL", *, container: str | None = None, namespace: str | None = None) -> int:
    """Send `signal` (a name without SIG) to the pod's program; returns its pid as the container sees it. LabError where
    the pod does not run or does not share its process namespace."""
    from kubernetes.client import ApiException, CoreV1Api
    from kubernetes.stream import stream

    space = namespace or own_namespace()
    core = CoreV1Api(api())
    options: dict[str, Any] = {"container": container} if container else {}
    script = PROGRAM.replace("SIGNAL", signal.removeprefix("SIG"))
    try:
        shell = stream(
            core.connect_get_namespaced_pod_exec,
            pod,
            space,
            command=["sh", "-c", script],
            stdout=True,
            stderr=True,
            _preload_content=False,
            **options,
        )
    except ApiException as error:
        raise LabError(
            f"pod {pod} can't be killed: {error.reason}", "`kubectl get pods` shows whether it runs"
        ) from error
    shell.run_forever(timeout=60)
    said = (shell.read_stdout() or "").split()
    if not said or not said[-1].isdigit():
        why = (shell.read_stderr() or "").strip() or "the shell in it did not answer"
        raise LabError(f"pod {pod} can't be killed: {why}", "set shareProcessNamespace: true in its spec")
    return int(said[-1])
