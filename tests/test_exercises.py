"""The notebooks' checks on a real cluster: a right answer passes; a wrong or a missing one is told what is wrong with it.

Cells run here as they stand in the notebooks, in a namespace of names that the notebook's setup cells have made.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from course import FOLDER, cell, graded, load

from labkit import checks, client, namespaces, show
from labkit.grading.release import student_version, without_solution
from labkit.runner.execute import Limits, execute
from labkit.runner.notebooks import read

SETUP, SYSTEM = FOLDER / "00_setup.ipynb", FOLDER / "13_end_to_end.ipynb"
# Cells of 00 that no exercise needs: a second cluster, measurements, figures.
LEFT_OUT = {"doctor", "measure", "measure-figure", "second", "second-client", "break", "second-down", "clean-up"}
Names = dict[str, Any]

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def connected(cluster: Path) -> Iterator[Path]:
    """This process's clients talk to the cluster, as a notebook's do."""
    before = {name: os.environ.get(name) for name in ("KUBECONFIG", "LABKIT_CLUSTER")}
    os.environ |= {"KUBECONFIG": str(cluster), "LABKIT_CLUSTER": "labkit"}
    namespaces.prepare("default")
    yield cluster
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def setup(connected: Path) -> Names:
    """What the setup cells of notebook 00 leave, without any exercise's answer."""
    names: Names = {}
    for each in load(SETUP).cells:
        if each.cell_type == "code" and not graded(each) and each.id not in LEFT_OUT:
            exec(each.source, names)
    return names


@pytest.fixture(scope="module")
def system(connected: Path) -> Names:
    """What the exercises of notebook 13 read, of a workflow in miniature: three trainings that are tried twice."""
    names: Names = {"checks": checks, "client": client, "show": show, "yaml": yaml}
    exec(cell(SYSTEM, "miniature"), names)
    small = yaml.safe_load(names["miniature"])
    small["spec"]["templates"][1]["retryStrategy"] = {"limit": "1"}
    workflow = checks.workflow(yaml.safe_dump(small))
    assert workflow["status"]["phase"] == "Failed"
    return names | {"workflow": workflow, "nodes": list(workflow["status"]["nodes"].values())}


def said(path: Path, names: Names, answer: str, check: str) -> str:
    """What the check says to an answer: '' where it is passed, the diagnosis where it is not."""
    names = dict(names)
    exec(answer, names)
    try:
        exec(cell(path, check), names)
    except checks.CheckFailed as no:
        return str(no)
    return ""


@pytest.mark.parametrize(
    ("path", "number"), [(SETUP, 1), (SETUP, 2), (SYSTEM, 1), (SYSTEM, 2)], ids=["00-1", "00-2", "13-1", "13-2"]
)
def test_the_solution_passes_twice_and_an_empty_answer_does_not(
    request: pytest.FixtureRequest, path: Path, number: int
) -> None:
    names = request.getfixturevalue("setup" if path == SETUP else "system")
    answer, check = cell(path, f"answer-{number}"), f"check-{number}"
    assert said(path, names, without_solution(answer), check), "the student's cell as handed out"
    assert said(path, names, answer, check) == ""
    assert said(path, names, answer, check) == "", "a check can be run again"


def whereami(setup: Names, **changes: Any) -> str:
    names = dict(setup)
    exec(cell(SETUP, "answer-1"), names)
    text: str = names["whereami"]
    for before, after in changes.get("replace", {}).items():
        assert before in text
        text = text.replace(before, after)
    return f"whereami = {text!r}"


@pytest.mark.parametrize(
    ("replace", "diagnosis"),
    [
        ({"exit 3": "exit 0"}, "ended as Succeeded with exit code 0, expected 3"),
        ({"$NODE": "$NODES"}, "does not have 'I run on labkit'"),
        ({"name: whereami": "name: where"}, "named 'where', expected 'whereami'"),
        ({"busybox:1.36": "busybocks"}, "has not run"),
        ({"spec.nodeName": "spec.node"}, "spec.node"),
        ({"kind: Pod": "kind: Job"}, "kind Job, expected Pod"),
        ({"containers:": "container:"}, "container"),
        ({"  name: whereami": "\tname: whereami"}, "not YAML"),
    ],
)
def test_a_wrong_pod_is_told_what_is_wrong_with_it(setup: Names, replace: dict[str, str], diagnosis: str) -> None:
    assert diagnosis in said(SETUP, setup, whereami(setup, replace=replace), "check-1")


@pytest.mark.parametrize(
    ("answer", "diagnosis"),
    [
        ("reason = 'CrashLoopBackOff'; mended_manifest = broken_manifest", "'CrashLoopBackOff' is not the reason"),
        ("reason = 'ErrImagePull'; mended_manifest = broken_manifest", "named 'broken', expected 'mended'"),
        (
            "reason = 'ErrImagePull'; mended_manifest = broken_manifest.replace('name: broken', 'name: mended')",
            "busybocks",
        ),
        ("reason = 'ErrImagePull'; mended_manifest = None", "there is no manifest yet"),
        (
            "reason = 'ErrImagePull'; mended_manifest = broken_manifest.replace('busybocks', 'busybox')"
            ".replace('name: broken', 'name: mended').replace('echo, mended', 'echo, broken')",
            "does not have 'mended'",
        ),
    ],
)
def test_a_pod_that_was_not_mended_is_told_so(setup: Names, answer: str, diagnosis: str) -> None:
    assert diagnosis in said(SETUP, setup, answer, "check-2")


