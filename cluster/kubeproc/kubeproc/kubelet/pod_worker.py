"""One pod from its binding to its end: volumes, init containers in order, containers, status, deletion.

Mechanism. One task for each pod follows the recipe in `_live`; another one writes the status (`status_writer`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from kubeproc import timestamps
from kubeproc.kubelet import admission, env, etc_hosts, pod_status, service_proxy, volumes
from kubeproc.kubelet.api_client import Refused, Unreachable
from kubeproc.kubelet.container import Container
from kubeproc.kubelet.executor import Files
from kubeproc.kubelet.pod_context import PodContext
from kubeproc.kubelet.pod_status import Verdict
from kubeproc.kubelet.shared import Shared
from kubeproc.kubelet.status_writer import StatusWriter
from kubeproc.network.client import NoNetwork

Object = dict[str, Any]
log = logging.getLogger("kubelet")
RETRY_MOST = 10.0  # longest wait between two attempts to set the pod up, in seconds
LOOK = 1.0  # seconds between looks at deadlines
LOST = "The container could not be located when the pod was terminated"
FINAL = ("Succeeded", "Failed")


class Pod(PodContext):
    """`neighbours` returns all pods of the node, in the order of their arrival."""

    def __init__(
        self, shared: Shared, node: str, allocatable: Object, obj: Object, neighbours: Callable[[], list[Pod]]
    ) -> None:
        super().__init__(shared, node, allocatable, obj)
        self.neighbours = neighbours
        self.containers = [
            *(
                Container(self, c, "sidecar" if c.get("restartPolicy") == "Always" else "init")
                for c in self.spec.get("initContainers") or ()
            ),
            *(Container(self, c, "main") for c in self.spec["containers"]),
        ]
        self.host_ports: list[service_proxy.Port] = []  # those of a pod that has a network of its own
        self.verdict: Verdict | None = None
        before = (obj.get("status") or {}).get("startTime")
        self.started = before or timestamps.now()
        self._began = timestamps.seconds(before) if before else time.time()
        self.task: asyncio.Task[None] | None = None
        self._ended = self._sandbox = False
        self._rewriting = asyncio.Lock()
        self._deadline: asyncio.TimerHandle | None = None
        self.writer = StatusWriter(shared.api, self.path, self.uid, self.status, self._written, lambda: self.stop(0))

    # -- what others ask -----------------------------------------------------------------------------------------------

    def container(self, name: str) -> Container:
        return next(c for c in self.containers if c.name == name)

    def files(self) -> Files:
        from kubeproc.kubelet.executor_host import (
            LentFiles,  # an HTTP client is loaded when the first workflow needs it
        )

        return LentFiles(self)

    # -- its life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        writer = asyncio.create_task(self.writer.run())
        try:
            if not self._was_lost() and await self._admit():
                self._arm_deadline(LOOK)
                await self._live()
            self._ended = True
            self._settle()
            if not self.hurried:
                await self.writer.flush()
        except Exception as error:  # a bug that one pod meets must not end the others
            log.exception("pod %s", self.path)
            self.fail(Verdict("KubeletError", f"{type(error).__name__}: {error}"), 0)
            self._ended = True
            self._settle()
            await self.writer.flush()
        finally:
            writer.cancel()
            if self._deadline:
                self._deadline.cancel()
            for port in self.host_ports:
                await port.close()
            if self.sandbox:
                self.sandbox.close()

    async def _admit(self) -> bool:
        """Whether a pod that names its node itself fits there; also False if the pod is stopped."""
        if not admission.is_new(self.object):
            return True
        while True:
            try:
                node = await self.shared.api.get(f"/api/v1/nodes/{self.node}")
                break
            except (Refused, *Unreachable):
                if await self.pause(self.retry):
                    return False
        before = itertools.takewhile(lambda other: other is not self, self.neighbours())
        others = [other.object for other in before if not other.verdict]
        found = admission.refusal(self.object, node, self.allocatable, others)
        if found:
            self.event("Warning", found.reason, found.message.removeprefix(admission.PREFIX))
            self.fail(found, 0)
        return found is None

    async def _live(self) -> None:
        self.changed()
        if not await self._set_up():
            return
        self._sandbox = True
        sidecars: list[asyncio.Task[None]] = []
        try:
            if await self._initialise(sidecars):
                mains = [c for c in self.containers if c.kind == "main"]
                await asyncio.gather(*(c.run() for c in mains))
        finally:
            self.mains_ended = True
            await self._end_sidecars(sidecars)

    async def _set_up(self) -> bool:
        """Create folders and volumes, and read the environment's objects; repeated until it works or the pod is stopped."""
        while not self.stopping.is_set():
            try:
                for container in self.containers:
                    container.prepare()
                if self.own_network and self.sandbox is None:
                    assert self.shared.network
                    meta = self.object["metadata"]
                    self.sandbox = await self.shared.network.sandbox(f"{meta['namespace']}/{meta['name']}")
                    self.host_ports = service_proxy.host_ports_of(self.object, self.sandbox.ip, self.shared.network)
                if not self.translated:
                    etc_hosts.write(self.object, self.folder, self.sandbox.ip if self.sandbox else "")
                self.volumes, self.sources = await asyncio.gather(
                    volumes.set_up(self.shared.api, self.shared.home.root, self.object, self.folder),
                    self.read_sources(),
                )
                self.shared.updates.follow(self.object)
                return True
            except NoNetwork as error:
                self.event(
                    "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error.strerror or error}"
                )
            except volumes.NotMounted as error:
                self.event("Warning", "FailedMount", str(error))
            except Unreachable as error:
                log.debug("pod %s waits for the server: %r", self.path, error)
            except (Refused, OSError) as error:
                self.event("Warning", "FailedMount", f"MountVolume.SetUp failed : {error}")
            await self.pause(self.retry)
            self.retry = min(self.retry * 2, RETRY_MOST)
        return False

    async def rewrite_volumes(self) -> None:
        """Update the files of ConfigMaps, Secrets, tokens and the pod's own fields."""
        async with self._rewriting:  # labels, a ConfigMap and a token may change at the same time
            for volume in self.volumes.values():
                if volume.source in volumes.PROJECTED:
                    with contextlib.suppress(volumes.NotMounted, Refused, *Unreachable):
                        await volumes.write(self.shared.api, self.object, volume)
            for container in self.containers:
                container.rewrite_configs()

    async def _initialise(self, sidecars: list[asyncio.Task[None]]) -> bool:
        """Run the init containers one after the other; False if one failed for good or the pod is stopped."""
        for container in self.containers:
            if container.kind == "main":
                continue
            if container.kind == "sidecar":
                task = asyncio.create_task(container.run())
                sidecars.append(task)
                await asyncio.wait({task, asyncio.ensure_future(container.up.wait())}, return_when="FIRST_COMPLETED")
            else:
                await container.run()
                if container.state.exit_code != 0:
                    return False
            if self.stopping.is_set():
                return False
        return not self.stopping.is_set()

    async def _end_sidecars(self, tasks: list[asyncio.Task[None]]) -> None:
        """End the sidecars in reverse order of their start."""
        running = [c for c in self.containers if c.kind == "sidecar"]
        for container, task in reversed(list(zip(running, tasks, strict=False))):
            container.up.set()
            container.kill(self.grace)
            await task

    def _settle(self) -> None:
        """Correct the states of containers: none runs any more."""
        for container in self.containers:
            container.ended.set()
            container.state.ready = container.state.ready and container.kind == "init"
            if container.kind == "main" and container.state.running:
                container.state.state = _lost(container.state.state)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def update(self, obj: Object) -> None:
        """Take the newest version of the object from the API."""
        if int(obj["metadata"]["resourceVersion"]) <= int(self.object["metadata"].get("resourceVersion", 0)):
            return
        before, self.object = self.object, obj
        if obj["spec"].get("activeDeadlineSeconds") != before["spec"].get("activeDeadlineSeconds"):
            self._arm_deadline()
        if obj["spec"] != before["spec"]:
            for spec in env.all_containers(obj):
                self.container(spec["name"]).redefine(spec)
        if any(obj["metadata"].get(kind) != before["metadata"].get(kind) for kind in ("labels", "annotations")):
            self.shared.background.run(self.rewrite_volumes())
        if obj["metadata"].get("deletionTimestamp"):
            self.stop(float(obj["metadata"].get("deletionGracePeriodSeconds") or 0))

    def stop(self, grace: float) -> None:
        """End all containers within `grace` seconds; of several calls the shortest one counts."""
        if self.stopping.is_set() and self._grace is not None and grace >= self._grace:
            return
        self._grace = grace
        self.stopping.set()
        for container in self.containers:
            if container.kind != "sidecar" or grace == 0 or self.mains_ended:  # otherwise they end after the others
                container.kill(grace)

    def fail(self, verdict: Verdict, grace: float) -> None:
        """End the pod as Failed, for a reason of the kubelet's."""
        if self.verdict is None and not self.stopping.is_set():
            self.verdict = verdict
            self.stop(grace)

    def _arm_deadline(self, look: float = 0.0) -> None:
        """End the pod `look` seconds after its deadline: a real kubelet checks deadlines once a second, so Argo's controller,
        which counts too, sees them pass first."""
        if self._deadline:
            self._deadline.cancel()
        seconds = self.spec.get("activeDeadlineSeconds")
        if seconds is not None:
            left = seconds - (time.time() - self._began)
            self._deadline = asyncio.get_running_loop().call_later(max(left + look, 0), self._too_late)

    def _too_late(self) -> None:
        words = "Pod was active on the node longer than the specified deadline"
        if self.verdict is None and not self.stopping.is_set():
            self.event("Normal", "DeadlineExceeded", words)
            self.fail(Verdict("DeadlineExceeded", words), self.grace)

    def _was_lost(self) -> bool:
        """Restore the states of a pod that an earlier kubelet ran. Its containers are gone, as after a reboot; True if that
        ends the pod."""
        old = self.object.get("status") or {}
        known = {
            c["name"]: c for c in [*(old.get("initContainerStatuses") or ()), *(old.get("containerStatuses") or ())]
        }
        begun = any("waiting" not in c["state"] or c.get("lastState") for c in known.values())
        if not begun:
            return False
        for container in self.containers:
            if container.name not in known:
                continue
            before, state = known[container.name], container.state
            ended = _lost(before["state"])
            if "waiting" in before["state"] and before.get("lastState"):
                ended = before["lastState"]
            state.image_id, state.id = before.get("imageID", ""), before.get("containerID", "")
            state.restarts, state.last = before.get("restartCount", 0), before.get("lastState") or {}
            over = ended["terminated"]
            done = self.spec.get("restartPolicy") == "Never" or (
                container.policy == "OnFailure" and over["exitCode"] == 0 and container.kind == "main"
            )
            if done:
                state.state = ended
                state.ready = container.kind == "init" and over["exitCode"] == 0
            elif "waiting" not in before["state"]:
                state.last, state.restarts = ended, state.restarts + 1
            else:
                state.restarts += 1
        if self.object["metadata"].get("deletionTimestamp"):
            return True
        mains = [c for c in self.containers if c.kind == "main"]
        return all(c.state.exit_code is not None for c in mains)

    # -- the status ----------------------------------------------------------------------------------------------------

    def status(self) -> Object:
        states = [c.state for c in self.containers]
        address = self.address if self._sandbox else ""
        found = pod_status.build(self.object, states, self.started, address, self.verdict, self._ended)
        return json.loads(json.dumps(found))  # a copy, since the states change later

    def _written(self, status: Object, answer: Object) -> None:
        self.object["status"] = status
        self.update(answer)

    def hurry(self) -> None:
        """Write no more status and run no hooks: the node goes down, or the object is gone."""
        self.hurried = self.writer.silent = True


def _lost(state: Object) -> Object:
    """The terminated state of a container that is gone."""
    if "terminated" in state:
        return state
    ended: Object = {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": LOST,
        "startedAt": state.get("running", {}).get("startedAt"),
        "finishedAt": None,
    }
    return {"terminated": {k: v for k, v in ended.items() if v is not None}}
