"""A bundle: a folder with all that `labkit up --engine kind` needs, for machines without a network.

    bundle.json         what is in it: versions, images with their digests, architecture, and each file's checksum
    SHA256SUMS          the same checksums, and that of bundle.json, for `sha256sum -c`; written last: a bundle without it
                        is not finished
    images/ROLE.tar.gz  what `docker load` takes         manifests/OPERATOR.yaml   rendered
    bin/kind            datasets/fashion-mnist/*.gz      wheels/*                  labkit and what it requires

Every file is checked before it is used, bundle.json before anything in it is believed. (A bundle made when SHA256SUMS did
not have bundle.json yet is taken where both have the same checksums of the other files; `doctor` tells.)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import paths
from labkit.errors import LabError
from realkube import programs
from realkube.stages import stage
from realkube.supply.versions import Image

VARIABLE = "LABKIT_BUNDLE"
TEXTS = ("labkit", "created", "architecture", "kubernetes", "kind")  # what bundle.json says beside files and images


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lacks(content: Any, texts: tuple[str, ...] = TEXTS) -> str:
    """What is wrong with a bundle.json; '' where everything is there and of its type."""
    if not isinstance(content, dict):
        return "it holds no object"
    for key in ("files", "images"):
        if not isinstance(content.get(key), dict) or not all(isinstance(e, dict) for e in content[key].values()):
            return f"it has no {key}"
    for name, entry in content["files"].items():
        if not isinstance(entry.get("sha256"), str) or not isinstance(entry.get("size"), int):
            return f"it has no checksum of {name}"
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{name} is not in the bundle's folder"
    for role, entry in content["images"].items():
        if not isinstance(entry.get("image"), str):
            return f"it has no name of the image {role}"
    missing = [key for key in texts if not isinstance(content.get(key), str)]
    return f"it does not say {missing[0]!r}" if missing else ""


def _sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS as `{file: checksum}`; a line that is none makes an entry which no file can have."""
    lines = (folder / "SHA256SUMS").read_text(errors="replace").splitlines()
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


