"""The lab image: built when it is missing or stale, in two parts, each named by a hash of its content.

This environment's pip downloads the wheels, with its proxies and indexes; they are installed in the image without a network.
The upper part holds the data and labkit itself and is built in seconds.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import kubeproc
import labkit
from realkube import programs
from realkube.stages import stage
from realkube.supply import versions, wheels

PACKAGE = Path(labkit.__file__).resolve().parent
SHARED = Path(kubeproc.__file__).parent  # of which the course's programs import no server and no kubelet
IMPORTED = (
    "__init__",
    "embedder",
    "environment",
    "errors",
    "folder",
    "info",
    "quantity",
    "warm/__init__",
    "warm/reread",
)
HASH = "labkit.dev/source"  # the label that says what an image was made from


def packages_name() -> str:
    """The lower part's name; its tag is the hash of its recipe, lock and base."""
    digest = hashlib.sha256(versions.base().pull.encode())
    for name in ("packages.Dockerfile", "packages.txt", "slim.py"):
        digest.update((versions.FOLDER / name).read_bytes())
    return f"labkit/packages:{digest.hexdigest()[:12]}"


def source_hash() -> str:
    """Of all that the lab image holds: packages, data, labkit."""
    digest = hashlib.sha256(packages_name().encode())
    digest.update((versions.FOLDER / "Dockerfile").read_bytes())
    for path in sources():
        digest.update(inside(path).encode() + b"\0" + path.read_bytes())
    for path in datasets():
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()[:16]


def inside(path: Path) -> str:
    """Where a source file lies below the image's folder of packages: labkit/..., kubeproc/..."""
    package = PACKAGE if path.is_relative_to(PACKAGE) else SHARED
    return str(path.relative_to(package.parent))


def sources() -> Iterator[Path]:
    """labkit's files, and those of kubeproc that it shares, in an order that is always the same."""
    yield from (SHARED / f"{name}.py" for name in IMPORTED)
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix in (".py", ".json", ".j2"):
            yield path


def datasets() -> list[Path]:
    """Fashion-MNIST's files, where this machine has them; pods make do with scikit-learn's digits otherwise."""
    from labkit.course.data import sources as data

    folder = data.found_folder()
    return sorted(folder.glob("*.gz")) if folder else []


def stale() -> bool:
    """Whether Docker lacks the lab image or has one made of something else."""
    return image_label(versions.LAB) != source_hash()


def image_label(name: str) -> str:
    """The image's label `labkit.dev/source`; '' where there is no such image or label."""
    return programs.inspected(name, f'{{{{index .Config.Labels "{HASH}"}}}}')


def build(base: str) -> None:
    """Make `labkit/lab:1` on the image `base` (a name that Docker has)."""
    packages = packages_name()
    if not programs.inspected(packages, "{{.Id}}"):
        with stage("lab image: packages"), tempfile.TemporaryDirectory(prefix="labkit-image-") as folder:
            context = Path(folder)
            shutil.copy(versions.FOLDER / "slim.py", context)
            lock = (versions.FOLDER / "packages.txt").read_text()
            machine, python = architecture(), python_of(base)
            held = wheels.holding(lock, wheels.environment(machine, python))
            (context / "packages.txt").write_text(held)
            wheels.download(held, context / "wheels", machine, python)
            _build(context, "packages.Dockerfile", packages, BASE=base)
    with stage("lab image: data and labkit"), tempfile.TemporaryDirectory(prefix="labkit-image-") as folder:
        context = Path(folder)
        for path in sources():
            target = context / "packages" / inside(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        data = context / "datasets" / "fashion-mnist"
        data.mkdir(parents=True)
        for path in datasets():
            shutil.copyfile(path, data / path.name)
        _build(context, "Dockerfile", versions.LAB, PACKAGES=packages)


def _build(context: Path, recipe: str, name: str, **arguments: str) -> None:
    command = [programs.docker(), "build", "--quiet", "--network", "none", "--tag", name]
    command += ["--label", f"{HASH}={source_hash()}", "--file", str(versions.FOLDER / recipe)]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    programs.run([*command, str(context)], timeout=1800)


def python_of(base: str) -> str:
    """The version of the base image's Python; LabError where it has none."""
    ask = [programs.docker(), "run", "--rm", "--network", "none", "--entrypoint", "python3", base, "--version"]
    return programs.run(ask, timeout=60).split()[-1]


def architecture() -> str:
    """`x86_64` or `aarch64`: Docker's, which is this machine's."""
    said = programs.run([programs.docker(), "info", "--format", "{{.Architecture}}"], timeout=30).strip()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(said, said or platform.machine())
