"""The work of the wait container after main has ended: collect, store and report outputs.

Mechanism. Parameters are read from files, the result is main's stdout from its log, artifacts go to the repository.
Everything becomes one WorkflowTaskResult with the node's name, which the controller reads. Argo's executor also reports
empty outputs; this one only checks the account's permission, so that an account without it fails as in Argo.
"""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import Any

from kubeproc.api_errors import ApiError
from kubeproc.argo.executor import api_calls, archives, artifacts, repository
from kubeproc.argo.executor.locations import folder, posix, scratch, secret_reader
from kubeproc.argo.executor.task import MAIN, PREFIX, Task, TaskError
from kubeproc.resources import CONFIGMAPS, WORKFLOWS, WORKFLOWTASKRESULTS

Object = dict[str, Any]

LONGEST_RESULT = 256 * 1024  # bytes of outputs.result: the last ones are kept
LONGEST_PARAMETER = 1 << 20
SHARED = "/mainctrfs"  # where Argo's executor sees main's volumes
COPIED = "/var/run/argo/outputs"  # where it keeps copies of files outside volumes


def wanted(task: Task) -> bool:
    """Whether there is anything to report once main has ended."""
    outputs = task.template.get("outputs") or {}
    return bool(task.result or outputs.get("parameters") or outputs.get("artifacts") or archives_logs(task))


def archives_logs(task: Task) -> bool:
    return bool((task.template.get("archiveLocation") or {}).get("archiveLogs"))


def _in_volume(task: Task, path: str) -> bool:
    main = task.template.get("container") or task.template.get("script") or {}
    mounts = [m["mountPath"] for m in main.get("volumeMounts") or []]
    mounts += [a["path"] for a in (task.template.get("inputs") or {}).get("artifacts") or [] if a.get("path")]
    return any(PurePosixPath(path).is_relative_to(mount) for mount in mounts)


async def collect(task: Task) -> list[str]:
    """Collect, store and report the outputs of the template; returns Argo's message for outputs that failed."""
    outputs, errors = dict(task.template.get("outputs") or {}), []
    if task.result:
        outputs["result"] = await asyncio.to_thread(stdout, task.files.log(MAIN))
    outputs["parameters"], failed = await asyncio.to_thread(_parameters, task, outputs.get("parameters") or [])
    errors += failed
    try:
        stored, failed = await _artifacts(task, outputs.get("artifacts") or [])
    except TaskError as error:
        stored, failed = [], [error.message]
    errors += failed
    outputs["artifacts"] = stored
    await report(task, {k: v for k, v in outputs.items() if v or k == "result"})
    return errors


async def keep_log(task: Task) -> None:
    """Store and report only main's log, if the repository archives logs."""
    if archives_logs(task):
        await report(task, {"artifacts": [await _save_log(task, await archive_location(task))]})


def stdout(log: Path) -> str:
    """What main printed to standard output, one trailing newline trimmed, the last 256 kB of it."""
    if not log.exists():
        return ""
    text = bytearray()
    with log.open("rb") as file:
        for line in file:
            parts = line.split(b" ", 3)
            if len(parts) == 4 and parts[1] == b"stdout":
                text += parts[3] if parts[2] == b"F" else parts[3][:-1]
                if len(text) > 4 * LONGEST_RESULT:
                    del text[: -2 * LONGEST_RESULT]
    return bytes(text).removesuffix(b"\n")[-LONGEST_RESULT:].decode(errors="replace")


def _parameters(task: Task, asked: list[Object]) -> tuple[list[Object], list[str]]:
    found: list[Object] = []
    for parameter in asked:
        source = parameter.get("valueFrom") or {}
        if not source.get("path"):
            found.append(parameter)
            continue
        try:
            value = _value(task, source["path"])
        except (OSError, TaskError) as error:
            if "default" not in source:
                return found, [
                    str(error) if isinstance(error, TaskError) else _open_failed(task, source["path"], error)
                ]
            value = str(source["default"])
        found.append(parameter | {"value": value.removesuffix("\n")})
        task.log(f"Successfully saved output parameter: {parameter['name']}")
    return found, []


def _value(task: Task, path: str) -> str:
    with task.files.path(MAIN, path).open("rb") as file:
        data = file.read(LONGEST_PARAMETER + 1)
    if len(data) > LONGEST_PARAMETER:
        raise TaskError(f"output parameter at {path} is larger than 1 MiB")
    return data.decode(errors="replace")


def _open_failed(task: Task, path: str, error: OSError) -> str:
    where = SHARED + path if _in_volume(task, path) else f"{COPIED}/parameters{path}"
    return f"open {where}: {_reason(error)}"