@pytest.mark.parametrize(("manifest", "diagnosis"), [
    (None, "there is no manifest yet"),
    ("", "the manifest is empty"),
    (" \n\t\n", "the manifest is empty"),
    ("# apiVersion: v1\n---\n", "the manifest is empty"),
    (3, "is a int, not YAML text"),
])  # fmt: skip
def test_an_exercise_without_an_answer_is_told_so(manifest: object, diagnosis: str) -> None:
    with pytest.raises(checks.CheckFailed, match=diagnosis):
        checks.create(manifest, "Pod")


POD = """
apiVersion: v1
kind: Pod
metadata: {name: odd}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: busybox, command: [echo, hello]}
"""


def test_a_pod_that_failed_before_its_program_ran_is_told_so(connected: Path) -> None:
    checks.create(POD + "  initContainers: [{name: first, image: busybox, command: ['false']}]\n", "Pod")
    with pytest.raises(checks.CheckFailed, match="pod odd ended as Failed without having run"):
        checks.pod("odd", log=["hello"])


def test_a_pod_whose_first_image_is_not_there_is_told_so_at_once(connected: Path) -> None:
    checks.create(POD + "  initContainers: [{name: first, image: busybocks, command: ['true']}]\n", "Pod")
    with pytest.raises(checks.CheckFailed, match=r"pod odd has not run: [^ ]+: .*busybocks"):
        checks.pod("odd", log=["hello"], timeout=20)


def test_of_a_pod_of_two_programs_the_first_is_looked_at(connected: Path) -> None:
    checks.create(POD + "  - {name: second, image: busybox, command: [echo, world]}\n", "Pod")
    assert checks.pod("odd", exit_code=0, log=["hello"])
    with pytest.raises(checks.CheckFailed, match="does not have 'world'"):
        checks.pod("odd", log=["world"])


def test_a_pod_that_is_left_as_it_was_is_a_wrong_answer_and_no_broken_cell(setup: Names) -> None:
    given = without_solution(cell(SETUP, "answer-2")).replace("reason = None", "reason = 'ErrImagePull'")
    renamed = given + "\nmended_manifest = mended_manifest.replace('name: broken', 'name: mended')"
    for _ in range(3):
        assert "named 'broken', expected 'mended'" in said(SETUP, setup, given, "check-2")
        assert "pod mended has not run" in said(SETUP, setup, renamed, "check-2")


def test_a_sum_that_counts_retries_or_forgets_to_is_told_so(system: Names) -> None:
    everything = "one_after_another = 1 + sum(show.plotting.duration(n['startedAt'], n['finishedAt']) for n in nodes)"
    assert "too much" in said(SYSTEM, system, f"{everything}; together = 0", "check-1")
    assert "Retry nodes" in said(SYSTEM, system, f"{everything}; together = 0", "check-1")
    assert "expected a number" in said(SYSTEM, system, "one_after_another = 'long'; together = 0", "check-1")
    right = cell(SYSTEM, "answer-1") + "\ntogether += 1"
    assert "the earliest start to the latest end" in said(SYSTEM, system, right, "check-1")


@pytest.mark.parametrize(
    ("change", "diagnosis"),
    [
        ({}, "select is"),
        ({"depends: train\n": "depends: train.Failed\n"}, ""),
        ({"depends: train\n": "depends: train.Succeeded\n"}, "select is"),
        ({"!= linear": "!= nothing"}, "has to fail here"),
        ({"depends: train\n": "depends: trains\n"}, "trains"),
        ({"depends: train\n": "depends: train.Failed\n", "chosen from": "picked from"}, "more than `depends`"),
    ],
)
def test_a_workflow_that_was_not_mended_is_told_so(system: Names, change: dict[str, str], diagnosis: str) -> None:
    text = system["miniature"]
    for before, after in change.items():
        assert before in text
        text = text.replace(before, after)
    found = said(SYSTEM, system, f"mended = {text!r}", "check-2")
    assert (diagnosis in found) if diagnosis else not found, found


def test_a_student_sees_the_diagnosis_and_no_traceback(connected: Path, tmp_path: Path) -> None:
    notebook = student_version(load(SETUP))
    notebook.cells = [c for c in notebook.cells if c.cell_type == "code" and c.id not in LEFT_OUT]
    nbformat.write(notebook, tmp_path / "student.ipynb")
    client.remove("pod", "first")
    result = execute(
        read(tmp_path / "student.ipynb"),
        tmp_path,
        parameters={},
        environment={},
        nursery=None,
        limits=Limits(60, 120),
    )
    assert result.outcome == "failed"
    assert result.error
    assert result.error.name == "CheckFailed"
    assert "the manifest is empty" in result.error.message
    outputs = [o for c in nbformat.read(tmp_path / result.path, 4).cells for o in c.get("outputs", [])]
    told = next(o for o in outputs if o.output_type == "error")
    assert told.traceback[0].startswith("Not yet: ")
    assert len(told.traceback) == 1
