"""The notebooks' exercises on a real cluster: every right answer passes, and a wrong one gets the diagnosis that it needs.

The answers are files, `exercises/NN_name/GRADE_ID.right.NAME.py` and `.wrong.NAME.py`; the first line of a wrong one is
`# says: ` and a part of the diagnosis. Beside them each exercise is tried as it is handed out, and with its reference
solution. An answer runs after the cells that its check needs, as its metadata names them, and after nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from books import FOLDER, NOTEBOOKS, graded, load
from labkit import checks, client, namespaces
from labkit.grading.release import student_version, without_solution
from labkit.runner.execute import Limits, execute
from labkit.runner.notebooks import read

PLANTED = Path(__file__).parent / "exercises"
SAYS = "# says: "
SETUP = FOLDER / "00_setup.ipynb"
SYSTEM = FOLDER / "13_end_to_end.ipynb"
Names = dict[str, Any]

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Attempt:
    """An answer to an exercise; `says` is a part of the diagnosis, or empty where the check must pass."""

    notebook: Path
    exercise: str
    kind: str
    answer: str
    says: str = ""

    def __str__(self) -> str:
        return f"{self.notebook.stem}-{self.exercise}-{self.kind}"


def checks_of(notebook: Path) -> dict[str, Any]:
    """The check cells of a notebook by their exercise."""
    return {graded(c)["grade_id"].removesuffix("-check"): c for c in load(notebook).cells if graded(c).get("grade")}


def planted(notebook: Path, exercise: str) -> Iterator[Attempt]:
    for path in sorted((PLANTED / notebook.stem).glob(f"{exercise}.*.py")):
        _, right, name, _ = path.name.split(".")
        answer = path.read_text()
        first = answer.splitlines()[0]
        says = first.removeprefix(SAYS) if right == "wrong" else ""
        assert right == "right" or (right == "wrong" and first.startswith(SAYS) and says.strip()), path
        yield Attempt(notebook, exercise, f"{right}-{name}", answer, says)


def attempts() -> list[Attempt]:
    found = []
    for notebook in NOTEBOOKS:
        for exercise in checks_of(notebook):
            reference = next(c.source for c in load(notebook).cells if graded(c).get("grade_id") == exercise)
            blank = without_solution(reference)
            found.append(Attempt(notebook, exercise, "blank", blank, BLANK[exercise]))
            found.append(Attempt(notebook, exercise, "reference", reference))
            found.extend(planted(notebook, exercise))
    return found


BLANK = {  # what a student sees who has not begun
    "whereami": "the manifest is empty",
    "broken": "for the pod broken, why_waiting returns None",
    "parallel": "one_after_another is None",
    "survivors": "when one training run fails, select is Omitted",
}


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
def needed(connected: Path) -> Names:
    """What the cells that an exercise needs leave, by exercise; filled when first asked for."""
    return {}


def prepared(needed: Names, attempt: Attempt) -> Names:
    if attempt.exercise not in needed:
        check = checks_of(attempt.notebook)[attempt.exercise]
        names: Names = {}
        wanted = {"parameters", *check.metadata["labkit"]["needs"]}
        for each in load(attempt.notebook).cells:
            if each.id in wanted:
                exec(each.source, names)
        needed[attempt.exercise] = names
    return dict(needed[attempt.exercise])


def said(attempt: Attempt, names: Names, check: str) -> str:
    """What the check says to an answer: '' where it passes, the diagnosis where it does not."""
    exec(attempt.answer, names)
    try:
        exec(check, names)
    except checks.CheckFailed as no:
        return str(no)
    return ""


@pytest.mark.parametrize("attempt", attempts(), ids=str)
def test_an_answer_gets_the_verdict_that_it_deserves(needed: Names, attempt: Attempt) -> None:
    names = prepared(needed, attempt)
    check = checks_of(attempt.notebook)[attempt.exercise].source
    found = said(attempt, names, check)
    if attempt.says:
        assert attempt.says in found
    else:
        assert found == ""
    if attempt.kind in ("blank", "reference"):
        assert said(attempt, names, check) == found, "a check can be run again"


def test_each_run_of_the_system_is_found_again_after_a_restart_of_the_kernel(connected: Path) -> None:
    names: Names = {}
    for each in load(SYSTEM).cells:
        if each.id in ("parameters", "set-up", "yaml", "submitting"):
            exec(each.source, names)
    runs = ("undisturbed", "disturbed")  # the other run, and an exercise's workflow, may be newer than the one wanted
    submitted = {run: names["submit"](run) for run in runs}
    try:
        assert {run: names["newest"](run) for run in runs} == submitted
    finally:
        for name in submitted.values():
            client.remove("workflow", name)
    text = next(c.source for c in load(SYSTEM).cells if c.id == "recover-text")
    assert 'name = newest("undisturbed")' in text


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_exercise_has_planted_answers_and_names_the_cells_that_it_needs(notebook: Path) -> None:
    order = [c.id for c in load(notebook).cells]
    for exercise, check in checks_of(notebook).items():
        kinds = [attempt.kind.partition("-")[0] for attempt in planted(notebook, exercise)]
        assert kinds.count("right") >= 2, exercise
        assert kinds.count("wrong") >= 3, exercise
        assert all(order.index(need) < order.index(check.id) for need in check.metadata["labkit"]["needs"])
    named = {path.name.partition(".")[0] for path in (PLANTED / notebook.stem).iterdir()}
    assert named == set(checks_of(notebook)), "a planted answer belongs to an exercise"


def test_a_student_sees_the_diagnosis_and_no_traceback(connected: Path, tmp_path: Path) -> None:
    notebook = student_version(load(SETUP))
    check = checks_of(SETUP)["whereami"]
    kept = {"parameters", *check.metadata["labkit"]["needs"], "answer-1", check.id}
    notebook.cells = [c for c in notebook.cells if c.id in kept]
    nbformat.write(notebook, tmp_path / "student.ipynb")
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