def _reason(error: OSError) -> str:
    """The errno's text as Go writes it."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


async def archive_location(task: Task) -> Object | None:
    """The repository: the one in the template, from the controller, else that of the namespace's ConfigMap."""
    if task.template.get("archiveLocation"):
        return task.template["archiveLocation"]
    try:
        configmap = await api_calls.find(task.files.api, CONFIGMAPS.path(task.namespace, repository.CONFIGMAP))
    except ApiError as error:
        if error.code != 403:
            raise
        return None
    return repository.location(repository.choose(configmap, None, task.namespace))


def _key(task: Task, location: Object | None, file: str) -> str:
    pattern = artifacts.key_of(location or {}) or repository.PATTERN
    known = {"workflow.name": task.workflow, "workflow.namespace": task.namespace, "pod.name": task.pod}
    for name, value in known.items():
        pattern = pattern.replace("{{" + name + "}}", value).replace("{{ " + name + " }}", value)
    return f"{pattern.strip('/')}/{file}"


async def _artifacts(task: Task, asked: list[Object]) -> tuple[list[Object], list[str]]:
    stored: list[Object] = []
    failed = ""
    logs = archives_logs(task)
    location = await archive_location(task) if asked or logs else None
    for artifact in asked:
        try:
            if saved := await _save(task, artifact, location):
                stored.append(saved)
        except (TaskError, OSError, ApiError) as error:
            failed += f"{error}; "
    if logs:
        stored.append(await _save_log(task, location))
    return stored, [failed] if failed else []


async def _save(task: Task, artifact: Object, location: Object | None) -> Object | None:
    """Store one artifact; returns the artifact with its key, or None if it is optional and missing."""
    name, path = artifact["name"], posix(artifact)
    source = task.files.path(MAIN, path)
    if not source.exists():
        if artifact.get("optional"):
            task.log(f"Ignoring optional artifact '{name}' which does not exist in path '{path}'", "warning")
            return None
        shown = f"stat {SHARED}{path}" if _in_volume(task, path) else f"open {COPIED}/artifacts{path}.tgz"
        raise TaskError(f"{shown}: no such file or directory", missing=True)
    suffix = archives.suffix(artifact.get("archive"))
    file = name + suffix if suffix else PurePosixPath(path).name
    keyed = artifact if artifacts.key_of(artifact) else artifact | {"s3": {"key": _key(task, location, file)}}
    located = artifacts.relocated(keyed, location)
    place = await artifacts.place(located, folder(task), scratch(task), secret_reader(task))
    key = artifacts.key_of(located)
    if not suffix:
        await place.save(source, key)
    else:
        staged = place.stage(key)
        try:
            await asyncio.to_thread(archives.pack, source, staged, artifact.get("archive"), PurePosixPath(path).name)
            await place.save(staged, key)
        finally:
            archives.remove(staged)
    task.log(f"Successfully saved file: {key}")
    return keyed


async def _save_log(task: Task, location: Object | None) -> Object:
    """Store main's log as the artifact `main-logs`."""
    artifact: Object = {"name": "main-logs", "s3": {"key": _key(task, location, "main.log")}}
    located = artifacts.relocated(artifact, location)
    place = await artifacts.place(located, folder(task), scratch(task), secret_reader(task))
    staged = place.stage(artifacts.key_of(located))
    try:
        await asyncio.to_thread(_plain_log, task.files.log(MAIN), staged)
        await place.save(staged, artifacts.key_of(located))
    finally:
        archives.remove(staged)
    return artifact


def _plain_log(log: Path, target: Path) -> None:
    with target.open("wb") as out:
        for line in log.open("rb") if log.exists() else ():
            parts = line.split(b" ", 3)
            if len(parts) == 4:
                out.write(parts[3] if parts[2] == b"F" else parts[3][:-1])


async def report(task: Task, outputs: Object) -> None:
    """Report the outputs to the controller: safe to repeat."""
    await api_calls.upsert(task.files.api, WORKFLOWTASKRESULTS.path(task.namespace), _result(task, outputs))


async def report_nothing(task: Task) -> None:
    """ApiError if the account is not allowed to report. A dry run gets the server's message, and waits for the
    server."""
    if await task.files.may_report():
        return
    path = WORKFLOWTASKRESULTS.path(task.namespace)
    try:
        await api_calls.call(task.files.api, "POST", path, json=_result(task, {}), params={"dryRun": "All"})
    except ApiError as error:
        if error.code != 409:
            raise


def _result(task: Task, outputs: Object) -> Object:
    return {
        "apiVersion": WORKFLOWTASKRESULTS.api_version,
        "kind": WORKFLOWTASKRESULTS.kind,
        "metadata": {
            "name": task.node,
            "namespace": task.namespace,
            "labels": {PREFIX + "workflow": task.workflow, PREFIX + "report-outputs-completed": "true"},
            "ownerReferences": [
                {
                    "apiVersion": WORKFLOWS.api_version,
                    "kind": WORKFLOWS.kind,
                    "name": task.workflow,
                    "uid": task.workflow_uid,
                }
            ],
        },
        "outputs": outputs,
    }
