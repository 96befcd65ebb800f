"""One container of a pod: started, watched, restarted with back-off, and ended, as kubelet's runtime manager does.

Mechanism. `run` is a loop: image, configuration, start, wait for the end, decide. Whatever waits in it (back-off, a
missing image, a missing ConfigMap) waits for the pod's end as well, so that a pod that is deleted never waits for its
delays. The state that the API shows is `self.state`; each change of it tells the pod, which writes the status. A new
image (`redefine`) ends the program and every wait: the next turn of the loop has it.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from labkit.embedded.argo import task
from labkit.embedded.kubelet import builtin, env, hosts, pipes, probes, program, termination, volumes
from labkit.embedded.kubelet.backoff import BackOff, duration
from labkit.embedded.kubelet.failure import Failure
from labkit.embedded.kubelet.logs import Log
from labkit.embedded.kubelet.status import ContainerState, rfc3339
from labkit.embedded.runtime.launch import Exit, Launch, Mount, Process, SpawnError

if TYPE_CHECKING:
    from labkit.embedded.kubelet.pod import Pod

Object = dict[str, Any]
DRAIN = 1.0  # seconds that a pipe may stay open after its program has ended
MESSAGE = "termination-log"  # the file of the termination message
LEAST_GRACE = 2.0  # seconds between TERM and KILL when a preStop hook has used up the grace period
BRIEF = 0.3  # seconds that a program with an open standard input has to end before it is told to run
EPOCH = "1970-01-01T00:00:00Z"


class Container:
    def __init__(self, pod: Pod, spec: Object, kind: str) -> None:
        self.pod, self.spec, self.kind = pod, spec, kind
        self.name: str = spec["name"]
        self.folder = pod.folder / "containers" / self.name
        self.root = self.folder / "root"
        waiting = {"reason": "PodInitializing" if pod.has_init else "ContainerCreating"}
        self.state = ContainerState(self.name, spec["image"], kind, state={"waiting": waiting})
        self.process: Process | builtin.Inline | None = None
        self.log: Log | None = None
        self.taps: set[Any] = set()  # who is attached: called with (stream, data)
        self.up = asyncio.Event()  # has started at least once (a sidecar's turn to wait for)
        self.ended = asyncio.Event()  # has ended and will not be started again
        self.back_off = BackOff()
        self.out_of_memory = False
        self.redefined = asyncio.Event()  # what runs, or is waited for, is of an older definition
        self._again = False  # the next start is a restart
        self._pumps: list[pipes.Pump] = []
        self._probing: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None

    # -- what others ask -----------------------------------------------------------------------------------------------

    @property
    def policy(self) -> str:
        if self.kind == "sidecar":
            return "Always"
        policy = self.pod.spec.get("restartPolicy", "Always")
        return "OnFailure" if self.kind == "init" and policy == "Always" else policy

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.state.restarts}.log"

    def event(self, type: str, reason: str, message: str) -> None:
        kind = "containers" if self.kind == "main" else "initContainers"
        self.pod.event(type, reason, message, self.name, kind)

    def mounts(self, variables: dict[str, str]) -> tuple[Mount, ...]:
        path = self.spec.get("terminationMessagePath") or "/dev/termination-log"
        found = volumes.mounts(self.spec, self.pod.volumes, variables)
        return (*found, *hosts.mounts(self.pod.folder, found), Mount(self.folder / MESSAGE, path))

    def launch(self, variables: dict[str, str], argv: list[str], cwd: str = "/", warm: bool = False) -> Launch:
        return Launch(
            argv=argv,
            env=variables,
            cwd=cwd,
            root=self.root,
            mounts=self.mounts(variables),
            warm=warm,
            # A workflow's programs have Argo's emissary above them, so that a TERM ends those that don't care for it.
            init=bool(self.pod.spec.get("shareProcessNamespace")) or "ARGO_CONTAINER_NAME" in variables,
            stdin=bool(self.spec.get("stdin")),
            tty=bool(self.spec.get("tty")),
            paths=program.with_parents(task.paths(self.pod.object)),
            hostname=env.hostname(self.pod.object),
        )

    def redefine(self, spec: Object) -> None:
        """The API's newest definition of the container: a pod that is there may get another image."""
        before, self.spec = self.spec, spec
        if spec["image"] == before["image"]:
            return
        self.back_off = BackOff()
        self.redefined.set()
        if self.kind != "init":
            self._replace()

    def _replace(self) -> None:
        self.kill(self.pod.grace, f"Container {self.name} definition changed, will be restarted")

    async def pause(self, seconds: float) -> bool:
        """Wait, but not longer than the pod shall live or the definition holds: True where the pod is being stopped."""
        return await self.pod.pause(seconds, self.redefined)

    def prepare(self) -> None:
        """Make the container's folders, before anything of the pod starts."""
        self.root.mkdir(parents=True, exist_ok=True)
        message = self.folder / MESSAGE
        message.touch()
        message.chmod(0o666)

    # -- its life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until it has ended for good, or the pod is being stopped."""
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
        """Start the program, and set `process`; its end where it could not start. None and no process: after an attempt
        that failed earlier, and the wait that follows one."""
        try:
            image = await program.image(self)
            if image is None:
                return None
            program.forbid_root(image, self.pod.object, self.spec)
            self.event("Normal", "Pulled", f'Container image "{self.spec["image"]}" already present on machine')
            variables = env.build(self.pod.object, self.spec, image.env, self.pod.sources)
            argv = program.argv(image, self.spec, variables)
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
            if image.kind in builtin.BUILTIN:
                self.process = builtin.BUILTIN[image.kind](self)
            else:
                self.process = await self.pod.kubelet.runtime.launch(launch)
        except SpawnError as error:
            self._could_not_start(str(error))
            return Exit(128, None, time.time(), time.time())
        if self.redefined.is_set() and self.kind != "init":  # it was redefined before there was a process
            self._replace()
        await self._has_begun()
        if self.pod.stopping.is_set() and self.kind != "sidecar":  # it was told to before there was a process
            self.kill(self.pod.grace)
        return None

    async def cannot(self, reason: str, message: str, words: str, event: str = "Failed") -> None:
        self.waiting(reason, message)
        self.event("Warning", event, words)
        await self.pause(self.pod.retry)

    def waiting(self, reason: str, message: str = "") -> None:
        self.state.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.state.ready = self.state.started = False
        self.pod.changed()

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
        """The program runs: read its output, write down its pid, tell the API, run the hook, start the probes."""
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
            # It is to be seen running before it starts again, which a real kubelet does at its next look.
            await self.pod.tell()
            await self.pause(BRIEF)
        if needs:
            self._probing = asyncio.create_task(probes.watch(self))

    async def _ends_at_once(self, process: Process) -> None:
        """Give a program that somebody will attach to a moment to end. A real kubelet looks at its containers once a second
        and so tells of a brief one only that it has ended; clients then read its log instead of attaching in vain."""
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
        """Wait for the program's end and note it."""
        assert self.process
        ended = await self.process.wait()
        if self._probing:
            self._probing.cancel()
        if self._pumps:
            await asyncio.wait([pump.done for pump in self._pumps], timeout=DRAIN)
        for pump in self._pumps:
            pump.close()  # whoever still holds the other end writes into nothing, not into the next run's log
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
        """After an end: True where that was it, False where it shall start again, after its back-off."""
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
            if redefined:  # not even a pod that never restarts is over
                self.state.state = {"waiting": {"reason": "ContainerCreating"}}
        self.folder.joinpath(f"{self.state.restarts - 1}.log").unlink(
            missing_ok=True
        )  # this run's and the last one's stay
        self._again = True
        await asyncio.to_thread(shutil.rmtree, self.root, ignore_errors=True)
        self.prepare()
        return False

    # -- what probes and limits tell it --------------------------------------------------------------------------------

    def has_started(self) -> None:
        self.state.started = True
        self.up.set()
        self.pod.changed()

    def is_ready(self, ready: bool) -> None:
        if self.state.ready != ready and self.state.running and self.kind != "init":
            self.state.ready = ready
            self.pod.changed(urgent=True)

    def unhealthy(self, kind: str, probe: Object) -> None:
        grace = probe.get("terminationGracePeriodSeconds")
        again = self.kind == "sidecar" or self.pod.spec.get("restartPolicy", "Always") != "Never"
        message = f"Container {self.name} failed {kind} probe, will be restarted" if again else ""
        self.kill(self.pod.grace if grace is None else grace, message)

    def exceeds_memory(self) -> None:
        """It uses more than its limit: the kernel's answer."""
        if self.process and not self.out_of_memory:
            self.out_of_memory = True
            self.process.kill(signal.SIGKILL)

    # -- ending it -----------------------------------------------------------------------------------------------------

    def kill(self, grace: float, message: str = "") -> None:
        """End the program: hook, TERM, and KILL after `grace` seconds. Returns at once; a shorter grace overrides."""
        if not self.process:
            return
        self.event("Normal", "Killing", message or f"Stopping container {self.name}")
        if self._killing and not self._killing.done():
            self._killing.cancel()
        self._killing = asyncio.create_task(self._kill(self.process, grace))

    async def _kill(self, process: Process | builtin.Inline, grace: float) -> None:
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

    # -- programs beside its own ---------------------------------------------------------------------------------------

    async def execute(self, command: list[str], timeout: float, limit: int) -> tuple[int, bytes]:
        """Run `command` in the container; its exit code and at most `limit` bytes of what it printed. TimeoutError."""
        if not isinstance(self.process, Process):
            raise RuntimeError(f'container not found ("{self.name}")')
        process = await self.pod.kubelet.runtime.exec(self.process, command, stdin=False)
        output = bytearray()
        pumps = [pipes.Pump(fd, lambda data: output.extend(data[: limit - len(output)])) for fd in _outputs(process)]
        try:
            async with asyncio.timeout(timeout):
                ended = await process.wait()
                await asyncio.wait([pump.done for pump in pumps], timeout=DRAIN)
        except TimeoutError:
            process.kill(signal.SIGKILL)
            raise
        finally:
            for pump in pumps:
                pump.close()
        return (ended.code if ended.signal is None else 128 + ended.signal), bytes(output)


def _outputs(process: Process) -> set[int]:
    return {fd for fd in (process.stdout, process.stderr) if fd is not None}
