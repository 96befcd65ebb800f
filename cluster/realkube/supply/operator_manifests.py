"""The operators' manifests: upstream's release through the kustomizations in cluster/, or as a bundle has them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import yaml

from labkit.errors import LabError
from realkube import programs
from realkube.supply import versions
from realkube.supply.bundle import Bundle

OPERATORS = ("training-operator", "argo-workflows")


def operator(name: str, bundle: Bundle | None) -> str:
    """The YAML of one operator, images pinned."""
    return bundle.manifest(name) if bundle else render(name)


def fingerprint(bundle: Bundle | None) -> str:
    """Of what the operators' manifests are made from: the bundle's files, or the kustomizations and the versions."""
    if bundle:
        return " ".join(bundle.content["files"][f"manifests/{name}.yaml"]["sha256"][:16] for name in OPERATORS)
    digest = hashlib.sha256((versions.FOLDER / "versions.yaml").read_bytes())
    for path in (path for name in OPERATORS for path in sorted((versions.FOLDER / name).iterdir())):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def render(name: str, upstream: Path | None = None) -> str:
    """Run kustomize over cluster/NAME with the images of versions.yaml. Its base is upstream's repository at the release's
    tag; `upstream` is a copy of that repository where it can't be reached."""
    with tempfile.TemporaryDirectory(prefix="labkit-manifests-") as folder:
        here = Path(folder) / name
        shutil.copytree(versions.FOLDER / name, here)
        recipe = yaml.safe_load((here / "kustomization.yaml").read_text())
        base = versions.table()["operators"][name]["base"]
        if upstream:
            inside = base.split("//", 2)[2].partition("?")[0]
            if not (upstream / inside).is_dir():
                raise LabError(
                    f"{upstream} is no copy of {base.partition('?')[0]}", f"the copy must have the folder {inside}"
                )
            shutil.copytree(upstream / inside.split("/")[0], Path(folder) / "upstream" / inside.split("/")[0])
            local = f"../upstream/{inside}"
            recipe["resources"] = [local if r.startswith("https://") else r for r in recipe["resources"]]
            base = local
        recipe["resources"] = [base if r.startswith("https://") else r for r in recipe["resources"]]
        recipe["images"] = [_pin(image.name) for image in versions.images().values()]
        (here / "kustomization.yaml").write_text(yaml.safe_dump(recipe))
        try:
            return programs.run([programs.kubectl(), "kustomize", str(here)], timeout=300)
        except LabError as error:
            raise LabError(
                f"the manifests of {name} are not available: {error.message}",
                "git fetches them from GitHub; without a network use a bundle: --bundle DIR",
            ) from error


def _pin(name: str) -> dict[str, str]:
    repository, _, tag = name.rpartition(":")
    return {"name": repository, "newTag": tag}


def own(name: str) -> str:
    """The YAML of cluster/labkit-system/NAME.yaml."""
    return (versions.FOLDER / "labkit-system" / f"{name}.yaml").read_text()
