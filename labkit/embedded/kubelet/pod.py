"""One pod from its binding to its end: volumes, init containers in order, containers, status, deletion.

Mechanism. One task for each pod reads as the recipe that it is (`_live`); one more writes the status. A status that only
says that something is on its way waits a moment, in case the pod runs by then: a pod that starts quickly costs one
write. The server may be away meanwhile: the newest status is written when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from labkit.embedded.kubelet import admission, env, hosts, status, volumes
from labkit.embedded.kubelet.backoff import BackOff
from labkit.embedded.kubelet.client import Refused, Unreachable
from labkit.embedded.kubelet.container import Container
from labkit.embedded.kubelet.status import Verdict

if TYPE_CHECKING:
    from labkit.embedded.kubelet.host import Host

Object = dict[str, Any]
log = logging.getLogger("kubelet")
PATIENCE = 0.2  # seconds that an unimportant status may wait for an important one
RETRY, RETRY_MOST = 0.5, 10.0  # seconds between attempts of what can't be set up
LOOK = 1.0  # seconds between looks at deadlines
LOST = "The container could not be located when the pod was terminated"
FINAL = ("Succeeded", "Failed")


class Pod:
    def __init__(self, host: Host, obj: Object) -> None:
        self.host, self.kubelet, self.object = host, host.kubelet, obj
        self.uid: str = obj["metadata"]["uid"]
        self.folder = host.kubelet.home.pods.resolve() / self.uid
        init = self.spec.get("initContainers") or []
        self.has_init = bool(init)
        self.containers = [
            *(Container(self, c, "sidecar" if c.get("restartPolicy") == "Always" else "init") for c in init),
            *(Container(self, c, "main") for c in self.spec["containers"]),
        ]
        self.volumes: dict[str, volumes.Volume] = {}
        self.sources = env.Sources()
        self.pulls: dict[str, BackOff] = {}  # by image
        self.stopping = asyncio.Event()
        self.verdict: Verdict | None = None
        self.hurried = False  # the node goes down: no hooks, nothing is written
        self.gone = False  # the object has been deleted
        self.mains_ended = False
        self.retry = RETRY
        before = (obj.get("status") or {}).get("startTime")
        self.started = before or status.now()
        self._began = _epoch(before) if before else time.time()
        self.task: asyncio.Task[None] | None = None
        self._grace: float | None = None
        self._ended = self._sandbox = False
        self._dirty, self._urgent = asyncio.Event(), asyncio.Event()
        self._written: Object | None = None
        self._sending, self._rewriting = asyncio.Lock(), asyncio.Lock()
        self._deadline: asyncio.TimerHandle | None = None

    # -- what others ask -----------------------------------------------------------------------------------------------

    @property
    def spec(self) -> Object:
        return self.object["spec"]

    @property
    def path(self) -> str:
        meta = self.object["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        if self._grace is not None:
            return self._grace
        seconds = self.spec.get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    def container(self, name: str) -> Container:
        return next(c for c in self.containers if c.name == name)

    def event(self, type: str, reason: str, message: str, container: str = "", kind: str = "") -> None:
        if not self.hurried or self.gone:  # a machine without power says nothing
            self.kubelet.events.record(self.object, type, reason, message, container, kind)

    async def pause(self, seconds: float, unless: asyncio.Event | None = None) -> bool:
        """Wait, but not longer than the pod shall live, or until `unless`: True where it is being stopped."""
        events = [asyncio.create_task(event.wait()) for event in (self.stopping, unless) if event]
        await asyncio.wait(events, timeout=seconds, return_when="FIRST_COMPLETED")
        for event in events:
            event.cancel()
        return self.stopping.is_set()

    async def token(self, refused: str = "") -> str:
        """A token of the pod's service account, for what the kubelet does in its name."""
        return await self.kubelet.account_token(self.object, refused)

    # -- its life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        writer = asyncio.create_task(self._write())
        try:
            if not self._was_lost() and await admission.admit(self):
                self._arm_deadline(LOOK)
                await self._live()
            self._ended = True
            self._settle()
            if not self.hurried:
                await self._flush()
        except Exception as error:  # one pod's trouble is not another's
            log.exception("pod %s", self.path)
            self.fail(Verdict("KubeletError", f"{type(error).__name__}: {error}"), 0)
            self._ended = True
            self._settle()
            await self._flush()
        finally:
            writer.cancel()
            if self._deadline:
                self._deadline.cancel()

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
        """Folders, volumes, and the objects that the environment refers to; tried until it works or the pod ends."""
        while not self.stopping.is_set():
            try:
                for container in self.containers:
                    container.prepare()
                if self.kubelet.runtime.isolation != "none":
                    hosts.write(self.object, self.folder)
                self.volumes, self.sources = await asyncio.gather(
                    volumes.set_up(self.kubelet.api, self.kubelet.home.root, self.object, self.folder),
                    self._sources(),
                )
                self.kubelet.follow_volumes(self)
                return True
            except volumes.NotMounted as error:
                self.event("Warning", "FailedMount", str(error))
            except Unreachable as error:
                log.debug("pod %s waits for the server: %r", self.path, error)
            except (Refused, OSError) as error:
                self.event("Warning", "FailedMount", f"MountVolume.SetUp failed : {error}")
            await self.pause(self.retry)
            self.retry = min(self.retry * 2, RETRY_MOST)
        return False

    async def _sources(self) -> env.Sources:
        """What environments are made of, read now: what was created before the pod is there."""
        api, root = self.kubelet.api, f"/api/v1/namespaces/{self.object['metadata']['namespace']}"
        configmaps, secrets = env.referenced(self.object)
        names = [("configmaps", name) for name in configmaps] + [("secrets", name) for name in secrets]
        services, found = await asyncio.gather(
            api.get(f"{root}/services"), asyncio.gather(*(api.find(f"{root}/{p}/{name}") for p, name in names))
        )
        objects: dict[tuple[str, str], Object | None] = dict(zip(names, found, strict=True))
        return env.Sources(
            configmaps={name: objects["configmaps", name] for name in configmaps},
            secrets={name: objects["secrets", name] for name in secrets},
            services=[*services["items"], self.kubelet.own_service],
            allocatable=self.host.allocatable,
        )

    async def refresh(self) -> env.Sources:
        """Read the environment's objects again: after a missing one."""
        with contextlib.suppress(*Unreachable, Refused):
            self.sources = await self._sources()
        return self.sources

    async def rewrite_volumes(self) -> None:
        """Bring the files of ConfigMaps, Secrets, tokens and the pod's own fields up to date."""
        async with self._rewriting:  # labels, a ConfigMap and a token may all change at once
            for volume in self.volumes.values():
                if volume.source in volumes.PROJECTED:
                    with contextlib.suppress(volumes.NotMounted, Refused, *Unreachable):
                        await volumes.write(self.kubelet.api, self.object, volume)

    async def _initialise(self, sidecars: list[asyncio.Task[None]]) -> bool:
        """Init containers one after the other; False where one failed for good or the pod is being stopped."""
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
        """The last one started ends first."""
        running = [c for c in self.containers if c.kind == "sidecar"]
        for container, task in reversed(list(zip(running, tasks, strict=False))):
            container.up.set()
            container.kill(self.grace)
            await task

    def _settle(self) -> None:
        """Nothing runs any more: containers that say so are wrong."""
        for container in self.containers:
            container.ended.set()
            container.state.ready = container.state.ready and container.kind == "init"
            if container.kind == "main" and container.state.running:
                container.state.state = _lost(container.state.state)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def update(self, obj: Object) -> None:
        """The API's newest version of the object."""
        if int(obj["metadata"]["resourceVersion"]) <= int(self.object["metadata"].get("resourceVersion", 0)):
            return
        before, self.object = self.object, obj
        if obj["spec"].get("activeDeadlineSeconds") != before["spec"].get("activeDeadlineSeconds"):
            self._arm_deadline()
        if obj["spec"] != before["spec"]:
            for spec in env.all_containers(obj):
                self.container(spec["name"]).redefine(spec)
        if any(obj["metadata"].get(kind) != before["metadata"].get(kind) for kind in ("labels", "annotations")):
            self.kubelet.background(self.rewrite_volumes())
        if obj["metadata"].get("deletionTimestamp"):
            self.stop(float(obj["metadata"].get("deletionGracePeriodSeconds") or 0))

    def stop(self, grace: float) -> None:
        """End all containers within `grace` seconds; said again, a shorter time counts."""
        if self.stopping.is_set() and self._grace is not None and grace >= self._grace:
            return
        self._grace = grace
        self.stopping.set()
        for container in self.containers:
            if container.kind != "sidecar" or grace == 0 or self.mains_ended:  # else they end after the others
                container.kill(grace)

    def fail(self, verdict: Verdict, grace: float) -> None:
        """End the pod as Failed, for the kubelet's own reason."""
        if self.verdict is None and not self.stopping.is_set():
            self.verdict = verdict
            self.stop(grace)

    def _arm_deadline(self, look: float = 0.0) -> None:
        """`look`: a kubelet looks at deadlines once a second, so that who counts along (Argo) sees them pass first."""
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
        """A pod that an earlier kubelet ran: its containers are gone, as after a reboot. True where that ends it."""
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

    def changed(self, urgent: bool = False) -> None:
        """Something of the status is new."""
        self._dirty.set()
        if urgent:
            self._urgent.set()

    def status(self) -> Object:
        states = [c.state for c in self.containers]
        found = status.build(self.object, states, self.started, self._sandbox, self.verdict, self._ended)
        return json.loads(json.dumps(found))  # a copy: the states go on changing

    async def tell(self) -> None:
        """Write the status now; return when the server has it."""
        await self._flush()

    async def _write(self) -> None:
        while True:
            await self._dirty.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._urgent.wait()
            await self._flush()

    async def _flush(self) -> None:
        """Write the status until the server has it as it is now."""
        delay = 0.1
        async with self._sending:
            while True:
                self._dirty.clear()
                self._urgent.clear()
                wanted = self.status()
                if wanted == self._written or self.hurried:
                    return
                operations: list[Object] = [
                    {"op": "test", "path": "/metadata/uid", "value": self.uid},
                    {"op": "add", "path": "/status", "value": wanted},
                ]
                try:
                    answer = await self.kubelet.api.patch(f"{self.path}/status", operations)
                except Unreachable:
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, 2.0)
                except Refused as error:
                    if error.code in (404, 422):
                        if error.code == 422:
                            log.warning("status of %s: %s", self.path, error)
                        self.stop(0)
                        return
                    log.warning("status of %s: %s", self.path, error)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, 2.0)
                else:
                    self._written = wanted
                    self.object["status"] = wanted
                    self.update(answer)
                    return

    def server_is_back(self, obj: Object) -> None:
        """The server was away: what it has may be old."""
        if obj.get("status") != self._written:
            self._written = None
            self.changed()


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _lost(state: Object) -> Object:
    """A state after the container could not be found any more."""
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
