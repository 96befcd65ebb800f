"""A bundle: a folder with all that `labkit up --engine kind` needs, for machines without a network.

    bundle.json         what is in it: versions, images with their digests, architecture, and each file's checksum
    SHA256SUMS          the same checksums for `sha256sum -c`; written last: a bundle without it is not finished
    images/ROLE.tar.gz  what `docker load` takes         manifests/OPERATOR.yaml   rendered
    bin/kind            datasets/fashion-mnist/*.gz      wheels/*.whl              this kit's own requirements

Every file is checked before it is used.
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

from labkit.errors import LabError
from labkit.kind import programs
from labkit.kind.progress import stage
from labkit.kind.versions import Image

VARIABLE = "LABKIT_BUNDLE"


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Bundle:
    """A finished bundle; `content` is bundle.json."""

    folder: Path
    content: dict[str, Any]

    @classmethod
    def of(cls, given: str | Path | None) -> Bundle | None:
        """The bundle in the folder given, else in $LABKIT_BUNDLE, else None; LabError where it is none or unfinished."""
        where = given or os.environ.get(VARIABLE)
        if not where:
            return None
        folder = Path(where).expanduser().absolute()
        try:
            content = json.loads((folder / "bundle.json").read_text())
        except (OSError, ValueError) as error:
            raise LabError(f"{folder} is no bundle: {error}", "labkit bundle create DIR makes one") from error
        if not (folder / "SHA256SUMS").is_file():
            raise LabError(f"the bundle {folder} is not finished", f"labkit bundle create {folder} goes on with it")
        return cls(folder, content)

    @classmethod
    def remembered(cls, given: str | Path | None, before: str | None) -> Bundle | None:
        """The bundle given or in $LABKIT_BUNDLE, else that of `before`, if the stick is still in."""
        if not given and not os.environ.get(VARIABLE) and before and (Path(before) / "SHA256SUMS").is_file():
            given = before
        return cls.of(given)

    @property
    def kind(self) -> Path:
        """The kind program for this bundle's architecture, made executable where the stick's file system lost that."""
        return self.folder / "bin" / "kind"

    def check(self, name: str) -> Path:
        """The file of that name in the bundle; LabError names it where it is missing or damaged."""
        path = self.folder / name
        wanted = self.content["files"].get(name)
        if wanted is None or not path.is_file():
            raise LabError(f"the bundle {self.folder} has no {name}", "labkit bundle create adds what is missing")
        if path.stat().st_size != wanted["size"] or checksum(path) != wanted["sha256"]:
            raise LabError(
                f"{path} is damaged: its checksum is not the one in bundle.json",
                f"copy it again, or mend it with a network: labkit bundle create {self.folder}",
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
        from labkit.data import sources

        names = [name for name in self.content["files"] if name.startswith("datasets/fashion-mnist/")]
        if not names or sources.found_folder():
            return
        into = sources.keras_cache()
        into.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(self.check(name), into / Path(name).name)
