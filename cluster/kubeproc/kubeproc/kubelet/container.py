"""One container of a pod: started, watched, restarted with back-off, and ended, as kubelet's runtime manager does.

Mechanism. `run` is a loop: image, configuration, start, wait for the end, decide. Each wait in it (back-off, a missing
image, a missing ConfigMap) also ends when the pod is stopped, so a deletion never waits for a delay. The state that the API
shows is `self.state`; each change of it makes the pod write its status. A new image (`redefine`) ends the program and every
wait: the next turn of the loop uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import time
from typing import Any

import psutil

from kubeproc.kubelet import account, configs, env, etc_hosts, pipes, probes, program, termination, volumes
from kubeproc.kubelet.backoff import BackOff, duration
from kubeproc.kubelet.container_context import ContainerContext
from kubeproc.kubelet.failure import Failure
from kubeproc.kubelet.inline import Inline
from kubeproc.kubelet.logs import Log
from kubeproc.kubelet.pod_context import PodContext
from kubeproc.kubelet.pod_status import rfc3339
from kubeproc.runtime import images
from kubeproc.runtime.launch import Exit, Launch, Mount, Process, SpawnError

Object = dict[str, Any]
MESSAGE = "termination-log"  # the file of the termination message
LEAST_GRACE = 2.0  # seconds between TERM and KILL when a preStop hook has used up the grace period
BRIEF = 0.3  # seconds that a program with an open standard input has to end before it is reported as running
EPOCH = "1970-01-01T00:00:00Z"


class Container(ContainerContext):
    def __init__(self, pod: PodContext, spec: Object, kind: str) -> None:
        super().__init__(pod, spec, kind)
        self.log: Log | None = None
        self.taps: set[Any] = set()  # callbacks of attached clients, called with (stream, data)
        self.ended = asyncio.Event()  # has ended and will not be started again
        self.out_of_memory = False
        self._again = False  # the next start is a restart
        self._copies = configs.Copies(self.folder, pod.shared.runtime.translate) if pod.translated else None
        self._pumps: list[pipes.Pump] = []
        self._probing: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None

    # -- what others ask -----------------------------------------------------------------------------------------------

    def mounts(self, variables: dict[str, str]) -> tuple[Mount, ...]:
        path = self.spec.get("terminationMessagePath") or "/dev/termination-log"
        shown = self._copies.volumes(self.pod.volumes) if self._copies else self.pod.volumes
        found = volumes.mounts(self.spec, shown, variables)
        return (*found, *etc_hosts.mounts(self.pod.folder, found), Mount(self.folder / MESSAGE, path))

    def launch(self, variables: dict[str, str], argv: list[str], cwd: str = "/", warm: bool = False) -> Launch:
        return Launch(
            argv=argv,
            env=variables,
            cwd=cwd,
            root=self.root,
            mounts=self.mounts(variables),
            warm=warm,
            # In Argo the emissary is the parent of a workflow's program, so a TERM also ends a program that has no handler.
            init=bool(self.pod.spec.get("shareProcessNamespace")) or "ARGO_CONTAINER_NAME" in variables,
            stdin=bool(self.spec.get("stdin")),
            tty=bool(self.spec.get("tty")),
            paths=program.with_parents(self.pod.shared.executor.paths(self.pod.object)),
            hostname=env.hostname(self.pod.object),
            netns=self.pod.sandbox.fd if self.pod.sandbox else None,
        )

    def redefine(self, spec: Object) -> None:
        """Take the newest definition from the API: a running pod may get another image."""
        before, self.spec = self.spec, spec
        if spec["image"] == before["image"]:
            return
        self.back_off = BackOff()
        self.redefined.set()
        if self.kind != "init":
            self._replace()

    def _replace(self) -> None:
        self.kill(self.pod.grace, f"Container {self.name} definition changed, will be restarted")

    def rewrite_configs(self) -> None:
        """Update the container's copies of ConfigMaps, if it has some."""
        if self._copies and isinstance(self.process, Process):
            self._copies.rewrite(self.pod.volumes, self.process.launch)

    def prepare(self) -> None:
        """Create the container's folders, before any container of the pod starts."""
        self.root.mkdir(parents=True, exist_ok=True)
        message = self.folder / MESSAGE
        message.touch()
        message.chmod(0o666)

    # -- its life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run the container until it has ended for good, or the pod is stopped."""
        try:
            while not self.pod.stopping.is_set():
                ended = await self._start()
                if ended is None and self.process:
                    ended = await self._finish()
                if ended and await self._over(ended):
                    return
        finally:
            self.ended.set()

    async def _start(self) -> Exit | None:
        """Start the program and set `process`. Returns an Exit if the program could not be started. If an earlier step
        failed, waits, and returns None without a `process`."""
        try:
            image = await program.image(self)
            if image is None:
                return None
            program.forbid_root(image, self.pod.object, self.spec)
            self.event("Normal", "Pulled", f'Container image "{self.spec["image"]}" already present on machine')
            variables = env.build(self.pod.object, self.spec, image.env, self.pod.sources, self.pod.address)
            argv = program.argv(image, self.spec, variables)
            if self._copies:
                variables |= account.variables(self.mounts(variables), self.root, variables)
                self._copies.write(self.pod.volumes, self.launch(variables, argv))
            launch = self.launch(variables, argv, self.spec.get("workingDir") or "/", image.warm)
        except env.ConfigError as error:
            await self.cannot("CreateContainerConfigError", str(error), f"Error: {error}")
            await self.pod.refresh()
            return None
        self.event("Normal", "Created", f"Created container: {self.name}")
        self.state.restarts, self._again = self.state.restarts + self._again, False
        try:
            self.folder.joinpath(MESSAGE).write_bytes(b"")
            self.log = Log(self.log_path)
        except OSError as error:  # a full disk: there may be room later
            await self.cannot("CreateContainerError", str(error), f"Error: {error}")
            return None
        try:
            if image.kind == images.IN_KUBELET:
                self.process = self._inline()
            else:
                self.process = await self.pod.shared.runtime.launch(launch)
        except SpawnError as error:
            self._could_not_start(str(error))
            return Exit(128, None, time.time(), time.time())
        if self.redefined.is_set() and self.kind != "init":  # redefined before the process existed
            self._replace()
        await self._has_begun()
        if self.pod.stopping.is_set() and self.kind != "sidecar":  # stopped before the process existed
            self.kill(self.pod.grace)
        return None

    def _inline(self) -> Inline:
        """Start the executor's work for this container."""
        pod, executor = self.pod, self.pod.shared.executor
        work = functools.partial(executor.run, pod.object, self.name, pod.files())
        return Inline(self.name, self.folder / MESSAGE, work, executor.at_term(self.name))

    def _could_not_start(self, message: str) -> None:
        self.event("Warning", "Failed", f"Error: {message}")
        self.state.id = self._new_id()
        ended = {
            "exitCode": 128,
            "reason": "StartError",
            "message": message,
            "startedAt": EPOCH,
            "finishedAt": rfc3339(time.time()),
            "containerID": self.state.id,
        }
        self.state.state = {"terminated": ended}
        assert self.log
        self.log.close()

    def _new_id(self) -> str:
        return f"labkit://{os.urandom(32).hex()}"

    async def _has_begun(self) -> None:
        """After the start: read the program's output, record its pid, update the status, run the hook, start the probes."""
        process = self.process
        assert process
        self.out_of_memory = False
        self._pumps = []
        if isinstance(process, Process):
            for stream, fd in (("stdout", process.stdout), ("stderr", process.stderr)):
                if fd is None:
                    continue
                self._pumps.append(pipes.Pump(fd, functools.partial(self._output, stream)))
            with contextlib.suppress(psutil.Error, OSError):
                record = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
                (self.folder / "process.json").write_text(json.dumps(record))
            if self.spec.get("stdin"):
                await self._ends_at_once(process)
        self.state.id = self._new_id()
        self.state.state = {"running": {"startedAt": rfc3339(time.time())}}
        self.event("Normal", "Started", f"Started container {self.name}")
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook:
            await self._post_start(hook)
        needs = [probe for probe in probes.KINDS.values() if self.spec.get(probe)]
        if not self.spec.get("startupProbe"):
            self.state.started = True
        if not needs:
            self.state.ready = self.kind != "init"
            self.up.set()
        over = isinstance(process, Process) and not process.running
        self.pod.changed(urgent=not over)
        if over and self.policy == "Always":
            # Clients see it running before it restarts, as with a real kubelet, which restarts it at its next sync.
            await self.pod.writer.flush()
            await self.pause(BRIEF)
        if needs:
            self._probing = asyncio.create_task(probes.watch(self, self.unhealthy))

    async def _ends_at_once(self, process: Process) -> None:
        """Wait a moment for the end of a program that a client will attach to. A real kubelet looks at its containers once a
        second, so it reports a brief one only as ended; clients then read its log instead of attaching."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BRIEF):
                await process.wait()

    def _output(self, stream: str, data: bytes) -> None:
        assert self.log
        self.log.feed(stream, data)
        for tap in list(self.taps):
            tap(stream, data)

    async def _post_start(self, hook: Object) -> None:
        try:
            await probes.act(hook, self, 3600)
        except Failure as failure:
            self.event("Warning", "FailedPostStartHook", f"PostStartHook failed: {failure}")
            self.kill(self.pod.grace, "FailedPostStartHook")

    async def _finish(self) -> Exit:
        """Wait for the program's end and record it in the state."""
        assert self.process
        ended = await self.process.wait()
        if self._probing:
            self._probing.cancel()
        if self._pumps:
            await asyncio.wait([pump.done for pump in self._pumps], timeout=pipes.DRAIN)
        for pump in self._pumps:
            pump.close()  # a process that still holds the other end can't write into the next run's log
        if isinstance(self.process, Process):
            self.process.close_stdin()
        assert self.log
        self.log.close()
        (self.folder / "process.json").unlink(missing_ok=True)
        code = ended.code if ended.signal is None else 128 + ended.signal
        reason = "Completed" if code == 0 else "Error"
        if self.out_of_memory:
            code, reason = 137, "OOMKilled"
        terminated = {
            "exitCode": code,
            "reason": reason,
            "startedAt": self.state.state["running"]["startedAt"],
            "finishedAt": rfc3339(ended.finished),
            "containerID": self.state.id,
        }
        fallback = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if message := await termination.message(self.folder / MESSAGE, self.log_path, fallback and code != 0):
            terminated["message"] = message
        self.state.state = {"terminated": terminated}
        self.process = None
        return ended

    async def _over(self, ended: Exit) -> bool:
        """Decide after an end: True if the container has ended for good; False, after the back-off, if it restarts."""
        self.state.started = False
        code = self.state.state["terminated"]["exitCode"]
        self.state.ready = self.kind == "init" and code == 0
        redefined = self.redefined.is_set() and self.kind != "init"
        again = redefined or self.policy == "Always" or (self.policy == "OnFailure" and code != 0)
        if not again or self.pod.stopping.is_set() or (self.kind == "sidecar" and self.pod.mains_ended):
            self.pod.changed(urgent=True)
            return True
        wait = 0.0 if redefined else self.back_off.failed(ended.finished - ended.started)
        if wait > 0:
            self.state.last = self.state.state
            pod = self.pod.object["metadata"]
            where = f"{self.name} pod={pod['name']}_{pod['namespace']}({pod['uid']})"
            self.waiting("CrashLoopBackOff", f"back-off {duration(wait)} restarting failed container={where}")
            where = f"{self.name} in pod {pod['name']}_{pod['namespace']}({pod['uid']})"
            self.event("Warning", "BackOff", f"Back-off restarting failed container {where}")
            if await self.pause(wait):
                self.state.state, self.state.last = self.state.last, {}
                return True
        else:
            self.state.last = self.state.state
            if redefined:  # restarts even with restartPolicy Never
                self.state.state = {"waiting": {"reason": "ContainerCreating"}}
        self.folder.joinpath(f"{self.state.restarts - 1}.log").unlink(
            missing_ok=True
        )  # the logs of this run and of the previous one stay
        self._again = True
        await asyncio.to_thread(shutil.rmtree, self.root, ignore_errors=True)
        self.prepare()
        return False

    # -- what probes and limits find -------------------------------------------------------------------------------------

    def unhealthy(self, kind: str, probe: Object) -> None:
        grace = probe.get("terminationGracePeriodSeconds")
        again = self.kind == "sidecar" or self.pod.spec.get("restartPolicy", "Always") != "Never"
        message = f"Container {self.name} failed {kind} probe, will be restarted" if again else ""
        self.kill(self.pod.grace if grace is None else grace, message)

    def exceeds_memory(self) -> None:
        """Kill the program, which uses more memory than its limit, as the kernel would."""
        if self.process and not self.out_of_memory:
            self.out_of_memory = True
            self.process.kill(signal.SIGKILL)

    # -- ending it -----------------------------------------------------------------------------------------------------

    def kill(self, grace: float, message: str = "") -> None:
        """End the program: hook, TERM, and KILL after `grace` seconds. Returns at once; a later call replaces the grace."""
        if not self.process:
            return
        self.event("Normal", "Killing", message or f"Stopping container {self.name}")
        if self._killing and not self._killing.done():
            self._killing.cancel()
        self._killing = asyncio.create_task(self._kill(self.process, grace))

    async def _kill(self, process: Process | Inline, grace: float) -> None:
        end = time.monotonic() + grace
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0 and not self.pod.hurried:
            try:
                async with asyncio.timeout(grace):
                    await probes.act(hook, self, grace)
            except TimeoutError:
                pass
            except Failure as failure:
                self.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}")
            end = max(end, time.monotonic() + LEAST_GRACE)
        if grace > 0:
            process.kill(signal.SIGTERM)
            try:
                async with asyncio.timeout(max(end - time.monotonic(), 0)):
                    await process.wait()
                return
            except TimeoutError:
                pass
        process.kill(signal.SIGKILL)
