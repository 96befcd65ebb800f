"""`labkit bundle create DIR`: gather what a machine without a network needs.

Every file is written beside its place and moved there when it is whole. Files that are whole already are kept, so that an
interrupted creation continues, and only a damaged file is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kubeproc import timestamps
from labkit import __version__, paths
from labkit.errors import LabError
from realkube import programs
from realkube.stages import stage
from realkube.supply import bundle_fit, docker_images, lab_image, operator_manifests, versions, wheels
from realkube.supply.bundle import Bundle, checksum, lacks
from realkube.supply.versions import Image

CHUNK = 1 << 20


def create(
    folder: str | Path,
    kubernetes: str | None = None,
    stand_ins: dict[str, str] | None = None,
    upstream: dict[str, Path] | None = None,
    with_wheels: bool = True,
    machine: str | None = None,
) -> Bundle:
    """Make the bundle, or what is missing of it.

    `stand_ins` (role to an image that Docker has) and `upstream` (operator to a copy of its repository) take the place of
    registries and GitHub where those can't be reached; bundle.json says so. `machine` is the wheels' architecture.
    """
    node = versions.node(kubernetes)
    _known("image", stand_ins or {}, ["node", *versions.images(), "base"])
    _known("operator", upstream or {}, operator_manifests.OPERATORS)
    if with_wheels:
        wheels.checkout()
    programs.docker_info()
    kind, kind_version = _kind()
    maker = _Maker(Path(folder).expanduser().absolute())
    if "node" in (stand_ins or {}):
        node = Image("node", (stand_ins or {})["node"])
    for image in (*docker_images.wanted(), versions.base()):
        _have(image, (stand_ins or {}).get(image.role))
    _have(node, None)
    docker_images.lab(None)
    maker.content |= {
        "labkit": __version__,
        "created": timestamps.now(),
        "system": platform.system(),
        "architecture": lab_image.architecture(),
        "kubernetes": versions.minor(kubernetes),
        "kind": kind_version,
        "packages": lab_image.packages_name(),
        "stand_ins": stand_ins or {},
    }
    for image in (node, *docker_images.wanted(), versions.base()):
        maker.image(image.role, [image.name])
    maker.image("lab", [versions.LAB, lab_image.packages_name()])
    for name in operator_manifests.OPERATORS:
        maker.text(f"manifests/{name}.yaml", operator_manifests.render(name, (upstream or {}).get(name)))
    maker.copy("bin/kind", kind)
    for path in lab_image.datasets():
        maker.copy(f"datasets/fashion-mnist/{path.name}", path)
    if with_wheels:
        maker.wheels(machine or lab_image.architecture())
    return maker.finish()


def _known(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    if unknown := set(given) - set(known):
        raise LabError(f"there is no {what} {', '.join(sorted(unknown))}", f"choose one of {', '.join(known)}")


def _kind() -> tuple[Path, str]:
    """The kind program on the PATH and what it says it is; LabError for one that is older than the node images."""
    wanted = versions.table()["kind"]
    program = programs.kind(wanted)
    found = f"v{programs.run([program, 'version', '-q'], timeout=30).strip()}"
    if bundle_fit.numbers(found) < bundle_fit.numbers(wanted):
        raise LabError(f"{program} is {found}, older than {wanted}", f"go install sigs.k8s.io/kind@{wanted}")
    return Path(program), found


def _have(image: Image, stand_in: str | None) -> None:
    if not stand_in:
        docker_images.ensure(image, None)
        return
    if not docker_images.image_id(stand_in):
        raise LabError(
            f"Docker has no image {stand_in}",
            f"it is to replace {image.name}; `docker images` lists all",
        )
    programs.run([programs.docker(), "tag", stand_in, image.name])


class _Maker:
    """The folder, and what is known of its files: kept in bundle.json after each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "SHA256SUMS").unlink(missing_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise LabError(f"{folder} can't be written: {error.strerror}", "name another folder") from error
        self.content: dict[str, Any] = {"files": {}, "images": {}}
        known = _read(folder / "bundle.json")
        if not lacks(known, texts=()):
            self.content |= known

    def file(self, name: str, write: Callable[[Path], Any], source: str = "") -> None:
        """Keep the file `name` if it is whole and from the same `source`, else let `write(path)` write it."""
        path, known = self.folder / name, self.content["files"].get(name)
        if source and known and known.get("source") == source and path.is_file() and checksum(path) == known["sha256"]:
            return
        part = path.with_name(f"{path.name}.part")
        with _writing(part):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(part)
            part.replace(path)
        entry = {"sha256": checksum(path), "size": path.stat().st_size}
        self.content["files"][name] = entry | ({"source": source} if source else {})
        self._save()

    def copy(self, name: str, source: Path) -> None:
        self.file(name, lambda path: shutil.copy(source, path), source=checksum(source))

    def text(self, name: str, text: str) -> None:
        self.file(name, lambda path: path.write_text(text))

    def image(self, role: str, names: list[str]) -> None:
        """An archive of one image under its names."""
        source = hashlib.sha256(" ".join(docker_images.image_id(name) for name in names).encode()).hexdigest()
        with stage(f"images/{role}.tar.gz"):
            self.file(f"images/{role}.tar.gz", lambda path: _archive(names, path), source=source)
        self.content["images"][role] = {
            "image": names[0],
            "id": docker_images.image_id(names[0]),
            "digest": _digest(names[0]),
        }
        self._save()

    def wheels(self, machine: str) -> None:
        """labkit and all that it requires, for `pip install --no-index --find-links DIR/wheels labkit`."""
        into = self.folder / "wheels"
        with stage(f"wheels for {machine}"):
            lock = (paths.kit() / "requirements.txt").read_text()
            held = wheels.holding(lock, wheels.environment(machine, platform.python_version()))
            wheels.download(held, into, machine, platform.python_version(), only_wheels=False)
            wheels.of_kit(wheels.checkout(), into)
        files = {name: entry for name, entry in self.content["files"].items() if not name.startswith("wheels/")}
        for path in sorted(into.iterdir()):
            files[f"wheels/{path.name}"] = {"sha256": checksum(path), "size": path.stat().st_size}
        self.content["files"] = files
        self.content["wheels"] = machine

    def finish(self) -> Bundle:
        self._save()
        sums = {name: entry["sha256"] for name, entry in self.content["files"].items()}
        sums["bundle.json"] = checksum(self.folder / "bundle.json")
        self._write("SHA256SUMS", "".join(f"{sum}  {name}\n" for name, sum in sorted(sums.items())))
        return Bundle(self.folder, self.content)

    def _save(self) -> None:
        self._write("bundle.json", json.dumps(self.content, indent=1))

    def _write(self, name: str, text: str) -> None:
        new = self.folder / f"{name}.part"
        with _writing(new):
            new.write_text(text)
            new.replace(self.folder / name)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """LabError where it can't be written: a full stick, one that was pulled out."""
    try:
        yield
    except OSError as error:
        raise LabError(
            f"{path} can't be written: {error.strerror}",
            "free some space and run the command again: it continues from here",
        ) from error


def _read(path: Path) -> Any:
    """The content of a bundle.json; None if it is missing or damaged: then everything is made again."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _archive(names: list[str], path: Path) -> None:
    """docker save, compressed."""
    squeeze = zlib.compressobj(6, wbits=31)
    with (
        subprocess.Popen([programs.docker(), "save", *names], stdout=subprocess.PIPE) as saving,
        path.open("wb") as out,
    ):
        assert saving.stdout
        while chunk := saving.stdout.read(CHUNK):
            out.write(squeeze.compress(chunk))
        out.write(squeeze.flush())
    if saving.returncode:
        raise LabError(f"docker save {' '.join(names)} failed", "`docker images` lists the images that Docker has")


def _digest(name: str) -> str:
    """The digest by which a registry knows the image; '' for one that was built here."""
    form = "{{range .RepoDigests}}{{.}} {{end}}"
    found = programs.run([programs.docker(), "image", "inspect", "--format", form, name]).split()
    return found[0].partition("@")[2] if found else ""