@dataclass(frozen=True)
class Bundle:
    """A finished bundle; `content` is bundle.json."""

    folder: Path
    content: dict[str, Any]

    @classmethod
    def of(cls, given: str | Path | None) -> Bundle | None:
        """The bundle in the folder given, else in $LABKIT_BUNDLE, else None; LabError where it is none, unfinished, or its
        bundle.json is not as it was made."""
        where = given or os.environ.get(VARIABLE)
        if not where:
            return None
        folder = Path(where).expanduser().absolute()
        try:
            text = (folder / "bundle.json").read_bytes()
        except OSError as error:
            raise LabError(f"{folder} is no bundle: {error}", "labkit bundle create DIR makes one") from error
        if not (folder / "SHA256SUMS").is_file():
            raise LabError(f"the bundle {folder} is not finished", f"labkit bundle create {folder} finishes it")
        try:
            content = json.loads(text)
            wrong = lacks(content)
        except ValueError as error:
            wrong = f"it is no JSON ({error})"
        if not wrong:
            sums = _sums(folder)
            said = sums.pop("bundle.json", None)  # None: an old bundle
            if said not in (None, hashlib.sha256(text).hexdigest()):
                wrong = "its checksum is not the one in SHA256SUMS"
            elif sums != {name: entry["sha256"] for name, entry in content["files"].items()}:
                wrong = "it and SHA256SUMS do not list the same files"
        if wrong:
            raise LabError(
                f"{folder / 'bundle.json'} is damaged: {wrong}",
                f"copy it and SHA256SUMS again, or make it again with a network: labkit bundle create {folder}",
            )
        return cls(folder, content)

    @classmethod
    def remembered(cls, given: str | Path | None, before: str | None) -> Bundle | None:
        """The bundle given or in $LABKIT_BUNDLE, else that of `before`, if the stick is still in."""
        if not given and not os.environ.get(VARIABLE) and before and (Path(before) / "SHA256SUMS").is_file():
            given = before
        return cls.of(given)

    @property
    def sealed(self) -> bool:
        """Whether a change of bundle.json would be seen."""
        return "bundle.json" in _sums(self.folder)

    def kind(self) -> Path | None:
        """The kind program, checked, where it may be executed: a copy of it in labkit's home, if a stick's file system
        (FAT, or mounted noexec) doesn't let it be. None where the bundle has none."""
        if "bin/kind" not in self.content["files"]:
            return None
        path = self.check("bin/kind")
        return path if os.access(path, os.X_OK) else self._executable(path)

    def _executable(self, program: Path) -> Path:
        wanted = self.content["files"]["bin/kind"]["sha256"]
        copy = paths.own(paths.home() / "bin") / f"kind-{wanted[:12]}"
        if copy.is_file() and os.access(copy, os.X_OK) and checksum(copy) == wanted:
            return copy
        part = copy.with_name(f"{copy.name}.{os.getpid()}")
        try:
            shutil.copyfile(program, part)
            part.chmod(0o700)
            part.replace(copy)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise LabError(f"{copy} can't be written: {error.strerror}", "set LABKIT_HOME to another disk") from error
        return copy

    def check(self, name: str) -> Path:
        """The file of that name in the bundle; LabError names it where it is missing or damaged."""
        path = self.folder / name
        wanted = self.content["files"].get(name)
        if wanted is None or not path.is_file():
            raise LabError(f"the bundle {self.folder} has no {name}", "labkit bundle create adds what is missing")
        try:
            whole = path.stat().st_size == wanted["size"] and checksum(path) == wanted["sha256"]
            how = "its checksum is not the one in bundle.json"
        except OSError as error:
            whole, how = False, f"it can't be read ({error.strerror})"
        if not whole:
            raise LabError(
                f"{path} is damaged: {how}",
                f"copy it again, or repair it with a network: labkit bundle create {self.folder}",
            )
        return path

    def node(self, minor: str) -> Image:
        """The node image; LabError where the bundle was made for another Kubernetes."""
        if minor != self.content["kubernetes"]:
            raise LabError(
                f"the bundle {self.folder} has Kubernetes {self.content['kubernetes']}, not {minor}",
                f"--kubernetes {self.content['kubernetes']}, or make another bundle",
            )
        return Image("node", self.content["images"]["node"]["image"])

    def load(self, role: str) -> None:
        """Bring the archive of one image into Docker; LabError where it isn't there or damaged."""
        if role not in self.content["images"]:
            raise LabError(
                f"the image {role} isn't in the bundle {self.folder}",
                f"it has {', '.join(self.content['images'])}; labkit bundle create adds what is missing",
            )
        path = self.check(f"images/{role}.tar.gz")
        with stage(f"{role} from the bundle"):
            programs.run([programs.docker(), "load", "--quiet", "--input", str(path)], timeout=1200)

    def manifest(self, operator: str) -> str:
        """An operator's rendered YAML."""
        return self.check(f"manifests/{operator}.yaml").read_text()

    def damaged(self) -> Iterator[str]:
        """What is wrong with each file that is not as it should be."""
        for name in self.content["files"]:
            try:
                self.check(name)
            except LabError as error:
                yield error.message

    def unpack_datasets(self) -> None:
        """Put the data sets where Keras keeps them, on a machine that has none."""
        from labkit.course.data import sources

        names = [name for name in self.content["files"] if name.startswith("datasets/fashion-mnist/")]
        if not names or sources.found_folder():
            return
        into = sources.keras_cache()
        sound = [self.check(name) for name in names]  # all of them, before anything is made
        into.mkdir(parents=True, exist_ok=True)
        for file in sound:
            part = into / f"{file.name}.part"
            shutil.copyfile(file, part)
            part.replace(part.with_suffix(""))
