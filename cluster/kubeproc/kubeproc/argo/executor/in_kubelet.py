"""The executor as the kubelet runs it: see `kubeproc.kubelet.inline.Executor`. Its modules are imported with the first
workflow."""

from __future__ import annotations

from kubeproc.argo.executor import task
from kubeproc.argo.executor.task import Files, Object, Outcome


class InKubelet:
    """Argo's `init` and `wait` containers, and `main` of a resource template."""

    def owns(self, pod: Object, container: str) -> bool:
        return task.is_executors(pod, container)

    def paths(self, pod: Object) -> tuple[str, ...]:
        return task.paths(pod)

    def at_term(self, container: str) -> tuple[int, str] | None:
        """`wait` continues: it waits for main, which gets its own TERM."""
        return None if container == "wait" else task.TERMINATED

    async def run(self, pod: Object, container: str, files: Files) -> Outcome:
        from kubeproc.argo.executor import executor

        return await executor.run(pod, container, files)
