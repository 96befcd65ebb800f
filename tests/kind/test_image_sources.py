"""What the lab image holds: all that the course's programs import, and of the cluster no more than that."""

from __future__ import annotations

import subprocess
import sys

from realkube.supply import lab_image

PROGRAMS = """
import importlib, pkgutil, sys
for root in ("client", "course"):
    package = importlib.import_module(f"labkit.{root}")
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print(*sorted(name for name in sys.modules if name.split(".")[0] == "kubeproc"))
"""


def test_it_holds_what_the_courses_programs_import_of_the_cluster_and_no_more() -> None:
    said = subprocess.run([sys.executable, "-c", PROGRAMS], capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    held = {lab_image.inside(path) for path in lab_image.sources() if not path.is_relative_to(lab_image.PACKAGE)}
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in held}
    assert set(said.stdout.split()) == modules


def test_an_edit_of_the_clusters_own_code_does_not_make_it_stale() -> None:
    kubeproc = {path.name for path in lab_image.sources() if path.is_relative_to(lab_image.SHARED)}
    assert "errors.py" in kubeproc
    assert not {"server.py", "engine.py"} & kubeproc
